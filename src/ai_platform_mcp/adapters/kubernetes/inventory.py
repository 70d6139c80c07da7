"""What every cluster has, from memory: watches keep it current, and every answer says how old it is.

A cluster's watches start when it is first asked about. One cluster's trouble never reaches another: each has its own feed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import time
from dataclasses import dataclass, field

import anyio

from ai_platform_mcp.adapters.kubernetes import mapping
from ai_platform_mcp.adapters.kubernetes.discovery import Discovery
from ai_platform_mcp.adapters.kubernetes.reflector import Reflector, Watched
from ai_platform_mcp.adapters.kubernetes.transport import Request, Transport
from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.ports import Clock
from ai_platform_mcp.core.rows import ClusterInfo, Inventory
from ai_platform_mcp.domain.objects import metadata_of

_KUEUE = ("kueue.x-k8s.io/v1beta2", "kueue.x-k8s.io/v1beta1")
WATCHED = (
    Watched("Node", ("v1",)),
    Watched("Namespace", ("v1",)),
    Watched("ClusterQueue", _KUEUE),
    Watched("LocalQueue", _KUEUE),
    Watched("ResourceFlavor", _KUEUE),
    Watched("Workload", _KUEUE),
    Watched("InferenceService", ("serving.kserve.io/v1beta1",)),
    Watched("LLMInferenceService", ("serving.kserve.io/v1alpha2", "serving.kserve.io/v1alpha1")),
    Watched("EdgeRollout", ("edge.aiplatform.dev/v1alpha1",)),
)
_PROBE_SECONDS = 2.0
"""An answer confirmed less than this long ago is given without asking the server whether it is there."""


@dataclass
class _Feed:
    """The watches of one cluster and the rows that were last built from them."""

    info: ClusterInfo
    reflectors: dict[str, Reflector]
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    built: tuple[int, Inventory] | None = None
    probing: anyio.Lock = field(default_factory=anyio.Lock)

    def revision(self) -> int:
        return sum(reflector.revision for reflector in self.reflectors.values())

    def kept(self) -> list[Reflector]:
        """Return the reflectors of kinds that the cluster serves and shows us."""
        return [row for row in self.reflectors.values() if not (row.missing or row.forbidden)]


class InventoryCache:
    """The ``InventoryReader`` of ``core.ports``.

    ``sync_seconds`` bounds the wait of a cluster's first caller, ``ask_seconds`` that of every later one.
    """

    def __init__(
        self,
        transport: Transport,
        discovery: Discovery,
        clock: Clock,
        *,
        sync_seconds: float = 5.0,
        ask_seconds: float = 1.0,
    ):
        self._transport = transport
        self._discovery = discovery
        self._clock = clock
        self._sync_seconds = sync_seconds
        self._ask_seconds = ask_seconds
        self._feeds: dict[str, _Feed] = {}

    async def inventory(self, cluster: str) -> Inventory:
        """Return the cached state with its age. A dead cluster is an answer, not an error.

        Raises:
            InvalidInput: no cluster of this name is configured.
        """
        info = self._transport.connections.config(cluster).info
        feed = self._feeds.get(cluster)
        seconds = self._ask_seconds
        if feed is None:
            feed, seconds = self._start(info), self._sync_seconds
        with anyio.move_on_after(seconds):
            await self._refresh(feed)
        return self._answer(feed)

    async def aclose(self) -> None:
        """Stop every watch."""
        tasks = [task for feed in self._feeds.values() for task in feed.tasks]
        self._feeds.clear()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, info: ClusterInfo) -> _Feed:
        reflectors = {
            watched.kind: Reflector(info.name, watched, self._transport, self._discovery) for watched in WATCHED
        }
        feed = self._feeds[info.name] = _Feed(info, reflectors)
        for reflector in reflectors.values():
            # A context of their own: the caller's permit, impersonation and deadline must not live on in a watch.
            feed.tasks.append(asyncio.create_task(reflector.run(), context=contextvars.Context()))
        return feed

    async def _refresh(self, feed: _Feed) -> None:
        """Wait for first attempts, wake what pauses after a failure, and confirm what has been quiet for a while."""
        for reflector in feed.reflectors.values():
            reflector.poke()
        for reflector in feed.reflectors.values():
            await reflector.settled.wait()
        async with feed.probing:
            oldest = min((row.confirmed_at or 0.0 for row in feed.kept()), default=0.0)
            if time.monotonic() - oldest < _PROBE_SECONDS or not any(row.current for row in feed.kept()):
                return
            try:
                request = Request("GET", "/version", "tell its version", once=True)
                await self._transport.call(feed.info.name, request, seconds=self._ask_seconds)
            except PlatformError:
                return  # nothing is confirmed, so the age says it
            for row in feed.kept():
                if row.current:
                    row.confirm()

    def _answer(self, feed: _Feed) -> Inventory:
        revision = feed.revision()
        if feed.built is None or feed.built[0] != revision:
            feed.built = (revision, self._build(feed))
        kept = feed.kept()
        oldest = min((row.confirmed_at or 0.0 for row in kept), default=0.0)
        never = any(row.confirmed_at is None for row in kept)
        age = 0 if never else int(time.monotonic() - oldest)
        behind = [row for row in kept if not row.current]
        stale = bool(behind) or age > _PROBE_SECONDS + self._ask_seconds
        return feed.built[1].model_copy(
            update={
                "as_of": self._clock.now(),
                "age_seconds": age,
                "stale": stale,
                "problem": _problem(feed, behind, age if stale else 0),
                "missing": tuple(row.watched.name for row in feed.reflectors.values() if row.missing),
            }
        )

    def _build(self, feed: _Feed) -> Inventory:
        info, kinds = feed.info, feed.reflectors
        namespaces = {name: live for (_, name), live in kinds["Namespace"].objects.items()}
        flavors = {name: live for (_, name), live in kinds["ResourceFlavor"].objects.items()}
        served = [live for kind in ("InferenceService", "LLMInferenceService", "EdgeRollout") for live in kinds[kind]]
        return Inventory(
            cluster=info.name,
            as_of=self._clock.now(),
            age_seconds=0,
            stale=False,
            nodes=tuple(mapping.node_row(info, live) for live in _sorted(list(kinds["Node"]))),
            flavors=tuple(
                row for live in _sorted(list(kinds["ClusterQueue"])) for row in mapping.flavor_rows(info, live, flavors)
            ),
            queues=tuple(mapping.queue_row(info, live) for live in _sorted(list(kinds["LocalQueue"]))),
            workloads=tuple(mapping.workload_row(info, live) for live in _sorted(list(kinds["Workload"]))),
            deployments=tuple(
                mapping.deployment_row(info, live, namespaces.get(str(metadata_of(live).get("namespace")), {}))
                for live in _sorted(served)
            ),
        )


def _sorted(found: list[type_json]) -> list[type_json]:
    return sorted(found, key=lambda live: (str(metadata_of(live).get("namespace")), str(metadata_of(live).get("name"))))


def _problem(feed: _Feed, behind: list[Reflector], age: int) -> str:
    """Return one line on what is wrong, empty where nothing is."""
    hidden = [row.watched.kind for row in feed.reflectors.values() if row.forbidden]
    said = next((row.problem for row in behind if row.problem), "")
    parts: list[str] = []
    if behind and not said:
        said = f"Cluster {feed.info.name!r} has not answered yet."
    if not behind and age:
        said = f"Cluster {feed.info.name!r} does not answer; this is {age} s old."
    if said:
        parts.append(said)
    if hidden:
        parts.append(f"This identity may not list {', '.join(hidden)}.")
    return " ".join(parts)
