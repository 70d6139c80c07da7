"""A small fleet in the sandbox's world: nodes with a release each, on a clock that a test drives; a second of work takes one."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ai_platform_mcp.sandbox.kube.engine import Write
from support.life import Life, open_life

Json = dict[str, Any]
MODEL = "m"


def daemon_set(version: str, component: str = "edge", *, golden: bool = False, nodes: tuple[str, ...] = ()) -> Json:
    """A release's DaemonSet, or with ``nodes`` one that only fetches it there."""
    labels = {
        "aiplatform.dev/model": MODEL,
        "aiplatform.dev/version": version,
        "app.kubernetes.io/component": component,
    }
    image = f"registry.local/m@sha256:{version * 64}"
    spec: Json = {"containers": [{"name": "model", "image": image}], "nodeSelector": {"release": version}}
    if golden:
        spec["initContainers"] = [{"name": "golden", "image": "registry.local/ours", "restartPolicy": "Always"}]
    if nodes:
        term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}]}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
        volume = {"name": "release", "image": {"reference": image, "pullPolicy": "IfNotPresent"}}
        spec = {
            "containers": [{"name": "hold", "image": "pause"}],
            "volumes": [volume],
            "affinity": {"nodeAffinity": required},
        }
    name = f"{component}-{version}"
    template = {"metadata": {"labels": {**labels, "app": name}}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "vision-dev"},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    }


@dataclass
class Fleet:
    """Nodes n0, n1, … of the world."""

    life: Life

    async def node(self, name: str, release: str = "") -> None:
        """Add a node that is there."""
        moment = self.life.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": moment}
        labels = {"kubernetes.io/hostname": name, "release": release}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        write = Write(trusted=True)  # many of them
        await self.life.store.create({**body, "status": {"conditions": [ready]}}, write)

    async def release(self, version: str, *nodes: str) -> None:
        """Say which release nodes run; its pods are there then, and have not begun."""
        for node in nodes:
            await self.life.change("Node", node, {"metadata": {"labels": {"release": version}}})
        await self.life.settle()

    async def fault(self, node: str, *faults: Json) -> None:
        """Say what is wrong with a node: nothing where no fault is given."""
        text = json.dumps(faults) if faults else None
        body = {"metadata": {"annotations": {"sandbox.aiplatform.dev/faults": text}}}
        await self.life.change("Node", node, body)
        await self.life.settle()

    async def everywhere(self, *faults: Json) -> None:
        """Say what is wrong on every node."""
        meta = {"name": "sandbox-faults", "namespace": "aiplatform-system"}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"test": json.dumps(faults)}}
        await self.life.store.create(config)

    async def pod(self, node: str, component: str = "edge") -> Json:
        """The pod of a component on a node."""
        found = [row for row in await self.pods(component) if row["spec"]["nodeName"] == node]
        assert len(found) == 1, f"{len(found)} pods on {node}"
        return found[0]

    async def pods(self, component: str = "edge") -> list[Json]:
        """Every pod of a component."""
        label = "app.kubernetes.io/component"
        return [row for row in await self.life.all("Pod") if row["metadata"]["labels"].get(label) == component]

    async def says(self, node: str) -> str:
        """What the kubelet says of the model's container: why it waits, ``running`` or ``ready``."""
        status = (await self.pod(node))["status"]
        (row,) = status["containerStatuses"]
        if waiting := row["state"].get("waiting"):
            return str(waiting["reason"])
        ready = next(each["status"] for each in status["conditions"] if each["type"] == "Ready")
        return "ready" if ready == "True" else "running"


@asynccontextmanager
async def open_fleet(count: int = 3, speed: float = 1.0, release: str = "") -> AsyncGenerator[Fleet]:
    """That many nodes that are there; without ``release`` they run none."""
    async with open_life(whole=False, speed=speed) as life:
        fleet = Fleet(life)
        for number in range(count):
            await fleet.node(f"n{number}", release)
        yield fleet
