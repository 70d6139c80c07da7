"""What the edge answers: each node whose pod of a release is ready, as faults make it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ai_platform_mcp.sandbox.life.world import USUAL, Conduct, Place
from support.edge_fleet import MODEL, Fleet, daemon_set, open_fleet


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    """Three nodes; version 1 is ready on two of them."""
    async with open_fleet() as fleet:
        await fleet.life.store.create(daemon_set("1"))
        await fleet.life.store.create(daemon_set("2", golden=True))
        await fleet.release("1", "n0", "n1")
        await fleet.life.settle(60)
        yield fleet


def conduct(fleet: Fleet, node: str, version: str) -> Conduct:
    return fleet.life.told.conduct[Place(MODEL, "vision-dev", "edge", node)][version]


async def test_a_node_answers_once_its_pod_is_ready_and_no_earlier(fleet: Fleet) -> None:
    assert fleet.life.told.edge(MODEL) == {"1": {"n0", "n1"}}
    await fleet.release("2", "n0")
    assert fleet.life.told.edge(MODEL) == {"1": {"n1"}}
    await fleet.life.settle(59)
    assert fleet.life.told.edge(MODEL) == {"1": {"n1"}}
    await fleet.life.settle(2)
    assert fleet.life.told.edge(MODEL) == {"1": {"n1"}, "2": {"n0"}}


async def test_a_node_that_goes_away_is_measured_no_more_and_again_when_it_is_back(fleet: Fleet) -> None:
    await fleet.fault("n0", {"kind": "offline"})
    assert (fleet.life.told.edge(MODEL), fleet.life.told.nodes["n0"]) == ({"1": {"n1"}}, False)
    await fleet.fault("n0")
    assert (fleet.life.told.edge(MODEL), fleet.life.told.nodes["n0"]) == ({"1": {"n0", "n1"}}, True)


async def test_a_release_without_its_daemon_set_answers_nowhere(fleet: Fleet) -> None:
    await fleet.life.delete("DaemonSet", "edge-1")
    await fleet.life.settle()
    assert fleet.life.told.edge(MODEL) == {}


async def test_faults_of_a_release_show_in_what_it_answers_and_not_in_its_pods(fleet: Fleet) -> None:
    await fleet.everywhere(
        {"kind": "errors", "version": "2", "share": 0.1}, {"kind": "slow", "version": "2", "factor": 3}
    )
    await fleet.fault("n1", {"kind": "errors"})
    await fleet.release("2", "n2")
    await fleet.life.settle(60)
    assert await fleet.says("n2") == await fleet.says("n1") == "ready"
    assert conduct(fleet, "n0", "1") == USUAL
    assert conduct(fleet, "n1", "1") == Conduct(error_share=0.2)
    assert conduct(fleet, "n2", "2") == Conduct(error_share=0.1, slower=3, golden=True)
