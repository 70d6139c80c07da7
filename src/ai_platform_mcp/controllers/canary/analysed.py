"""What analysis says of the step under way, and how the status remembers it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ai_platform_mcp.controllers.analysis.analyst import Analyst, cadence
from ai_platform_mcp.controllers.analysis.measure import Question
from ai_platform_mcp.controllers.analysis.status import remembered, status_form
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.analysis.asked import Analysis, analysis_of
from ai_platform_mcp.domain.analysis.judge import Check
from ai_platform_mcp.domain.analysis.sides import Comparison, Side, Span
from ai_platform_mcp.domain.canary.state import Canary, Progress, Verdict
from ai_platform_mcp.domain.objects import metadata_of, parse_time, section

STABLE, BEFORE = "stable version", "stable version before"
LOOK_BACK = timedelta(minutes=10)
"""What the stable version served before it lost its traffic is counted over this time at least."""
_JUDGED = frozenset({"Running", "Paused"})


@dataclass(frozen=True)
class Analysed:
    """The verdict, and ``status.analysis``, which is empty where no analysis is asked for."""

    verdict: Verdict
    form: type_json
    again: float = float("inf")
    """Seconds after which the next measurement is due."""


def analysed(live: type_json, canary: Canary, before: Progress, analyst: Analyst, wake: str, now: datetime) -> Analysed:
    """Return what analysis says now. What is measured comes from the analyst; this never waits.

    Args:
        live: the rollout.
        canary: the same, as the rules read it.
        before: what the last look left.
        analyst: who measures.
        wake: what the analyst calls when a measurement is there.
        now: the moment of the look.
    """
    asked = analysis_of(section(live, "spec"))
    if asked is None:
        return Analysed("none", {})
    said = section(live, "status", "analysis")
    if before.step >= len(canary.steps) or not canary.steps[before.step].judged:
        return Analysed("none", said)
    known = remembered(live, "step", before.step, canary.observed)
    if before.phase not in _JUDGED or known.over:
        return Analysed(known.verdict, said)
    if before.started is None:
        return Analysed(known.verdict, said if known.measured_at else {})
    since = known.since or before.started
    new = _side(live, canary.version, str(section(live, "spec").get("version")), before.started)
    question = Question(
        asked=asked,
        new=new,
        comparisons=(_control(live, canary, before.started, asked, before.step),),
        waited=(now - since).total_seconds(),
        slow=known.slow,
    )
    about = (before.step, canary.observed)
    every = cadence(asked.wait_seconds)
    measured = analyst.latest(str(metadata_of(live).get("uid")), about, question, every, wake)
    if measured is None and known.measured_at is not None:
        return Analysed(
            known.verdict, said
        )  # this process has just begun: what the last one measured stands until then
    form = status_form("step", before.step, canary.observed, since, measured, known)
    return Analysed(form["verdict"], form, every)


def _side(live: type_json, label: str, version: str, since: datetime) -> Side:
    """Return the calls to a version since a moment; exporters say it as registered or as a label."""
    return Side(
        model=str(section(live, "spec").get("model")),
        target="cloud",
        spans=(Span(since=since),),
        versions=tuple(sorted({label, version})),
        namespace=str(metadata_of(live).get("namespace")),
    )


def _control(live: type_json, canary: Canary, started: datetime, asked: Analysis, step: int) -> Comparison:
    """Return the stable version over the same time; once it has no traffic any more, over the time before."""
    checks: tuple[Check, ...] = tuple(row.check for row in asked.checks if row.check != "disagreement")
    version = str(section(live, "spec", "stable").get("version"))
    if canary.steps[step].percent < 100:
        return Comparison(against=STABLE, control=_side(live, canary.stable, version, started), checks=checks)
    made = parse_time(metadata_of(live).get("creationTimestamp")) or started
    back = max(timedelta(seconds=asked.wait_seconds), LOOK_BACK)
    side = _side(live, canary.stable, version, min(made, started) - back)
    return Comparison(against=BEFORE, control=side.model_copy(update={"over": True}), checks=checks)
