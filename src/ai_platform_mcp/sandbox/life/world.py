"""What controllers share: the objects, the time, and small ways to read and write conditions."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from ai_platform_mcp.sandbox.kube.clock import Clock, parse_stamp, stamp
from ai_platform_mcp.sandbox.kube.status import ApiError
from ai_platform_mcp.sandbox.kube.store import Store

log = logging.getLogger(__name__)

Json = dict[str, Any]


class Signals(Protocol):
    """Where controllers say what is measured from now on. Implemented over the metrics world."""

    def traffic(self, model: str, namespace: str, target: str, place: str, shares: dict[str, float]) -> None:
        """What a model answers at a place (a region, or an edge node) from now on: each version's share of it."""
        ...

    def queue(self, cluster_queue: str, flavor: str, resource: str, used: int, pending: int) -> None:
        """What a queue has in use and waiting."""
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

    def now(self) -> datetime:
        """The present moment."""
        return self.clock.now()

    def passed(self, since: str, work_seconds: float) -> bool:
        """Whether work of that length, begun at the moment ``since``, is done by now."""
        return self.now() >= parse_stamp(since) + timedelta(seconds=work_seconds / self.speed)

    def share_done(self, since: str, work_seconds: float) -> float:
        """Which share (0 to 1) of work of that length is done by now."""
        if work_seconds <= 0:
            return 1.0
        gone = (self.now() - parse_stamp(since)).total_seconds() * self.speed
        return max(0.0, min(1.0, gone / work_seconds))

    async def all(self, api_version: str, kind: str, labels: str = "") -> list[Json]:
        """Every object of a kind."""
        return (await self.store.list(api_version, kind, labels=labels)).items

    async def status(self, obj: Json, status: Json) -> None:
        """Write an object's status if it differs; a conflict means that someone was quicker, and the next step sees it."""
        if obj.get("status") == status:
            return
        try:
            await self.store.update_status({**obj, "status": status})
        except ApiError as problem:
            log.debug("status of %s not written: %s", obj["metadata"]["name"], problem)

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

    async def patch(self, obj: Json, body: Json) -> None:
        """Merge-patch an object; if it is gone, there is nothing to change."""
        meta = obj["metadata"]
        try:
            await self.store.patch(obj["apiVersion"], obj["kind"], meta["name"], body, meta.get("namespace", ""))
        except ApiError as problem:
            log.debug("%s not patched: %s", meta["name"], problem)


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
