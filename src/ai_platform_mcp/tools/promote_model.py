"""Moving an alias, with the version it points at now as the condition."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ai_platform_mcp.core.errors import Conflict, NotFound
from ai_platform_mcp.core.facts import Facts
from ai_platform_mcp.core.plan import Draft, Evidence, Precondition, Risk, SetAlias
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import ModelRow, VersionRow
from ai_platform_mcp.core.tool import PlanContext, WriteParams
from ai_platform_mcp.domain.evidence import model_facts
from ai_platform_mcp.domain.model_views import gates_text
from ai_platform_mcp.domain.text import number

COMPARED = 6
"""Metrics compared between the old and the new version."""


class PromoteParams(WriteParams):
    """Which version gets the alias."""

    model: Annotated[str, Field(min_length=1, max_length=200)]
    version: Annotated[str, Field(description="number or @alias", min_length=1, max_length=100)]
    alias: Annotated[str, Field(min_length=1, max_length=100)] = "champion"


class PromoteModel:
    """Plans one SetAlias step. The registry has no compare-and-set: the expected version is in the plan."""

    name: ClassVar[str] = "promote_model"
    title: ClassVar[str] = "Promote a model version"
    description: ClassVar[str] = (
        "Move an alias (default champion, which production serves) to a version; compares metrics old to new."
    )
    params: ClassVar[type[WriteParams]] = PromoteParams
    destructive: ClassVar[bool] = True

    async def plan(self, params: PromoteParams, readers: Readers, context: PlanContext) -> Draft:
        """Return the move of the alias.

        Raises:
            NotFound: no such model or version.
            Conflict: the alias points there already.
        """
        model = await readers.registry.model(params.model)
        if model is None:
            raise NotFound(f"There is no model {params.model!r}.", remedy="inspect_platform kind=models lists them.")
        row = await readers.registry.version(params.model, params.version)
        if row is None:
            raise NotFound(
                f"{params.model} has no version {params.version}.",
                remedy=f"inspect_platform kind=versions name={params.model} lists them.",
            )
        old = model.aliases.get(params.alias)
        if old == row.version:
            raise Conflict(
                f"{params.alias} of {params.model} is version {old} already.", remedy="Nothing needs to be done."
            )
        step = SetAlias(
            title=f"Point {params.alias} of {params.model} at version {row.version} (now {old or 'nothing'})",
            model=params.model,
            alias=params.alias,
            version=row.version,
            expected=old,
            preconditions=(Precondition(kind="alias", subject=f"{params.model}@{params.alias}", expected=old or ""),),
        )
        facts = model_facts(row, model, context.now)
        reasons, risks = await _compare(model, row, old, readers)
        gates = gates_text(facts)
        return Draft(
            action="promote",
            summary=f"Make version {row.version} of {params.model} its {params.alias}, in place of {old or 'none'}",
            steps=(step,),
            targets=(),
            facts=Facts(model=facts),
            risks=risks,
            evidence=(Evidence(source="registry", subject=f"{params.model} {row.version}", version=row.version),),
            reasons=(*([f"Gates: {gates}."] if gates else []), *reasons),
        )


async def _compare(
    model: ModelRow, new: VersionRow, old: str | None, readers: Readers
) -> tuple[tuple[str, ...], tuple[Risk, ...]]:
    """Say how each metric moves from the old version's run to the new one's. Which way is better, the gates declare."""
    before = await readers.registry.version(model.name, old) if old else None
    if before is None:
        return ((), ())
    runs = [await readers.registry.run(row.run_id) if row.run_id else None for row in (before, new)]
    first, second = runs
    if first is None or second is None:
        text = f"Version {old} and {new.version} cannot be compared: a run is missing."
        return ((), (Risk(severity="info", text=text),))
    shared = sorted(set(first.metrics) & set(second.metrics))[:COMPARED]
    moves = [
        f"{key} {number(first.metrics[key])} → {number(second.metrics[key])} ({second.metrics[key] - first.metrics[key]:+.3g})"
        for key in shared
    ]
    if not moves:
        return ((), (Risk(severity="info", text=f"The runs of version {old} and {new.version} share no metric."),))
    return ((f"Version {old} → {new.version}: {', '.join(moves)}.",), ())
