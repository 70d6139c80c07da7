"""The cluster around a simulated fleet: DaemonSets get their pods, silent nodes are noticed, faults happen when they are due.

It works on the sandbox's storage directly; only the controller under test speaks HTTP.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import anyio

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.kube.storage import Change
from ai_platform_mcp.sandbox.kube.store import Store, Write
from benchmarks.fleet_faults import Absence, Script
from benchmarks.fleet_nodes import Device, Step
from benchmarks.fleet_pods import Json
from benchmarks.fleet_time import HandClock, HandLoop

HELD = "simulated.example/running"
"""A finalizer: a pod that is to go stays until its kubelet has ended it, as with a real one."""


LEASES = 50.0
"""Seconds between two versions at rest; in a real cluster they are far less."""


class Life:
    """Everything that lives beside the controller."""

    def __init__(
        self, store: Store, loop: HandLoop, clock: HandClock, namespace: str, script: Script, seed: int, begin: float
    ):
        self.devices: dict[str, Device] = {}
        self.labels: dict[str, Mapping[str, str]] = {}
        """What a kubelet says of its node when it joins."""
        self._store, self._loop, self._clock = store, loop, clock
        self._namespace, self._script = namespace, script
        self._seed, self._begin = seed, begin
        self._chances: dict[str, random.Random] = {}
        self._due: list[tuple[float, int, Step]] = []
        self._numbers = itertools.count()
        self._wake = anyio.Event()
        self._sets: dict[str, Json] = {}
        self._pods: defaultdict[str, dict[str, str]] = defaultdict(dict)
        """By node and DaemonSet: the pod that counts; one that was deleted by force may be there still."""
        self._on_node: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._unplaced: set[str] = set()
        self._made: defaultdict[str, int] = defaultdict(int)
        store.storage.listeners.append(self._heard)

    # --------------------------------------------------------------------------------------------------- time and order

    def moment(self) -> float:
        """Seconds since the world began."""
        return self._loop.moment

    def stamp(self) -> str:
        """The present moment as Kubernetes writes it."""
        return stamp(self._clock.now())

    def after(self, seconds: float, step: Step) -> None:
        """Take a step later."""
        heapq.heappush(self._due, (self._loop.moment + seconds, next(self._numbers), step))
        self._wake.set()

    async def run(self) -> None:
        """Take every step when it is due, until cancelled."""
        while True:
            while self._due and self._due[0][0] <= self._loop.moment:
                await heapq.heappop(self._due)[2]()
            self._wake = anyio.Event()
            with anyio.move_on_after(self._due[0][0] - self._loop.moment if self._due else None):
                await self._wake.wait()

    async def leases(self) -> None:
        """Let the cluster's version rise as kubelets' leases make it: watches at rest get bookmarks by that."""
        while True:
            await anyio.sleep(LEASES)
            self._store.storage.version += 1

    def befall(self) -> None:
        """Let happen what the script says of each node; its times count from when the rollout is asked for."""
        for name, device in self.devices.items():
            for absence in self._script.fates[name].absences:
                self._absent(device, absence)

    def _absent(self, device: Device, absence: Absence) -> None:
        ahead = self._begin - self._loop.moment
        self.after(max(0.0, ahead + absence.begin), lambda: device.leave(absence))
        if absence.end != float("inf"):
            self.after(ahead + absence.end, lambda: device.come_back(absence))

    def throttles(self) -> bool:
        """Whether the registry is asked too much now."""
        span = self._script.throttling
        return span is not None and span[0] <= self._loop.moment - self._begin < span[1]

    # ------------------------------------------------------------------------------------------------- what is written

    async def tell_pod(self, name: str, status: Json) -> None:
        """Write a pod's status."""
        self._put("pods", (self._namespace, name), status=status)

    async def tell_node(self, name: str, ready: bool) -> None:
        """Write whether a node is ready."""
        live = self._objects("nodes")["", name]
        self._put("nodes", ("", name), status={**live["status"], "conditions": [self._ready(ready)]})

    def _objects(self, bucket: str) -> Mapping[tuple[str, str], Json]:
        return self._store.storage.bucket(bucket).objects

    def _put(self, bucket: str, key: tuple[str, str], **changes: Any) -> None:
        """Change an object where it is kept: what is written here is well-formed, and checking it would be most of the work."""
        live = self._objects(bucket).get(key)
        if live is not None:  # what is gone needs nothing any more
            self._store.storage.commit(bucket, key, {**live, "metadata": dict(live["metadata"]), **changes})

    def _ready(self, ready: bool) -> Json:
        reason = "KubeletReady" if ready else "NodeStatusUnknown"
        now = self.stamp()
        status = "True" if ready else "Unknown"
        return {
            "type": "Ready",
            "status": status,
            "reason": reason,
            "lastTransitionTime": now,
            "lastHeartbeatTime": now,
        }

    async def heartbeat(self, name: str) -> None:
        """Let a node that is reached say that nothing has changed."""
        if self.devices[name].reached:
            status = self._objects("nodes")["", name]["status"]
            row = {**status["conditions"][0], "lastHeartbeatTime": self.stamp()}
            self._put("nodes", ("", name), status={**status, "conditions": [row]})

    async def pods_of(self, node: str) -> list[Json]:
        """Read the pods that are to run on a node."""
        return [self._objects("pods")[self._namespace, name] for name in self._on_node[node]]

    async def let_go(self, pod: str) -> None:
        """Confirm that a pod has ended; one that nobody has asked to go is deleted by force."""
        if (self._namespace, pod) in self._objects("pods"):
            self._store.storage.commit("pods", (self._namespace, pod), None)

    async def register(self, name: str, **more: str) -> None:
        """Let a node join, with ``more`` labels than its kubelet's own."""
        live = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {**self.labels[name], **more}}}
        room = {"cpu": "12", "memory": "64Gi", "pods": "60"}
        info = {"architecture": "arm64", "operatingSystem": "linux"}
        status = {"conditions": [self._ready(True)], "allocatable": room, "capacity": room, "nodeInfo": info}
        await self._store.create({**live, "status": status}, Write(trusted=True))

    async def register_anew(self, node: str) -> None:
        """Another machine joins under this name."""
        await self._store.delete("v1", "Node", node)
        await self.register(node)
        await self.tell_node(node, ready=False)

    def _delete(self, pod: str) -> None:
        live = self._objects("pods")[self._namespace, pod]
        if not live["metadata"].get("deletionTimestamp"):
            gone = {**live["metadata"], "deletionTimestamp": self.stamp()}
            self._put("pods", (self._namespace, pod), metadata=gone)

    # ------------------------------------------------------------------------------------------ the DaemonSet controller

    def _heard(self, bucket: str, change: Change) -> None:
        meta = change.obj["metadata"]
        if bucket == "nodes" and change.kind != "DELETED":
            before = (change.before or {}).get("metadata", {}).get("labels")
            if meta.get("labels") != before:
                self._place_soon(meta["name"])
        elif bucket == "daemonsets.apps":
            self._sets.pop(meta["uid"], None)
            if change.kind != "DELETED":
                self._sets[meta["uid"]] = change.obj
            if change.before is None or change.kind == "DELETED" or change.before["spec"] != change.obj["spec"]:
                for name in self.devices:
                    self._place_soon(name)
        elif bucket == "pods":
            self._heard_pod(change)

    def _heard_pod(self, change: Change) -> None:
        meta, node = change.obj["metadata"], change.obj["spec"].get("nodeName", "")
        owner = meta["ownerReferences"][0]["uid"]
        if change.kind == "DELETED":
            self._on_node[node].pop(meta["name"], None)
            if self._pods[node].get(owner) == meta["name"]:
                del self._pods[node][owner]
                self._place_soon(node)
        elif change.kind == "ADDED":
            self._on_node[node][meta["name"]] = None
            self._pods[node][owner] = meta["name"]
            self.after(self._jitter(node, 0.1, 1.0), self.devices[node].sync)
        elif meta.get("deletionTimestamp") and not (change.before or change.obj)["metadata"].get("deletionTimestamp"):
            self.after(self._jitter(node, 1.0, 5.0), self.devices[node].sync)

    def _jitter(self, node: str, least: float, most: float) -> float:
        """Return a duration by chance; each node has its own, so that nobody's order decides another's."""
        if node not in self._chances:
            self._chances[node] = random.Random(f"life-{self._seed}-{node}")
        return self._chances[node].uniform(least, most)

    def _place_soon(self, node: str) -> None:
        if node in self._unplaced:
            return
        self._unplaced.add(node)

        async def place() -> None:
            self._unplaced.discard(node)
            await self._place(node)

        self.after(self._jitter(node, 0.1, 0.5), place)

    async def _place(self, node: str) -> None:
        live = self._objects("nodes").get(("", node))
        if live is None:
            return
        mine = dict(self._pods[node])
        for pod in [pod for uid, pod in mine.items() if uid not in self._sets]:
            self._delete(pod)
        for uid, owner in list(self._sets.items()):
            pod = mine.get(uid)
            fits = _fits(owner["spec"]["template"]["spec"], live["metadata"]["labels"])
            if pod is not None and not fits:
                self._delete(pod)
            elif pod is None and fits:
                fresh = self._pod(owner, node)
                self._store.storage.commit("pods", (self._namespace, fresh["metadata"]["name"]), fresh)
        await self._store.storage.flush()

    def _pod(self, owner: Json, node: str) -> Json:
        template, meta = owner["spec"]["template"], owner["metadata"]
        spec = {**template["spec"], "nodeName": node}
        self._made[node] += 1
        ref = {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "name": meta["name"],
            "uid": meta["uid"],
            "controller": True,
        }
        metadata = {
            "name": f"{meta['name'][:40]}-{node}-{self._made[node]}",
            "namespace": meta["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [ref],
            "finalizers": [HELD],
            "uid": f"pod-{node}-{self._made[node]}",
            "creationTimestamp": self.stamp(),
        }
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def busy(self) -> Iterator[str]:
        """Return the nodes on which something is on its way."""
        return (name for name, device in self.devices.items() if device.busy)


def _fits(spec: Json, labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or []
    return not terms or any(
        all(labels.get(row["key"]) in row["values"] for row in term["matchExpressions"]) for term in terms
    )
