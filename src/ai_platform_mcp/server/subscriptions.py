"""Subscriptions to operations, in both eras: one watcher per operation, whoever listens.

The modern era listens on a stream (``subscriptions/listen``), the older one subscribes a session
(``resources/subscribe``). Both are fed by the same watcher, which reads the operation while somebody listens and tells
when what it reads has changed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import anyio.abc
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.server.backend import Backend
from ai_platform_mcp.server.operations import view

log = logging.getLogger(__name__)

SCHEME = "operation://"
LOOK_SECONDS = 1.0


class Subscriptions:
    """Watches operations that somebody listens to. ``group`` lives as long as the server."""

    def __init__(self, backend: Backend, principal: Callable[[], Principal]):
        self._backend = backend
        self._principal = principal
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus)
        self._wanted: Counter[str] = Counter()
        self._watched: set[str] = set()
        self._sessions: dict[str, dict[int, ServerSession]] = {}
        self.group: anyio.abc.TaskGroup | None = None

    async def listen(
        self, ctx: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Serve one listen stream and watch the operations it names for as long as it is open."""
        uris = [uri for uri in params.notifications.resource_subscriptions or [] if str(uri).startswith(SCHEME)]
        for uri in uris:
            self._want(str(uri))
        try:
            return await self._listen(ctx, params)
        finally:
            for uri in uris:
                self._unwant(str(uri))

    async def subscribe(
        self, ctx: ServerRequestContext[Any, Any], params: types.SubscribeRequestParams
    ) -> types.EmptyResult:
        """Subscribe a session of the older era."""
        uri = str(params.uri)
        if not uri.startswith(SCHEME):
            raise MCPError(
                types.INVALID_PARAMS, f"Only operations change by themselves; {uri!r} cannot be subscribed to."
            )
        sessions = self._sessions.setdefault(uri, {})
        if id(ctx.session) not in sessions:
            sessions[id(ctx.session)] = ctx.session
            self._want(uri)
        return types.EmptyResult()

    async def unsubscribe(
        self, ctx: ServerRequestContext[Any, Any], params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        """End the subscriptions of the older era to one operation on this connection."""
        uri = str(params.uri)
        for _ in self._sessions.pop(uri, {}):
            self._unwant(uri)
        return types.EmptyResult()

    def _want(self, uri: str) -> None:
        self._wanted[uri] += 1
        if uri not in self._watched and self.group is not None:
            self._watched.add(uri)
            self.group.start_soon(self._watch, uri, self._principal())

    def _unwant(self, uri: str) -> None:
        self._wanted[uri] -= 1
        if self._wanted[uri] <= 0:
            del self._wanted[uri]

    async def _watch(self, uri: str, principal: Principal) -> None:
        """Tell listeners whenever the operation reads differently; stop when nobody listens or it is over.

        One that is over at the first look is told as well: it moved on between the call's answer and the subscription.
        """
        try:
            await self._watch_on(uri, principal)
        finally:
            self._watched.discard(uri)

    async def _watch_on(self, uri: str, principal: Principal) -> None:
        last: tuple[str, str] | None = None
        while uri in self._wanted:
            seen = None
            try:
                operation_id = uri.removeprefix(SCHEME)
                seen = await view(self._backend, operation_id, Caller(principal=principal, request_id="subscription"))
            except PlatformError as error:
                log.warning("Cannot read %s: %s", uri, error.message)
            if seen is not None:
                now = (seen.state, seen.sentence)
                if now != last and (last is not None or seen.over):
                    await self._tell(uri)
                last = now
                if seen.over:
                    return
            await anyio.sleep(LOOK_SECONDS)

    async def _tell(self, uri: str) -> None:
        await self._bus.publish(ResourceUpdated(uri=uri))
        for key, session in list(self._sessions.get(uri, {}).items()):
            try:
                await session.send_resource_updated(uri)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError, MCPError):
                self._sessions[uri].pop(key, None)
                self._unwant(uri)
