"""The guard is broken on purpose, one rule at a time, and for each a check of this folder must fail.

A check here is a test of a neighbouring file, called as it is. That it passes without the fault is that file's own run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core import faults
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
from support.world import Platform, World, running_world

Patch = pytest.MonkeyPatch
CAUGHT = (Exception, pytest.fail.Exception)
"""What counts as caught: a failed assertion, an error that was not to be expected, an error that did not come."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A sandbox of its own: what a broken guard lets through must not meet the checks of an honest one."""
    with running_world(tmp_path_factory.mktemp("broken")) as running:
        yield running


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


FAULTS: list[tuple[Callable[[Patch], None], Check]] = [
    (faults.unknown_arguments_are_dropped, unknown_argument),
    (faults.plan_mode_applies, on_platform(binding.test_a_call_without_a_mode_plans_and_changes_nothing)),
    (faults.denials_are_ignored, no_policies),
    (faults.a_failing_engine_allows, raising_engine),
    (faults.any_decision_is_believed, contradicting_engine),
    (
        faults.a_bound_plan_is_not_compared,
        on_platform(binding.test_a_plan_of_a_world_that_moved_is_stale_and_comes_with_a_fresh_one),
    ),
    (faults.expiry_is_ignored, on_platform(binding.test_an_expired_plan_is_stale_and_comes_with_a_fresh_one)),
    (faults.plans_belong_to_everybody, on_platform(binding.test_nobody_applies_the_plan_of_somebody_else)),
    (
        faults.plans_belong_to_everybody,
        on_platform(binding.test_a_plan_id_with_other_arguments_is_a_conflict_that_names_them),
    ),
    (
        faults.preconditions_are_not_in_the_digest,
        on_platform(binding.test_a_plan_of_a_world_that_moved_is_stale_and_comes_with_a_fresh_one),
    ),
    (faults.the_digest_is_constant, on_folder(approvals.test_an_approval_holds_for_its_plan_and_no_other)),
    (faults.keys_are_ignored, on_platform(repeating.test_the_same_key_with_other_arguments_is_a_conflict)),
    (
        faults.undone_effects_count_as_done,
        on_platform(repeating.test_a_repeated_call_after_the_effect_was_undone_does_it_again),
    ),
    (faults.calls_do_not_wait_for_one_another, concurrent),
    (faults.begin_lets_everyone_win, on_platform(binding.test_a_plan_is_applied_by_its_id)),
    (faults.a_key_begins_twice, concurrent_with_key),
    (
        faults.approvals_are_not_asked_for,
        on_platform(approvals.test_what_needs_an_approval_waits_and_says_how_to_settle_it),
    ),
    (faults.an_approval_holds_for_every_plan, on_folder(approvals.test_an_approval_holds_for_its_plan_and_no_other)),
    (faults.approvals_are_never_used_up, on_folder(approvals.test_an_approval_is_used_once)),
    (
        faults.the_requester_may_approve,
        on_folder(approvals.test_the_requester_cannot_approve_where_policy_does_not_name_self),
    ),
    (faults.there_is_no_permit, smuggling),
    (faults.there_is_no_permit, smuggling_into_the_registry),
    (faults.nobody_is_limited, on_folder(limits.test_a_principal_is_limited_and_another_is_not)),
    (
        faults.read_only_is_ignored,
        on_folder(limits.test_a_read_only_server_offers_no_tool_that_writes_and_refuses_each),
    ),
    (
        faults.a_read_only_server_resumes,
        on_folder(limits.test_a_read_only_server_does_not_finish_what_another_began, patched=True),
    ),
    (faults.nothing_is_audited, on_folder(audited.test_every_outcome_of_a_call_is_in_the_audit_and_the_chain_holds)),
    (faults.secrets_are_let_in, secret),
    (faults.errors_show_what_was_given, secret),
    (faults.a_lost_answer_counts_as_failed, lost_in_registry),
    (faults.a_lost_answer_counts_as_failed, bug_in_registry),
    (faults.denials_say_nothing, denial),
    (faults.nothing_is_executed, on_platform(binding.test_a_plan_is_applied_by_its_id)),
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
