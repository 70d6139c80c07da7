"""A pod as its node runs it, and what its node tells the API server of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
CRASHED, GONE, DIFFERS = 1, 255, 3
THROTTLED = "failed to pull and unpack image: 429 Too Many Requests - toomanyrequests: rate limit exceeded"
State = Literal["waiting", "pulling", "held", "starting", "ready", "differs", "crashing", "ended"]


@dataclass
class Copy:
    """One pod on one node. What is in here is so, whatever the API server was told last."""

    name: str
    uid: str
    version: str
    image: str
    serves: bool
    """Whether it serves the model; a prepull pod only fetches its image."""
    spec: Json
    state: State = "waiting"
    begun: str = ""
    """When its container began to run, as the kubelet writes it."""
    ended: Json = field(default_factory=dict[str, Any])
    """How its container ended last, as its kubelet tells it."""
    restarts: int = 0
    tries: int = 0
    turn: int = 0
    """Counts what has happened to it: what was planned in an earlier turn does not happen any more."""
    told_ready: bool | None = None
    changed: str = ""
    """When readiness last changed in what was told."""
    told: Json = field(default_factory=dict[str, Any])

    @property
    def alive(self) -> bool:
        """Whether its container runs."""
        return self.state in ("starting", "ready", "differs")


def ended(copy: Copy, now: str, *, crashed: bool) -> Json:
    """Return how a container ended: by itself, or found gone by its runtime after the node was (containerd's words)."""
    how = {"exitCode": CRASHED, "reason": "Error"} if crashed else {"exitCode": GONE, "reason": "Unknown"}
    return {**how, "startedAt": copy.begun, "finishedAt": now}


def told(copy: Copy, now: str) -> Json:
    """Return the pod's status as its kubelet reports it now."""
    status: Json = {"phase": "Running" if copy.begun else "Pending"}
    status["conditions"] = _conditions(copy, copy.state == "ready", now)
    status["containerStatuses"] = [_container(row, copy) for row in copy.spec["containers"]]
    first = [_golden(row, copy) for row in copy.spec.get("initContainers") or [] if row["name"] == "golden"]
    copy.told = {**status, "initContainerStatuses": first} if first else status
    return copy.told


def lost(copy: Copy, now: str) -> Json:
    """Return the pod's status after its node has been silent for too long: as it was told last, and not ready."""
    copy.told = {**copy.told, "conditions": _conditions(copy, False, now)}
    return copy.told


def _conditions(copy: Copy, ready: bool, now: str) -> list[Json]:
    if ready != copy.told_ready:
        copy.told_ready, copy.changed = ready, now
    return [
        {"type": kind, "status": "True", "lastTransitionTime": copy.changed} for kind in ("PodScheduled", "Initialized")
    ] + [
        {"type": kind, "status": "True" if ready else "False", "lastTransitionTime": copy.changed}
        for kind in ("ContainersReady", "Ready")
    ]


def _container(row: Json, copy: Copy) -> Json:
    image = row.get("image", "")
    found: Json = {
        "name": row["name"],
        "image": image,
        "imageID": image if copy.begun else "",
        "ready": copy.state == "ready",
        "started": copy.alive,
        "restartCount": copy.restarts,
        "state": _state(copy),
    }
    if copy.ended:
        found["lastState"] = {"terminated": copy.ended}
    return found


def _state(copy: Copy) -> Json:
    if copy.alive:
        return {"running": {"startedAt": copy.begun}}
    if copy.state == "crashing":
        return {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
    if copy.state == "held":
        return {"waiting": {"reason": "ErrImagePull" if copy.tries < 2 else "ImagePullBackOff", "message": THROTTLED}}
    return {"waiting": {"reason": "ContainerCreating"}}


def _golden(row: Json, copy: Copy) -> Json:
    found: Json = {"name": "golden", "image": row.get("image", ""), "imageID": "", "restartCount": 0}
    if copy.state == "differs":
        ended = {
            "exitCode": DIFFERS,
            "reason": "Error",
            "message": '{"agreement_percent": 41, "min_agreement_percent": 99}',
        }
        return {**found, "ready": False, "state": {"terminated": ended}}
    state = {"running": {"startedAt": copy.begun}} if copy.alive else {"waiting": {"reason": "PodInitializing"}}
    return {**found, "ready": copy.state == "ready", "started": copy.alive, "state": state}
