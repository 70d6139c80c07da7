"""Edge rollouts: waves in order, soak, nodes that are away, and which of two rollouts a node belongs to."""

from __future__ import annotations

from typing import Any

from support.life import Life, condition

SOAK = 2.0
LABEL = "edge.aiplatform.dev/release.m"
OFFLINE = {"edge-us-east-2-04", "edge-eu-west-3-02", "edge-ap-south-1-05"}
WAVES = [{"name": "canary", "sites": ["us-south-1"], "canary": True}, {"name": "half", "percent": 50}]
WAVES += [{"name": "all", "percent": 100}]


def rollout(version: str, name: str = "m", generation: int = 1, **spec: Any) -> dict[str, Any]:
    body = {
        "model": "m",
        "version": version,
        "digest": "sha256:" + version * 64,
        "storageUri": f"oci://r/m:{version}",
        "waves": WAVES,
        "soakSeconds": 3600,
        "generationOf": generation,
        "selector": {"matchLabels": {"node-role.kubernetes.io/edge": ""}},
    }
    return {
        "apiVersion": "edge.aiplatform.dev/v1alpha1",
        "kind": "EdgeRollout",
        "metadata": {"name": name, "namespace": "vision-dev"},
        "spec": body | spec,
    }


async def running(life: Life, version: str) -> set[str]:
    return {
        row["metadata"]["name"] for row in await life.all("Node") if row["metadata"]["labels"].get(LABEL) == version
    }


async def status(life: Life, name: str = "m") -> dict[str, Any]:
    return (await life.get("EdgeRollout", name))["status"]


async def start(life: Life, body: dict[str, Any]) -> None:
    await life.store.create(body)
    await life.settle()


async def finish(life: Life) -> None:
    for _ in range(4):
        await life.settle(SOAK)


async def test_waves_follow_each_other_and_each_soaks(life: Life) -> None:
    await start(life, rollout("1"))
    assert {name.rsplit("-", 1)[0] for name in await running(life, "1")} == {"edge-us-south-1"}
    assert (await status(life))["wave"] == 0
    await life.settle(SOAK - 1)
    assert len(await running(life, "1")) == 5
    await life.settle(1)
    half = await running(life, "1")
    assert len(half) in range(22, 25)
    assert ((await status(life))["wave"], (await status(life))["phase"]) == (1, "Running")
    await life.settle(SOAK)
    assert half < await running(life, "1")
    assert (await status(life))["phase"] == "Running"
    await life.settle(SOAK)
    told = await status(life)
    assert (told["phase"], told["total"], told["healthy"], told["offline"]) == ("Succeeded", 47, 44, 3)
    assert set(told["owed"]) == OFFLINE
    assert condition(await life.get("EdgeRollout", "m"), "Complete")["status"] == "True"
    assert life.told.edge("m") == {"1": await running(life, "1")}


async def test_a_paused_rollout_stands_still_and_soaks_again_when_it_goes_on(life: Life) -> None:
    await start(life, rollout("1"))
    await life.change("EdgeRollout", "m", {"spec": {"paused": True}})
    await life.settle(100)
    assert (await status(life))["phase"] == "Paused"
    assert len(await running(life, "1")) == 5
    await life.change("EdgeRollout", "m", {"spec": {"paused": False}})
    await life.settle(SOAK - 1)
    assert ((await status(life))["phase"], (await status(life))["wave"]) == ("Running", 0)
    await life.settle(SOAK)
    assert (await status(life))["wave"] == 1


async def test_a_node_that_returns_later_gets_what_it_is_owed(life: Life) -> None:
    await start(life, rollout("1"))
    await finish(life)
    await life.online("edge-us-east-2-04", True)
    await life.settle()
    assert "edge-us-east-2-04" in await running(life, "1")
    told = await status(life)
    assert (told["phase"], told["healthy"], set(told["owed"])) == (
        "Succeeded",
        45,
        OFFLINE - {"edge-us-east-2-04"},
    )


async def test_a_node_that_returns_during_a_later_wave_is_not_left_behind(life: Life) -> None:
    await life.online("edge-us-south-1-01", False)
    await start(life, rollout("1"))
    await life.settle(SOAK)
    assert (await status(life))["wave"] == 1
    await life.online("edge-us-south-1-01", True)
    await finish(life)
    assert (await status(life))["phase"] == "Succeeded"
    assert "edge-us-south-1-01" in await running(life, "1")


async def test_a_node_that_goes_away_is_measured_no_more(life: Life) -> None:
    await start(life, rollout("1"))
    await finish(life)
    await life.online("edge-us-south-1-01", False)
    await life.settle()
    assert "edge-us-south-1-01" not in life.told.edge("m")["1"]
    assert ((await status(life))["healthy"], (await status(life))["offline"]) == (43, 4)


async def test_a_change_of_the_release_starts_with_the_first_wave_again(life: Life) -> None:
    await start(life, rollout("1"))
    await finish(life)
    await life.change("EdgeRollout", "m", {"spec": {"version": "2"}})
    await life.settle()
    assert ((await status(life))["phase"], (await status(life))["wave"]) == ("Running", 0)
    assert len(await running(life, "2")) == 5
    assert len(await running(life, "1")) == 39
    await finish(life)
    assert (await running(life, "1"), (await status(life))["phase"]) == (set(), "Succeeded")


async def test_a_rollout_never_says_succeeded_while_a_node_that_is_there_lacks_the_release(life: Life) -> None:
    await start(life, rollout("1"))
    online = {row["metadata"]["name"] for row in await life.all("Node") if "edge-" in row["metadata"]["name"]} - OFFLINE
    for _ in range(12):
        await life.settle(0.5)
        if (await status(life))["phase"] == "Succeeded":
            assert online <= await running(life, "1")
    assert (await status(life))["phase"] == "Succeeded"


async def test_a_newer_rollout_takes_the_nodes_over_and_the_older_one_lets_them_be(life: Life) -> None:
    await start(life, rollout("1"))
    await life.settle(SOAK)
    half = len(await running(life, "1"))
    await start(life, rollout("2", "m2", 2))
    assert ((await status(life))["phase"], (await status(life))["reason"]) == ("Stopped", "superseded")
    await life.settle(1)
    assert len(await running(life, "1")) == half - 5
    await finish(life)
    await life.online("edge-us-east-2-04", True)
    await life.settle()
    assert await running(life, "1") == set()
    assert "edge-us-east-2-04" in await running(life, "2")


async def test_a_rollout_of_some_sites_takes_over_only_those(life: Life) -> None:
    await start(life, rollout("1"))
    await finish(life)
    everything = [{"name": "all", "percent": 100}]
    await start(life, rollout("2", "m2", 2, sites=["eu-west-1"], waves=everything))
    await finish(life)
    assert {name.rsplit("-", 1)[0] for name in await running(life, "2")} == {"edge-eu-west-1"}
    assert len(await running(life, "1")) == 40
    assert (await status(life))["phase"] == "Succeeded"


async def test_nodes_keep_their_release_when_a_rollout_is_cancelled_and_are_measured_while_one_is_left(
    life: Life,
) -> None:
    await start(life, rollout("1"))
    await finish(life)
    await start(life, rollout("2", "m2", 2))
    await life.delete("EdgeRollout", "m2")
    await life.settle(100)
    assert (len(await running(life, "1")), len(await running(life, "2"))) == (39, 5)
    assert {version: len(nodes) for version, nodes in life.told.edge("m").items()} == {"1": 39, "2": 5}
    await life.delete("EdgeRollout", "m")
    await life.settle()
    assert life.told.edge("m") == {}
