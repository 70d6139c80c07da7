"""One kind of one cluster, kept current: list, watch, resume, and list again when the server forgot where we were."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import anyio

from ai_platform_mcp.adapters.kubernetes.discovery import Discovery, Resource
from ai_platform_mcp.adapters.kubernetes.failures import HistoryExpired
from ai_platform_mcp.adapters.kubernetes.mapping import slim
from ai_platform_mcp.adapters.kubernetes.reader import read_event, watch_request
from ai_platform_mcp.adapters.kubernetes.transport import Request, Transport
from ai_platform_mcp.core.errors import CapabilityMissing, Forbidden, PlatformError
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.objects import metadata_of, rows

_log = logging.getLogger(__name__)
_PAGE = 250
_WATCH_SECONDS = 280.0
"""The server ends each watch after about this long; client-go asks for 5 to 10 minutes."""
_IDLE_SECONDS = 90.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_MISSING_WAIT = 60.0


@dataclass(frozen=True)
class Watched:
    """A kind to keep, with the versions of its API in order of preference."""

    kind: str
    versions: tuple[str, ...]

    @property
    def name(self) -> str:
        """The preferred form as ``group/version/Kind``."""
        return f"{self.versions[0]}/{self.kind}"


class Reflector:
    """The objects of one kind. ``run`` never returns; everything else reads what it keeps."""

    def __init__(self, cluster: str, watched: Watched, transport: Transport, discovery: Discovery):
        self.watched = watched
        self.objects: dict[tuple[str, str], type_json] = {}
        self.revision = 0
        """Counts changes, so that readers know when to build their rows anew."""
        self.missing = False
        """The cluster does not serve this kind."""
        self.forbidden = False
        """The cluster does not let us list this kind."""
        self.current = False
        """A watch is open after a complete list."""
        self.confirmed_at: float | None = None
        """Monotonic time at which the objects were last known to be current."""
        self.problem = ""
        self.settled = anyio.Event()
        """Set once the first attempt has ended, well or not."""
        self._cluster = cluster
        self._transport = transport
        self._discovery = discovery
        self._wake = anyio.Event()
        self._tried_at = 0.0

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
                resource = await self._resource()
                await self._follow(resource)
                pause = _FIRST_WAIT
            except HistoryExpired:
                self._fail("")
            except CapabilityMissing:
                self._absent()
                pause = _MISSING_WAIT
            except Forbidden as refusal:
                self.forbidden = True
                self._fail(refusal.message)
                pause = _MISSING_WAIT
            except PlatformError as failure:
                self._fail(f"{failure.message} {failure.cause}".strip())
            except Exception:  # a defect in reading one kind must not silence the others, nor stop this one for good
                _log.exception("keeping %s of cluster %s current failed", self.watched.kind, self._cluster)
                self._fail("An internal defect interrupted the watch; the log has it.")
            if self.confirmed_at is not None and self.confirmed_at > self._tried_at and not self.missing:
                pause = _FIRST_WAIT  # it worked for a while, so this is a fresh failure
            await self._pause(pause)
            pause = min(_LONGEST_WAIT, pause * 2)

    async def _pause(self, seconds: float) -> None:
        self._wake = anyio.Event()
        with anyio.move_on_after(seconds * random.uniform(0.5, 1.0)):  # noqa: S311 (spreading load, not secrets)
            await self._wake.wait()

    def _fail(self, problem: str) -> None:
        self.current = False
        self.problem = problem
        self.settled.set()

    def _absent(self) -> None:
        self.missing, self.forbidden = True, False
        if self.objects:
            self.objects = {}
            self.revision += 1
        self.confirm()
        self._fail("")

    async def _resource(self) -> Resource:
        for version in self.watched.versions:
            found = await self._discovery.find(self._cluster, version, self.watched.kind)
            if found is not None:
                return found
        raise CapabilityMissing(f"{self.watched.kind} is not served.")

    async def _follow(self, resource: Resource) -> None:
        version = await self._list(resource)
        while True:
            request = watch_request(resource, None, "", version, _WATCH_SECONDS * random.uniform(0.8, 1.0))  # noqa: S311
            async with self._transport.watch(self._cluster, request, idle_seconds=_IDLE_SECONDS) as events:
                self.current, self.problem = True, ""
                self.missing = self.forbidden = False
                self.confirm()
                self.settled.set()
                async for event in events:
                    version = self._take(event) or version
            # A watch that the server ended in good order goes on where it stopped, without a gap.

    async def _list(self, resource: Resource) -> str:
        found: dict[tuple[str, str], type_json] = {}
        token = ""
        while True:
            query = (("limit", str(_PAGE)), *((("continue", token),) if token else ()))
            request = Request("GET", resource.path(), f"list {resource.plural}", query=query, once=True)
            try:
                answer = await self._transport.call(self._cluster, request)
            except CapabilityMissing:
                self._discovery.forget(self._cluster)
                raise
            for item in rows(answer.body, "items"):
                kept = slim(resource.kind, {"apiVersion": resource.api_version, "kind": resource.kind, **item})
                found[_key(kept)] = kept
            meta = metadata_of(answer.body)
            token = str(meta.get("continue") or "")
            if not token:
                self.objects = found
                self.revision += 1
                self.confirm()
                return str(meta.get("resourceVersion") or "")

    def _take(self, event: type_json) -> str:
        live, version = read_event(event)
        if live is not None:
            if event.get("type") == "DELETED":
                self.objects.pop(_key(live), None)
            else:
                self.objects[_key(live)] = slim(self.watched.kind, live)
            self.revision += 1
        self.confirm()
        return version

    def __iter__(self) -> Iterator[type_json]:
        return iter(self.objects.values())


def _key(live: type_json) -> tuple[str, str]:
    meta = metadata_of(live)
    return str(meta.get("namespace") or ""), str(meta.get("name") or "")
