"""How a rollout goes over a fleet that has faults, and a controller that dies."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ai_platform_mcp.domain.rollout.nodes import view
from ai_platform_mcp.domain.rollout.state import Mark, NodeSeen, PodSeen, Progress, Release, Rollout, SiteSeen, Wave
from ai_platform_mcp.domain.rollout.waves import wave_members
from domain.fleet_model import OLD, START, Device, Fleet

NEW = "2"
WAVES = (Wave(name="canary", percent=10, canary=True), Wave(name="half", percent=50), Wave(name="rest", percent=100))


def rollout(**changes: object) -> Rollout:
    base = {
        "name": "vision-edge",
        "model": "vision",
        "release": Release(version=NEW, digest="sha256:" + "a" * 64),
        "rollback_to": Release(version=OLD, digest="sha256:" + "b" * 64),
        "generation": 7,
        "waves": WAVES,
        "soak": 120,
        "probation": 60,
        "progress_deadline": 600,
        "offline_grace": 120,
    }
    return Rollout.model_validate(base | changes)


def fleet(count: int = 20, sites: int = 10, **changes: object) -> Fleet:
    devices = [Device(name=f"n{i:02}", site=f"s{i % sites:02}") for i in range(count)]
    return Fleet(rollout(**changes), devices)


def test_a_good_release_reaches_every_node_wave_by_wave():
    world = fleet()
    world.run(150)
    assert len(world.touched) == 2, "the canary is a tenth of twenty"
    done = world.run(3000)
    assert done.phase == "Succeeded" and len(world.truly_well()) == 20
    assert world.writes == 40, "two writes a node: moved, committed"


def test_a_wave_soaks_before_the_next_one_begins():
    world = fleet()
    world.run(30 + 60 + 15)
    assert world.progress.wave == 0 and "soaks" in world.progress.message
    world.run(90)
    assert world.progress.wave == 0
    world.run(60)
    assert world.progress.wave == 1


@pytest.mark.parametrize("takes", ["crashes", "lies", "hangs"])
def test_a_bad_release_is_stopped_in_its_canary_and_taken_off_again(takes: str):
    world = fleet()
    for one in world.devices:
        one.takes = takes
    done = world.run(4000)
    assert done.phase == "RolledBack" and done.reason == "max_failures", done
    assert len(world.touched) <= 2
    assert all(one.version == OLD for one in world.devices)


def test_without_a_rollback_by_policy_a_bad_canary_waits_for_a_person():
    world = fleet(on_failure="Pause")
    world.devices[0].takes = "crashes"
    done = world.run(2000)
    assert (done.phase, done.reason) == ("Paused", "max_failures")
    assert world.devices[0].version == OLD, "the node itself serves again at once"
    world.rollout = world.rollout.model_copy(update={"accepted_failures": 1, "observed": 2})
    assert world.run(4000).phase == "Succeeded"
    assert world.last is not None and world.last.counted.failures.keys() == {"n00"}


def test_a_slow_line_is_no_failure_and_holds_nobody_up_for_ever():
    world = fleet()
    world.devices[5].takes = "slow"
    done = world.run(6000)
    assert done.phase == "Completing" and "1 nodes are still on their way" in done.message
    assert world.last is not None and world.last.counted.failed == 0 and world.last.counted.states["throttled"] == 1
    world.devices[5].takes = "well"
    world.devices[5].begun = world.now
    assert world.run(300).phase == "Succeeded"


def test_a_wave_that_cannot_fetch_its_release_waits_for_a_person_and_not_for_ever():
    world = fleet(staged=True)
    done = world.run(5000)
    assert (done.phase, done.reason) == ("Paused", "no_progress") and not world.touched
    assert "did not fetch the release" in done.message and world.last is not None and world.last.counted.failed == 0
    more = 5000 + world.rollout.progress_deadline
    world.rollout = world.rollout.model_copy(update={"progress_deadline": more, "observed": 2})
    assert world.run(15).phase == "Running"


def test_a_wave_whose_failures_were_all_accepted_is_passed():
    waves = (Wave(name="canary", percent=25, canary=True), Wave(name="rest", percent=100))
    world = fleet(count=4, sites=4, on_failure="Pause", waves=waves)
    world.devices[0].takes = "crashes"
    assert world.run(2000).reason == "max_failures"
    world.rollout = world.rollout.model_copy(update={"accepted_failures": 1, "observed": 2})
    assert world.run(4000).phase == "Succeeded"
    assert [one.version for one in world.devices] == [OLD, NEW, NEW, NEW]


@pytest.mark.parametrize("staged", [False, True])
def test_nodes_that_are_offline_are_owed_and_converge_when_they_return(staged: bool):
    world = fleet()
    world.devices[3].away = ((-10_000, 9_000),)
    done = world.run(5000)
    assert done.phase == "Succeeded" and "1 offline nodes are owed" in done.message
    assert world.last is not None and world.last.counted.owed == ("n03",)
    assert world.devices[3].version == OLD
    world.rollout = world.rollout.model_copy(update={"staged": staged})  # nobody fetches ahead for those who come late
    world.run(5000)
    assert world.devices[3].version == NEW and world.last.counted.owed == ()


def test_a_node_that_loses_power_while_it_changes_counts_only_its_online_time():
    world = fleet(count=4, sites=4, waves=(Wave(name="all", percent=100, canary=True),))
    world.devices[0].away = ((20, 4_000),)
    world.run(5000)
    assert world.devices[0].version == NEW and world.progress.phase == "Succeeded"
    mark = world.devices[0].mark
    assert mark is not None and mark.state == "committed" and mark.online < 300


def without_canaries(until: int) -> Fleet:
    world = fleet()
    for one in world.devices[:1] + world.devices[10:11]:
        one.away = ((-10_000, until),)
    return world


def test_a_canary_that_nobody_can_watch_proves_nothing():
    world = without_canaries(3_000)
    world.run(500)
    assert (world.progress.phase, world.progress.wave) == ("Running", 0) and "nobody online" in world.progress.message
    world.run(2000)
    assert (world.progress.phase, world.progress.reason) == ("Paused", "nobody_online") and not world.touched
    assert "when one of its nodes can" in world.progress.message
    assert world.run(6000).phase == "Succeeded", "it goes on by itself"


def test_a_person_can_let_it_go_on_without_a_canary_that_is_gone_for_ever():
    world = without_canaries(10**9)
    assert world.run(90_000).reason == "nobody_online" and not world.touched
    world.rollout = world.rollout.model_copy(update={"accepted_absent_wave": 0, "observed": 2})
    done = world.run(9000)
    assert done.phase == "Succeeded" and "2 offline nodes are owed" in done.message
    assert len(world.truly_well()) == 18


def test_a_canary_that_cannot_fetch_asks_a_person_and_goes_on_when_it_can():
    world = fleet()
    canaries = world.devices[:1] + world.devices[10:11]
    for one in canaries:
        one.takes = "slow"
    assert world.run(3000).reason == "nobody_online" and world.touched == {one.name for one in canaries}
    assert "has nobody that could prove" in world.progress.message, "they are online"
    for one in canaries:
        one.takes, one.begun = "well", world.now
    assert world.run(6000).phase == "Succeeded"


def test_what_was_accepted_for_analysis_lets_nobody_pass_who_is_not_there():
    world = without_canaries(10**9)
    world.rollout = world.rollout.model_copy(update={"accepted_wave": 0})
    assert world.run(5000).reason == "nobody_online" and not world.touched


def test_a_late_node_does_not_bring_back_what_was_rolled_back():
    world = fleet()
    world.devices[0].takes = "crashes"
    world.devices[7].away = ((-10_000, 5_000),)
    world.run(8000)
    assert world.progress.phase == "RolledBack" and {one.version for one in world.devices} == {OLD}


def test_a_node_that_fails_after_it_was_committed_stops_the_rollout():
    world = fleet(max_failures=0)
    world.run(100)
    world.devices[0].takes, world.devices[0].begun = "crashes", world.now
    assert world.run(3000).phase == "RolledBack"


def flapping(first: int, times: int) -> tuple[tuple[int, int], ...]:
    """Power fails every 45 s for 30 s: it never lasts until the model is ready."""
    return tuple((first + 75 * i, first + 75 * i + 30) for i in range(times))


@pytest.mark.parametrize("first", [20, 140])
def test_a_node_that_reboots_again_and_again_has_not_crashed(first: int):
    world = fleet(soak=1200)
    world.devices[0].away = flapping(first, 9)
    done = world.run(8000, step=5)
    assert world.devices[0].reboots == 9 and world.failed() == set()
    assert done.phase == "Succeeded" and len(world.truly_well()) == 20


def test_a_bad_release_is_told_from_reboots_on_a_node_that_has_both():
    world = fleet()
    world.devices[0].takes, world.devices[0].away = "crashes", flapping(40, 2)
    done = world.run(4000, step=5)
    assert done.phase == "RolledBack" and len(world.touched) <= 2
    mark = world.devices[0].mark
    assert mark is not None and mark.reason.startswith("crashed")


LOOP: dict[str, Any] = {"restarts": 3, "waiting": "CrashLoopBackOff", "started_at": START, "created_at": START}


@pytest.mark.parametrize(
    ("pod", "back", "state"),
    [
        ({"crashed_at": START + timedelta(seconds=70)}, 0, "failed"),
        ({"crashed_at": START + timedelta(seconds=70), "waiting": ""}, 0, "failed"),  # between two ends, all its own
        ({"crashed_at": None}, 0, "activating"),  # went down with its node, which was back before anybody noticed
        ({"crashed_at": START + timedelta(seconds=70)}, 60, "failed"),
        ({"crashed_at": START + timedelta(seconds=70), "waiting": ""}, 60, "activating"),  # one end, and reboots
        ({"crashed_at": START + timedelta(seconds=50)}, 60, "activating"),  # the kubelet's word is from before
        ({"crashed_at": START + timedelta(seconds=70), "restarts": 2}, 60, "activating"),
    ],
)
def test_restarts_are_crashes_only_where_the_node_was_there(pod: dict[str, Any], back: int, state: str):
    mark = Mark(generation=7, version=NEW, previous=OLD, at=START, seen=START)
    since = START + timedelta(seconds=back)
    seen = PodSeen.model_validate({"version": NEW} | LOOP | pod)
    node = NodeSeen(name="n", site="s", online=True, since=since, version=NEW, mark=mark, pod=seen)
    assert view(rollout(), node, START + timedelta(seconds=90)).state == state


@pytest.mark.parametrize(("ends", "state"), [(True, "failed"), (False, "activating")])
def test_a_release_that_ends_too_seldom_for_the_kubelet_to_back_off_fails_at_its_deadline(ends: bool, state: str):
    """The node was away at first, so that restarts prove nothing, and every try begins anew before it is late."""
    back, every, asked = START + timedelta(seconds=60), timedelta(minutes=11), rollout(progress_deadline=3600)
    found = ""
    for count in range(1, 8):
        ended = back + count * every
        pod = PodSeen(
            version=NEW, created_at=START, started_at=ended - every, restarts=count, crashed_at=ended if ends else None
        )
        mark = Mark(generation=7, version=NEW, previous=OLD, at=START, seen=back)
        node = NodeSeen(name="n", site="s", online=True, since=back, version=NEW, mark=mark, pod=pod)
        now = ended + timedelta(seconds=30)
        found = view(asked, node, now).state
        assert found == "activating" or (now - back).total_seconds() > 3600
    assert found == state


def test_sites_change_only_in_their_windows_and_never_below_their_minimum():
    world = fleet(count=8, sites=2, waves=(Wave(name="all", percent=100),))
    world.sites = {"s00": SiteSeen(window_open=False), "s01": SiteSeen(minimum_healthy=3)}
    world.run(15)
    assert len(world.touched) == 1 and world.touched < {"n01", "n03", "n05", "n07"}
    world.run(2000)
    assert {one.version for one in world.devices if one.site == "s00"} == {OLD}
    assert world.progress.phase == "Running"
    assert world.progress.message.endswith("Outside of their maintenance windows: s00.")
    world.sites = {}
    assert world.run(2000).phase == "Succeeded"


@pytest.mark.parametrize(("verdict", "phase"), [("inconclusive", "Paused"), ("fail", "RolledBack")])
def test_analysis_stops_a_wave_that_looks_healthy(verdict: str, phase: str):
    world = fleet()
    world.verdict = "pending"
    world.run(1000)
    assert world.progress.wave == 0 and world.progress.reason == "analysis"
    world.verdict = verdict  # type: ignore[assignment]
    done = world.run(1000)
    assert done.phase == phase and len(world.touched) == 2
    if verdict == "inconclusive":
        world.rollout = world.rollout.model_copy(update={"accepted_wave": 0, "observed": 2})
        world.verdict = "pass"
        assert world.run(4000).phase == "Succeeded"


def test_pausing_holds_the_next_move_and_resuming_soaks_again():
    world = fleet()
    world.run(60)
    world.rollout = world.rollout.model_copy(update={"paused": True, "observed": 2})
    world.run(1000)
    assert (world.progress.phase, world.progress.reason) == ("Paused", "user") and len(world.touched) == 2
    world.rollout = world.rollout.model_copy(update={"paused": False, "observed": 3})
    world.run(90)
    assert world.progress.wave == 0
    assert world.run(4000).phase == "Succeeded"


FAULTS = st.sampled_from(["well"] * 12 + ["crashes", "lies", "slow", "hangs"])
AWAY = st.lists(st.tuples(st.integers(-600, 3000), st.integers(60, 3000)), max_size=2)


@settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    takes=st.lists(FAULTS, min_size=4, max_size=16),
    away=st.lists(AWAY, min_size=16, max_size=16),
    kills=st.sets(st.integers(0, 120), max_size=30),
    quorum=st.sampled_from([60, 90, 100]),
)
def test_whatever_happens_no_success_is_claimed_that_is_not_there(takes, away, kills, quorum):
    devices = [
        Device(f"n{i:02}", f"s{i % 5}", takes=one, away=tuple((a, a + b) for a, b in away[i]))
        for i, one in enumerate(takes)
    ]
    world = Fleet(rollout(quorum_percent=quorum), devices)
    for _ in range(10):
        done = world.run(600, step=30, kills=tuple(kills))
        failed = world.failed()
        canary = {one.name for one in wave_members(world.rollout, world.seen())[0]}
        assert done.phase != "RolledBack" or all(one.version == OLD for one in world.devices)
        assert all(one.version == OLD for one in world.devices if one.name in failed)
        if failed & canary and not any(one.away for one in world.devices if one.name in canary):
            assert world.touched <= canary, "went on after a failed canary"
    for running, well, failures in world.claims:
        assert running and running == well, "success was claimed, and is not there"
        assert failures <= world.rollout.max_failures


@settings(max_examples=15)
@given(kills=st.sets(st.integers(0, 60), max_size=40))
def test_a_controller_that_dies_between_its_writes_brings_the_same_fleet_about(kills):
    world = fleet(count=10, sites=5)
    world.run(300, kills=tuple(kills))
    assert world.run(5000).phase == "Succeeded"
    assert len(world.truly_well()) == 10 and {one.mark.state for one in world.devices if one.mark} == {"committed"}


@given(sites=st.lists(st.integers(0, 6), min_size=1, max_size=40), percents=st.lists(st.integers(1, 100), min_size=1))
def test_every_node_is_in_exactly_one_wave(sites, percents):
    waves = tuple(Wave(name=f"w{i}", percent=p) for i, p in enumerate(sorted(percents)))
    world = Fleet(rollout(waves=waves), [Device(f"n{i}", f"s{s}") for i, s in enumerate(sites)])
    found = wave_members(world.rollout, world.seen())
    assert sorted(node.name for wave in found for node in wave) == sorted(one.name for one in world.devices)


def test_time_offline_is_not_counted_towards_the_deadline():
    world = fleet(count=1, sites=1, waves=(Wave(name="all", percent=100),), progress_deadline=100)
    world.devices[0].takes = "slow"
    world.run(60)
    world.devices[0].away = ((60, 5000),)
    world.run(3000)
    mark = world.devices[0].mark
    assert mark is not None and not mark.up and mark.online_seconds(world.now + timedelta(days=1)) <= 75


@pytest.mark.parametrize(
    ("phase", "wave", "moved"), [("Running", 0, False), ("Running", 1, True), ("Succeeded", 2, True)]
)
def test_a_node_that_returns_after_its_wave_passed_is_not_kept_waiting_for_an_image_that_nobody_fetches(
    phase: str, wave: int, moved: bool
):
    world = fleet(
        count=1, sites=1, staged=True, waves=(Wave(name="canary", percent=100), Wave(name="a"), Wave(name="b"))
    )
    world.progress = Progress.model_validate({"observed": 1, "phase": phase, "wave": wave})
    assert bool(world.look().patches) == moved
