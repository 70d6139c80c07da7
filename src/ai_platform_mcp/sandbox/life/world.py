"""What controllers share: the objects, the time, and small ways to read and write conditions."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from ai_platform_mcp.sandbox.kube.clock import Clock, parse_stamp, stamp
from ai_platform_mcp.sandbox.kube.status import ApiError
from ai_platform_mcp.sandbox.kube.store import Store

log = logging.getLogger(__name__)

Json = dict[str, Any]
PROGRESS = timedelta(seconds=1)
"""How often growing progress is written."""
RETRY = timedelta(seconds=5)
"""When to look again at what could not be dealt with."""


@dataclass(frozen=True)
class Place:
    """Where a model answers: an endpoint of a namespace, or with ``node`` that edge node."""

    model: str
    namespace: str
    target: Literal["cloud", "edge"] = "cloud"
    node: str = ""


@dataclass(frozen=True)
class Conduct:
    """How a version behaves at a place: what faults make of it.

    ``error_share`` of its requests fail (None: as many as usual), they take ``slower`` times as long, and ``differs`` is
    the share of golden inputs that are answered otherwise than expected, where a ``golden`` sidecar asks them.
    """

    error_share: float | None = None
    slower: float = 1.0
    golden: bool = False
    differs: float = 0.002


USUAL = Conduct()


class Signals(Protocol):
    """What is to be measured from now on. Controllers say all of it in every step; what nobody says any more has ended."""

    def begin(self) -> None:
        """Forget what the last step said."""
        ...

    def serves(self, place: Place, shares: Mapping[str, float], conduct: Mapping[str, Conduct] | None = None) -> None:
        """Each version's share of what the place answers, and how it behaves where that is not as usual."""
        ...

    def keeps(self, place: Place) -> None:
        """The place goes on with what it answers now."""
        ...

    def queue(self, cluster_queue: str, flavor: str, resource: str, used: int, pending: int) -> None:
        """What a queue has in use and waiting."""
        ...

    def node(self, name: str, ready: bool) -> None:
        """Whether a node is ready."""
        ...

    async def settle(self) -> None:
        """Make the measured world what was said."""
        ...


Recorder = Callable[[Json], Awaitable[None]]
"""Called with a TrainJob that has completed: writes what its training code would have logged."""


@dataclass
class World:
    """One step of life sees the world through this. ``speed`` is how many seconds of work pass in one."""

    store: Store
    clock: Clock
    speed: float
    signals: Signals
    record_run: Recorder
    due: datetime | None = None
    """When the next step is needed even if nothing changes until then; None: no work is under way."""
    stumbled: bool = False
    """Whether this step met something it could not deal with, so that what it said is not the whole."""

    def now(self) -> datetime:
        """The present moment."""
        return self.clock.now()

    def begin(self) -> None:
        """Start a step: nothing is due yet, nothing has been said."""
        self.due, self.stumbled = None, False
        self.signals.begin()

    def wake(self, moment: datetime) -> None:
        """Ask for a step at that moment."""
        self.due = moment if self.due is None else min(self.due, moment)

    def passed(self, since: str, work_seconds: float) -> bool:
        """Whether work of that length, begun at the moment ``since``, is done by now; where not, a step is due then."""
        end = parse_stamp(since) + timedelta(seconds=work_seconds / self.speed)
        if self.now() >= end:
            return True
        self.wake(end)
        return False

    def share_done(self, since: str, work_seconds: float) -> float:
        """Which share (0 to 1) of work of that length is done by now; while it grows, a step is due every second."""
        if self.passed(since, work_seconds):
            return 1.0
        self.wake(self.now() + PROGRESS)
        gone = (self.now() - parse_stamp(since)).total_seconds() * self.speed
        return max(0.0, gone / work_seconds)

    async def each(self, objects: Iterable[Json], move: Callable[[Json], Awaitable[None]]) -> None:
        """Move every object on; one that cannot be dealt with does not stop the others."""
        for obj in objects:
            try:
                await move(obj)
            except Exception:
                log.exception("%s %s is left as it is", obj["kind"], obj["metadata"]["name"])
                self.stumble()

    def stumble(self) -> None:
        """Note that something went wrong; it is tried again after a while."""
        self.stumbled = True
        self.wake(self.now() + RETRY)

    async def all(self, api_version: str, kind: str, labels: str = "") -> list[Json]:
        """Every object of a kind."""
        return (await self.store.list(api_version, kind, labels=labels)).items

    async def status(self, obj: Json, status: Json) -> bool:
        """Write an object's status if it differs, and tell whether it is so now.

        A conflict means that someone was quicker; the next step sees what they did.
        """
        if obj.get("status") == status:
            return True
        try:
            await self.store.update_status({**obj, "status": status})
        except ApiError as problem:
            log.debug("status of %s not written: %s", obj["metadata"]["name"], problem)
            return False
        return True

    async def make(self, obj: Json) -> None:
        """Create an object unless it is there already; a status goes by its own subresource, as the API server wants it."""
        try:
            made = await self.store.create(obj)
            if "status" in obj:
                await self.store.update_status({**made, "status": obj["status"]})
        except ApiError as problem:
            log.debug("%s %s not created: %s", obj["kind"], obj["metadata"].get("name"), problem)

    async def remove(self, obj: Json) -> None:
        """Delete an object unless it is gone already."""
        meta = obj["metadata"]
        try:
            await self.store.delete(obj["apiVersion"], obj["kind"], meta["name"], meta.get("namespace", ""))
        except ApiError as problem:
            log.debug("%s not deleted: %s", meta["name"], problem)

    async def patch(self, obj: Json, body: Json) -> bool:
        """Merge-patch an object and tell whether that went well; if it is gone, there is nothing to change."""
        meta = obj["metadata"]
        try:
            await self.store.patch(obj["apiVersion"], obj["kind"], meta["name"], body, meta.get("namespace", ""))
        except ApiError as problem:
            log.debug("%s not patched: %s", meta["name"], problem)
            return False
        return True


def condition(obj: Json, kind: str) -> Json | None:
    """The condition of that type, None where there is none."""
    rows: Sequence[Json] = (obj.get("status") or {}).get("conditions") or []
    return next((row for row in rows if row["type"] == kind), None)


def holds(obj: Json, kind: str) -> bool:
    """Whether the condition is there and True."""
    row = condition(obj, kind)
    return row is not None and row["status"] == "True"


def with_condition(status: Json, kind: str, value: bool | None, reason: str, message: str, now: datetime) -> Json:
    """Return the status with the condition set; its transition time moves only when its value does."""
    text = "Unknown" if value is None else str(value)
    rows: list[Json] = list(status.get("conditions") or [])
    old = next((row for row in rows if row["type"] == kind), None)
    since = old["lastTransitionTime"] if old and old["status"] == text else stamp(now)
    row = {"type": kind, "status": text, "reason": reason, "message": message, "lastTransitionTime": since}
    if old is None:
        rows.append(row)
    else:
        rows[rows.index(old)] = {**old, **row}
    return {**status, "conditions": rows}


def owner(obj: Json) -> Json:
    """An owner reference to ``obj`` as its controller."""
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned_by(obj: Json, parent: Json) -> bool:
    """Whether ``parent`` is among the owners of ``obj``."""
    return any(row["uid"] == parent["metadata"]["uid"] for row in obj["metadata"].get("ownerReferences") or [])


def labels_of(obj: Json) -> dict[str, str]:
    """The labels of an object."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Json) -> dict[str, str]:
    """The annotations of an object."""
    return obj["metadata"].get("annotations") or {}
