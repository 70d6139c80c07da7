"""Steering what an operation started: cancel, pause, resume, promote, roll back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ai_platform_mcp.core.errors import Conflict, NotFound, Unavailable
from ai_platform_mcp.core.facts import Facts, ObjectChange
from ai_platform_mcp.core.followed import Followed, followed
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import (
    Apply,
    CancelOperation,
    Draft,
    Evidence,
    Follow,
    Precondition,
    Risk,
    SetAlias,
    Step,
    Submit,
)
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.records import Operation
from ai_platform_mcp.core.tool import PlanContext, WriteParams
from ai_platform_mcp.domain.objects import OPERATION_ANNOTATION, annotations_of, metadata_of, ref_of, step_ref
from ai_platform_mcp.domain.text import clip
from ai_platform_mcp.tools._routes_back import routes_back
from ai_platform_mcp.tools._steered import Moment, Steered
from ai_platform_mcp.tools._steering import steer

DONE = ("applied", "unchanged")
"""States of steps whose effect is there."""


class ControlParams(WriteParams):
    """Which operation, and what to do with it."""

    operation_id: Annotated[str, Field(min_length=1, max_length=64)]
    action: Literal["cancel", "pause", "resume", "promote", "rollback"]


class ControlOperation:
    """Acts on the objects that the operation follows; of a promotion, on the alias that it moved."""

    name: ClassVar[str] = "control_operation"
    title: ClassVar[str] = "Steer an operation"
    description: ClassVar[str] = (
        "Cancel, pause or resume an operation's work; promote or roll back its canary, edge rollout or alias."
    )
    params: ClassVar[type[WriteParams]] = ControlParams
    destructive: ClassVar[bool] = True

    async def plan(self, params: ControlParams, readers: Readers, context: PlanContext) -> Draft:
        """Return the steps for every followed object.

        Raises:
            NotFound: no such operation, or nothing of it is left.
            Conflict: its steps are still being applied (then it can only be cancelled), or nothing fits the action.
        """
        operation = await readers.journal.operation(params.operation_id)
        if operation is None:
            raise NotFound(
                f"There is no operation {params.operation_id!r}.", remedy="inspect_platform kind=operations lists them."
            )
        if operation.state == "running" and operation.live and params.action == "cancel":
            return _stop(operation)
        _check_settled(operation)
        aliases = _aliases_back(operation) if params.action == "rollback" and not operation.plan.follow else ()
        steered = [] if aliases else await _objects(operation, params, readers, context)
        steps: tuple[Step, ...] = (*aliases, *(step for _, row in steered for step in row.steps))
        moved = tuple(Follow(cluster=cluster, ref=ref) for cluster, row in steered for ref in row.follow)
        return Draft(
            action=params.action,
            summary=clip(f"{params.action.capitalize()}: {operation.plan.summary}", 200),
            steps=steps,
            targets=operation.plan.targets,
            facts=Facts(changes=(_owned(operation),)),
            risks=tuple(risk for _, row in steered for risk in row.risks),
            evidence=(Evidence(source="journal", subject=operation.id, version=operation.state),),
            follow=moved or (operation.plan.follow if params.action != "cancel" else ()),
        )


def _stop(operation: Operation) -> Draft:
    """Return the draft that stops an operation whose steps still run, before its next step."""
    total = len(operation.plan.steps)
    done = len([row for row in operation.steps if row.state in DONE])
    text = (
        f"{done} of its {total} steps {'is' if done == 1 else 'are'} done and stay; the one under way may still land."
    )
    step = CancelOperation(title=f"Stop {operation.id} before its next step", operation_id=operation.id)
    return Draft(
        action="cancel",
        summary=clip(f"Cancel: {operation.plan.summary}", 200),
        steps=(step,),
        targets=operation.plan.targets,
        facts=Facts(changes=(_owned(operation),)),
        risks=(Risk(severity="warning", text=text),),
        evidence=(Evidence(source="journal", subject=operation.id, version=operation.state),),
        reasons=("Once it has stopped, cancelling it again ends what its steps started.",),
    )


def _check_settled(operation: Operation) -> None:
    if operation.state == "running":
        raise Conflict(
            f"The steps of {operation.id} are still being applied.",
            cause="What it starts can be steered once it is there.",
            remedy="Cancel it, or look again in a few seconds and steer what it started."
            if operation.live
            else "Its process is gone: run `platform operations resume`, then steer what it started.",
        )


def _owned(operation: Operation) -> ObjectChange:
    """Return the operation as an object with an owner, so that policy keeps teams apart also where no object is labelled."""
    return ObjectChange(
        action="update",
        system="registry",
        kind="operation",
        name=operation.id,
        namespace=None,
        owner_team=operation.principal.team,
    )


async def _objects(
    operation: Operation, params: ControlParams, readers: Readers, context: PlanContext
) -> list[tuple[str, Steered]]:
    if operation.plan.tool == "route_model":
        return [await _routed(operation, params, readers, context)]
    found = await followed(operation, readers.clusters)
    if not found:
        raise Conflict(
            f"{operation.id} left nothing behind that can be steered.",
            cause=f"It was: {operation.plan.summary}",
            remedy="Make a new plan that changes what it changed.",
        )
    _check_readable(found)
    steered: list[tuple[str, Steered]] = []
    seen: set[str] = set()
    for row in found:
        if row.live is None:
            continue
        moment = Moment(
            row.follow.cluster, context.operation_id, created_here=_created(operation, row), now=context.now
        )
        result = _warned(operation, row.live, await steer(row.live, params.action, moment, readers))
        fresh = tuple(step for step in result.steps if str(step_ref(step)) not in seen)
        if result.steps and not fresh:
            continue  # a service and the rollout that moves it are steered once
        seen |= {str(step_ref(step)) for step in fresh}
        steered.append((row.follow.cluster, Steered(fresh, result.risks, result.follow)))
    if not steered:
        names = ", ".join(str(row.follow.ref) for row in found)
        raise NotFound(f"Nothing of {operation.id} is left: {names} is gone.", remedy="Nothing needs to be done.")
    return steered


async def _routed(
    operation: Operation, params: ControlParams, readers: Readers, context: PlanContext
) -> tuple[str, Steered]:
    if params.action != "rollback":
        raise Conflict(
            f"Routing does not move by itself: there is nothing to {params.action}.",
            remedy="Roll it back, or plan other routing with route_model.",
        )
    done = frozenset(row.step_id for row in operation.steps if row.state in DONE)
    return await routes_back(operation, done, readers, context)


def _warned(operation: Operation, live: type_json, steered: Steered) -> Steered:
    """Add a warning where somebody changed the object after this operation: that change is steered along with it."""
    last = annotations_of(live).get(OPERATION_ANNOTATION, "")
    if last in ("", operation.id):
        return steered
    text = f"{ref_of(live)} was changed later by {last}: this acts on its state now, not on what {operation.id} left."
    return Steered(steered.steps, (*steered.risks, Risk(severity="warning", text=text)), steered.follow)


def _check_readable(found: Sequence[Followed]) -> None:
    problems = [f"{row.follow.ref}: {row.problem}" for row in found if row.problem]
    if problems:
        raise Unavailable(
            "Not every object of the operation can be read.", cause="; ".join(problems), remedy="Try again."
        )


def _created(operation: Operation, row: Followed) -> bool:
    """Tell whether a step of the operation created this object, and the one that is there now is that one."""
    made = any(
        isinstance(step, Apply | Submit)
        and step_ref(step) == row.follow.ref
        and step.diff is not None
        and step.diff.action == "create"
        for step in operation.plan.steps
    )
    return made and bool(metadata_of(row.live or {}).get("uid"))


def _aliases_back(operation: Operation) -> tuple[SetAlias, ...]:
    """Return each alias to where it was before the operation moved it."""
    done = {row.step_id for row in operation.steps if row.state in DONE}
    moved = [step for step in operation.plan.steps if isinstance(step, SetAlias) and step.id in done and step.expected]
    return tuple(
        SetAlias(
            title=f"Point {step.alias} of {step.model} back at version {step.expected} (from {step.version})",
            model=step.model,
            alias=step.alias,
            version=str(step.expected),
            expected=step.version,
            preconditions=(Precondition(kind="alias", subject=f"{step.model}@{step.alias}", expected=step.version),),
        )
        for step in reversed(moved)
    )
