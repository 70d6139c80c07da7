"""The sandbox's API over HTTP on loopback, without the timers of a server process: it counts, drops connections, and dies."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from ai_platform_mcp.core.listening import tcp_listener
from ai_platform_mcp.sandbox.kube.access import Access
from ai_platform_mcp.sandbox.kube.app import build_kube_app
from ai_platform_mcp.sandbox.kube.kubeconfig import write_kubeconfig
from ai_platform_mcp.sandbox.kube.store import Store

_Message = MutableMapping[str, Any]
_FOREVER = 10**9


class Protocols:
    """Makes the protocol of each connection to an ASGI application, without the timers of a server process."""

    def __init__(self, app: Any):
        self._state = ServerState()
        self._config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_keep_alive=_FOREVER,
            lifespan="off",
            ws="none",
            interface="asgi3",
            proxy_headers=False,
        )
        self._config.load()

    def __call__(self) -> asyncio.Protocol:
        made: Any = self._config.http_protocol_class
        return made(config=self._config, server_state=self._state, app_state={})

    def drop(self) -> None:
        """Reset every connection."""
        for connection in list(self._state.connections):
            transport: Any = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


class Server:
    """An API server. ``dies`` says at which write it does, whether the write is still done, and for how long it is away."""

    def __init__(self, store: Store, folder: Path):
        self.counts: Counter[str] = Counter()
        """Requests by ``read`` and ``write``, and ``event`` for what watches brought."""
        self.dies: tuple[int, bool, float] | None = None
        self.deaths = 0
        self.kubeconfig = folder / "kubeconfig"
        self._store = store
        access = Access(store)
        self._app: Any = build_kube_app(store, access)
        self._protocols = Protocols(self._answer)
        self._port = 0
        self._serving: asyncio.Server | None = None
        self._token = access.admin_token

    async def start(self) -> None:
        """Listen, on the port of the last time."""
        bound = tcp_listener("127.0.0.1", self._port)
        self._port = bound.getsockname()[1]
        self._serving = await asyncio.get_running_loop().create_server(self._protocols, sock=bound, backlog=256)
        write_kubeconfig(self.kubeconfig, f"http://127.0.0.1:{self._port}", self._token)

    def drop(self) -> None:
        """Stop listening and reset every connection; what has happened is forgotten, so that old watches get 410."""
        if self._serving is not None:
            self._serving.close()
        self._protocols.drop()
        for bucket in self._store.storage.buckets.values():
            bucket.history.clear()
            bucket.compacted = self._store.storage.version

    async def _answer(self, scope: Any, receive: Any, send: Callable[[_Message], Awaitable[None]]) -> None:
        method = scope["method"]
        writes = method != "GET"
        self.counts["write" if writes else "read"] += 1
        watches = b"watch=" in scope["query_string"]

        async def counting(message: _Message) -> None:
            if watches:
                self.counts["event"] += message.get("body", b"").count(b"\n")
            await send(message)

        if writes and self.dies is not None and self.counts["write"] >= self.dies[0]:
            _, done, seconds = self.dies
            self.dies = None
            if done:
                await self._app(scope, receive, _nowhere)
            await self._die(seconds)
            return
        await self._app(scope, receive, counting)

    async def _die(self, seconds: float) -> None:
        self.deaths += 1
        self.drop()
        await asyncio.sleep(seconds)  # in the task of a request that nobody waits for any more
        await self.start()


async def _nowhere(message: _Message) -> None:
    """Take an answer that nobody gets."""


@contextlib.asynccontextmanager
async def served(store: Store, folder: Path) -> AsyncGenerator[Server]:
    """Serve a store until the end of the block."""
    server = Server(store, folder)
    await server.start()
    try:
        yield server
    finally:
        store.storage.end_watches()
        server.drop()
