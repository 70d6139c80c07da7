"""Nodes of the sandbox behave and misbehave like nodes: images are fetched, containers start, crash, and nodes go away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from time import process_time
from typing import Any

import pytest

from ai_platform_mcp.sandbox.life import cycle
from support.edge_fleet import Fleet, daemon_set, open_fleet


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    """Three nodes; seconds of work are seconds."""
    async with open_fleet() as fleet:
        await fleet.life.store.create(daemon_set("1"))
        yield fleet


def model(pod: dict[str, Any]) -> dict[str, Any]:
    (row,) = pod["status"]["containerStatuses"]
    return row


def ready(pod: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in pod["status"]["conditions"] if row["type"] == "Ready")


async def test_a_pod_comes_where_the_label_names_its_release_and_takes_its_time(fleet: Fleet) -> None:
    await fleet.release("1", "n0")
    await fleet.life.settle()
    assert [row["spec"]["nodeName"] for row in await fleet.pods()] == ["n0"]
    told: list[str] = []
    for _ in range(9):
        told.append(await fleet.says("n0"))
        await fleet.life.settle(5)
    assert told == ["ContainerCreating"] * 6 + ["running"] * 2 + ["ready"]
    pod = await fleet.pod("n0")
    assert model(pod)["imageID"] == model(pod)["image"]
    assert ready(pod)["lastTransitionTime"] > model(pod)["state"]["running"]["startedAt"]


async def test_a_pod_goes_when_the_label_names_another_release(fleet: Fleet) -> None:
    await fleet.release("1", "n0")
    await fleet.life.store.create(daemon_set("2"))
    await fleet.life.settle(60)
    await fleet.release("2", "n0")
    await fleet.life.settle()
    assert (await fleet.pod("n0"))["metadata"]["labels"]["aiplatform.dev/version"] == "2"


async def test_what_was_fetched_ahead_starts_at_once(fleet: Fleet) -> None:
    await fleet.life.store.create(daemon_set("1", "prepull", nodes=("n1", "n2")))
    await fleet.life.settle()
    await fleet.life.settle(45)
    assert {row["spec"]["nodeName"] for row in await fleet.pods("prepull")} == {"n1", "n2"}
    assert {ready(row)["status"] for row in await fleet.pods("prepull")} == {"True"}
    await fleet.release("1", "n0", "n1")
    await fleet.life.settle(1)
    assert (await fleet.says("n0"), await fleet.says("n1")) == ("ContainerCreating", "running")


async def test_a_crash_loop_counts_and_backs_off_and_ends_with_its_fault(fleet: Fleet) -> None:
    await fleet.fault("n0", {"kind": "crash-loop", "version": "1"})
    await fleet.release("1", "n0", "n1")
    counts: list[int] = []
    for _ in range(24):
        await fleet.life.settle(5)
        counts.append(model(await fleet.pod("n0"))["restartCount"])
    assert counts == sorted(counts) and counts[-1] == 4  # after 35 s, then 15, 25 and 45 s later
    last = model(await fleet.pod("n0"))["lastState"]["terminated"]
    assert last["exitCode"] == 1 and await fleet.says("n0") in ("CrashLoopBackOff", "running")
    assert await fleet.says("n1") == "ready"
    await fleet.fault("n0")
    await fleet.life.settle(300)
    await fleet.life.settle(20)
    assert await fleet.says("n0") == "ready"


async def test_a_container_that_crashes_twice_stays_up_then(fleet: Fleet) -> None:
    await fleet.fault("n0", {"kind": "crash-loop", "times": 2})
    await fleet.release("1", "n0")
    for _ in range(40):
        await fleet.life.settle(5)
    assert (await fleet.says("n0"), model(await fleet.pod("n0"))["restartCount"]) == ("ready", 2)


async def test_a_registry_that_is_asked_too_much_says_so_and_the_pod_starts_afterwards(fleet: Fleet) -> None:
    await fleet.fault("n0", {"kind": "pull-throttled", "seconds": 100})
    await fleet.release("1", "n0")
    await fleet.life.settle(90)
    waiting = model(await fleet.pod("n0"))["state"]["waiting"]
    assert waiting["reason"] == "ErrImagePull" and "toomanyrequests" in waiting["message"]
    await fleet.life.settle(20)
    assert await fleet.says("n0") == "ContainerCreating"
    await fleet.life.settle(40)
    assert await fleet.says("n0") == "ready"


async def test_a_slow_line_takes_many_times_as_long_and_a_container_that_hangs_is_never_ready(fleet: Fleet) -> None:
    await fleet.fault("n0", {"kind": "slow-link", "factor": 10})
    await fleet.fault("n1", {"kind": "hangs"})
    await fleet.release("1", "n0", "n1")
    await fleet.life.settle(290)
    assert (await fleet.says("n0"), await fleet.says("n1")) == ("ContainerCreating", "running")
    await fleet.life.settle(30)
    assert (await fleet.says("n0"), await fleet.says("n1")) == ("ready", "running")


async def test_golden_inputs_make_a_pod_ready_or_end_with_their_own_code(fleet: Fleet) -> None:
    await fleet.life.store.create(daemon_set("2", golden=True))
    await fleet.fault("n1", {"kind": "golden-differs", "version": "2", "share": 0.6})
    await fleet.release("2", "n0", "n1")
    await fleet.life.settle(45)
    (golden,) = (await fleet.pod("n0"))["status"]["initContainerStatuses"]
    assert (golden["ready"], "running" in golden["state"], await fleet.says("n0")) == (False, True, "running")
    await fleet.life.settle(20)
    (golden,) = (await fleet.pod("n0"))["status"]["initContainerStatuses"]
    assert (golden["ready"], await fleet.says("n0")) == (True, "ready")
    (golden,) = (await fleet.pod("n1"))["status"]["initContainerStatuses"]
    ended = golden["lastState"]["terminated"]
    assert (ended["exitCode"], ended["message"]) == (3, '{"agreement_percent": 40.0}')
    assert await fleet.says("n1") == "running"


async def test_a_release_that_is_bad_is_bad_on_every_node_and_no_other_release_is(fleet: Fleet) -> None:
    await fleet.life.store.create(daemon_set("2"))
    await fleet.everywhere({"kind": "crash-loop", "model": "m", "version": "2"})
    await fleet.release("1", "n0")
    await fleet.release("2", "n1", "n2")
    await fleet.life.settle(60)
    assert [await fleet.says(name) for name in ("n0", "n1", "n2")] == ["ready", "CrashLoopBackOff", "CrashLoopBackOff"]


async def test_a_node_that_is_away_keeps_its_pods_as_last_seen_and_starts_none(fleet: Fleet) -> None:
    await fleet.release("1", "n0")
    await fleet.life.settle(60)
    before = await fleet.pod("n0")
    await fleet.fault("n0", {"kind": "offline"})
    await fleet.fault("n1", {"kind": "offline"})
    await fleet.release("2", "n0")
    await fleet.release("1", "n1")
    await fleet.life.settle(60)
    node = await fleet.life.get("Node", "n0")
    assert ready(node)["status"] == "Unknown" and node["spec"]["taints"][0]["key"] == "node.kubernetes.io/unreachable"
    (pod,) = await fleet.pods()
    assert model(pod) == model(before) and ready(pod)["reason"] == "NodeNotReady"
    for name in ("n0", "n1"):
        await fleet.fault(name)
    await fleet.life.settle(1)
    assert [row["spec"]["nodeName"] for row in await fleet.pods()] == ["n1"]
    node = await fleet.life.get("Node", "n0")
    assert ready(node)["status"] == "True" and not node["spec"].get("taints")
    await fleet.life.settle(60)
    assert await fleet.says("n1") == "ready"


async def test_a_node_that_returns_with_its_pod_is_ready_from_its_return_on(fleet: Fleet) -> None:
    await fleet.release("1", "n0")
    await fleet.life.settle(60)
    await fleet.fault("n0", {"kind": "offline", "seconds": 100})
    await fleet.life.settle(50)
    assert ready(await fleet.life.get("Node", "n0"))["status"] == "Unknown"
    await fleet.life.settle(60)
    node, pod = await fleet.life.get("Node", "n0"), await fleet.pod("n0")
    assert ready(node)["status"] == ready(pod)["status"] == "True"
    assert ready(pod)["lastTransitionTime"] == ready(node)["lastTransitionTime"]
    assert model(pod)["restartCount"] == 0
    assert not node["metadata"].get("annotations")


async def test_power_is_lost_while_a_release_starts_and_its_container_starts_anew_afterwards(fleet: Fleet) -> None:
    await fleet.fault("n0", {"kind": "power-loss", "version": "1", "seconds": 120})
    await fleet.release("1", "n0")
    await fleet.life.settle(30)
    assert ready(await fleet.life.get("Node", "n0"))["status"] == "Unknown"
    pod = await fleet.pod("n0")
    assert "running" in model(pod)["state"] and ready(pod)["status"] == "False"
    await fleet.life.settle(125)
    assert (await fleet.says("n0"), model(await fleet.pod("n0"))["restartCount"]) == ("running", 1)
    await fleet.life.settle(15)
    assert await fleet.says("n0") == "ready"
    node = await fleet.life.get("Node", "n0")
    assert not node["metadata"].get("annotations")  # once is enough


@pytest.mark.parametrize("text", ["{}", "no", '[{"kind": "bored"}]', '[{"kind": "offline", "seconds": "long"}]', "[1]"])
async def test_what_is_no_fault_changes_nothing_and_is_told(fleet: Fleet, text: str, caplog: Any) -> None:
    body = {"metadata": {"annotations": {"sandbox.aiplatform.dev/faults": text}}}
    await fleet.life.change("Node", "n0", body)
    await fleet.release("1", "n0")
    await fleet.life.settle(60)
    assert await fleet.says("n0") == "ready"
    assert "fault" in caplog.text


async def test_what_kubelets_write_would_pass_every_check_of_the_api(fleet: Fleet) -> None:
    await fleet.life.store.create(daemon_set("2", golden=True))
    await fleet.fault("n1", {"kind": "golden-differs"}, {"kind": "pull-throttled", "seconds": 10})
    await fleet.fault("n2", {"kind": "crash-loop", "times": 1})
    await fleet.release("2", "n0", "n1", "n2")
    for _ in range(8):
        for pod in await fleet.pods():
            phase = pod["status"].pop("phase", "Pending")
            kept = await fleet.life.store.update_status({**pod, "status": {**pod["status"], "phase": phase}})
            assert kept["status"] == {**pod["status"], "phase": phase}
        await fleet.life.settle(10)


async def test_a_step_over_a_large_fleet_is_cheap() -> None:
    async with open_fleet(300, speed=3600.0, release="1") as fleet:
        await fleet.life.store.create(daemon_set("1"))
        names = tuple(f"n{number}" for number in range(300))
        await fleet.life.store.create(daemon_set("1", "prepull", nodes=names))
        await fleet.life.settle()
        await fleet.life.settle(1)
        assert len(await fleet.pods()) == len(await fleet.pods("prepull")) == 300
        begun = process_time()
        await cycle.step(fleet.life.world)
        assert process_time() - begun < 0.5  # measured: a tenth of that on an idle core
