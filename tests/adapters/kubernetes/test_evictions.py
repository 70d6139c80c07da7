"""Evictions: once per operation, and never past a disruption budget."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import Rejected
from ai_platform_mcp.core.plan import ObjectRef, Submit

from .conftest import Cluster, stamp


def running_pod(cluster: Cluster, name: str) -> dict[str, Any]:
    pod = cluster.server.post(
        f"{cluster.base}/pods",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": "registry.example.org/c:1"}]},
        },
    )
    running = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    cluster.server.merge(f"{cluster.base}/pods/{name}/status", {"status": running})
    return pod


def eviction(cluster: Cluster, pod: dict[str, Any]) -> Submit:
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    manifest = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": cluster.namespace},
        "deleteOptions": {"preconditions": {"uid": uid}, "gracePeriodSeconds": 0},
    }
    return Submit(
        id="s1",
        title="evict",
        cluster="c1",
        manifest=manifest,
        parent=ObjectRef(api_version="v1", kind="Pod", name=name, namespace=cluster.namespace),
        subresource="eviction",
    )


async def test_an_eviction_removes_the_pod_once(cluster: Cluster) -> None:
    step = eviction(cluster, running_pod(cluster, "free"))

    assert (await cluster.adapter.reader.dry_run(step)).diff.action == "delete"
    assert not await cluster.adapter.writer.read_back(step, stamp())
    assert (await cluster.do(step)).state == "applied"
    assert await cluster.adapter.writer.read_back(step, stamp())
    assert (await cluster.do(step)).state == "unchanged"


async def test_an_eviction_that_a_disruption_budget_forbids_is_rejected_with_the_budget_and_leaves_the_pod(
    cluster: Cluster,
) -> None:
    pod = running_pod(cluster, "guarded")
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "guarded"}}}
    cluster.server.post(
        cluster.group("policy/v1", "poddisruptionbudgets"),
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "guard"}, "spec": spec},
    )
    counts = {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1}
    cluster.server.merge(
        cluster.group("policy/v1", "poddisruptionbudgets/guard/status"), {"status": {**counts, "expectedPods": 1}}
    )
    step = eviction(cluster, pod)

    with pytest.raises(Rejected) as caught:
        await cluster.do(step)

    assert "guard" in caught.value.cause
    assert caught.value.details["retry_later"] is True
    assert not await cluster.adapter.writer.read_back(step, stamp())
