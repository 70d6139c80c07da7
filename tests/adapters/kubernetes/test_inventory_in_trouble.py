"""The inventory of clusters that are down, silent, half empty or unknown: an answer with its age and the problem."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from ai_platform_mcp.adapters.kubernetes.build import Kubernetes, kubernetes_adapter
from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.rows import ClusterInfo
from kubernetes_servers import Server, write_config

from .conftest import WallClock, config_for, until
from .hostile import Behaviour, answer, hostile, open_watch, status


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
