"""What a controller of ours is handed: single requests, and watches that feed its caches, as the identity it runs under.

It is a second hand beside the executor's, and a narrow one: it writes only the objects listed in ``_WRITES`` and nothing else,
whatever it is asked. A controller plans nothing for anybody: what it does was planned, judged and recorded when its
EdgeRollout or CanaryRollout was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import anyio

from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig, Connections
from ai_platform_mcp.adapters.kubernetes.discovery import Discovery
from ai_platform_mcp.adapters.kubernetes.keeping import Keeper
from ai_platform_mcp.adapters.kubernetes.reflector import Reflector, Watched
from ai_platform_mcp.adapters.kubernetes.transport import Request, Transport
from ai_platform_mcp.core.errors import Forbidden
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.domain.objects import FIELD_MANAGER

_NAME = "[a-z0-9][-a-z0-9.]*"
_IN = rf"/namespaces/{_NAME}"
_WRITES = {
    "merge": re.compile(rf"/api/v1/nodes/{_NAME}|/apis/serving\.kserve\.io/v1beta1{_IN}/inferenceservices/{_NAME}"),
    "apply": re.compile(
        rf"/apis/(?:apps/v1{_IN}/daemonsets/{_NAME}|edge\.aiplatform\.dev/\w+{_IN}/edgerollouts/{_NAME}/status"
        rf"|serving\.aiplatform\.dev/\w+{_IN}/canaryrollouts/{_NAME}/status)"
    ),
    "create": re.compile(rf"/api/v1{_IN}/events|/apis/coordination\.k8s\.io/v1{_IN}/leases"),
    "replace": re.compile(rf"/apis/coordination\.k8s\.io/v1{_IN}/leases/{_NAME}"),
    "delete": re.compile(rf"/apis/apps/v1{_IN}/daemonsets/{_NAME}"),
}
_SAID: dict[str, tuple[str, str]] = {
    "merge": ("PATCH", "application/merge-patch+json"),
    "apply": ("PATCH", "application/apply-patch+yaml"),
    "create": ("POST", "application/json"),
    "replace": ("PUT", "application/json"),
    "delete": ("DELETE", "application/json"),
}
_PLANNED = re.compile(r"/apis/serving\.kserve\.io/.*")
"""What a plan applies and a controller moves on. It is written under the plan's field manager: the same fields have one owner,
so that the next plan takes them up without a conflict with ourselves (``ownership`` gathers them), and its diff shows the move.
"""
_IDEMPOTENT = frozenset({"merge", "apply", "replace", "delete"})
"""Verbs that may be sent again: each names the state, or the resourceVersion or uid, that it is for."""


class ControllerAccess:
    """Requests and watches of one controller in one cluster.

    Args:
        config: the cluster.
        field_manager: under which name the API server records its writes.
    """

    def __init__(self, config: ClusterConfig, field_manager: str):
        self._cluster = config.info.name
        self._manager = field_manager
        self._connections = Connections([config])
        self._transport = Transport(self._connections, as_service=True)
        self._discovery = Discovery(self._transport)
        self.requests = 0
        """Single requests sent so far; watches are not among them."""

    async def read(self, path: str) -> type_json:
        """Return the object at ``path``. Raises what ``Transport.call`` raises."""
        self.requests += 1
        answer = await self._transport.call(self._cluster, Request("GET", path, f"read {path}"))
        return answer.body

    async def send(self, verb: str, path: str, body: Any, why: str) -> type_json:
        """Perform a write and return the answer.

        Raises:
            Forbidden: it is none of the writes that a controller of ours makes; nothing was sent.
            Conflict and others of ``Transport.call``.
        """
        if not _WRITES[verb].fullmatch(path):
            raise Forbidden(f"Refused to {why}: a controller does not {verb} {path}.")
        method, media = _SAID[verb]
        manager = FIELD_MANAGER if _PLANNED.fullmatch(path) else self._manager
        query: tuple[tuple[str, str], ...] = () if verb == "delete" else (("fieldManager", manager),)
        if verb == "apply":
            query = (*query, ("force", "true"))  # these fields have one owner: whoever else wrote them is overruled
        request = Request(method, path, why, query, body, media, idempotent=verb in _IDEMPOTENT)
        self.requests += 1
        with open_permit(Permit(operation_id=self._manager, step_id=path)):
            return (await self._transport.call(self._cluster, request)).body

    def feeds(self, keepers: Mapping[Watched, Keeper]) -> ControllerFeeds:
        """Return what keeps the caches current."""
        return ControllerFeeds(
            [
                Reflector(self._cluster, watched, keeper, self._transport, self._discovery, self._pages)
                for watched, keeper in keepers.items()
            ]
        )

    async def _pages(self) -> bool:
        """Read in pages: what a controller keeps is narrowed by selectors, and every server can page."""
        return False

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connections.aclose()


class ControllerFeeds:
    """The watches of a controller."""

    def __init__(self, reflectors: list[Reflector]):
        self._reflectors = reflectors

    def current(self) -> bool:
        """Whether everything has been read and a watch is open on every kind."""
        return all(row.current for row in self._reflectors)

    def problem(self) -> str:
        """Return why it is not current, empty where nothing is known against it."""
        return next(
            (row.problem or f"{row.watched.kind} is not served" for row in self._reflectors if not row.current), ""
        )

    async def run(self) -> None:
        """Keep the caches current until cancelled."""
        async with anyio.create_task_group() as group:
            for row in self._reflectors:
                group.start_soon(row.run)
