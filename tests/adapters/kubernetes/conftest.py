"""One suite over [sandbox, real]: a difference between the two is a defect of the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

from ai_platform_mcp.adapters.kubernetes.build import Kubernetes, kubernetes_adapter
from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import AnyStep
from ai_platform_mcp.core.rows import ClusterInfo, Inventory, Outcome, Stamp
from kubernetes_servers import Server, real_server, sandbox_server
from real_targets import both


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def config_for(kubeconfig: Path, name: str = "c1", **options: Any) -> ClusterConfig:
    return ClusterConfig(ClusterInfo(name=name), kubeconfig=kubeconfig, **options)


@contextmanager
def executing() -> Iterator[None]:
    """What the executor does around each step."""
    with open_permit(Permit("op-test", "s1")):
        yield


def stamp(operation: str = "op-1", **annotations: str) -> Stamp:
    return Stamp(operation_id=operation, plan_digest="d" * 64, annotations=annotations)


@dataclass
class Cluster:
    """The adapter on one side of a server, and the server's administrator on the other."""

    server: Server
    adapter: Kubernetes
    namespace: str

    @property
    def base(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}"

    def group(self, api_version: str, plural: str) -> str:
        return f"/apis/{api_version}/namespaces/{self.namespace}/{plural}"

    async def do(self, step: AnyStep, operation: str = "op-1", **annotations: str) -> Outcome:
        with executing():
            return await self.adapter.writer.execute(step, stamp(operation, **annotations))


@pytest.fixture(scope="session")
def sandbox_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with sandbox_server(tmp_path_factory.mktemp("sandbox-api")) as server:
        yield server


@pytest.fixture(scope="session")
def real_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with real_server(tmp_path_factory.mktemp("real-api")) as server:
        yield server


@pytest.fixture(params=both("kubernetes"))
def server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(f"{request.param}_api")


@pytest.fixture
async def cluster(server: Server) -> AsyncIterator[Cluster]:
    namespace = f"t-{uuid4().hex[:10]}"  # a cluster may be shared with other workers
    server.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    adapter = kubernetes_adapter([config_for(server.kubeconfig)], WallClock())
    yield Cluster(server, adapter, namespace)
    await adapter.aclose()
    server.delete(f"/api/v1/namespaces/{namespace}")


async def until(adapter: Kubernetes, good: Callable[[Inventory], bool], cluster: str = "c1") -> Inventory:
    """Ask until the answer is as wished; the watches decide when, so the bound is generous."""
    with anyio.fail_after(20):
        while True:
            found = await adapter.inventory.inventory(cluster)
            if good(found):
                return found
            await anyio.sleep(0.02)
