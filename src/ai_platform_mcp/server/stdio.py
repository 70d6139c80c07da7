"""Standard input and output: the transport of desktop clients and IDEs.

SIGTERM and SIGINT end the server in order: the SDK's own reader thread would otherwise hold the process until its standard
input closes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import anyio
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.runner import serve_dual_era_loop, serve_loop
from mcp.server.stdio import stdio_server

GRACE_SECONDS = 10.0
"""For a change under way; one that takes longer is finished by the next start."""
CLOSE_SECONDS = 3.0


async def serve_stdio(
    server: Server[Any], *, protocol: Literal["both", "handshake"] = "both", close: Callable[[], Awaitable[None]]
) -> None:
    """Serve one client until it closes the pipe or a signal comes, then ``close`` what the server stood on.

    ``handshake`` offers only the older protocol: some clients open with both on one pipe and break when the newer one is
    answered (copilot-cli#4525, claude-code#96183).
    """
    serve = serve_loop if protocol == "handshake" else serve_dual_era_loop
    options = server.create_initialization_options(NotificationOptions(resources_changed=True))
    stop, over = anyio.CancelScope(), anyio.Event()
    try:
        async with anyio.create_task_group() as group:
            if sys.platform != "win32":
                group.start_soon(_end_on_signal, stop, over, close)
            async with stdio_server() as (read, write):
                with stop:
                    async with server.lifespan(server) as state:
                        await serve(server, read, write, lifespan_state=state, init_options=options)
                over.set()
            group.cancel_scope.cancel()
    finally:
        await close()


async def _end_on_signal(stop: anyio.CancelScope, over: anyio.Event, close: Callable[[], Awaitable[None]]) -> None:
    """End the process in order: no new work, steps under way get some time, and what they did is on disk."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stop.cancel()
            with anyio.move_on_after(GRACE_SECONDS):
                await over.wait()
            with anyio.move_on_after(CLOSE_SECONDS):
                await close()
            os._exit(0)
