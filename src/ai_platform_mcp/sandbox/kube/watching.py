"""Watch: from a resourceVersion onward, every change that touches the selection, in order."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

import anyio

from ai_platform_mcp.sandbox.kube.conversion import converted
from ai_platform_mcp.sandbox.kube.resources import Resource
from ai_platform_mcp.sandbox.kube.selectors import Selection
from ai_platform_mcp.sandbox.kube.status import ApiError, Json, expired
from ai_platform_mcp.sandbox.kube.storage import Bucket, Change, Key, Storage, Subscription

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
BOOKMARK_EVERY = 30.0  # seconds; the real server aims at about a minute
BATCH = 100  # events that are handed on together
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
    """The events of `watch_in_batches`, one by one."""
    batches = watch_in_batches(storage, scope, since=since, initial=initial, bookmarks=bookmarks, seconds=seconds)
    async with aclosing(batches):
        async for batch in batches:
            for event in batch:
                yield event


async def watch_in_batches(
    storage: Storage,
    scope: Scope,
    *,
    since: int | None,
    initial: bool = False,
    bookmarks: bool = False,
    seconds: float | None = None,
) -> AsyncGenerator[list[Event]]:
    """Events after `since` (None or 0: what exists now comes first as ADDED), as many at once as there are (`BATCH` at most).

    `seconds` of the wall clock end it. Ends with an ERROR event (410 Expired) when the history asked for is gone or the
    reader is too slow.
    """
    bucket = storage.bucket(scope.resource.bucket)
    subscription = Subscription()
    bucket.watchers.add(subscription)
    try:
        seen = storage.version
        try:
            first = _backlog(storage, bucket, scope, since, initial)
        except ApiError as gone:
            yield [Event("ERROR", gone.status())]
            return
        for batch in first:
            yield batch
            await anyio.lowlevel.checkpoint()
        if initial:
            yield [bookmark(scope.resource, seen, end=True)]
        async for batch in _changes(storage, scope, subscription, seen, bookmarks, seconds):
            yield batch
        if subscription.overflowed:
            yield [Event("ERROR", expired("the watch fell too far behind; list again").status())]
    finally:
        bucket.watchers.discard(subscription)
        subscription.close()
        subscription.changes.close()


def _backlog(storage: Storage, bucket: Bucket, scope: Scope, since: int | None, initial: bool) -> Iterator[list[Event]]:
    """What comes first, of this moment: made batch by batch, so that a hundred thousand objects hold nobody up."""
    if not since or initial:
        keys = [key for key in bucket.span(scope.namespace) if scope.covers(key)]
        return _existing(scope, keys, dict(bucket.objects) if len(keys) > BATCH else bucket.objects)
    if since > storage.version:
        message = f"Too large resource version: {since}, current: {storage.version}"
        raise ApiError(504, "Timeout", message, retry_after=1)
    return _translated(scope, bucket.since(since))


def _existing(scope: Scope, keys: list[Key], objects: dict[Key, Json]) -> Iterator[list[Event]]:
    for start in range(0, len(keys), BATCH):
        found = (objects[key] for key in keys[start : start + BATCH])
        yield [_event("ADDED", scope, obj) for obj in found if scope.selection(obj)]


def _translated(scope: Scope, changes: list[Change]) -> Iterator[list[Event]]:
    for start in range(0, len(changes), BATCH):
        events = (translate(scope, change) for change in changes[start : start + BATCH])
        yield [event for event in events if event]


async def _changes(
    storage: Storage, scope: Scope, subscription: Subscription, seen: int, bookmarks: bool, seconds: float | None
) -> AsyncGenerator[list[Event]]:
    deadline = None if seconds is None else time.monotonic() + seconds
    next_mark = time.monotonic() + BOOKMARK_EVERY
    told = seen
    while True:
        moments = [moment for moment in (deadline, next_mark if bookmarks else None) if moment is not None]
        changes: list[Change] = []
        try:
            with anyio.move_on_after(max(0.0, min(moments) - time.monotonic()) if moments else None):
                changes.append(await subscription.changes.receive())
        except anyio.EndOfStream:
            return
        if changes:
            _take_more(subscription, changes)
            events = (translate(scope, change) for change in changes if change.version > seen)
            if batch := [event for event in events if event]:
                yield batch
            continue
        now = time.monotonic()
        if bookmarks and storage.version > told:
            told = storage.version
            yield [bookmark(scope.resource, told)]
        if deadline is not None and now >= deadline:
            return
        next_mark = now + BOOKMARK_EVERY


def _take_more(subscription: Subscription, changes: list[Change]) -> None:
    """Take what is queued already, up to a batch."""
    with contextlib.suppress(anyio.WouldBlock, anyio.EndOfStream):
        while len(changes) < BATCH:
            changes.append(subscription.changes.receive_nowait())


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
