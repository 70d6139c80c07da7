"""What models, versions, their evidence and runs look like as rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from ai_platform_mcp.core.facts import ModelFacts
from ai_platform_mcp.core.rows import ModelRow, RunRow, VersionRow
from ai_platform_mcp.domain.evidence import model_facts
from ai_platform_mcp.domain.text import Cell, Listing, age, clip, number
from ai_platform_mcp.domain.views import said

METRICS = 4
"""Metrics told of one run."""


def models(rows: Sequence[ModelRow], now: datetime) -> Listing:
    """Return registered models with where their aliases point."""
    return Listing(
        kind="models",
        columns=("model", "latest", "aliases", "team", "updated", "description"),
        rows=tuple(
            (
                row.name,
                row.latest,
                " ".join(f"{alias}={version}" for alias, version in sorted(row.aliases.items())),
                row.tags.get("aiplatform.team", ""),
                age(row.updated, now),
                said(row.description),
            )
            for row in rows
        ),
        empty="No model matches. Register one with register_model.",
        notes=("The versions of a model and their evidence: kind=versions name=<model>.",),
        facts={"age_seconds": 0},
    )


def versions(model: ModelRow, rows: Sequence[VersionRow], runs: Sequence[RunRow], now: datetime) -> Listing:
    """Return versions with what is proven of each, newest first, and the finished runs that are not registered."""
    listed: list[tuple[Cell, ...]] = []
    for row in rows:
        facts = model_facts(row, model, now)
        listed.append(
            (
                row.version,
                " ".join(row.aliases),
                age(row.created, now),
                gates_text(facts),
                (facts.digest or "")[:19],
                facts.signed,
                facts.card,
                facts.licence,
                " ".join(facts.residency),
                (row.run_id or "")[:12],
                said(row.description),
            )
        )
    columns = (
        "version",
        "aliases",
        "age",
        "gates",
        "digest",
        "signed",
        "card",
        "licence",
        "regions",
        "run",
        "description",
    )
    return Listing(
        kind=f"versions of {model.name}",
        columns=columns,
        rows=tuple(listed),
        empty="It has no versions.",
        notes=unregistered(runs, {row.run_id for row in rows if row.run_id}, now),
        facts={"age_seconds": 0},
    )


def gates_text(facts: ModelFacts) -> str:
    """Return the gate verdicts in short: ``accuracy 0.942/0.9 pass 2d``, value before threshold, age last."""
    told = [
        f"{gate.metric} {gate.value_milli / 1000:g}/{gate.threshold_milli / 1000:g} {gate.verdict} {gate.age_seconds // 86_400}d"
        for gate in facts.gates
    ]
    return ", ".join(told)


def unregistered(runs: Sequence[RunRow], known: Iterable[str], now: datetime) -> tuple[str, ...]:
    """Return a sentence for each finished run that no version was made from, newest first."""
    registered = set(known)
    return tuple(
        f"Run {clip(row.name, 40)} ({row.run_id}) finished {age(row.ended, now)} ago with {metrics_text(row)} and is not "
        "registered: register_model."
        for row in runs
        if row.status == "FINISHED" and row.run_id not in registered
    )[:3]


def metrics_text(row: RunRow) -> str:
    """Return a run's metrics in short."""
    told = [f"{clip(key, 30)} {number(value)}" for key, value in sorted(row.metrics.items())[:METRICS]]
    return ", ".join(told) or "no metrics"
