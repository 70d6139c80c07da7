"""Subscriptions to operations, in both eras: one watcher per operation and principal, however often they listen.

The modern era listens on a stream (``subscriptions/listen``), the older one subscribes a session
(``resources/subscribe``). Both are fed by the same watcher, which reads the operation as its principal while they listen
and tells them when what it reads has changed: nobody is told of what only somebody else may read.
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
from ai_platform_mcp.server.identity import caller_of
from ai_platform_mcp.server.operations import view

log = logging.getLogger(__name__)

SCHEME = "operation://"
LOOK_SECONDS = 1.0

Topic = tuple[str, str]
"""An operation's URI, and the id of the principal who reads it."""


class _Streams:
    """The open listen streams of one principal."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self.bus)
        self.open = 0


class Subscriptions:
    """Watches operations that somebody listens to. ``group`` lives as long as the server."""

    def __init__(self, backend: Backend, principal: Callable[[], Principal]):
        self._backend = backend
        self._principal = principal
        self._streams: dict[str, _Streams] = {}
        self._wanted: Counter[Topic] = Counter()
        self._watched: set[Topic] = set()
        self._callers: dict[Topic, Caller] = {}
        self._sessions: dict[Topic, dict[int, ServerSession]] = {}
        self.group: anyio.abc.TaskGroup | None = None

    async def listen(
        self, ctx: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Serve one listen stream and watch the operations it names for as long as it is open."""
        uris = [uri for uri in params.notifications.resource_subscriptions or [] if str(uri).startswith(SCHEME)]
        who = self._principal().id
        topics = [self._want(str(uri)) for uri in uris]
        streams = self._streams.setdefault(who, _Streams())
        streams.open += 1
        try:
            return await streams.listen(ctx, params)
        finally:
            streams.open -= 1
            if not streams.open:
                self._streams.pop(who, None)
            for topic in topics:
                self._unwant(topic)

    async def subscribe(
        self, ctx: ServerRequestContext[Any, Any], params: types.SubscribeRequestParams
    ) -> types.EmptyResult:
        """Subscribe a session of the older era."""
        uri = str(params.uri)
        if not uri.startswith(SCHEME):
            raise MCPError(
                types.INVALID_PARAMS, f"Only operations change by themselves; {uri!r} cannot be subscribed to."
            )
        sessions = self._sessions.setdefault((uri, self._principal().id), {})
        if id(ctx.session) not in sessions:
            sessions[id(ctx.session)] = ctx.session
            self._want(uri)
        return types.EmptyResult()

    async def unsubscribe(
        self, ctx: ServerRequestContext[Any, Any], params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        """End this principal's subscriptions of the older era to one operation."""
        topic = (str(params.uri), self._principal().id)
        for _ in self._sessions.pop(topic, {}):
            self._unwant(topic)
        return types.EmptyResult()

    def _want(self, uri: str) -> Topic:
        caller = caller_of(self._principal(), "subscription")
        topic = (uri, caller.principal.id)
        self._wanted[topic] += 1
        self._callers[topic] = caller  # who came last has the freshest token
        if topic not in self._watched and self.group is not None:
            self._watched.add(topic)
            self.group.start_soon(self._watch, topic)
        return topic

    def _unwant(self, topic: Topic) -> None:
        self._wanted[topic] -= 1
        if self._wanted[topic] <= 0:
            del self._wanted[topic]

    async def _watch(self, topic: Topic) -> None:
        """Tell listeners whenever the operation reads differently; stop when nobody listens or it is over.

        One that is over at the first look is told as well: it moved on between the call's answer and the subscription.
        """
        try:
            await self._watch_on(topic)
        finally:
            self._watched.discard(topic)
            self._callers.pop(topic, None)

    async def _watch_on(self, topic: Topic) -> None:
        uri = topic[0]
        last: tuple[str, str] | None = None
        while topic in self._wanted:
            seen = None
            try:
                seen = await view(self._backend, uri.removeprefix(SCHEME), self._callers[topic])
            except PlatformError as error:
                log.warning("Cannot read %s: %s", uri, error.message)
            if seen is not None:
                now = (seen.state, seen.sentence)
                if now != last and (last is not None or seen.over):
                    await self._tell(topic)
                last = now
                if seen.over:
                    return
            await anyio.sleep(LOOK_SECONDS)

    async def _tell(self, topic: Topic) -> None:
        uri, who = topic
        if who in self._streams:
            await self._streams[who].bus.publish(ResourceUpdated(uri=uri))
        for key, session in list(self._sessions.get(topic, {}).items()):
            try:
                await session.send_resource_updated(uri)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError, MCPError):
                self._sessions[topic].pop(key, None)
                self._unwant(topic)
