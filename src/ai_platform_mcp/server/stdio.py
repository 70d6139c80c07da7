"""Standard input and output: the transport of desktop clients and IDEs.

SIGTERM and SIGINT end the server in order: the SDK's own reader thread would otherwise hold the process until its standard
input closes.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, Literal

import anyio
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.runner import serve_dual_era_loop, serve_loop
from mcp.server.stdio import stdio_server

GRACE_SECONDS = 0.5


async def serve_stdio(server: Server[Any], *, protocol: Literal["both", "handshake"] = "both") -> None:
    """Serve one client until it closes the pipe or a signal comes.

    ``handshake`` offers only the older protocol: some clients open with both on one pipe and break when the newer one is
    answered (copilot-cli#4525, claude-code#96183).
    """
    serve = serve_loop if protocol == "handshake" else serve_dual_era_loop
    options = server.create_initialization_options(NotificationOptions(resources_changed=True))
    signalled = False

    async def watch_signals(scope: anyio.CancelScope) -> None:
        nonlocal signalled
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                signalled = True
                scope.cancel()
                return

    async with anyio.create_task_group() as group:
        if sys.platform != "win32":
            group.start_soon(watch_signals, group.cancel_scope)
        async with stdio_server() as (read, write), server.lifespan(server) as state:
            await serve(server, read, write, lifespan_state=state, init_options=options)
        group.cancel_scope.cancel()
    if signalled:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(GRACE_SECONDS)
        os._exit(0)
