"""A fleet in an API server, and the controller as a process of its own beside it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from ai_platform_mcp.core.plan import Patch
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.tools._edge_steering import edge
from ai_platform_mcp.tools._steered import Action, Moment
from controllers.kubelet import Json, Kubelet
from kubernetes_servers import Server

NAMESPACE = "edge-controller"
ROLLOUTS = f"/apis/edge.aiplatform.dev/v1alpha1/namespaces/{NAMESPACE}/edgerollouts"
GOLDEN = {"uri": "oci://registry.example/golden@sha256:" + "9" * 64, "digest": "sha256:" + "9" * 64}
WAVES = [
    {"name": "canary", "percent": 10, "canary": True},
    {"name": "half", "percent": 50},
    {"name": "rest", "percent": 100},
]


def digest(version: str) -> str:
    return "sha256:" + version.encode().hex().ljust(64, "0")


def image(version: str) -> str:
    return f"registry.example/model@{digest('i' + version)}"


def release(version: str) -> Json:
    return {"version": version, "digest": digest(version), "image": image(version)}


def start_controller(kubeconfig: Path, log: Path, *options: str) -> subprocess.Popen[bytes]:
    main = "from ai_platform_mcp.cli.serve import main; main()"
    command = [sys.executable, "-c", main, "controller", "--kubeconfig", str(kubeconfig), *options]
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file)


@contextlib.contextmanager
def controlled(kubeconfig: Path, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    process = start_controller(kubeconfig, log, *options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)
    return found


class Fleet:
    """Nodes of one test, and the rollouts over them."""

    def __init__(self, server: Server, kubelet: Kubelet, name: str, sites: int = 5, per_site: int = 2):
        self.server, self.kubelet, self.model = server, kubelet, name
        self.names = [f"{name}-{site}-{number}" for site in range(sites) for number in range(per_site)]
        for node in self.names:
            kubelet.add(node, f"{name}-{node.split('-')[-2]}", name)

    def take(self, how: str, version: str, *places: int) -> None:
        for place in places or range(len(self.names)):
            self.kubelet.takes[self.names[place], version] = how

    def roll(self, version: str = "2", **spec: Any) -> str:
        name = f"{self.model}-{version}"
        body = {
            "apiVersion": "edge.aiplatform.dev/v1alpha1",
            "kind": "EdgeRollout",
            "metadata": {"name": name},
            "spec": {
                "model": self.model,
                **release(version),
                "selector": {"matchLabels": {"test/group": self.model}},
                "waves": WAVES,
                "soakSeconds": 0,
                "probationSeconds": 0,
                "progressDeadlineSeconds": 60,
                "offlineGraceSeconds": 1,
                "generationOf": int(version),
                **spec,
            },
        }
        self.server.post(ROLLOUTS, body)
        return name

    def read(self, name: str) -> Json:
        found = self.server.get(f"{ROLLOUTS}/{name}")
        assert found is not None
        return found

    def status(self, name: str) -> Json:
        return self.read(name).get("status") or {}

    def change(self, name: str, **spec: Any) -> None:
        self.server.merge(f"{ROLLOUTS}/{name}", {"spec": spec})

    async def steer(self, name: str, action: Action) -> None:
        """Do to the rollout what the tools plan for an action."""
        live = {"apiVersion": "edge.aiplatform.dev/v1alpha1", "kind": "EdgeRollout", **self.read(name)}
        readers = cast("Readers", None)  # nothing but the rollout is read for this
        steered = await edge(live, action, Moment("c", "op-0123456789abcdef"), readers)
        for step in steered.steps:
            assert isinstance(step, Patch)
            self.server.merge(f"{ROLLOUTS}/{name}", step.patch)

    def ends(self, name: str, phase: str, seconds: float = 60.0) -> Json:
        try:
            until(lambda: self.status(name).get("phase") == phase, f"{name} {phase}", seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.status(name)}") from None
        return self.status(name)

    def versions(self) -> dict[str, str]:
        label = f"edge.aiplatform.dev/release.{self.model}"
        nodes = self.kubelet.nodes(self.model)
        return {name: nodes[name]["metadata"]["labels"].get(label, "") for name in self.names}

    def events(self, name: str) -> list[str]:
        found = self.server.send("GET", f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
        return [row["reason"] for row in found if row["involvedObject"]["name"] == name]

    def daemon_sets(self) -> set[str]:
        selector = f"aiplatform.dev/model={self.model}"
        found = self.server.send("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets", labelSelector=selector)
        return {row["metadata"]["labels"]["aiplatform.dev/version"] for row in found["items"]}
