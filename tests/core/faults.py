"""Faults of the guard, each of which takes one rule away."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest

from ai_platform_mcp.adapters.approvals import SignedApprovals
from ai_platform_mcp.adapters.journal import operations as journal_operations
from ai_platform_mcp.adapters.journal.sql import SqlJournal
from ai_platform_mcp.adapters.kubernetes import transport, writer
from ai_platform_mcp.adapters.mlflow import registry
from ai_platform_mcp.core import guard as guard_module
from ai_platform_mcp.core import judge as judge_module
from ai_platform_mcp.core import plan as plan_module
from ai_platform_mcp.core import replies, tool
from ai_platform_mcp.core.errors import Denied
from ai_platform_mcp.core.executor import Executor
from ai_platform_mcp.core.guard import Guard
from ai_platform_mcp.core.judge import Judge
from ai_platform_mcp.core.limits import Limiter, Turns
from ai_platform_mcp.core.permit import Permit
from ai_platform_mcp.core.plan import BaseStep
from ai_platform_mcp.core.recorder import Recorder
from ai_platform_mcp.core.rows import Outcome
from support.engines import allowing

Patch = pytest.MonkeyPatch


def unknown_arguments_are_dropped(patch: Patch) -> None:
    def lax(params: Any, arguments: Any) -> Any:
        return params.model_validate({k: v for k, v in arguments.items() if k in params.model_fields})

    patch.setattr(guard_module, "validate", lax)


def plan_mode_applies(patch: Patch) -> None:
    async def decide(self: Any, tool: Any, params: Any, caller: Any, entry: Any, bound: Any, operation_id: str) -> Any:
        judged = await self._judge.judge(tool, params, caller, operation_id)
        await self.readers.journal.save_plan(judged.stored)
        return await self._apply(judged, entry)

    patch.setattr(Guard, "_decide", decide)


def denials_are_ignored(patch: Patch) -> None:
    async def ask(self: Any, question: Any) -> Any:
        return allowing()

    patch.setattr(Judge, "_ask", ask)


def a_failing_engine_allows(patch: Patch) -> None:
    patch.setattr(judge_module, "refusal", lambda *_, **__: allowing())


def any_decision_is_believed(patch: Patch) -> None:
    patch.setattr(judge_module, "read_decision", lambda document: document)


def a_bound_plan_is_not_compared(patch: Patch) -> None:
    patch.setattr(Guard, "_check_bound", lambda *_: None)


def expiry_is_ignored(patch: Patch) -> None:
    def check(self: Any, bound: Any, judged: Any) -> None:
        assert bound.digest == judged.plan.digest

    patch.setattr(Guard, "_check_bound", check)


def plans_belong_to_everybody(patch: Patch) -> None:
    async def bound(self: Any, tool: str, arguments: Any, params: Any, principal: Any) -> Any:
        return None if params.plan_id is None else await self.readers.journal.plan(params.plan_id)

    patch.setattr(Guard, "_bound", bound)


def preconditions_are_not_in_the_digest(patch: Patch) -> None:
    def effect(self: BaseStep) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"title", "diff", "preconditions", "expected"})

    patch.setattr(BaseStep, "effect", effect)


def the_digest_is_constant(patch: Patch) -> None:
    patch.setattr(plan_module, "digest_of", lambda _: "0" * 64)


def keys_are_ignored(patch: Patch) -> None:
    async def earlier(*_: Any) -> None:
        return None

    patch.setattr(Guard, "_earlier", earlier)


def undone_effects_count_as_done(patch: Patch) -> None:
    async def stands(*_: Any) -> bool:
        return True

    patch.setattr(Executor, "stands", stands)


def calls_do_not_wait_for_one_another(patch: Patch) -> None:
    @asynccontextmanager
    async def at_once(self: Any, meaning: Any):
        yield

    patch.setattr(Turns, "of", at_once)


def begin_lets_everyone_win(patch: Patch) -> None:
    async def begin(self: Any, stored: Any, approval_id: Any) -> None:
        return None

    patch.setattr(SqlJournal, "begin", begin)


def a_key_begins_twice(patch: Patch) -> None:
    patch.setattr(journal_operations, "find_begun", lambda *_: None)


def approvals_are_not_asked_for(patch: Patch) -> None:
    async def ask(self: Any, judged: Any, caller: Any, entry: Any) -> Any:
        return await self._apply(judged, entry)

    patch.setattr(Guard, "_ask", ask)


def an_approval_holds_for_every_plan(patch: Patch) -> None:
    async def granted(self: Any, plan_digest: str, policy_revision: str) -> Any:
        found = await self.approvals(state="approved")
        return found[0] if found else None

    async def begin(self: Any, stored: Any, approval_id: Any, original: Any = SqlJournal.begin) -> Any:
        return await original(self, stored, None)

    patch.setattr(SignedApprovals, "granted", granted)
    patch.setattr(SqlJournal, "begin", begin)


def approvals_are_never_used_up(patch: Patch) -> None:
    patch.setattr(journal_operations, "_consume", lambda *_: None)


def the_requester_may_approve(patch: Patch) -> None:
    from ai_platform_mcp.adapters import approval_records

    patch.setattr(approval_records, "refuse_ineligible", lambda *_: None)


def there_is_no_permit(patch: Patch) -> None:
    for module in (transport, writer, registry):
        patch.setattr(module, "require_permit", lambda _: Permit("op", "s1"))


def nobody_is_limited(patch: Patch) -> None:
    @asynccontextmanager
    async def counted(self: Any, principal: Any, *, mutating: bool):
        async def admit() -> None:
            return None

        yield admit

    patch.setattr(Limiter, "counted", counted)


def read_only_is_ignored(patch: Patch) -> None:
    original = Guard.__init__

    def init(self: Any, tools: Any, readers: Any, executor: Any, options: Any = None) -> None:
        from dataclasses import replace

        original(self, tools, readers, executor, replace(options, read_only=False))

    patch.setattr(Guard, "__init__", init)


def a_read_only_server_resumes(patch: Patch) -> None:
    async def resume(self: Any, caller: Any) -> Any:
        return await self._resumer.resume(caller)

    patch.setattr(Guard, "resume", resume)


def nothing_is_audited(patch: Patch) -> None:
    async def append(self: Any, entry: Any, duration_ms: int) -> None:
        return None

    patch.setattr(Recorder, "append", append)


def secrets_are_let_in(patch: Patch) -> None:
    patch.setattr(guard_module, "refuse_secrets", lambda _: None)


def errors_show_what_was_given(patch: Patch) -> None:
    patch.setattr(tool, "redact", lambda value: value)
    patch.setattr(guard_module, "refuse_secrets", tool.refuse_secrets)


def a_lost_answer_counts_as_failed(patch: Patch) -> None:
    async def settle(self: Any, step: Any, stamp: Any, lost: Any) -> Any:
        from ai_platform_mcp.core.errors import Unavailable
        from ai_platform_mcp.core.records import StepRecord

        return StepRecord(step_id=step.id, state="failed"), Unavailable("lost")

    patch.setattr(Executor, "_settle", settle)


def nothing_is_executed(patch: Patch) -> None:
    async def execute(self: Any, step: Any, stamp: Any) -> Outcome:
        return Outcome(state="applied")

    patch.setattr(Executor, "_execute", execute)


def denials_say_nothing(patch: Patch) -> None:
    patch.setattr(replies, "denied", lambda *_: Denied("no"))
