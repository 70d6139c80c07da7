"""Canaries against a model of KServe in both modes: whatever the verdicts, whoever kills the controller, and wherever."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_platform_mcp.domain.canary.changes import Stable, change_body
from ai_platform_mcp.domain.canary.engine import advance
from ai_platform_mcp.domain.canary.observe import keeper_of, seen_of
from ai_platform_mcp.domain.canary.state import OVER, Canary, Next, Progress, Step, Verdict
from domain.canary_model import Kserve, merged

STEPS = (Step(percent=10, hold=60), Step(percent=50, hold=60), Step(percent=100, hold=60))
GREEN = (Step(percent=0, hold=60, judged=False), Step(percent=100, hold=120))
VERDICTS: tuple[Verdict, ...] = ("none", "pending", "pass", "fail", "inconclusive")
START = datetime(2026, 11, 22, tzinfo=UTC)
modes = pytest.mark.parametrize("knative", [True, False], ids=["Knative", "Standard"])


class World:
    """One InferenceService, one canary, one clock; a look may be killed before each of its writes."""

    def __init__(self, knative: bool, steps: tuple[Step, ...] = STEPS, **asked: Any):
        self.kserve = Kserve.in_canary(knative, steps[0].percent)
        self.asked: dict[str, Any] = {"version": "2", "stable": "1", "steps": steps, "progress_deadline": 300, **asked}
        self.progress = Progress()
        self.now = START
        self.verdict: Verdict = "pass"
        self.shares: list[int] = []
        self.promotions = 0
        self.others: frozenset[str] = frozenset()
        """Revisions that rollouts before this one have seen as their own."""

    @property
    def canary(self) -> Canary:
        return Canary.model_validate(self.asked)

    def change_spec(self, **fields: Any) -> None:
        self.asked |= {**fields, "observed": self.canary.observed + 1}

    def look(self, writes: int = 2) -> Next:
        live = self.kserve.live
        seen = None
        if live is not None:
            kept = keeper_of(live)
            seen = seen_of(
                live,
                revision=self.progress.revision,
                deployment=self.kserve.deployment,
                kept_by=kept,
                others=self.others,
            )
        found = advance(self.canary, self.progress, seen, self.verdict, self.now)
        if writes > 0:
            self.progress = found.progress
        if writes > 1 and found.change is not None:
            assert live is not None
            stable = Stable(version="1", notes={}, predictor=self.kserve.stable)
            body = change_body(live, found.change, found.percent, stable)
            assert merged(live, body) != live, "a change changes something"
            self.promotions += found.change == "promote" or (self.kserve.knative and found.change == "finish")
            self.kserve.write(body)
        return found

    def run(self, seconds: int = 3000, *, ticks: int = 5) -> None:
        for _ in range(0, seconds, ticks):
            self.look()
            self.now += timedelta(seconds=ticks)
            self.kserve.tick(ticks)
            if (share := self.kserve.share("2")) is not None:
                self.shares.append(share)

    def until(self, phase: str) -> None:
        for _ in range(1000):
            if self.progress.phase == phase:
                return
            self.run(5)
        raise AssertionError(f"never {phase}: {self.progress}")


@modes
@pytest.mark.parametrize("steps", [STEPS, GREEN, STEPS[:1]], ids=["steps", "blue/green", "one step"])
def test_verdicts_that_pass_bring_the_new_version_up_once(knative: bool, steps: tuple[Step, ...]):
    world = World(knative, steps)
    world.until("Succeeded")
    assert world.shares == sorted(world.shares), "the share never falls"
    assert world.kserve.answers() == {"2": 100} and world.promotions == 1
    assert world.kserve.spec["predictor"]["model"] == {"storageUri": "oci://two"}
    before = copy.deepcopy(world.kserve.live)
    world.run(600)
    assert world.kserve.live == before, "what is over stays over"


@modes
def test_a_verdict_of_failure_takes_the_traffic_away_and_brings_the_old_predictor_back(knative: bool):
    world = World(knative)
    before = copy.deepcopy(world.kserve.stable)
    world.run(40)
    world.verdict = "fail"
    world.until("RolledBack")
    assert world.kserve.answers() == {"1": 100}
    assert world.kserve.spec == {"predictor": before}, "exactly as it was"
    assert world.kserve.version == "1" and "analysis" in world.progress.reason
    assert max(world.shares) <= 10


@modes
def test_what_was_promoted_for_now_goes_back_while_the_old_version_is_kept(knative: bool):
    world = World(knative, GREEN)
    while world.kserve.share("2") != 100:
        world.run(5)
    world.verdict = "fail"
    world.until("RolledBack")
    assert world.kserve.answers() == {"1": 100} and world.kserve.spec == {"predictor": world.kserve.stable}


@modes
def test_a_bad_revision_never_gets_traffic_back_on_the_way_to_the_stable_one(knative: bool):
    world = World(knative)
    world.run(40)
    world.verdict = "fail"
    world.run(10)
    world.shares.clear()
    world.until("RolledBack")
    assert set(world.shares) <= {0}


@modes
def test_what_cannot_be_told_waits_for_a_person(knative: bool):
    world = World(knative)
    world.verdict = "inconclusive"
    world.until("Paused")
    share = world.kserve.share("2")
    world.run(2000)
    assert world.kserve.share("2") == share == 10
    world.change_spec(accepted_step=0)
    world.run(80)
    assert world.progress.step == 1 and world.progress.phase == "Paused", "the next step is judged again"
    world.change_spec(accepted_step=2)
    world.until("Succeeded")


@modes
@pytest.mark.parametrize(("then", "phase", "answers"), [("RollBack", "RolledBack", "1"), ("Pause", "Paused", "1")])
def test_a_version_that_never_gets_ready_meets_a_deadline(knative: bool, then: str, phase: str, answers: str):
    world = World(knative, on_failure=then)
    world.kserve.never_ready = "2"
    world.until(phase)
    assert world.progress.reason == "deadline" and (world.now - START).total_seconds() >= 300
    assert world.kserve.answers() == {answers: 100}


@modes
def test_a_pause_holds_and_the_hold_begins_again_after_it(knative: bool):
    world = World(knative)
    world.run(50)
    world.change_spec(paused=True)
    world.run(600)
    assert world.progress.phase == "Paused" and world.progress.step == 0
    world.change_spec(paused=False)
    world.run(50)
    assert world.progress.phase == "Running" and world.progress.step == 0
    world.until("Succeeded")


@modes
def test_a_person_may_call_it_back_at_any_moment_before_its_end(knative: bool):
    for seconds in range(0, 400, 35):
        world = World(knative)
        world.run(seconds)
        if world.progress.phase == "Succeeded":
            return
        world.change_spec(roll_back=True)
        world.until("RolledBack")
        assert world.kserve.answers() == {"1": 100} and world.kserve.spec == {"predictor": world.kserve.stable}
    raise AssertionError("it never succeeded")


MEDDLERS: dict[str, Callable[[Kserve], None]] = {
    "superseded": lambda kserve: kserve.redeploy("3"),
    "deleted": lambda kserve: kserve.delete(),
    "changed": lambda kserve: kserve.set_share(37),
    "changed away": lambda kserve: kserve.set_share(None),
    "gitops": lambda kserve: kserve.keep("apps"),
}


@modes
@pytest.mark.parametrize("meddler", MEDDLERS)
def test_what_somebody_else_did_is_left_alone(knative: bool, meddler: str):
    world = World(knative)
    world.run(30)
    MEDDLERS[meddler](world.kserve)
    before = copy.deepcopy(world.kserve.live and world.kserve.live["spec"])
    world.run(300)
    assert (world.progress.phase, world.progress.reason) == ("Stopped", meddler.split()[0])
    assert (world.kserve.live and world.kserve.live["spec"]) == before


@pytest.mark.parametrize("loads", [True, False])
def test_the_one_that_is_superseded_gets_nothing_more_until_the_next_answers(loads: bool):
    world = World(True)
    world.run(90)
    assert world.kserve.share("2") == 50
    assert world.progress.revision
    world.others = frozenset({world.progress.revision})
    world.kserve.deploy("3", 0)  # as plans supersede: without a share, which the newest that is ready would get
    world.asked |= {"version": "3", "restorable": False}
    world.progress = Progress()
    if not loads:
        world.kserve.never_ready = "3"
    before, third = world.kserve.share("2"), []
    for _ in range(200):
        world.look()
        world.now += timedelta(seconds=3)
        world.kserve.tick(3)
        assert not world.kserve.share("2"), (before, world.progress)
        third.append(world.kserve.share("3"))
    assert world.progress.phase == ("Succeeded" if loads else "RolledBack"), world.progress
    assert third[-1] == (100 if loads else 0)


def test_a_canary_waits_for_its_service_and_not_for_ever():
    canary = World(True).canary
    first = advance(canary, Progress(), None, "none", START)
    assert first.progress.phase == "Ready" and first.change is None
    late = advance(canary, first.progress, None, "none", START + timedelta(seconds=301))
    assert (late.progress.phase, late.progress.reason) == ("Stopped", "deleted")


def test_without_its_predictor_a_stable_version_of_knative_mode_keeps_all_traffic():
    world = World(True, restorable=False)
    world.run(30)
    world.verdict = "fail"
    world.until("RolledBack")
    assert world.kserve.answers() == {"1": 100} and world.kserve.spec["predictor"]["canaryTrafficPercent"] == 0


moments = st.tuples(st.sampled_from(VERDICTS), st.integers(0, 2), st.integers(1, 40), st.booleans())


@modes
@pytest.mark.parametrize("steps", [STEPS, GREEN], ids=["steps", "blue/green"])
@settings(max_examples=40)
@given(history=st.lists(moments, max_size=40), loads=st.booleans())
def test_whatever_happens_it_ends_with_one_version_whole(
    knative: bool, steps: tuple[Step, ...], history: list[tuple[Verdict, int, int, bool]], loads: bool
):
    """Verdicts come as they like, the controller is killed before either write, and time passes between the looks."""
    world = World(knative, steps)
    if not loads:
        world.kserve.never_ready = "2"
    for verdict, writes, seconds, again in history:
        world.verdict, before = verdict, (world.progress, world.kserve.asked_share())
        judged = before[0].phase == "Running" and steps[before[0].step].judged
        world.look(writes)
        if again:
            world.look(writes)
        rises = (world.kserve.asked_share() or 0) > (before[1] or 0)
        if rises and judged and before[0].percent == steps[before[0].step].percent:
            assert verdict in ("none", "pass"), "a share rises only after a verdict that lets it"
        world.now += timedelta(seconds=seconds)
        world.kserve.tick(seconds)
    if world.progress.phase == "Paused":
        world.change_spec(accepted_step=len(steps) - 1)
    world.verdict = "pass"
    for _ in range(300):
        world.run(20, ticks=20)
        if world.progress.phase in OVER:
            break
    assert world.progress.phase in ("Succeeded", "RolledBack"), world.progress
    wanted = "2" if world.progress.phase == "Succeeded" else "1"
    assert world.kserve.answers() == {wanted: 100} and world.kserve.version == wanted
    assert "canary" not in world.kserve.spec and "canaryTrafficPercent" not in world.kserve.spec["predictor"]
    if wanted == "1":
        assert world.kserve.spec == {"predictor": world.kserve.stable}
