"""The one path of a call. Every surface enters here; there is no second way in.

::

    find the tool → validate → rate limit → read                                    (reads end here)
                                          → idempotency → plan → dry run → seal → policy
                                            → plan mode answers
                                            → bound plan? fresh? → approval → intent → steps → outcome
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import anyio

from ai_platform_mcp.core import replies
from ai_platform_mcp.core.acting import acting_for
from ai_platform_mcp.core.errors import (
    Conflict,
    NotFound,
    PlanStale,
    PlatformError,
    ReadOnly,
)
from ai_platform_mcp.core.executor import Executor
from ai_platform_mcp.core.judge import Judge, Judged, Review, Rewrite, too_slow
from ai_platform_mcp.core.limits import Limiter, Turns
from ai_platform_mcp.core.model import digest_of
from ai_platform_mcp.core.plan import Plan
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.recorder import Recorder
from ai_platform_mcp.core.records import ApprovalRecord, Operation, StoredPlan
from ai_platform_mcp.core.resume import Resumer
from ai_platform_mcp.core.tool import (
    AnyTool,
    Caller,
    LookingTool,
    Result,
    WriteParams,
    WriteTool,
    refuse_secrets,
    validate,
)
from ai_platform_mcp.core.wording import plan_text, status_text

P = TypeVar("P")


@dataclass(frozen=True)
class GuardOptions:
    """How strict the path is. Times are durations, limits are calls per principal and minute."""

    read_only: bool = False
    plan_lifetime: timedelta = timedelta(minutes=15)
    replay_window: timedelta = timedelta(minutes=10)
    read_seconds: float = 20.0
    plan_seconds: float = 30.0
    reads_per_minute: int = 600
    writes_per_minute: int = 60
    rewrite: Rewrite | None = None
    review: Review | None = None


class Guard:
    """Finds, validates, plans, judges, binds, approves, journals and executes."""

    def __init__(
        self, tools: Mapping[str, AnyTool], readers: Readers, executor: Executor, options: GuardOptions | None = None
    ):
        self.tools = dict(tools)
        self.readers = readers
        self.options = options or GuardOptions()
        self._executor = executor
        self._recorder = Recorder(readers.journal, readers.clock)
        chosen = self.options
        self._judge = Judge(readers, chosen.plan_lifetime, chosen.plan_seconds, chosen.rewrite, chosen.review)
        self._limiter = Limiter(
            readers.journal,
            readers.clock,
            reads_per_minute=self.options.reads_per_minute,
            writes_per_minute=self.options.writes_per_minute,
        )
        self._turns = Turns()
        self._resumer = Resumer(readers.journal, executor, self._recorder)

    async def call(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> Result:
        """Run one call to its end and audit it whatever happens.

        Raises:
            PlatformError: every anticipated failure, already audited.
        """
        started = time.monotonic()
        entry = self._recorder.entry(name, arguments, caller)
        tool = self.tools.get(name)
        looking = tool if isinstance(tool, LookingTool) and str(arguments.get("action")) in tool.looks else None
        mutating = isinstance(tool, WriteTool) and looking is None
        if mutating:
            entry.mode = "apply" if arguments.get("mode") == "apply" else "plan"
        async with self._entered(entry, started, caller, mutating=mutating):
            if tool is None:
                raise NotFound(f"There is no tool {name!r}.", remedy=f"Tools: {', '.join(sorted(self.tools))}.")
            params = validate(tool.params, arguments)
            if looking is not None:
                result = await self._read(looking.name, looking.look, params, caller)
            elif isinstance(tool, WriteTool):
                refuse_secrets(arguments)
                return await self._write(tool, params, caller, entry)
            else:
                result = await self._read(tool.name, tool.read, params, caller)
            entry.outcome = "read"
            return result

    async def look(self, subject: str, caller: Caller, read: Callable[[Readers], Awaitable[str]]) -> str:
        """Read a resource on the same path: limited, bounded in time and audited under its URI.

        Raises:
            PlatformError: every anticipated failure, already audited.
        """
        started = time.monotonic()
        entry = self._recorder.entry("resources/read", {"uri": subject}, caller)
        async with self._entered(entry, started, caller, mutating=False):
            try:
                with anyio.fail_after(self.options.read_seconds):
                    text = await read(self.readers)
            except TimeoutError:
                raise too_slow(subject, self.options.read_seconds) from None
            entry.outcome = "read"
            return text

    async def peek(self, caller: Caller, read: Callable[[Readers], Awaitable[P]]) -> P:
        """Read on the caller's behalf without an entry in the audit: what a stream repeats, completions, self-checks.

        Raises:
            PlatformError: every anticipated failure.
        """
        with acting_for(caller):
            return await read(self.readers)

    @asynccontextmanager
    async def _entered(
        self, entry: Recorder.Entry, started: float, caller: Caller, *, mutating: bool
    ) -> AsyncGenerator[None]:
        """Act for the caller inside, within limits, and audit it whatever becomes of it: until then it is under way."""
        async with self._limiter.counted(caller.principal, mutating=mutating) as admit:
            try:
                await admit()
                with acting_for(caller):
                    yield
            except PlatformError as error:
                entry.outcome = error.code
                raise
            except Exception:
                entry.outcome = "internal_error"
                raise
            finally:
                with anyio.CancelScope(shield=True):
                    await entry.close(started)

    async def _read(
        self, name: str, read: Callable[[Any, Readers, Caller], Awaitable[Result]], params: Any, caller: Caller
    ) -> Result:
        try:
            with anyio.fail_after(self.options.read_seconds):
                return await read(params, self.readers, caller)
        except TimeoutError:
            raise too_slow(name, self.options.read_seconds) from None

    # ------------------------------------------------------------------------------------------------ mutating calls

    async def _write(self, tool: WriteTool, params: Any, caller: Caller, entry: Recorder.Entry) -> Result:
        if self.options.read_only:
            raise ReadOnly(
                f"{tool.name} would change things and this server is read-only.",
                remedy="Use a server that was started without --read-only.",
            )
        arguments = params.arguments()
        async with self._turns.of(_meaning(tool.name, arguments, params, caller.principal)):
            bound = await self._bound(tool.name, arguments, params, caller.principal)
            earlier = await self._earlier(tool.name, arguments, params, bound, caller.principal)
            if isinstance(earlier, Operation) and params.mode == "apply":
                return await self._replay(earlier, caller, entry)
            operation_id = bound.plan.operation_id if bound else self._operation_id(earlier)
            return await self._decide(tool, params, caller, entry, bound, operation_id)

    async def _decide(
        self,
        tool: WriteTool,
        params: WriteParams,
        caller: Caller,
        entry: Recorder.Entry,
        bound: StoredPlan | None,
        operation_id: str,
    ) -> Result:
        judged = await self._judge.judge(tool, params, caller, operation_id)
        entry.judged(judged.plan, judged.decision)
        await self.readers.journal.save_plan(judged.stored)
        if bound is not None:
            self._check_bound(bound.plan, judged)
        if params.mode == "plan":
            return self._planned(judged, entry)
        if judged.decision.effect == "deny":
            raise replies.denied(judged.plan, judged.decision, self.readers.policy)
        if judged.decision.effect == "require_approval":
            return await self._ask(judged, caller, entry)
        return await self._apply(judged, entry)

    def _operation_id(self, earlier: Operation | StoredPlan | None) -> str:
        if isinstance(earlier, StoredPlan):
            return earlier.plan.operation_id
        return f"op-{secrets.token_hex(8)}"

    async def _earlier(
        self,
        tool: str,
        arguments: dict[str, Any],
        params: WriteParams,
        bound: StoredPlan | None,
        principal: Principal,
    ) -> Operation | StoredPlan | None:
        """Return what this principal did or planned before with the same key, or else with the same arguments.

        Without a key, an operation answers for a repeated call only within the window and while its effects still stand:
        otherwise «deploy again after the rollback» would be answered with the old success.
        """
        journal = self.readers.journal
        if bound is not None:
            executed = await journal.operation(bound.plan.operation_id)
            if executed is not None and executed.plan.digest == bound.plan.digest:
                return executed
        if params.idempotency_key:
            operation = await journal.operation_by_key(principal.id, params.idempotency_key)
            planned = operation or await journal.plan_by_key(principal.id, params.idempotency_key)
            if planned is not None and (planned.plan.tool, planned.plan.arguments) != (tool, arguments):
                raise Conflict(
                    f"The idempotency key {params.idempotency_key!r} was used for other arguments.",
                    cause=f"It belongs to: {planned.plan.summary}",
                    remedy="Use a new key for a new change, or the first call's arguments to get its result.",
                )
            return planned
        since = self.readers.clock.now() - self.options.replay_window
        planned = await journal.latest_plan(principal.id, tool, digest_of(arguments), since)
        if planned is None:
            return None
        operation = await journal.operation(planned.plan.operation_id)
        if operation is None:
            return planned
        if operation.state in ("running", "unknown"):
            return operation
        if operation.state == "applied" and await self._still_stands(operation):
            return operation
        return None

    async def _replay(self, earlier: Operation, caller: Caller, entry: Recorder.Entry) -> Result:
        """Answer with the recorded result; an operation that its process left unfinished is finished first."""
        operation = earlier
        if earlier.state in ("running", "unknown") and not earlier.live:
            resumed = {row.id: row for row in await self.resume(caller)}
            operation = resumed.get(earlier.id, earlier)
        entry.outcome, entry.operation_id = "replayed", operation.id
        return self._operation_result(operation, replayed=True)

    async def _still_stands(self, operation: Operation) -> bool:
        try:
            with anyio.fail_after(self.options.read_seconds):
                return await self._executor.stands(operation)
        except (TimeoutError, PlatformError):
            return False

    async def _bound(
        self, tool: str, arguments: dict[str, Any], params: WriteParams, principal: Principal
    ) -> StoredPlan | None:
        """Return the plan that the caller names, if it is theirs and says the same."""
        if params.plan_id is None:
            return None
        stored = await self.readers.journal.plan(params.plan_id)
        if stored is None or stored.principal.id != principal.id:
            raise NotFound(f"There is no plan {params.plan_id!r} of yours.", remedy="Call with mode=plan to get one.")
        if stored.plan.tool != tool or stored.plan.arguments != arguments:
            names = {*stored.plan.arguments, *arguments}
            other = sorted(n for n in names if stored.plan.arguments.get(n) != arguments.get(n))
            raise Conflict(
                f"{params.plan_id} was made for other arguments ({', '.join(other) or stored.plan.tool}).",
                remedy="Repeat exactly the arguments of the plan, or make a new plan.",
            )
        return stored

    def _check_bound(self, bound: Plan, judged: Judged) -> None:
        expired = self.readers.clock.now() >= bound.expires_at
        if bound.digest == judged.plan.digest and not expired:
            return
        raise PlanStale(
            "The plan expired." if expired else "The world moved since the plan was made.",
            cause="" if expired else "; ".join(_differences(bound, judged.plan)),
            remedy=f"Review the fresh plan and apply it with plan_id={judged.plan.id}.",
            details={
                "status": "plan_stale",
                "plan": replies.plan_data(judged.plan, judged.decision, self.readers.policy),
            },
        )

    def _planned(self, judged: Judged, entry: Recorder.Entry) -> Result:
        effect = judged.decision.effect
        entry.outcome = "denied" if effect == "deny" else "planned"
        data = {
            "status": {"allow": "planned", "deny": "denied", "require_approval": "planned_needs_approval"}[effect],
            **replies.plan_data(judged.plan, judged.decision, self.readers.policy),
        }
        return Result(text=plan_text(data), data=data, is_error=effect == "deny")

    async def _ask(self, judged: Judged, caller: Caller, entry: Recorder.Entry) -> Result:
        entry.outcome = "awaiting_approval"
        record = await self.readers.approvals.request(judged.plan, judged.decision, caller.principal)
        data = {
            "status": "awaiting_approval",
            "approval": replies.approval_data(record),
            **replies.plan_data(judged.plan, judged.decision, self.readers.policy),
        }
        return Result(text=status_text(data), data=data)

    async def agree(self, approval_id: str, principal: Principal) -> ApprovalRecord:
        """Record that the requester agreed in person to their own plan, where policy names ``self``."""
        return await self.readers.approvals.grant_by_requester(approval_id, principal)

    async def _apply(self, judged: Judged, entry: Recorder.Entry) -> Result:
        approval_id = judged.approval.id if judged.approval else None
        operation: Operation | None = None
        replayed = False
        with anyio.CancelScope(shield=True):  # a caller that hangs up must not leave a step half told
            operation = await self.readers.journal.begin(judged.stored, approval_id)
            replayed = operation is not None
            if operation is None:
                operation = await self._resumer.execute(judged.plan, judged.decision)
        if operation is None:
            raise RuntimeError("An execution ended without a record.")
        entry.outcome, entry.operation_id = "replayed" if replayed else operation.state, operation.id
        return self._operation_result(operation, replayed=replayed)

    def _operation_result(self, operation: Operation, *, replayed: bool) -> Result:
        data = {"status": operation.state, "replayed": replayed, **replies.operation_data(operation)}
        bad = operation.state in ("failed", "unknown", "interrupted")
        return Result(text=status_text(data), data=data, is_error=bad)

    # --------------------------------------------------------------------------------------------------- after crashes

    async def resume(self, caller: Caller) -> list[Operation]:
        """Finish what a dead process left. A read-only server leaves it: finishing may change things."""
        return [] if self.options.read_only else await self._resumer.resume(caller)


def _meaning(tool: str, arguments: dict[str, Any], params: WriteParams, principal: Principal) -> str | None:
    """Return what makes two calls the same where neither a key nor a plan says so; the journal tells the others apart."""
    if params.mode == "plan" or params.idempotency_key or params.plan_id:
        return None
    return digest_of([principal.id, tool, arguments])


def _differences(old: Plan, new: Plan) -> list[str]:
    """Say what moved between two plans of the same arguments, by precondition and by step."""
    before = {(p.kind, p.subject): p.expected for step in old.steps for p in step.preconditions}
    after = {(p.kind, p.subject): p.expected for step in new.steps for p in step.preconditions}
    moved = [f"{subject} changed" for (_, subject), expected in after.items() if before.get((_, subject)) != expected]
    if moved:
        return list(dict.fromkeys(moved))[:5]
    if len(old.steps) != len(new.steps):
        return [f"the plan had {len(old.steps)} steps and now has {len(new.steps)}"]
    return [
        f"step {b.id} ({b.title}) differs"
        for a, b in zip(old.steps, new.steps, strict=True)
        if a.effect() != b.effect()
    ][:5]
