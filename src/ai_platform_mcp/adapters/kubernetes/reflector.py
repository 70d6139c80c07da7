"""One kind of one cluster, kept current: read once, watch, resume, and read again when the server forgot where we were."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

import anyio

from ai_platform_mcp.adapters.kubernetes.discovery import Discovery, Resource
from ai_platform_mcp.adapters.kubernetes.failures import HistoryExpired, Unauthenticated
from ai_platform_mcp.adapters.kubernetes.keeping import Keeper, key_of
from ai_platform_mcp.adapters.kubernetes.reader import read_event, watch_request
from ai_platform_mcp.adapters.kubernetes.transport import Request, Transport
from ai_platform_mcp.adapters.kubernetes.wire import Unsent
from ai_platform_mcp.core.errors import CapabilityMissing, Forbidden, PlatformError, Rejected
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.objects import annotations_of, metadata_of, rows

_log = logging.getLogger(__name__)
_PAGE = 100
"""A page is decoded in one go: with nodes of 15 kB this many hold up everything else for about 10 ms."""
_WATCH_SECONDS = 280.0
"""The server ends each watch after about this long; client-go asks for 5 to 10 minutes."""
_IDLE_SECONDS = 90.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_MISSING_WAIT = 60.0
_STUMBLES = 3
"""Failures in a row, without an event between them, after which everything is read again."""
_SLICE_SECONDS = 0.0005
"""Work on objects gives way to everything else after this long: an answer takes a dozen turns of the loop, and each turn has one
slice of every kind that is being read."""
_INITIAL_END = "k8s.io/initial-events-end"


@dataclass(frozen=True)
class Watched:
    """A kind to keep, with the versions of its API in order of preference, and which of its objects (selectors)."""

    kind: str
    versions: tuple[str, ...]
    fields: str = ""
    labels: str = ""
    optional: bool = False
    """Whether most clusters do without it, so that answers need not say that it is missing."""

    @property
    def name(self) -> str:
        """The preferred form as ``group/version/Kind`` (``v1/Pod`` for the core group)."""
        return f"{self.versions[0]}/{self.kind}"


class Reflector:
    """Feeds one kind to its keeper. ``run`` never returns; everything else reads where it has come to.

    ``streams`` tells whether the server sends what exists as events (``sendInitialEvents``); else it is listed in pages.
    Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists
    """

    def __init__(
        self,
        cluster: str,
        watched: Watched,
        keeper: Keeper,
        transport: Transport,
        discovery: Discovery,
        streams: Callable[[], Awaitable[bool]],
    ):
        self.watched = watched
        self.complete = False
        """Everything has been read once: before that, what the keeper has is only a part."""
        self.read = 0
        """Objects of the reading that is under way, 0 where none is."""
        self.missing = False
        """The cluster does not serve this kind."""
        self.forbidden = False
        """The cluster does not let us list this kind."""
        self.current = False
        """A watch is open after a complete reading."""
        self.confirmed_at: float | None = None
        """Monotonic time at which the objects were last known to be current."""
        self.problem = ""
        self.settled = anyio.Event()
        """Set once the first attempt has ended, well or not."""
        self._keeper = keeper
        self._cluster = cluster
        self._transport = transport
        self._discovery = discovery
        self._streams = streams
        self._wake = anyio.Event()
        self._tried_at = 0.0
        self._version = ""
        """Where to take up the watch; empty where everything must be read (again)."""
        self._stumbles = 0
        self._refused_to_stream = False
        self._breathed_at = 0.0

    def poke(self) -> None:
        """End a pause between attempts, at most once a second: somebody is asking."""
        if not self.current and self.settled.is_set() and time.monotonic() - self._tried_at > 1.0:
            self.settled = anyio.Event()
            self._wake.set()

    def confirm(self) -> None:
        """Note that what is kept is current as of now."""
        self.confirmed_at = time.monotonic()

    async def run(self) -> None:
        """Keep the objects current until cancelled."""
        pause = _FIRST_WAIT
        while True:
            self._tried_at = time.monotonic()
            try:
                pause = await self._attempt(pause)
            except Exception:  # a defect in reading one kind must not silence the others, nor stop this one for good
                _log.exception("keeping %s of cluster %s current failed", self.watched.kind, self._cluster)
                self._version = ""
                self._fail("An internal defect interrupted the watch; the log has it.")
            if self.confirmed_at is not None and self.confirmed_at > self._tried_at and not self.missing:
                pause = _FIRST_WAIT  # it worked for a while, so this is a fresh failure
            await self._pause(pause)
            pause = min(_LONGEST_WAIT, pause * 2)

    async def _attempt(self, pause: float) -> float:
        """Follow until something ends it, and return how long to wait before the next attempt."""
        resource = None
        try:
            resource = await self._resource()
            if resource is None:
                self._absent()
                return _MISSING_WAIT
            await self._follow(resource)
        except HistoryExpired:
            self._version = ""
            self._fail("")
        except CapabilityMissing:
            return await self._look_again(resource, pause)
        except Unauthenticated as failure:
            self._stumble(failure)  # not a matter of rights: nothing is hidden from us, and new credentials help
        except Forbidden as refusal:
            self.forbidden = True
            self._fail(refusal.message)
            return _MISSING_WAIT
        except PlatformError as failure:
            self._stumble(failure)
        return pause

    async def _look_again(self, gone: Resource | None, pause: float) -> float:
        """What we read is no longer served: the kind moved to another version, or its API was removed."""
        self._discovery.forget(self._cluster)
        self._version = ""
        try:
            found = await self._resource()
        except PlatformError as failure:
            self._stumble(failure)
            return pause
        if found is None or found == gone:
            self._absent()
            return _MISSING_WAIT
        self._fail("")
        return _FIRST_WAIT

    def _stumble(self, failure: PlatformError) -> None:
        """Take up the watch where it broke; read again where the server knows no such point, or it keeps breaking there."""
        if not isinstance(failure.__cause__, Unsent):
            self._stumbles += 1
        if self._stumbles >= _STUMBLES or "Too large resource version" in failure.cause:
            self._version, self._stumbles = "", 0
        self._fail(f"{failure.message} {failure.cause}".strip())

    async def _pause(self, seconds: float) -> None:
        self._wake = anyio.Event()
        with anyio.move_on_after(seconds * random.uniform(0.5, 1.0)):  # noqa: S311 (spreading load, not secrets)
            await self._wake.wait()

    def _fail(self, problem: str) -> None:
        self.current = False
        self.problem = problem
        self.read = 0
        self.settled.set()

    def _absent(self) -> None:
        self.missing, self.forbidden, self.complete = True, False, False
        self._version = ""
        for key in list(self._keeper.known()):
            self._keeper.drop(key)
        self.confirm()
        self._fail("")

    async def _resource(self) -> Resource | None:
        for version in self.watched.versions:
            found = await self._discovery.find(self._cluster, version, self.watched.kind)
            if found is not None:
                return found
        return None

    async def _follow(self, resource: Resource) -> None:
        if not self._version and not (await self._stream(resource) if await self._may_stream() else False):
            self._version = await self._list(resource)
        while True:
            # A watch that the server ended in good order goes on where it stopped, without a gap.
            async with self._open(self._watch(resource)) as events:
                self._is_current()
                async for event in events:
                    self._version = await self._take(event) or self._version

    def _is_current(self) -> None:
        self.current, self.complete, self.problem, self.read = True, True, "", 0
        self.missing = self.forbidden = False
        self.confirm()
        self.settled.set()

    def _watch(self, resource: Resource) -> Request:
        seconds = _WATCH_SECONDS * random.uniform(0.8, 1.0)  # noqa: S311 (spreading load, not secrets)
        request = watch_request(resource, None, self.watched.fields, self._version, seconds)
        labels = (("labelSelector", self.watched.labels),) if self.watched.labels else ()
        return replace(request, query=(*request.query, *labels))

    def _open(self, request: Request) -> AbstractAsyncContextManager[AsyncIterator[type_json]]:
        return self._transport.watch(self._cluster, request, idle_seconds=_IDLE_SECONDS)

    # --- reading everything -----------------------------------------------------------------------------------------

    async def _may_stream(self) -> bool:
        return not self._refused_to_stream and await self._streams()

    async def _stream(self, resource: Resource) -> bool:
        """Read what exists as events and go on watching; False where the server refuses to stream."""
        request = self._watch(resource)
        initial = (("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan"))
        request = replace(request, query=(*request.query, *initial))
        seen: set[str] | None = set()
        try:
            async with self._open(request) as events:
                async for event in events:
                    version = await self._take(event, seen)
                    if seen is not None and _ends_the_initial(event):
                        await self._forget_all_but(seen)
                        seen = None
                        self._version = version
                        self._is_current()
                    elif seen is None:
                        self._version = version or self._version
        except Rejected:
            self._refused_to_stream = True
            return False
        return bool(self._version)

    async def _list(self, resource: Resource) -> str:
        """Read everything in pages and return the version it is of. What was kept before stays until the last page."""
        seen: set[str] = set()
        token = ""
        selectors = (("fieldSelector", self.watched.fields), ("labelSelector", self.watched.labels))
        fields = tuple((name, text) for name, text in selectors if text)
        while True:
            query = (("limit", str(_PAGE)), *fields, *((("continue", token),) if token else ()))
            request = Request("GET", resource.path(), f"list {resource.plural}", query=query, once=True)
            answer = await self._transport.call(self._cluster, request)
            for item in rows(answer.body, "items"):
                await self._put({"apiVersion": resource.api_version, "kind": resource.kind, **item}, seen)
            meta = metadata_of(answer.body)
            token = str(meta.get("continue") or "")
            if not token:
                await self._forget_all_but(seen)
                return str(meta.get("resourceVersion") or "")

    async def _forget_all_but(self, seen: set[str]) -> None:
        for key in [key for key in self._keeper.known() if key not in seen]:
            self._keeper.drop(key)
            await self._breathe()
        self.complete = True
        self.confirm()

    # --- one object at a time ---------------------------------------------------------------------------------------

    async def _take(self, event: type_json, seen: set[str] | None = None) -> str:
        """Pass an event on and return the version it takes us to."""
        live, version = read_event(event)
        if live is not None and event.get("type") == "DELETED":
            self._keeper.drop(key_of(live))
        elif live is not None:
            await self._put(live, seen)
        if seen is None:
            self._stumbles = 0
            self.confirm()
        return version

    async def _put(self, live: type_json, seen: set[str] | None) -> None:
        key = key_of(live)
        self._keeper.put(key, live)
        if seen is not None:
            seen.add(key)
            self.read += 1
        await self._breathe()

    async def _breathe(self) -> None:
        """Let others go on: events that arrived together, and the items of a page, are otherwise worked off in one go."""
        now = time.perf_counter()
        if now - self._breathed_at > _SLICE_SECONDS:
            await anyio.lowlevel.checkpoint()
            self._breathed_at = time.perf_counter()


def _ends_the_initial(event: type_json) -> bool:
    return event.get("type") == "BOOKMARK" and annotations_of(event.get("object") or {}).get(_INITIAL_END) == "true"
