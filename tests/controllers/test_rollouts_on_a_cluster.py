"""A rollout goes over a fleet in an API server, moved by the controller's own process."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from controllers.conftest import World
from controllers.edge_world import GOLDEN, NAMESPACE, release, until


def test_a_good_release_reaches_every_node_wave_by_wave(world: World):
    fleet = world.fleet()
    name = fleet.roll()
    status = fleet.ends(name, "Succeeded")
    assert set(fleet.versions().values()) == {"2"} and status["healthy"] == status["total"] == 10
    conditions = {row["type"]: row["status"] for row in status["conditions"]}
    assert conditions == {"Progressing": "False", "Complete": "True", "Degraded": "False", "Converged": "True"}
    assert fleet.events(name).count("WaveStarted") == 3 and "Succeeded" in fleet.events(name)


def test_a_bad_canary_is_rolled_back_and_nobody_else_saw_it(world: World):
    fleet = world.fleet()
    fleet.ends(fleet.roll("1"), "Succeeded")
    fleet.take("crashes", "2")
    name = fleet.roll("2", rollbackTo=release("1"))
    status = fleet.ends(name, "RolledBack")
    assert status["reason"] == "max_failures" and set(fleet.versions().values()) == {"1"}
    assert list(status["failures"]) == [fleet.names[0]]
    assert "RolledBack" in fleet.events(name)
    until(lambda: fleet.daemon_sets() == {"1"}, "the DaemonSet of the bad release is collected")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("lies", "answers to the golden inputs differ: 41 % agree of 99 % asked for"),
        ("misfiled", "golden inputs cannot be used: The golden inputs are not those that were asked for."),
        ("hangs", "not ready"),
    ],
)
def test_wrong_answers_and_silence_stop_a_release_in_its_canary(world: World, how: str, told: str):
    fleet = world.fleet(sites=3)
    fleet.take(how, "2")
    name = fleet.roll(onFailure="Pause", progressDeadlineSeconds=2, goldenInputs=GOLDEN)
    status = fleet.ends(name, "Paused")
    assert status["reason"] == "max_failures" and len(status["failures"]) == 1
    assert told in next(iter(status["failures"].values()))
    assert set(fleet.versions().values()) == {""}, "the failed node went back to what it had: nothing"


def test_a_release_is_asked_its_golden_inputs_on_every_node(world: World):
    fleet = world.fleet(sites=2)
    name = fleet.roll(goldenInputs={**GOLDEN, "minAgreementPercent": 95})
    fleet.ends(name, "Succeeded")
    found = world.server.send("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets")["items"]
    (mine,) = [row for row in found if row["metadata"]["labels"].get("aiplatform.dev/model") == fleet.model]
    (sidecar,) = mine["spec"]["template"]["spec"]["initContainers"]
    assert sidecar["restartPolicy"] == "Always" and "--min-agreement=95" in sidecar["args"]


def test_golden_inputs_that_nothing_can_bring_to_a_node_hold_the_rollout_up(world: World):
    fleet = world.fleet(sites=1)
    name = fleet.roll(goldenInputs={**GOLDEN, "uri": "s3://golden/m.jsonl"})
    status = until(lambda: (s := fleet.status(name)).get("reason") == "unbuildable" and s, "it is told")
    assert "file of golden inputs" in status["message"] and set(fleet.versions().values()) == {""}


def test_a_slow_pull_is_throttled_and_never_failed(world: World):
    fleet = world.fleet(sites=2)
    fleet.take("slow", "2", 1)
    name = fleet.roll(quorumPercent=50, progressDeadlineSeconds=600, waves=[{"name": "all", "percent": 100}])
    fleet.ends(name, "Completing")
    until(lambda: fleet.status(name)["healthy"] == 3, "everybody else has it")
    status = fleet.status(name)
    assert status["failed"] == 0 and status["nodes"]["throttled"] == 1 and status["phase"] == "Completing"


def test_an_offline_node_is_owed_and_converges_when_it_returns(world: World):
    fleet = world.fleet(sites=3)
    gone = fleet.names[2]
    world.kubelet.turn(gone, on=False)
    name = fleet.roll()
    status = fleet.ends(name, "Succeeded")
    assert status["owed"] == [gone] and fleet.versions()[gone] == ""
    world.kubelet.turn(gone, on=True)
    until(lambda: fleet.versions()[gone] == "2", "the late node got it")
    until(lambda: not fleet.status(name).get("owed"), "nothing is owed any more")


def test_a_newer_rollout_takes_over_an_unfinished_one(world: World):
    fleet = world.fleet(sites=3)
    fleet.take("slow", "2")
    old = fleet.roll("2", progressDeadlineSeconds=600)
    until(lambda: "2" in fleet.versions().values(), "the first one began")
    new = fleet.roll("3")
    assert fleet.ends(old, "Stopped")["reason"] == "superseded"
    fleet.ends(new, "Succeeded")
    assert set(fleet.versions().values()) == {"3"}
    assert fleet.status(old)["phase"] == "Stopped"


def test_what_had_succeeded_says_when_a_newer_rollout_has_its_nodes_and_owes_nobody_any_more(world: World):
    fleet = world.fleet(sites=3)
    gone = fleet.names[2]
    world.kubelet.turn(gone, on=False)
    old = fleet.roll("2")
    assert fleet.ends(old, "Succeeded")["owed"] == [gone]
    new = fleet.roll("3")
    assert fleet.ends(new, "Succeeded")["owed"] == [gone]
    until(lambda: fleet.status(old)["reason"] == "superseded", "the first one knows")
    status = fleet.status(old)
    assert status["phase"] == "Succeeded" and not status.get("owed") and "newer rollout" in status["message"]


def test_a_paused_rollout_moves_nothing_until_it_is_resumed(world: World):
    fleet = world.fleet(sites=3)
    name = fleet.roll(paused=True)
    assert fleet.ends(name, "Paused")["reason"] == "user"
    assert set(fleet.versions().values()) == {""}
    fleet.change(name, paused=False)
    fleet.ends(name, "Succeeded")


async def test_resuming_after_failures_accepts_those_that_are_there_and_moves_on(world: World):
    fleet = world.fleet(sites=3)
    fleet.take("crashes", "2", 0)
    name = fleet.roll(onFailure="Pause")
    assert fleet.ends(name, "Paused")["reason"] == "max_failures"
    await fleet.steer(name, "resume")
    status = fleet.ends(name, "Succeeded")
    assert list(status["failures"]) == [fleet.names[0]] and list(fleet.versions().values()) == ["", *["2"] * 5]


def test_a_canary_that_is_gone_asks_a_person_who_may_go_on_without_it(world: World):
    fleet = world.fleet(sites=3)
    world.kubelet.turn(fleet.names[0], on=False)
    name = fleet.roll(progressDeadlineSeconds=1)
    assert fleet.ends(name, "Paused")["reason"] == "nobody_online" and set(fleet.versions().values()) == {""}
    fleet.change(name, progressDeadlineSeconds=60, accepted={"absentWave": 0})
    assert fleet.ends(name, "Succeeded")["owed"] == [fleet.names[0]]


async def test_a_failure_after_resuming_pauses_again(world: World):
    fleet = world.fleet(sites=3)
    fleet.take("crashes", "2", 0, 2)
    name = fleet.roll(onFailure="Pause", maxFailures=0)
    fleet.ends(name, "Paused")
    await fleet.steer(name, "resume")
    status = until(
        lambda: (s := fleet.status(name)).get("failed") == 2 and s["phase"] == "Paused" and s, "paused again"
    )
    assert status["reason"] == "max_failures" and fleet.read(name)["spec"]["accepted"] == {"failures": 1}


def test_an_analysis_that_nobody_can_make_pauses_and_never_passes(world: World):
    fleet = world.fleet(sites=2)
    asked = {"checks": [{"check": "errors"}], "waitSeconds": 1}
    name = fleet.roll(waves=[{"name": "all", "percent": 100}], analysis=asked)
    status = fleet.ends(name, "Paused")
    assert status["reason"] == "inconclusive" and status["analysis"]["verdict"] == "inconclusive"
    assert status["analysis"]["missing"], "this controller knows no metrics store of these nodes"
    fleet.change(name, accepted={"wave": 0})
    fleet.ends(name, "Succeeded")


def test_a_site_outside_of_its_window_is_left_alone(world: World):
    fleet = world.fleet(sites=2)
    hour = datetime.now(UTC).hour
    closed, open_ = (
        f"{(hour + 8) % 24:02}:00-{(hour + 9) % 24:02}:00",
        f"{(hour + 20) % 24:02}:00-{(hour + 4) % 24:02}:00",
    )
    world.windows({f"{fleet.model}-0": closed, f"{fleet.model}-1": open_})
    name = fleet.roll(waves=[{"name": "all", "percent": 100}])
    until(lambda: list(fleet.versions().values()) == ["", "", "2", "2"], "the open site")
    until(lambda: fleet.status(name).get("healthy") == 2, "the open site is done")
    assert fleet.status(name)["phase"] == "Running"
    world.windows({f"{fleet.model}-0": open_})
    fleet.ends(name, "Succeeded")


def test_an_image_is_fetched_before_a_node_changes(world: World):
    fleet = world.fleet(sites=2)
    fleet.take("hangs", "2")
    name = fleet.roll(stage=True, progressDeadlineSeconds=600)
    until(lambda: "2" in fleet.versions().values(), "the canary was fetched and moved")
    found = world.server.send("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets")["items"]
    mine = [row for row in found if row["metadata"]["labels"].get("aiplatform.dev/model") == fleet.model]
    kinds = sorted(row["metadata"]["labels"]["app.kubernetes.io/component"] for row in mine)
    assert kinds == ["edge", "prepull", "prepull"], "the wave under way and the next one"
    until(lambda: fleet.status(name)["nodes"]["staged"] >= 1, "the next wave has the image and waits")


def test_a_release_that_cannot_be_built_says_so_and_touches_nothing(world: World):
    fleet = world.fleet(sites=1)
    name = fleet.roll(image="registry.example/model:latest")
    status = until(lambda: (s := fleet.status(name)).get("reason") == "unbuildable" and s, "it is told")
    assert "pinned by digest" in status["message"] and set(fleet.versions().values()) == {""}
