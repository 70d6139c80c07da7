"""The inventory: rows from real objects, kept current by watches, honest about its age, deaf to other clusters' trouble."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ai_platform_mcp.adapters.kubernetes.transport import Request, Transport
from ai_platform_mcp.core.acting import acting_caller, acting_for
from ai_platform_mcp.core.errors import Forbidden
from ai_platform_mcp.core.permit import require_permit
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import Caller

from .conftest import Cluster, executing, until

KUEUE = "/apis/kueue.x-k8s.io/v1beta2"


@pytest.fixture
async def world(cluster: Cluster) -> AsyncIterator[Cluster]:
    """Two nodes, a quota of one flavor, a workload and three served models, all named after the test's namespace."""
    name, server = cluster.namespace, cluster.server
    server.merge(f"/api/v1/namespaces/{name}", {"metadata": {"labels": LABELS["namespace"]}})
    for kind, labels in (("gpu", LABELS["gpu"]), ("edge", LABELS["edge"])):
        path, node = "/api/v1/nodes", f"{name}-{kind}"
        spec = {"unschedulable": kind == "edge", "taints": [{"key": "gpu", "value": "x", "effect": "NoSchedule"}]}
        meta = {"name": node, "labels": labels}
        server.post(path, {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": spec})
        beat = "2026-11-02T09:00:00Z"
        ready = {"type": "Ready", "status": "True" if kind == "gpu" else "Unknown", "lastHeartbeatTime": beat}
        amounts = {"nvidia.com/gpu": "8", "cpu": "96"} if kind == "gpu" else {"cpu": "4"}
        server.merge(f"{path}/{node}/status", {"status": {"conditions": [ready], "allocatable": amounts}})
    for path, manifest in _quota(name) + _served(name):
        status = manifest.pop("status", None)
        server.post(path, manifest)
        if status is not None:
            server.merge(f"{path}/{manifest['metadata']['name']}/status", {"status": status})
    yield cluster
    for path in (f"/api/v1/nodes/{name}-gpu", f"/api/v1/nodes/{name}-edge", f"{KUEUE}/clusterqueues/{name}"):
        server.delete(path)
    server.delete(f"{KUEUE}/resourceflavors/{name}")


LABELS: dict[str, dict[str, str]] = {
    "namespace": {"aiplatform.dev/team": "risk", "aiplatform.dev/environment": "staging"},
    "gpu": {
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
        "karpenter.sh/capacity-type": "spot",
        "eks.amazonaws.com/nodegroup": "g",
        "topology.kubernetes.io/region": "eu-west-1",
        "topology.kubernetes.io/zone": "eu-west-1a",
    },
    "edge": {"node-role.kubernetes.io/agent": "", "edge.aiplatform.dev/site": "store-17"},
}


def _quota(name: str) -> list[tuple[str, dict[str, Any]]]:
    api = {"apiVersion": "kueue.x-k8s.io/v1beta2"}
    flavor_labels = {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb", "cloud.google.com/gke-spot": "true"}
    price = {"annotations": {"aiplatform.dev/hourly-cents": "412"}}
    resources = [
        {"name": "nvidia.com/gpu", "nominalQuota": 32, "borrowingLimit": 8},
        {"name": "cpu", "nominalQuota": 9},
    ]
    group = {"coveredResources": ["nvidia.com/gpu", "cpu"], "flavors": [{"name": name, "resources": resources}]}
    usage = [
        {
            "name": name,
            "resources": [{"name": "nvidia.com/gpu", "total": "24", "borrowed": "0"}, {"name": "cpu", "total": "1"}],
        }
    ]
    pod = {
        "containers": [
            {
                "name": "c",
                "image": "registry.example.org/c:1",
                "resources": {"requests": {"nvidia.com/gpu": "8"}, "limits": {"nvidia.com/gpu": "8"}},
            }
        ],
        "restartPolicy": "Never",
    }
    waits = {
        "type": "QuotaReserved",
        "status": "False",
        "reason": "WaitingForQuota",
        "message": "insufficient quota",
        "lastTransitionTime": "2026-11-02T09:00:00Z",
    }
    return [
        (
            f"{KUEUE}/resourceflavors",
            {
                **api,
                "kind": "ResourceFlavor",
                "metadata": {"name": name, **price},
                "spec": {"nodeLabels": flavor_labels},
            },
        ),
        (
            f"{KUEUE}/clusterqueues",
            {
                **api,
                "kind": "ClusterQueue",
                "metadata": {"name": name},
                "spec": {"cohortName": "all", "resourceGroups": [group], "namespaceSelector": {}},
                "status": {"flavorsUsage": usage, "flavorsReservation": usage},
            },
        ),
        (
            f"{KUEUE}/namespaces/{name}/localqueues",
            {
                **api,
                "kind": "LocalQueue",
                "metadata": {"name": "main"},
                "spec": {"clusterQueue": name},
                "status": {"pendingWorkloads": 3, "admittedWorkloads": 2, "reservingWorkloads": 2},
            },
        ),
        (
            f"{KUEUE}/namespaces/{name}/workloads",
            {
                **api,
                "kind": "Workload",
                "metadata": {"name": "job"},
                "spec": {"queueName": "main", "podSets": [{"name": "main", "count": 4, "template": {"spec": pod}}]},
                "status": {"conditions": [waits]},
            },
        ),
    ]


def _served(name: str) -> list[tuple[str, dict[str, Any]]]:
    what = {"model": "vision", "version": "3", "digest": f"sha256:{'a' * 64}", "image": "registry.example.org/v:3"}
    predictor = {
        "minReplicas": 2,
        "canaryTrafficPercent": 10,
        "model": {"modelFormat": {"name": "onnx"}, "storageUri": "s3://m/v"},
    }
    since = {"lastTransitionTime": "2026-11-02T09:00:00Z"}
    return [
        (
            f"/apis/serving.kserve.io/v1beta1/namespaces/{name}/inferenceservices",
            {
                "apiVersion": "serving.kserve.io/v1beta1",
                "kind": "InferenceService",
                "metadata": {
                    "name": "fraud",
                    "labels": {"aiplatform.dev/model": "fraud", "aiplatform.dev/version": "7"},
                },
                "spec": {"predictor": predictor},
                "status": {
                    "url": "http://fraud.example.org",
                    "conditions": [{"type": "Ready", "status": "True", **since}],
                },
            },
        ),
        (
            f"/apis/edge.aiplatform.dev/v1alpha1/namespaces/{name}/edgerollouts",
            {
                "apiVersion": "edge.aiplatform.dev/v1alpha1",
                "kind": "EdgeRollout",
                "metadata": {"name": "vision", "labels": {"aiplatform.dev/team": "stores"}},
                "spec": {**what, "waves": [{"name": "all", "percent": 100}]},
                "status": {"phase": "Running", "wave": 1, "healthy": 5, "total": 47},
            },
        ),
    ]


async def test_rows_say_what_the_objects_say(world: Cluster) -> None:
    name = world.namespace
    found = await until(world.adapter, lambda now: any(row.namespace == name for row in now.deployments))

    assert (found.stale, found.problem, found.missing) == (False, "", ())
    gpu, edge = (next(row for row in found.nodes if row.name == f"{name}-{kind}") for kind in ("gpu", "edge"))
    assert (gpu.role, gpu.cloud, gpu.region, gpu.zone) == ("cloud", "aws", "eu-west-1", "eu-west-1a")
    assert (gpu.accelerator, gpu.accelerators, gpu.spot) == ("NVIDIA-A100-SXM4-80GB", 8, True)
    assert (gpu.ready, gpu.schedulable, gpu.taints[:1]) == (True, True, ("gpu=x:NoSchedule",))
    assert (edge.role, edge.site, edge.ready, edge.schedulable) == ("edge", "store-17", False, False)
    assert edge.last_seen is not None

    (flavor,) = [row for row in found.flavors if row.queue == name]
    assert (flavor.resource, flavor.nominal, flavor.used, flavor.reserved) == ("nvidia.com/gpu", 32, 24, 24)
    assert (flavor.borrowing_limit, flavor.cohort, flavor.hourly_cents) == (8, "all", 412)
    assert (flavor.accelerator, flavor.cloud, flavor.spot) == ("nvidia-h100-80gb", "gcp", True)
    (queue,) = [row for row in found.queues if row.namespace == name]
    assert (queue.name, queue.cluster_queue, queue.pending, queue.admitted) == ("main", name, 3, 2)
    (workload,) = [row for row in found.workloads if row.namespace == name]
    assert (workload.state, workload.queue, workload.accelerator_count) == ("pending", "main", 32)
    assert workload.reason == "WaitingForQuota: insufficient quota"

    fraud, vision = (row for row in found.deployments if row.namespace == name)
    assert (fraud.kind, fraud.model, fraud.version, fraud.ready) == ("InferenceService", "fraud", "7", True)
    assert (fraud.team, fraud.environment, fraud.target) == ("risk", "staging", "cloud")
    assert (fraud.url, fraud.canary_percent, fraud.replicas) == ("http://fraud.example.org", 10, 2)
    assert (vision.kind, vision.model, vision.version, vision.target) == ("EdgeRollout", "vision", "3", "edge")
    assert (vision.team, vision.environment, vision.ready) == ("stores", "staging", False)
    assert vision.progress == {"phase": "Running", "wave": 1, "healthy": 5, "total": 47}


async def test_changes_arrive_by_themselves_and_deleted_objects_leave(world: Cluster) -> None:
    name, node = world.namespace, f"{world.namespace}-gpu"
    await until(world.adapter, lambda now: any(row.name == node for row in now.nodes))

    world.server.merge(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": True}})
    await until(world.adapter, lambda now: any(row.name == node and not row.schedulable for row in now.nodes))
    world.server.delete(f"/apis/serving.kserve.io/v1beta1/namespaces/{name}/inferenceservices/fraud")
    found = await until(
        world.adapter, lambda now: not any(row.namespace == name and row.name == "fraud" for row in now.deployments)
    )

    assert found.age_seconds <= 1
    assert not found.stale


async def test_watches_run_without_the_permit_of_the_call_that_started_them(
    world: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    read_headers = Transport._headers  # pyright: ignore[reportPrivateUsage]

    async def spy(self: Transport, connection: Any, request: Request) -> dict[str, str]:
        with contextlib.suppress(Forbidden):
            seen.add(f"permit for {request.what}: {require_permit('look').step_id}")
        if acting_caller() is not None:
            seen.add(f"a caller for {request.what}")
        return await read_headers(self, connection, request)

    monkeypatch.setattr(Transport, "_headers", spy)
    with executing(), acting_for(Caller(Principal(id="somebody"), "req-1")):
        found = await world.adapter.inventory.inventory("c1")

    assert any(row.name.startswith(world.namespace) for row in found.nodes)
    assert seen == set()
