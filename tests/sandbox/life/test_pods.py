"""Pods of Deployments and DaemonSets: where they appear, what a budget counts, where they go when a node goes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from ai_platform_mcp.sandbox.kube.status import ApiError
from support.life import Life

OFFLINE = {"edge-us-east-2-04", "edge-eu-west-3-02", "edge-ap-south-1-05"}


async def pods(life: Life, app: str) -> list[dict[str, Any]]:
    return [row for row in await life.all("Pod") if row["metadata"]["labels"].get("app") == app]


async def places(life: Life, app: str) -> Counter[str]:
    return Counter(row["spec"]["nodeName"] for row in await pods(life, app))


async def budget(life: Life) -> tuple[int, int]:
    status = (await life.get("PodDisruptionBudget", "edge-gateway", "aiplatform-system"))["status"]
    return status["currentHealthy"], status["disruptionsAllowed"]


async def test_a_daemon_runs_once_on_every_edge_node_that_is_there(life: Life) -> None:
    found = await places(life, "edge-agent")
    assert set(found.values()) == {1}
    assert len(found) == 44
    assert not OFFLINE & set(found)
    status = (await life.get("DaemonSet", "edge-agent", "aiplatform-system"))["status"]
    assert (status["desiredNumberScheduled"], status["numberReady"], status["numberUnavailable"]) == (47, 44, 3)


async def test_a_node_that_returns_gets_its_daemon_and_one_that_leaves_shows_it_not_ready(life: Life) -> None:
    await life.online("edge-us-east-2-04", True)
    await life.online("edge-us-south-1-01", False)
    await life.settle()
    assert "edge-us-east-2-04" in await places(life, "edge-agent")
    gone = [row for row in await pods(life, "edge-agent") if row["spec"]["nodeName"] == "edge-us-south-1-01"]
    ready = [row["status"] for row in gone[0]["status"]["conditions"] if row["type"] == "Ready"]
    assert ready == ["False"]
    assert life.told.nodes["edge-us-south-1-01"] is False
    status = (await life.get("DaemonSet", "edge-agent", "aiplatform-system"))["status"]
    assert status["numberReady"] == 44


async def test_a_deployment_spreads_over_ready_nodes_and_scales(life: Life) -> None:
    found = await places(life, "edge-gateway")
    assert (sum(found.values()), max(found.values())) == (12, 1)
    assert not OFFLINE & set(found)
    await life.change("Deployment", "edge-gateway", {"spec": {"replicas": 3}}, "aiplatform-system")
    await life.settle()
    assert sum((await places(life, "edge-gateway")).values()) == 3
    status = (await life.get("Deployment", "edge-gateway", "aiplatform-system"))["status"]
    assert (status["replicas"], status["readyReplicas"], status["availableReplicas"]) == (3, 3, 3)


async def test_a_budget_lets_pods_go_down_to_its_minimum_and_no_further(life: Life) -> None:
    assert await budget(life) == (12, 2)
    victims = [row["metadata"]["name"] for row in await pods(life, "edge-gateway")]
    kube = life.store
    from ai_platform_mcp.sandbox.kube.disruption import check_eviction

    for name in victims[:2]:
        check_eviction(kube.storage, await life.get("Pod", name, "aiplatform-system"))
        await life.delete("Pod", name, "aiplatform-system")
    with pytest.raises(ApiError, match="disruption budget"):
        check_eviction(kube.storage, await life.get("Pod", victims[2], "aiplatform-system"))
    await life.settle()
    assert await budget(life) == (12, 2)


async def test_pods_evicted_from_a_cordoned_node_come_back_elsewhere(life: Life) -> None:
    node = next(iter(await places(life, "edge-gateway")))
    await life.change("Node", node, {"spec": {"unschedulable": True}})
    name = next(row["metadata"]["name"] for row in await pods(life, "edge-gateway") if row["spec"]["nodeName"] == node)
    await life.delete("Pod", name, "aiplatform-system")
    await life.settle()
    found = await places(life, "edge-gateway")
    assert (sum(found.values()), found[node]) == (12, 0)


async def test_a_pod_goes_with_its_node(life: Life) -> None:
    node = next(iter(await places(life, "edge-gateway")))
    await life.delete("Node", node)
    await life.settle()
    found = await places(life, "edge-gateway")
    assert (sum(found.values()), found[node]) == (12, 0)
    assert node not in await places(life, "edge-agent")


async def test_a_new_template_replaces_every_pod(life: Life) -> None:
    before = {row["metadata"]["uid"] for row in await pods(life, "edge-gateway")}
    container = {"name": "edge-gateway", "image": "registry.local/edge-gateway:2"}
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    await life.change("Deployment", "edge-gateway", body, "aiplatform-system")
    await life.settle()
    after = await pods(life, "edge-gateway")
    assert len(after) == 12
    assert not before & {row["metadata"]["uid"] for row in after}


async def test_what_is_deleted_takes_its_pods_along(life: Life) -> None:
    await life.delete("Deployment", "edge-gateway", "aiplatform-system")
    await life.delete("DaemonSet", "edge-agent", "aiplatform-system")
    await life.settle()
    assert await life.all("Pod") == []
