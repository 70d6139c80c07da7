"""Executing what was begun, and finishing what a dead process left."""

from __future__ import annotations

import logging
import time
from typing import Literal

from ai_platform_mcp.core.acting import acting_for_owner
from ai_platform_mcp.core.decision import Decision
from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.executor import Executor
from ai_platform_mcp.core.memory import Journal
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Plan
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.recorder import Recorder
from ai_platform_mcp.core.records import Operation
from ai_platform_mcp.core.tool import Caller

log = logging.getLogger(__name__)


class Resumer:
    """Runs plans whose intent is on record, from the first step or from where they stopped."""

    def __init__(self, journal: Journal, executor: Executor, recorder: Recorder):
        self._journal = journal
        self._executor = executor
        self._recorder = recorder

    async def execute(self, plan: Plan, decision: Decision, before: Operation | None = None) -> Operation:
        """Perform the plan's steps that ``before`` does not record as done, and close the operation."""
        execution = await self._executor.run(plan, decision.annotations(), before.steps if before else ())
        error = execution.error.as_dict() if execution.error else None
        await self._journal.finish(plan.operation_id, execution.state, result=None, error=error)
        return await self._again(plan.operation_id)

    async def resume(self, caller: Caller) -> list[Operation]:
        """Take over what nobody executes any more: read back, perform what is missing, or mark it as interrupted.

        The decision in force is the one the plan was begun under; an operation without one is marked, not finished. One
        whose backend cannot be asked stays unknown, for a later attempt, and does not keep the others waiting. Each is
        resumed on behalf of its owner, never of whoever asks: one that needs its owner's credential waits for them.
        """
        return [await self._one(operation, caller) for operation in await self._journal.claim_unfinished()]

    async def _one(self, operation: Operation, caller: Caller) -> Operation:
        started = time.monotonic()
        entry = self._recorder.entry(operation.plan.tool, operation.plan.arguments, caller)
        entry.mode, entry.operation_id = "resume", operation.id
        try:
            stored = await self._journal.plan(operation.plan.id)
            if stored is None or stored.decision.effect == "deny":
                resumed = await self._close(operation, "interrupted", INTERRUPTED)
            else:
                entry.judged(operation.plan, stored.decision)
                with acting_for_owner(_owner(stored.principal, caller)):
                    resumed = await self.execute(operation.plan, stored.decision, before=operation)
            entry.outcome = resumed.state
        except PlatformError as error:
            log.warning("Operation %s cannot be resumed now: %s", operation.id, error.message)
            entry.outcome = error.code
            resumed = await self._close(operation, "unknown", error.as_dict())
        finally:
            await entry.close(started)
        return resumed

    async def _close(
        self, operation: Operation, state: Literal["interrupted", "unknown"], error: type_json
    ) -> Operation:
        try:
            await self._journal.finish(operation.id, state, result=None, error=error)
        except PlatformError as problem:  # another process has taken it over or closed it
            log.info("Operation %s is not ours any more: %s", operation.id, problem.message)
        return await self._again(operation.id)

    async def _again(self, operation_id: str) -> Operation:
        operation = await self._journal.operation(operation_id)
        if operation is None:
            raise RuntimeError(f"The journal lost operation {operation_id}.")
        return operation


def _owner(recorded: Principal, caller: Caller) -> Caller:
    """Return on whose behalf an operation is resumed: its owner, with the credential only where they ask themselves."""
    return caller if caller.principal.id == recorded.id else Caller(recorded, caller.request_id)


INTERRUPTED: type_json = {
    "code": "interrupted",
    "message": "The process that ran this stopped, and no decision that allows it is on record.",
    "cause": "",
    "remedy": "Make a new plan; it starts from the world as it is now.",
    "retryable": False,
}
