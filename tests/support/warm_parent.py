"""Imports what a server imports sooner or later, and then forks a server for each connection. Ends when its test run ends."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading

import ai_platform_mcp

NOT_A_SERVER = ("ai_platform_mcp.sandbox", "ai_platform_mcp.controllers", "ai_platform_mcp.cli")
LATE = (
    "ai_platform_mcp.cli.serve",
    "ai_platform_mcp.cli.collecting",
    "aiohttp",
    "httpx",
    "kubernetes.aio.client",
    "kubernetes.aio.config",
    "kubernetes.aio.dynamic",
    "mlflow.store.tracking.rest_store",
    "mlflow.tracking",
    "platformdirs",
    "regorus",
    "uvicorn.logging",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
)


def import_all() -> None:
    for module in pkgutil.walk_packages(ai_platform_mcp.__path__, "ai_platform_mcp."):
        if not module.name.startswith(NOT_A_SERVER) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)


def serve(listener: socket.socket, life: int) -> socket.socket | None:
    """Return a connection in a process that is to answer it, None where the test run is over."""
    children: set[int] = set()
    while True:
        ready, _, _ = select.select([listener, life], [], [], 1.0)
        for child in list(children):
            if os.waitpid(child, os.WNOHANG)[0]:
                children.discard(child)
        if life in ready:
            for child in children:
                os.waitpid(child, 0)
            return None
        if listener in ready:
            connection, _ = listener.accept()
            if (child := os.fork()) == 0:
                listener.close()
                os.close(life)
                return connection
            connection.close()
            children.add(child)


def watched(connection: socket.socket) -> list[str] | None:
    """Return the arguments in the process that is to be the server; the one that watches it returns None when it has ended."""
    size, pipes, _, _ = socket.recv_fds(connection, 4, 3)
    text = b""
    while len(text) < int.from_bytes(size, "big"):
        text += connection.recv(65536)
    asked = json.loads(text)
    over, alive = os.pipe()
    if (server := os.fork()) == 0:
        os.close(over)
        connection.close()
        for place, pipe in enumerate(pipes):
            os.dup2(pipe, place)
            os.close(pipe)
        os.environ.clear()
        os.environ.update(asked["environment"])
        os.chdir(asked["folder"])
        return asked["arguments"]
    os.close(alive)
    for pipe in pipes:
        os.close(pipe)
    while True:
        ready, _, _ = select.select([over, connection], [], [])
        if over in ready:
            break
        said = connection.recv(1)
        os.kill(server, said[0] if said else signal.SIGKILL)
        if not said:
            break
    code = os.waitstatus_to_exitcode(os.waitpid(server, 0)[1])
    with contextlib.suppress(OSError):
        connection.send(bytes([code if code >= 0 else 128 - code]))
    return None


def main() -> None:
    place, life = sys.argv[1], int(sys.argv[2])
    import_all()
    assert threading.active_count() == 1, threading.enumerate()
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(place)
    listener.listen(16)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    connection = serve(listener, life)
    if connection is None:
        return
    arguments = watched(connection)
    if arguments is None:
        return
    sys.argv = ["ai-platform-mcp", *arguments]
    from ai_platform_mcp.cli.serve import main as command

    command()


if __name__ == "__main__":
    main()
