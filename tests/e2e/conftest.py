"""One world on two API servers: the sandbox's and a real one, without controllers, so any difference is the server's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis  # noqa: F401  # its plugin would import it at the very end, deep in the stack, where CPython 3.11 gives up
import pytest

from ai_platform_mcp.app import App
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import Caller, Result
from ai_platform_mcp.sandbox import seed
from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.mlflow_store import seed_registry
from ai_platform_mcp.settings import Settings
from kubernetes_servers import Server, real_server, sandbox_server
from live_platform import InWindow
from real_targets import both

SYSTEMS = (
    "kueue-", "kserve-", "knative-", "trainer-", "training-operator-", "kuberay-", "jobset-", "argo-", "gateway-api-",
    "gaie-", "keda-", "flux-",
)  # fmt: skip
GOLDEN = {
    "finetune": {
        "image": "registry.local/finetune@sha256:" + "3f" * 32,
        "command": ["torchrun", "finetune.py"],
        "runtime": "torch-distributed",
        "accelerator": "a100",
        "count": 8,
        "nodes": 1,
        "hours": 6,
        "checkpoint": True,
    }
}


def path_of(obj: dict[str, Any], name: str = "") -> str:
    """The address of an object's collection, or of the object."""
    api, kind, namespace = obj["apiVersion"], obj["kind"].lower(), obj["metadata"].get("namespace")
    plural = f"{kind}es" if kind.endswith("ss") else f"{kind}s"
    base = f"/api/{api}" if "/" not in api else f"/apis/{api}"
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{where}/{plural}" + (f"/{name}" if name else "")


def whole_world() -> list[Iterable[dict[str, Any]]]:
    now = stamp(datetime.now(UTC))
    return [seed.namespaces(), seed.queues(), seed.nodes(now, now), seed.runtimes(), seed.services()]


def furnish(server: Server, *makers: Iterable[dict[str, Any]]) -> None:
    """Fill a server with the sandbox's world through its API, or with a part of it."""
    for maker in makers or whole_world():
        for obj in maker:
            name = obj["metadata"]["name"]
            if obj["kind"] in seed.DEPLOYED:
                server.apply(path_of(obj, name), obj, manager="ai-platform-mcp")
                continue
            server.send("POST", path_of(obj), obj, fieldValidation="Strict")
            if obj["kind"] == "Node":
                server.merge(f"{path_of(obj, name)}/status", {"status": obj["status"]})


@pytest.fixture(scope="session")
def sandbox_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with sandbox_server(tmp_path_factory.mktemp("sandbox-world")) as server:
        furnish(server)
        yield server


@pytest.fixture(scope="session")
def real_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with real_server(tmp_path_factory.mktemp("real-world"), SYSTEMS) as server:
        furnish(server)
        yield server


@pytest.fixture(scope="session", params=both("kubernetes"))
def world(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(f"{request.param}_world")


def seeded_registry(folder: Path) -> str:
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    seed_registry(uri, datetime.now(UTC))
    return uri


@pytest.fixture(scope="session")
def registry_uri(tmp_path_factory: pytest.TempPathFactory, world: Server) -> str:
    """A registry of its own for each server: what tools register on one must not be seen from the other."""
    return seeded_registry(tmp_path_factory.mktemp(f"registry-{world.name}"))


@dataclass
class Platform:
    """A platform over a server, as one caller sees it, and the server as its administrator sees it."""

    app: App
    server: Server

    def caller(self, team: str) -> Caller:
        who = Principal(id=f"local:{team}", kind="agent", team=team, roles=("developer", "edge-operator"))
        return Caller(principal=who, request_id="e2e")

    async def call(self, tool: str, team: str = "vision", /, **arguments: Any) -> Result:
        return await self.app.call(tool, arguments, self.caller(team))

    async def do(self, tool: str, team: str = "vision", /, **arguments: Any) -> Result:
        """Plan, agree in person where policy lets the requester, and apply exactly that plan."""
        planned = await self.call(tool, team, **arguments)
        bound = {**arguments, "mode": "apply", "plan_id": planned.data["plan_id"]}
        done = await self.call(tool, team, **bound)
        if done.data["status"] == "awaiting_approval":
            await self.app.agree(done.data["approval"]["approval_id"], self.caller(team).principal)
            done = await self.call(tool, team, **bound)
        return done

    async def objects(self, api_version: str, kind: str, namespace: str) -> list[dict[str, Any]]:
        readers = await self.app.readers()
        return list((await readers.clusters.list("c1", api_version, kind, namespace=namespace)).items)


def settings(server: Server, registry_uri: str, folder: Path, kubeconfig: Path | None = None) -> Settings:
    return Settings(
        state_dir=folder,
        clusters=({"name": "c1", "kubeconfig": str(kubeconfig or server.kubeconfig)},),  # pyright: ignore[reportArgumentType]
        mlflow={"uri": registry_uri, "seconds": 60},  # pyright: ignore[reportArgumentType]
        budgets_cents={"vision": 20_000_000, "nlp": 20_000_000, "platform": 20_000_000},
        golden_paths=GOLDEN,
    )


@pytest.fixture
async def platform(world: Server, registry_uri: str, tmp_path: Path) -> AsyncIterator[Platform]:
    app = App(settings(world, registry_uri, tmp_path), clock=InWindow())
    yield Platform(app, world)
    await app.aclose()
