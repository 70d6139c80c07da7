"""The inventory: rows from real objects, kept current by watches, honest about its age, deaf to other clusters' trouble."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import yaml

from ai_platform_mcp.adapters.kubernetes.build import Kubernetes, kubernetes_adapter
from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
from ai_platform_mcp.adapters.kubernetes.transport import Request, Transport
from ai_platform_mcp.core.acting import acting_caller, acting_for
from ai_platform_mcp.core.errors import Forbidden, InvalidInput
from ai_platform_mcp.core.permit import require_permit
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import ClusterInfo, Inventory
from ai_platform_mcp.core.tool import Caller
from kubernetes_servers import Server, write_config

from .conftest import Cluster, WallClock, config_for, executing
from .hostile import Behaviour, answer, hostile, open_watch, status

KUEUE = "/apis/kueue.x-k8s.io/v1beta2"


async def until(adapter: Kubernetes, good: Callable[[Inventory], bool], cluster: str = "c1") -> Inventory:
    """Ask until the answer is as wished; the watches decide when, so the bound is generous."""
    with anyio.fail_after(20):
        while True:
            found = await adapter.inventory.inventory(cluster)
            if good(found):
                return found
            await anyio.sleep(0.02)


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


class Proxy:
    """A TCP proxy on a fixed port that can be cut, silenced and restored: the network between us and a cluster."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = asyncio.Event()
        self.open.set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._writers |= {writer, far_writer}
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        writer.close()
        self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self.open.wait()
                writer.write(data)
                await writer.drain()
            writer.close()


@pytest.fixture
async def proxied(sandbox_api: Server, tmp_path: Path) -> AsyncIterator[tuple[Proxy, Kubernetes]]:
    """Two clusters: ``c1`` behind a proxy, ``other`` reached directly."""
    url = httpx.URL(str(sandbox_api.http.base_url))
    proxy = Proxy((url.host, url.port or 0))
    await proxy.start()
    token = yaml.safe_load(sandbox_api.kubeconfig.read_text())["users"][0]["user"]["token"]
    kubeconfig = write_config(tmp_path / "proxied", f"http://127.0.0.1:{proxy.port}", token)
    adapter = kubernetes_adapter([config_for(kubeconfig), config_for(sandbox_api.kubeconfig, "other")], WallClock())
    yield proxy, adapter
    await adapter.aclose()
    await proxy.stop()


async def test_a_cluster_that_is_down_at_the_start_is_said_to_be_and_comes_up_later(
    proxied: tuple[Proxy, Kubernetes],
) -> None:
    proxy, adapter = proxied
    await proxy.stop()
    down = await adapter.inventory.inventory("c1")
    assert down.stale
    assert "c1" in down.problem
    assert down.nodes == ()
    other = await adapter.inventory.inventory("other")
    assert (other.stale, other.problem) == (False, "")

    await proxy.start()

    up = await until(adapter, lambda now: not now.stale)
    assert (up.problem, up.age_seconds) == ("", 0)


async def test_a_cluster_that_dies_keeps_its_last_rows_with_their_age_and_recovers(
    proxied: tuple[Proxy, Kubernetes], sandbox_api: Server
) -> None:
    proxy, adapter = proxied
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "survivor"}}
    sandbox_api.post("/api/v1/nodes", node)
    await until(adapter, lambda now: not now.stale and "survivor" in {row.name for row in now.nodes})
    await until(adapter, lambda now: not now.stale, "other")

    await proxy.stop()
    dead = await until(adapter, lambda now: now.stale and now.age_seconds >= 1)
    other = await adapter.inventory.inventory("other")
    assert "survivor" in {row.name for row in dead.nodes}
    assert "c1" in dead.problem
    assert (other.stale, other.problem) == (False, "")

    sandbox_api.delete("/api/v1/nodes/survivor")
    await proxy.start()
    back = await until(adapter, lambda now: not now.stale)
    assert "survivor" not in {row.name for row in back.nodes}
    assert back.problem == ""


async def test_a_cluster_that_falls_silent_is_answered_from_memory_within_the_second(
    proxied: tuple[Proxy, Kubernetes],
) -> None:
    proxy, adapter = proxied
    await until(adapter, lambda now: not now.stale)

    proxy.open.clear()
    silent = await until(adapter, lambda now: now.stale)
    started = time.monotonic()
    again = await adapter.inventory.inventory("c1")
    assert time.monotonic() - started < 1.5
    assert again.stale
    assert again.age_seconds >= 2
    assert "does not answer" in silent.problem

    proxy.open.set()
    await until(adapter, lambda now: not now.stale)


def bare_cluster(target: str) -> Behaviour:
    """A cluster with nodes and nothing else, whose namespaces we may not list."""

    def resource(plural: str, kind: str) -> dict[str, Any]:
        return {"resource": plural, "responseKind": {"version": "v1", "kind": kind}, "scope": "Cluster", "verbs": []}

    if target.startswith("/apis"):
        return answer(200, {"kind": "APIGroupDiscoveryList", "items": []})
    if "watch=true" in target:
        return open_watch
    if target.startswith("/api/v1/namespaces"):
        return status(403, "Forbidden", 'namespaces is forbidden: User "u" cannot list resource "namespaces"')
    if target.startswith("/api/v1/nodes"):
        item = {"metadata": {"name": "n1"}}
        return answer(200, {"kind": "NodeList", "metadata": {"resourceVersion": "1"}, "items": [item]})
    versions = [{"version": "v1", "resources": [resource("nodes", "Node"), resource("namespaces", "Namespace")]}]
    return answer(200, {"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": ""}, "versions": versions}]})


async def test_kinds_that_a_cluster_does_not_serve_are_missing_and_the_rest_works(tmp_path: Path) -> None:
    async with hostile(tmp_path, routes=bare_cluster) as server:
        adapter = kubernetes_adapter([config_for(server.kubeconfig)], WallClock())
        try:
            found = await until(adapter, lambda now: bool(now.nodes))
        finally:
            await adapter.aclose()

    assert [row.name for row in found.nodes] == ["n1"]
    assert "kueue.x-k8s.io/v1beta2/ClusterQueue" in found.missing
    assert "serving.kserve.io/v1beta1/InferenceService" in found.missing
    assert not found.stale
    assert "may not list Namespace" in found.problem


async def test_an_unknown_cluster_is_refused(tmp_path: Path) -> None:
    adapter = kubernetes_adapter([ClusterConfig(ClusterInfo(name="a"), kubeconfig=tmp_path / "a")], WallClock())
    with pytest.raises(InvalidInput):
        await adapter.inventory.inventory("b")
    await adapter.aclose()


async def test_a_cluster_whose_kubeconfig_is_missing_is_an_answer_with_the_problem(tmp_path: Path) -> None:
    adapter = kubernetes_adapter([ClusterConfig(ClusterInfo(name="a"), kubeconfig=tmp_path / "a")], WallClock())
    found = await adapter.inventory.inventory("a")
    assert found.stale
    assert "does not exist" in found.problem
    await adapter.aclose()
