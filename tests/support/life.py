"""The sandbox's world in memory, on a clock and in steps that a test drives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ai_platform_mcp.sandbox import seed
from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.kube.store import Store, open_store
from ai_platform_mcp.sandbox.life import cycle
from ai_platform_mcp.sandbox.life.world import Conduct, Place, World

KUEUE = "kueue.x-k8s.io/v1beta2"
Json = dict[str, Any]


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class Told:
    """Remembers what is measured after each step."""

    def __init__(self) -> None:
        self.serving: dict[Place, dict[str, float]] = {}
        self.conduct: dict[Place, dict[str, Conduct]] = {}
        self.queues: dict[tuple[str, str, str], tuple[int, int]] = {}
        self.nodes: dict[str, bool] = {}
        self._next: dict[Place, dict[str, float]] = {}

    def begin(self) -> None:
        self._next = {}

    def serves(self, place: Place, shares: Mapping[str, float], conduct: Mapping[str, Conduct] | None = None) -> None:
        self.conduct[place] = dict(conduct or {})
        self._next[place] = {version: round(share, 6) for version, share in shares.items() if share > 0}

    def keeps(self, place: Place) -> None:
        if place in self.serving:
            self._next[place] = self.serving[place]

    def queue(self, cluster_queue: str, flavor: str, resource: str, used: int, pending: int) -> None:
        self.queues[cluster_queue, flavor, resource] = (used, pending)

    def node(self, name: str, ready: bool) -> None:
        self.nodes[name] = ready

    async def settle(self) -> None:
        self.serving = self._next

    def at(self, model: str, namespace: str = "vision-dev") -> dict[str, float]:
        return self.serving.get(Place(model, namespace), {})

    def edge(self, model: str) -> dict[str, set[str]]:
        """Nodes by version."""
        found: dict[str, set[str]] = {}
        for place, shares in self.serving.items():
            if (place.model, place.target) == (model, "edge"):
                for version in shares:
                    found.setdefault(version, set()).add(place.node)
        return found


@dataclass
class Life:
    """A world in memory whose time and steps a test drives."""

    store: Store
    clock: ManualClock
    told: Told
    world: World
    runs: list[str] = field(default_factory=list[str])

    async def settle(self, seconds: float = 0.0) -> None:
        """Let that much time pass, then take steps until nothing changes any more."""
        self.clock.forward(seconds)
        for _ in range(30):
            before = self.store.storage.version
            await cycle.step(self.world)
            if self.store.storage.version == before:
                return
        raise AssertionError("the world does not come to rest")

    async def get(self, kind: str, name: str, namespace: str = "vision-dev", api: str = "") -> Json:
        return await self.store.get(api or API[kind], kind, name, namespace)

    async def change(self, kind: str, name: str, body: Json, namespace: str = "vision-dev") -> None:
        await self.store.patch(API[kind], kind, name, body, namespace)

    async def delete(self, kind: str, name: str, namespace: str = "vision-dev") -> None:
        await self.store.delete(API[kind], kind, name, namespace)

    async def all(self, kind: str) -> list[Json]:
        return (await self.store.list(API[kind], kind)).items

    async def online(self, node: str, online: bool) -> None:
        live = await self.get("Node", node)
        for row in live["status"]["conditions"]:
            if row["type"] == "Ready":
                row["status"] = "True" if online else "Unknown"
                row["lastTransitionTime"] = stamp(self.clock.now())
        await self.store.update_status(live)
        taints = [] if online else [{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]
        notes = dict.fromkeys(live["metadata"].get("annotations") or {})  # no fault has a say in it
        await self.change("Node", node, {"spec": {"taints": taints}, "metadata": {"annotations": notes}})

    async def workload(self, job: str) -> Json:
        return next(
            row
            for row in await self.all("Workload")
            if any(owner["name"] == job for owner in row["metadata"].get("ownerReferences", []))
        )


API = {
    "ConfigMap": "v1",
    "Node": "v1",
    "Pod": "v1",
    "Namespace": "v1",
    "Deployment": "apps/v1",
    "DaemonSet": "apps/v1",
    "PodDisruptionBudget": "policy/v1",
    "Job": "batch/v1",
    "Workload": KUEUE,
    "ClusterQueue": KUEUE,
    "LocalQueue": KUEUE,
    "TrainJob": "trainer.kubeflow.org/v1alpha1",
    "RayJob": "ray.io/v1",
    "Workflow": "argoproj.io/v1alpha1",
    "InferenceService": "serving.kserve.io/v1beta1",
    "LLMInferenceService": "serving.kserve.io/v1alpha2",
    "EdgeRollout": "edge.aiplatform.dev/v1alpha1",
}


@asynccontextmanager
async def open_life(path: Path | None = None, *, whole: bool = True, speed: float = 1800.0) -> AsyncIterator[Life]:
    """The seeded world at rest, or only its namespaces and queues; kept at ``path``, where it may be already.

    An hour of work takes two seconds, unless ``speed`` says otherwise.
    """
    clock, told, runs = ManualClock(), Told(), list[str]()

    async def record(job: Json) -> None:
        runs.append(job["metadata"]["name"])

    async with open_store(path, clock) as store:
        if whole:
            await seed.seed_cluster(store)
        else:
            for obj in (*seed.namespaces(), *seed.queues()):
                await store.create(obj)
        life = Life(store, clock, told, World(store, clock, speed, told, record), runs)
        await life.settle()
        await life.settle(1)
        yield life


def condition(obj: Json, kind: str) -> Json:
    return next((row for row in obj.get("status", {}).get("conditions", []) if row["type"] == kind), {})
