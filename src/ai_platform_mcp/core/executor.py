"""The only holder of writers: performs the steps of a plan one by one, journaling each before and after.

Crash safety rests on three facts: the intent is durable before the first effect, every step is idempotent for its stamp,
and an effect can be read back. So whoever resumes after a crash reads back the step that was under way, performs what is
missing and never performs a step twice.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import anyio

from ai_platform_mcp.core.errors import (
    Conflict,
    CredentialMissing,
    DeadlineExceeded,
    Misconfigured,
    OutcomeUnknown,
    PlatformError,
)
from ai_platform_mcp.core.memory import Journal
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import CancelOperation, Commit, CreateVersion, Plan, SetAlias, SetTag, Step
from ai_platform_mcp.core.ports import Writers
from ai_platform_mcp.core.progress import report
from ai_platform_mcp.core.records import Operation, StepRecord
from ai_platform_mcp.core.rows import Outcome, Stamp

log = logging.getLogger(__name__)

DONE = frozenset({"applied", "unchanged"})


@dataclass(frozen=True)
class Execution:
    """How an execution ended."""

    state: Literal["applied", "failed", "unknown", "cancelled"]
    steps: tuple[StepRecord, ...]
    error: PlatformError | None = None


class Executor:
    """Applies plans. Created once, by the composition root, and given to the guard alone."""

    def __init__(self, writers: Writers, journal: Journal, *, step_seconds: float = 30.0):
        self._writers = writers
        self._journal = journal
        self._step_seconds = step_seconds

    async def run(self, plan: Plan, annotations: dict[str, str], before: tuple[StepRecord, ...] = ()) -> Execution:
        """Perform every step that ``before`` does not record as done; stop at the first that fails.

        With ``before`` (a resumed operation), a step whose outcome is not known is read back first.
        """
        stamp = Stamp(operation_id=plan.operation_id, plan_digest=plan.digest, annotations=annotations)
        known = {record.step_id: record for record in before}
        records: list[StepRecord] = []
        for place, step in enumerate(plan.steps):
            await report(place, len(plan.steps), step.title)
            old = known.get(step.id)
            if old is not None and old.state in DONE:
                records.append(old)
                continue
            if await self._journal.cancel_requested(plan.operation_id):
                return Execution("cancelled", tuple(records))
            if old is not None and await self._landed(step, stamp):
                record = StepRecord(step_id=step.id, state="applied", note="found in place when resumed")
                await self._journal.step_finished(plan.operation_id, record)
                records.append(record)
                continue
            record, error = await self._perform(step, stamp)
            records.append(record)
            if error is not None:
                return Execution("unknown" if record.state == "unknown" else "failed", tuple(records), error)
        return Execution("applied", tuple(records))

    async def _perform(self, step: Step, stamp: Stamp) -> tuple[StepRecord, PlatformError | None]:
        await self._journal.step_started(stamp.operation_id, step.id)
        error: PlatformError | None = None
        try:
            with open_permit(Permit(stamp.operation_id, step.id)), anyio.fail_after(self._step_seconds):
                outcome = await self._execute(step, stamp)
            record = StepRecord(step_id=step.id, state=outcome.state, version=outcome.version, note=outcome.note)
        except (TimeoutError, OutcomeUnknown, DeadlineExceeded) as lost:
            record, error = await self._settle(step, stamp, lost)
        except CredentialMissing as waits:  # not failed: nothing was sent, and its owner can still finish it
            record, error = StepRecord(step_id=step.id, state="unknown", note=waits.message), waits
        except PlatformError as failure:
            record, error = StepRecord(step_id=step.id, state="failed", note=failure.message), failure
        except Exception as bug:  # it may have happened after the request was sent: that too is unknown until read back
            log.exception("Step %s of %s failed inside the server", step.id, stamp.operation_id)
            record, error = await self._settle(step, stamp, bug)
        await self._journal.step_finished(stamp.operation_id, record)
        return record, error

    async def _settle(self, step: Step, stamp: Stamp, lost: BaseException) -> tuple[StepRecord, PlatformError | None]:
        """Find out what became of a step that was sent and not answered: unknown until read back, never failed."""
        try:
            with anyio.fail_after(self._step_seconds):
                if await self._landed(step, stamp):
                    return StepRecord(step_id=step.id, state="applied", note="confirmed by reading back"), None
        except Exception as problem:
            log.warning("Step %s of %s cannot be read back: %s", step.id, stamp.operation_id, problem)
        error = OutcomeUnknown(
            f"Step {step.id} ({step.title}) was sent and its outcome is not known.",
            cause=_why(lost),
            remedy="Run `platform operations resume`, or call again with the same idempotency key: "
            "it reads back what happened and finishes the rest.",
            details={"operation_id": stamp.operation_id, "step": step.id},
        )
        return StepRecord(step_id=step.id, state="unknown", note=error.cause), error

    async def _execute(self, step: Step, stamp: Stamp) -> Outcome:
        if isinstance(step, CreateVersion | SetAlias | SetTag):
            return await self._writers.registry.execute(step, stamp)
        if isinstance(step, Commit):
            return await self._git().execute(step, stamp)
        if isinstance(step, CancelOperation):
            return await self._cancel(step)
        return await self._writers.clusters.execute(step, stamp)

    async def _landed(self, step: Step, stamp: Stamp) -> bool:
        if isinstance(step, CreateVersion | SetAlias | SetTag):
            return await self._writers.registry.read_back(step, stamp)
        if isinstance(step, Commit):
            return await self._git().read_back(step, stamp)
        if isinstance(step, CancelOperation):
            return await self._journal.cancel_requested(step.operation_id)
        return await self._writers.clusters.read_back(step, stamp)

    async def _cancel(self, step: CancelOperation) -> Outcome:
        if not await self._journal.request_cancel(step.operation_id):
            raise Conflict(
                f"The steps of {step.operation_id} ended before they could be stopped.",
                remedy="Cancel it again: that ends what its steps started.",
            )
        return Outcome(state="applied", note="it stops before its next step")

    async def stands(self, operation: Operation) -> bool:
        """Tell whether every effect of a finished operation is still there. Reads only.

        A request to stop stands while the other operation runs: once it has ended, to cancel it means what it started.
        """
        stamp = Stamp(operation_id=operation.id, plan_digest=operation.plan.digest)
        for step in operation.plan.steps:
            if isinstance(step, CancelOperation):
                other = await self._journal.operation(step.operation_id)
                if other is None or other.state != "running":
                    return False
            if not await self._landed(step, stamp):
                return False
        return True

    def _git(self):
        if self._writers.git is None:
            raise Misconfigured(
                "The plan commits to Git and no repository is configured.",
                remedy="Set `gitops.repository` in the platform file, or plan again.",
            )
        return self._writers.git


def _why(lost: BaseException) -> str:
    if isinstance(lost, PlatformError):
        return lost.message
    return "The backend did not answer in time." if isinstance(lost, TimeoutError) else "The server itself failed."
