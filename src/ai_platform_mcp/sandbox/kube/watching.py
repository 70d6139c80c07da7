"""Watch: from a resourceVersion onward, every change that touches the selection, in order."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from ai_platform_mcp.sandbox.kube.conversion import converted
from ai_platform_mcp.sandbox.kube.resources import Resource
from ai_platform_mcp.sandbox.kube.selectors import Selection
from ai_platform_mcp.sandbox.kube.status import ApiError, Json, expired
from ai_platform_mcp.sandbox.kube.storage import Bucket, Change, Storage, Subscription

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
BOOKMARK_EVERY = 30.0  # seconds; the real server aims at about a minute
INITIAL_END = "k8s.io/initial-events-end"


@dataclass(frozen=True)
class Event:
    """One line of a watch; `obj` is shared and not to be changed."""

    type: EventType
    obj: Json


@dataclass(frozen=True)
class Scope:
    """Which changes a watch or list is about."""

    resource: Resource
    namespace: str | None
    selection: Selection

    def covers(self, key: tuple[str, str]) -> bool:
        """Whether a key can be selected at all."""
        if self.namespace is not None and key[0] != self.namespace:
            return False
        return self.selection.name is None or key[1] == self.selection.name


async def watch(
    storage: Storage,
    scope: Scope,
    *,
    since: int | None,
    initial: bool = False,
    bookmarks: bool = False,
    seconds: float | None = None,
) -> AsyncIterator[Event]:
    """Events after `since` (None or 0: what exists now comes first as ADDED). `seconds` of the wall clock end it.

    Ends with an ERROR event (410 Expired) when the history asked for is gone or the reader is too slow.
    """
    bucket = storage.bucket(scope.resource.bucket)
    subscription = Subscription()
    bucket.watchers.add(subscription)
    try:
        seen = storage.version
        try:
            first, seen = _backlog(storage, bucket, scope, since, initial)
        except ApiError as gone:
            yield Event("ERROR", gone.status())
            return
        for event in first:
            yield event
        if initial:
            yield bookmark(scope.resource, seen, end=True)
        async for event in _changes(storage, scope, subscription, seen, bookmarks, seconds):
            yield event
        if subscription.overflowed:
            yield Event("ERROR", expired("the watch fell too far behind; list again").status())
    finally:
        bucket.watchers.discard(subscription)
        subscription.close()
        subscription.changes.close()


def _backlog(
    storage: Storage, bucket: Bucket, scope: Scope, since: int | None, initial: bool
) -> tuple[list[Event], int]:
    if not since or initial:
        keys = (key for key in bucket.span(scope.namespace) if scope.covers(key))
        found = [bucket.objects[key] for key in keys if scope.selection(bucket.objects[key])]
        return [_event("ADDED", scope, obj) for obj in found], storage.version
    if since > storage.version:
        message = f"Too large resource version: {since}, current: {storage.version}"
        raise ApiError(504, "Timeout", message, retry_after=1)
    found_events = (translate(scope, change) for change in bucket.since(since))
    return [event for event in found_events if event], storage.version


async def _changes(
    storage: Storage, scope: Scope, subscription: Subscription, seen: int, bookmarks: bool, seconds: float | None
) -> AsyncIterator[Event]:
    deadline = None if seconds is None else time.monotonic() + seconds
    next_mark = time.monotonic() + BOOKMARK_EVERY
    told = seen
    while True:
        moments = [moment for moment in (deadline, next_mark if bookmarks else None) if moment is not None]
        change: Change | None = None
        try:
            with anyio.move_on_after(max(0.0, min(moments) - time.monotonic()) if moments else None):
                change = await subscription.changes.receive()
        except anyio.EndOfStream:
            return
        if change is None:
            now = time.monotonic()
            if bookmarks and storage.version > told:
                told = storage.version
                yield bookmark(scope.resource, told)
            if deadline is not None and now >= deadline:
                return
            next_mark = now + BOOKMARK_EVERY
        elif change.version > seen and (event := translate(scope, change)):
            yield event


def translate(scope: Scope, change: Change) -> Event | None:
    """A change as this scope sees it: an object that leaves the selection is DELETED, one that enters ADDED."""
    if not scope.covers(change.key):
        return None
    now = change.kind != "DELETED" and scope.selection(change.obj)
    before = change.before is not None and scope.selection(change.before)
    if now:
        return _event("MODIFIED" if before else "ADDED", scope, change.obj)
    if not before:
        return None
    if change.kind == "DELETED" or change.before is None:
        return _event("DELETED", scope, change.obj)
    metadata: Any = change.before["metadata"] | {"resourceVersion": str(change.version)}
    return _event("DELETED", scope, change.before | {"metadata": metadata})


def _event(kind: EventType, scope: Scope, obj: Json) -> Event:
    return Event(kind, converted(scope.resource.bucket, obj, scope.resource.api_version))


def bookmark(resource: Resource, version: int, *, end: bool = False) -> Event:
    """Says how far the stream has come; `end` closes the initial events of a streaming list."""
    metadata: Json = {"resourceVersion": str(version), "creationTimestamp": None}
    if end:
        metadata["annotations"] = {INITIAL_END: "true"}
    return Event("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata})
