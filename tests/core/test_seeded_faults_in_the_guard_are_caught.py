"""The guard is broken on purpose, one rule at a time, and for each a check of this folder must fail.

A check here is a test of a neighbouring file, called as it is. That it passes without the fault is that file's own run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
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
from core import test_a_lost_answer_is_read_back as lost
from core import test_approvals_are_proven as approvals
from core import test_everything_is_audited_and_no_secret_is_kept as audited
from core import test_limits_and_read_only as limits
from core import test_only_the_executor_writes as permit
from core import test_plans_are_binding as binding
from core import test_repeating_a_call_has_one_effect as repeating
from core import test_without_a_policy_nothing_changes as policy
from support.engines import Raising, allowing
from support.sundry import Acting, ActingReader
from support.world import Platform, World

Patch = pytest.MonkeyPatch
CAUGHT = (Exception, pytest.fail.Exception)
"""What counts as caught: a failed assertion, an error that was not to be expected, an error that did not come."""


@dataclass
class Place:
    """What a check is given."""

    world: World
    folder: Path
    patch: Patch

    @asynccontextmanager
    async def platform(self, **more: Any):
        async with self.world.platform(self.folder, **more) as opened:
            yield opened


Check = Callable[[Place], Awaitable[None]]


def on_platform(check: Callable[[Platform, World], Awaitable[None]]) -> Check:
    async def run(place: Place) -> None:
        async with place.platform() as platform:
            await check(platform, place.world)

    return run


def on_folder(check: Callable[..., Awaitable[None]], *, patched: bool = False) -> Check:
    async def run(place: Place) -> None:
        await check(place.world, place.folder, *([place.patch] if patched else []))

    return run


def late(check: Callable[..., Awaitable[None]]) -> Check:
    async def run(place: Place) -> None:
        async with place.platform() as platform:
            await check(platform, place.world, place.patch)

    return run


async def unknown_argument(place: Place) -> None:
    async with place.platform() as platform:
        await binding.test_an_unknown_argument_is_refused_by_name_with_the_valid_ones(platform)


async def smuggling(place: Place) -> None:
    tools = (Acting(), ActingReader())
    async with place.platform(tools=tools, policy=permit.Engine()) as platform:
        await permit.test_a_planning_tool_that_acts_is_refused_before_the_wire(
            platform, place.world, tools, "a raw POST", "plan"
        )


async def smuggling_into_the_registry(place: Place) -> None:
    tools = (Acting(), ActingReader())
    async with place.platform(tools=tools, policy=permit.Engine()) as platform:
        await permit.test_a_reading_tool_that_acts_is_refused_before_the_wire(
            platform, place.world, tools, "the registry sets a tag"
        )


async def raising_engine(place: Place) -> None:
    await policy.test_an_engine_that_does_not_answer_properly_denies(
        place.world, place.folder, place.patch, Raising(), "policy_error"
    )


async def contradicting_engine(place: Place) -> None:
    engine = policy.Talking(allowing().model_copy(update={"effect": "deny"}))
    await policy.test_an_engine_that_does_not_answer_properly_denies(
        place.world, place.folder, place.patch, engine, "policy_error"
    )


async def no_policies(place: Place) -> None:
    await policy.test_policy_files_that_are_missing_or_broken_deny(place.world, place.folder, policy.empty)


async def concurrent(place: Place) -> None:
    async with place.platform() as platform:
        await repeating.test_concurrent_calls_that_mean_the_same_have_one_effect(platform, place.world, None)


async def concurrent_with_key(place: Place) -> None:
    async with place.platform() as platform:
        await repeating.test_concurrent_calls_that_mean_the_same_have_one_effect(platform, place.world, "k")


async def secret(place: Place) -> None:
    await audited.test_an_argument_that_looks_like_a_secret_is_refused_and_kept_nowhere(place.world, place.folder, "hf")


async def denial(place: Place) -> None:
    async with place.platform() as platform:
        await audited.test_a_denial_names_every_rule_with_a_sentence_and_a_remedy(platform)


async def lost_in_registry(place: Place) -> None:
    await lost.test_whatever_goes_wrong_after_sending_the_registry_step_counts_once(
        place.world, place.folder, place.patch, lost.lost
    )


async def bug_in_registry(place: Place) -> None:
    await lost.test_whatever_goes_wrong_after_sending_the_registry_step_counts_once(
        place.world, place.folder, place.patch, lost.buggy
    )


# ---------------------------------------------------------------------------------------------------------- faults


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


FAULTS: list[tuple[Callable[[Patch], None], Check]] = [
    (unknown_arguments_are_dropped, unknown_argument),
    (plan_mode_applies, on_platform(binding.test_a_call_without_a_mode_plans_and_changes_nothing)),
    (denials_are_ignored, no_policies),
    (a_failing_engine_allows, raising_engine),
    (any_decision_is_believed, contradicting_engine),
    (
        a_bound_plan_is_not_compared,
        on_platform(binding.test_a_plan_of_a_world_that_moved_is_stale_and_comes_with_a_fresh_one),
    ),
    (expiry_is_ignored, on_platform(binding.test_an_expired_plan_is_stale_and_comes_with_a_fresh_one)),
    (plans_belong_to_everybody, on_platform(binding.test_nobody_applies_the_plan_of_somebody_else)),
    (plans_belong_to_everybody, on_platform(binding.test_a_plan_id_with_other_arguments_is_a_conflict_that_names_them)),
    (
        preconditions_are_not_in_the_digest,
        on_platform(binding.test_a_plan_of_a_world_that_moved_is_stale_and_comes_with_a_fresh_one),
    ),
    (the_digest_is_constant, on_folder(approvals.test_an_approval_holds_for_its_plan_and_no_other)),
    (keys_are_ignored, on_platform(repeating.test_the_same_key_with_other_arguments_is_a_conflict)),
    (
        undone_effects_count_as_done,
        on_platform(repeating.test_a_repeated_call_after_the_effect_was_undone_does_it_again),
    ),
    (calls_do_not_wait_for_one_another, concurrent),
    (begin_lets_everyone_win, on_platform(binding.test_a_plan_is_applied_by_its_id)),
    (a_key_begins_twice, concurrent_with_key),
    (approvals_are_not_asked_for, on_platform(approvals.test_what_needs_an_approval_waits_and_says_how_to_settle_it)),
    (an_approval_holds_for_every_plan, on_folder(approvals.test_an_approval_holds_for_its_plan_and_no_other)),
    (approvals_are_never_used_up, on_folder(approvals.test_an_approval_is_used_once)),
    (
        the_requester_may_approve,
        on_folder(approvals.test_the_requester_cannot_approve_where_policy_does_not_name_self),
    ),
    (there_is_no_permit, smuggling),
    (there_is_no_permit, smuggling_into_the_registry),
    (nobody_is_limited, on_folder(limits.test_a_principal_is_limited_and_another_is_not)),
    (read_only_is_ignored, on_folder(limits.test_a_read_only_server_offers_no_tool_that_writes_and_refuses_each)),
    (
        a_read_only_server_resumes,
        on_folder(limits.test_a_read_only_server_does_not_finish_what_another_began, patched=True),
    ),
    (nothing_is_audited, on_folder(audited.test_every_outcome_of_a_call_is_in_the_audit_and_the_chain_holds)),
    (secrets_are_let_in, secret),
    (errors_show_what_was_given, secret),
    (a_lost_answer_counts_as_failed, lost_in_registry),
    (a_lost_answer_counts_as_failed, bug_in_registry),
    (denials_say_nothing, denial),
    (nothing_is_executed, on_platform(binding.test_a_plan_is_applied_by_its_id)),
]


@pytest.mark.parametrize(
    ("fault", "check"), FAULTS, ids=[f"{fault.__name__}-{place}" for place, (fault, _) in enumerate(FAULTS)]
)
async def test_a_seeded_fault_is_caught(
    world: World, tmp_path: Path, monkeypatch: Patch, fault: Callable[[Patch], None], check: Check
):
    fault(monkeypatch)
    with pytest.raises(CAUGHT):
        await check(Place(world, tmp_path, monkeypatch))
