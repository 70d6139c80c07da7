"""What etcd and the watch cache do: objects by key, one growing resourceVersion, bounded history, durability.

Everything is in memory and changed only on the event loop, so a read followed by a write without an `await` between them
is atomic. Changes reach SQLite in batches on a worker thread; `flush()` returns once the caller's change is on disk.
Objects in here are never mutated: a change stores a new object.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ai_platform_mcp.sandbox.kube.objects import dig, meta
from ai_platform_mcp.sandbox.kube.status import ApiError, Json, expired

Key: TypeAlias = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""

HISTORY = 10_000
"""Changes kept per kind; a watch that starts before the oldest is told 410 Expired."""
BACKLOG = 50_000
"""Changes a slow watcher may have unread before its stream is ended with 410, as the real watch cache does."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step of history: what an object was and what it became."""

    version: int
    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    key: Key
    obj: Json
    before: Json | None


class Subscription:
    """A watcher's queue of changes; ends when the watcher is too slow or the storage closes."""

    def __init__(self) -> None:
        streams = anyio.create_memory_object_stream[Change](BACKLOG)
        self._send: MemoryObjectSendStream[Change] = streams[0]
        self.changes: MemoryObjectReceiveStream[Change] = streams[1]
        self.overflowed = False

    def offer(self, change: Change) -> None:
        """Queue a change, or end the stream when the backlog is full."""
        try:
            self._send.send_nowait(change)
        except anyio.WouldBlock:
            self.overflowed = True
            self._send.close()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return

    def close(self) -> None:
        """End the stream after what is queued."""
        self._send.close()


class Bucket:
    """All objects of one kind, their sorted keys, their recent history and who is watching."""

    def __init__(self, compacted: int) -> None:
        self.objects: dict[Key, Json] = {}
        self.keys: list[Key] = []
        self.history: deque[Change] = deque()
        self.compacted = compacted
        self.watchers: set[Subscription] = set()

    def span(self, namespace: str | None, after: Key | None = None) -> list[Key]:
        """Sorted keys of one namespace (None: all), strictly after `after`."""
        low = 0 if namespace is None else bisect_left(self.keys, (namespace, ""))
        high = len(self.keys) if namespace is None else bisect_left(self.keys, (namespace + "\0", ""))
        if after is not None:
            low = max(low, bisect_left(self.keys, (after[0], after[1] + "\0")))
        return self.keys[low:high]

    def put(self, key: Key, obj: Json) -> None:
        """Set the object at a key."""
        if key not in self.objects:
            insort(self.keys, key)
        self.objects[key] = obj

    def drop(self, key: Key) -> None:
        """Forget the object at a key."""
        del self.objects[key]
        del self.keys[bisect_left(self.keys, key)]

    def record(self, change: Change) -> None:
        """Remember a change and hand it to every watcher."""
        self.history.append(change)
        while len(self.history) > HISTORY:
            self.compacted = self.history.popleft().version
        for watcher in self.watchers:
            watcher.offer(change)

    def since(self, version: int) -> list[Change]:
        """Changes after `version`; raises Expired when some of them are forgotten."""
        if version < self.compacted:
            raise expired(f"too old resource version: {version} ({self.compacted})")
        recent: list[Change] = []
        for change in reversed(self.history):
            if change.version <= version:
                break
            recent.append(change)
        return recent[::-1]

    def as_of(self, version: int) -> Bucket:
        """The objects as they were at `version`, by undoing what happened since."""
        undone = self.since(version)
        if not undone:
            return self
        past = Bucket(self.compacted)
        past.objects, past.keys = dict(self.objects), list(self.keys)
        for change in reversed(undone):
            if change.before is None:
                past.drop(change.key)
            else:
                past.put(change.key, change.before)
        return past


class Storage:
    """The one resourceVersion, the buckets, the owner index and the SQLite file behind them."""

    def __init__(self, path: Path | None) -> None:
        self.version = 0
        self.buckets: dict[str, Bucket] = {}
        self.dependents: dict[str, set[tuple[str, Key]]] = {}
        self.uids: dict[str, tuple[str, Key]] = {}
        self.settings: dict[str, str] = {}
        self.listeners: list[Callable[[str, Change], None]] = []
        self._path = path
        self._pending: list[tuple[str, Key, Json | None]] = []
        self._unsaved: dict[str, str] = {}
        self._lock = anyio.Lock()
        self._base = 0
        self._database: sqlite3.Connection | None = None

    async def load(self) -> None:
        """Open the file (when there is one) and read the world back; resourceVersion goes on from where it was."""
        rows = await anyio.to_thread.run_sync(self._open) if self._path else []
        self._base = self.version = int(self.settings.get("resource_version", "0"))
        for bucket, namespace, name, body in rows:
            obj = json.loads(body)
            self.bucket(bucket).objects[(namespace, name)] = obj
            self._index(bucket, (namespace, name), None, obj)
        for bucket in self.buckets.values():
            bucket.keys = sorted(bucket.objects)

    def bucket(self, name: str) -> Bucket:
        """The bucket of a kind, made on first use."""
        if name not in self.buckets:
            self.buckets[name] = Bucket(self._base)
        return self.buckets[name]

    def commit(self, bucket: str, key: Key, obj: Json | None) -> Json:
        """Store a new state (None: gone) under the next resourceVersion and tell whoever watches."""
        self.version += 1
        home = self.bucket(bucket)
        before = home.objects.get(key)
        if obj is None:
            assert before is not None, "only what is there can go"
            gone = before | {"metadata": meta(before) | {"resourceVersion": str(self.version)}}
            change = Change(self.version, "DELETED", key, gone, before)
            home.drop(key)
        else:
            meta(obj)["resourceVersion"] = str(self.version)
            change = Change(self.version, "MODIFIED" if before else "ADDED", key, obj, before)
            home.put(key, obj)
        self._index(bucket, key, before, obj)
        self._pending.append((bucket, key, obj))
        home.record(change)
        for listener in self.listeners:
            listener(bucket, change)
        return change.obj

    def keep(self, name: str, value: str) -> None:
        """Remember a small text (a signing key, a token table) across restarts."""
        self.settings[name] = self._unsaved[name] = value

    def _index(self, bucket: str, key: Key, before: Json | None, after: Json | None) -> None:
        for obj in (before, after):
            if obj is None:
                continue
            for owner in meta(obj).get("ownerReferences") or []:
                known = self.dependents.setdefault(owner.get("uid", ""), set())
                (known.add if obj is after else known.discard)((bucket, key))
                if not known:
                    del self.dependents[owner.get("uid", "")]
        if after is not None:
            self.uids[meta(after).get("uid", "")] = (bucket, key)
        elif before is not None:
            self.uids.pop(meta(before).get("uid", ""), None)

    def lookup(self, uid: str) -> Json | None:
        """The object that has this uid now."""
        if (where := self.uids.get(uid)) is None:
            return None
        return self.buckets[where[0]].objects.get(where[1])

    async def flush(self) -> None:
        """Return once every change made so far is on disk; concurrent callers share one transaction."""
        if self._database is None:
            self._pending.clear()
            self._unsaved.clear()
            return
        with anyio.CancelScope(shield=True):
            async with self._lock:
                if not self._pending and not self._unsaved:
                    return
                batch, self._pending = self._pending, []
                settings, self._unsaved = self._unsaved | {"resource_version": str(self.version)}, {}
                await anyio.to_thread.run_sync(self._write, batch, settings)

    async def close(self) -> None:
        """Write what is left, end every watch, let go of the file."""
        self.end_watches()
        await self.flush()
        if self._database is not None:
            await anyio.to_thread.run_sync(self._database.close)
            self._database = None

    def end_watches(self, bucket: str = "") -> None:
        """End every open watch (of one kind only where named), so that a server can stop without waiting for its clients."""
        for name, kept in self.buckets.items():
            for watcher in kept.watchers if bucket in ("", name) else ():
                watcher.close()

    def _open(self) -> list[tuple[str, str, str, bytes]]:
        assert self._path is not None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._path.chmod(0o600)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute(
            "CREATE TABLE IF NOT EXISTS objects (bucket TEXT, namespace TEXT, name TEXT, body BLOB,"
            " PRIMARY KEY (bucket, namespace, name)) WITHOUT ROWID"
        )
        database.execute("CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        self.settings = dict(database.execute("SELECT name, value FROM settings"))
        self._database = database
        return database.execute("SELECT bucket, namespace, name, body FROM objects").fetchall()

    def _write(self, batch: Iterable[tuple[str, Key, Json | None]], settings: dict[str, str]) -> None:
        database = self._database
        assert database is not None
        latest = {(bucket, *key): obj for bucket, key, obj in batch}
        gone = [where for where, obj in latest.items() if obj is None]
        kept = [(*where, json.dumps(obj, separators=(",", ":"))) for where, obj in latest.items() if obj is not None]
        database.execute("BEGIN")
        database.executemany("DELETE FROM objects WHERE bucket=? AND namespace=? AND name=?", gone)
        database.executemany("INSERT OR REPLACE INTO objects VALUES (?,?,?,?)", kept)
        database.executemany("INSERT OR REPLACE INTO settings VALUES (?,?)", list(settings.items()))
        database.execute("COMMIT")


def parse_version(text: str | None) -> int | None:
    """A resourceVersion from a client; None when it gave none."""
    if not text:
        return None
    if not text.isdigit():
        message = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ApiError(400, "BadRequest", message)
    return int(text)


def uid_of(obj: Json) -> str:
    """`metadata.uid`, or an empty text."""
    return str(dig(obj, "metadata", "uid", default=""))
