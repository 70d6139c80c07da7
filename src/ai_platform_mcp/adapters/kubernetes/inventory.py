"""What every cluster has, from memory: watches keep it current, and every answer says how old it is.

A cluster's watches start when it is first asked about. One cluster's trouble never reaches another: each has its own feed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from ai_platform_mcp.adapters.kubernetes.discovery import Discovery
from ai_platform_mcp.adapters.kubernetes.keeping import SERVED, Kept
from ai_platform_mcp.adapters.kubernetes.reflector import Reflector, Watched
from ai_platform_mcp.adapters.kubernetes.transport import Request, Transport
from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.ports import Clock
from ai_platform_mcp.core.rows import ClusterInfo, Inventory

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
    Watched("RunService", ("run.cnrm.cloud.google.com/v1beta1",), optional=True),
    Watched("Function", ("lambda.services.k8s.aws/v1alpha1",), optional=True),
    Watched("Pod", ("v1",), fields="status.phase!=Succeeded,status.phase!=Failed"),
)
_STREAMS_SINCE = 32
"""Kubernetes 1.32 streams lists by default; before, a server may take the wish for a plain watch."""
_MINOR = re.compile(r"v1\.(\d+)")
_PROBE_SECONDS = 2.0
"""An answer confirmed less than this long ago is given without asking the server whether it is there."""


@dataclass
class _Feed:
    """The watches of one cluster and what they keep."""

    info: ClusterInfo
    kept: Kept
    reflectors: dict[str, Reflector]
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    probing: anyio.Lock = field(default_factory=anyio.Lock)

    def shown(self) -> list[Reflector]:
        """Return the reflectors of kinds that the cluster serves and shows us."""
        return [row for row in self.reflectors.values() if not (row.missing or row.forbidden)]

    def complete(self, *kinds: str) -> bool:
        """Tell whether all of these kinds have been read once, where the cluster has them: half a list misleads."""
        return all(self.reflectors[kind].complete for kind in kinds if self.reflectors[kind] in self.shown())


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
            await self._refresh(feed, patient=seconds == self._sync_seconds)
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
        kept = Kept(info)
        streams = self._streams(info.name)
        reflectors = {
            watched.kind: Reflector(
                info.name, watched, kept.keepers[watched.kind], self._transport, self._discovery, streams
            )
            for watched in WATCHED
        }
        feed = self._feeds[info.name] = _Feed(info, kept, reflectors)
        for reflector in reflectors.values():
            # A context of their own: the caller's permit, impersonation and deadline must not live on in a watch.
            feed.tasks.append(asyncio.create_task(reflector.run(), context=contextvars.Context()))
        return feed

    def _streams(self, cluster: str) -> Callable[[], Awaitable[bool]]:
        """Return the question whether the cluster's version streams lists; it is asked once."""
        known: list[bool] = []
        asking = anyio.Lock()

        async def streams() -> bool:
            async with asking:
                with contextlib.suppress(PlatformError):  # pages will do, and tell better what is wrong
                    if not known:
                        found = _MINOR.match(await self._discovery.version(cluster))
                        known.append(found is not None and int(found[1]) >= _STREAMS_SINCE)
            return known == [True]

        return streams

    async def _refresh(self, feed: _Feed, *, patient: bool) -> None:
        """Wait for first attempts, wake what pauses after a failure, and confirm what has been quiet for a while.

        Only the first caller waits for a long reading that is under way.
        """
        for reflector in feed.reflectors.values():
            reflector.poke()
        for reflector in feed.reflectors.values():
            if patient or not reflector.read:
                await reflector.settled.wait()
        async with feed.probing:
            current = [row.confirmed_at or 0.0 for row in feed.shown() if row.current]
            if not current or time.monotonic() - min(current) < _PROBE_SECONDS:
                return
            try:
                request = Request("GET", "/version", "tell its version", once=True)
                await self._transport.call(feed.info.name, request, seconds=self._ask_seconds)
            except PlatformError:
                return  # nothing is confirmed, so the age says it
            for row in feed.shown():
                if row.current:
                    row.confirm()

    def _answer(self, feed: _Feed) -> Inventory:
        shown, kept = feed.shown(), feed.kept
        oldest = min((row.confirmed_at or 0.0 for row in shown), default=0.0)
        never = any(row.confirmed_at is None for row in shown)
        age = 0 if never else int(time.monotonic() - oldest)
        behind = [row for row in shown if not row.current]
        stale = bool(behind) or age > _PROBE_SECONDS + self._ask_seconds
        inventory = Inventory(
            cluster=feed.info.name,
            as_of=self._clock.now(),
            age_seconds=age,
            stale=stale,
            problem=_problem(feed, behind, age if stale else 0),
            missing=tuple(
                row.watched.name for row in feed.reflectors.values() if row.missing and not row.watched.optional
            ),
        )
        pods = feed.complete("Pod")
        return inventory.model_copy(  # rows are values already: looking at ten thousand again would only take time
            update={
                "nodes": kept.nodes.rows() if feed.complete("Node") else (),
                "flavors": kept.quota.rows() if feed.complete("ClusterQueue", "ResourceFlavor") else (),
                "queues": kept.queues.rows() if feed.complete("LocalQueue") else (),
                "workloads": kept.workloads.rows() if feed.complete("Workload") else (),
                "deployments": kept.served.rows() if feed.complete("Namespace", *SERVED) else (),
                "node_use": kept.pods.by_node() if pods else {},
                "holders": kept.pods.holders(feed.info.name, kept.served.team) if pods else (),
            }
        )


def _problem(feed: _Feed, behind: list[Reflector], age: int) -> str:
    """Return one line on what is wrong, empty where nothing is."""
    name = feed.info.name
    hidden = [row.watched.kind for row in feed.reflectors.values() if row.forbidden]
    reading = [f"{row.watched.kind} ({row.read} so far)" for row in behind if row.read]
    said = next((row.problem for row in behind if row.problem), "")
    parts: list[str] = []
    if reading and not said:
        said = f"Cluster {name!r} is being read: {', '.join(reading)}."
    if behind and not said:
        said = f"Cluster {name!r} has not answered yet."
    if not behind and age:
        said = f"Cluster {name!r} does not answer; this is {age} s old."
    if said:
        parts.append(said)
    if hidden:
        parts.append(f"This identity may not list {', '.join(hidden)}.")
    return " ".join(parts)
