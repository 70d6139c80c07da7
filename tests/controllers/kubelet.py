"""Plays the DaemonSet controller and the kubelets of a fleet through the API: pods appear on nodes and behave as told."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime
from typing import Any

import httpx

from kubernetes_servers import Server

Json = dict[str, Any]
TAKES = ("well", "crashes", "lies", "misfiled", "slow", "hangs")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ready(status: str) -> Json:
    return {"conditions": [{"type": "Ready", "status": status, "reason": "Test", "lastTransitionTime": now()}]}


class Kubelet(threading.Thread):
    """``takes[node, version]`` says how a node takes a release; a node that is not in ``online`` does nothing."""

    def __init__(self, server: Server, namespace: str):
        super().__init__(daemon=True)
        self.server, self.namespace = server, namespace
        self.takes: dict[tuple[str, str], str] = {}
        self.online: set[str] = set()
        self.paused = threading.Event()
        self._end = threading.Event()
        self.problems: list[str] = []

    def run(self) -> None:
        while not self._end.wait(0.25):
            try:
                if not self.paused.is_set():
                    self.tick()
            except httpx.HTTPError as problem:  # a server that restarts; tests look at what came of it
                self.problems.append(str(problem))

    def stop(self) -> None:
        self._end.set()
        self.join(10)

    def add(self, name: str, site: str, group: str, *, online: bool = True, labels: Json | None = None) -> None:
        marks = {
            "edge.aiplatform.dev/site": site,
            "test/group": group,
            "kubernetes.io/hostname": name,
            **(labels or {}),
        }
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": marks}}
        self.server.post("/api/v1/nodes", body)
        self.turn(name, on=online)

    def turn(self, name: str, *, on: bool) -> None:
        (self.online.add if on else self.online.discard)(name)
        self.server.merge(f"/api/v1/nodes/{name}/status", {"status": ready("True" if on else "Unknown")})

    def nodes(self, group: str) -> dict[str, Json]:
        found = self.server.send("GET", "/api/v1/nodes", labelSelector=f"test/group={group}")["items"]
        return {row["metadata"]["name"]: row for row in found}

    def tick(self) -> None:
        """Bring pods to where DaemonSets want them, and their status to where they have come to."""
        sets = self.server.send("GET", f"/apis/apps/v1/namespaces/{self.namespace}/daemonsets")["items"]
        pods = self.server.send("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]
        nodes = self.server.send("GET", "/api/v1/nodes")["items"]
        wanted = {
            (owner["metadata"]["uid"], node["metadata"]["name"]): (owner, node)
            for owner in sets
            for node in nodes
            if node["metadata"]["name"] in self.online and _fits(owner["spec"]["template"]["spec"], node)
        }
        there = {(pod["metadata"]["ownerReferences"][0]["uid"], pod["spec"]["nodeName"]): pod for pod in pods}
        for key, pod in there.items():
            if key not in wanted and pod["spec"]["nodeName"] in self.online:
                self.server.delete(f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}")
        for key, (owner, node) in wanted.items():
            with contextlib.suppress(httpx.HTTPStatusError):
                self._bring(owner, node, there.get(key))

    def _bring(self, owner: Json, node: Json, pod: Json | None) -> None:
        template, name = owner["spec"]["template"], node["metadata"]["name"]
        labels = template["metadata"]["labels"]
        serves = labels["app.kubernetes.io/component"] == "edge"
        takes = self.takes.get((name, labels["aiplatform.dev/version"]), "well") if serves else "well"
        if pod is None:
            spec = {**template["spec"], "nodeName": name, "schedulerName": "nobody"}
            meta = owner["metadata"]
            ref = {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "name": meta["name"],
                "uid": meta["uid"],
                "controller": True,
            }
            metadata = {
                "name": f"{meta['name'][:40]}-{name}",
                "labels": template["metadata"]["labels"],
                "ownerReferences": [ref],
            }
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
            pod = self.server.post(f"/api/v1/namespaces/{self.namespace}/pods", body)
        status = _status(pod, takes)
        if status is not None:
            self.server.merge(
                f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}/status", {"status": status}
            )


def _fits(spec: Json, node: Json) -> bool:
    labels = node["metadata"]["labels"]
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return all(
        labels.get(row["key"]) in row["values"]
        for term in required.get("nodeSelectorTerms") or []
        for row in term["matchExpressions"]
    )


def _status(pod: Json, takes: str) -> Json | None:
    """The next status of a pod, None where it stays as it is."""
    status = pod.get("status") or {}
    main = next(iter(status.get("containerStatuses") or []), {})
    container = pod["spec"]["containers"][0]
    base = {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "ready": False,
        "restartCount": 0,
    }
    pulled = {**base, "imageID": container.get("image", "")}
    running = {**pulled, "started": True, "state": {"running": {"startedAt": now()}}}
    checked = any(row["name"] == "golden" for row in pod["spec"].get("initContainers") or [])
    golden: Json = {"name": "golden", "image": "golden", "imageID": "", "restartCount": 0}
    if takes == "crashes":
        count = main.get("restartCount", 0)
        if count >= 4:
            return None
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
        ended = {"terminated": {"exitCode": 1, "startedAt": now(), "finishedAt": now()}}
        row = {**pulled, "restartCount": count + 1, "state": waiting, "lastState": ended}
        return {"phase": "Running", **ready("False"), "containerStatuses": [row]}
    if main:
        return None
    if takes == "slow":
        text = "failed to pull image: toomanyrequests: You have reached your pull rate limit"
        row = {**base, "state": {"waiting": {"reason": "ErrImagePull", "message": text}}}
        return {"phase": "Pending", **ready("False"), "containerStatuses": [row]}
    if takes == "hangs":
        return {"phase": "Running", **ready("False"), "containerStatuses": [running]}
    if checked and takes in ("lies", "misfiled"):
        code, text = {
            "lies": (3, '{"agreement_percent": 41, "min_agreement_percent": 99}'),
            "misfiled": (4, '{"message": "The golden inputs are not those that were asked for."}'),
        }[takes]
        ended = {"terminated": {"exitCode": code, "reason": "Error", "message": text}}
        golden |= {"ready": False, "state": ended}
        return {"phase": "Running", **ready("False"), "containerStatuses": [running], "initContainerStatuses": [golden]}
    first = [{**golden, "ready": True, "state": {"running": {"startedAt": now()}}}] if checked else []
    served = {"containerStatuses": [{**running, "ready": True}], "initContainerStatuses": first}
    return {"phase": "Running", **ready("True"), **served}
