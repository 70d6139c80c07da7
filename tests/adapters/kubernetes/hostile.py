"""An HTTP server that misbehaves on purpose, below any framework: resets, half answers, silence, foreign pages."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes_servers import write_config

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]

_CONFIG_MAPS = {
    "resource": "configmaps",
    "responseKind": {"group": "", "version": "v1", "kind": "ConfigMap"},
    "scope": "Namespaced",
    "singularResource": "configmap",
    "verbs": ["get", "list", "watch", "patch", "create", "delete"],
}


def discovery(path: str) -> dict[str, Any]:
    items = [{"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [_CONFIG_MAPS]}]}]
    return {"kind": "APIGroupDiscoveryList", "items": items if path == "/api" else []}


@dataclass
class Hostile:
    """``behaviours`` answer the requests for objects in order; the last one answers all further ones."""

    behaviours: list[Behaviour]
    live: Behaviour | None = None
    """Where given, GETs of objects are answered by it, and ``behaviours`` are for writes only."""
    url: str = ""
    kubeconfig: Path = Path()
    requests: list[tuple[str, str]] = field(default_factory=list)
    routes: Callable[[str], Behaviour] | None = None
    """Where given, every request is answered by what it returns for the request's target."""
    connections: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    def count(self, method: str) -> int:
        return sum(1 for seen, _ in self.requests if seen == method)

    async def stop(self) -> None:
        """End every connection, answered or not."""
        for task, writer in self.connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections[task] = writer
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split("\r\n")[0].split(" ")
                length = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
                if length:
                    await reader.readexactly(int(length[0].split(":")[1]))
                path = target.split("?")[0]
                if self.routes is not None:
                    await self.routes(target)(writer)
                    continue
                if path in ("/api", "/apis"):
                    await answer(200, discovery(path))(writer)
                    continue
                if method == "GET" and self.live is not None:
                    await self.live(writer)
                    continue
                self.requests.append((method, target))
                place = min(len(self.requests), len(self.behaviours)) - 1
                await self.behaviours[place](writer)
                if writer.is_closing():
                    return
        writer.close()


@asynccontextmanager
async def hostile(
    folder: Path,
    *behaviours: Behaviour,
    live: Behaviour | None = None,
    routes: Callable[[str], Behaviour] | None = None,
) -> AsyncIterator[Hostile]:
    server = Hostile(list(behaviours), live, routes=routes)
    tcp = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{tcp.sockets[0].getsockname()[1]}"
    server.kubeconfig = write_config(folder / "hostile", server.url, "t")
    try:
        yield server
    finally:
        tcp.close()
        await server.stop()


def raw(text: bytes, *, close: bool = True) -> Behaviour:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()
        if close:
            writer.close()

    return behave


def answer(code: int, body: Any, content_type: str = "application/json", **headers: str) -> Behaviour:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {code} X", f"Content-Type: {content_type}", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return raw("\r\n".join(lines).encode() + b"\r\n\r\n" + data, close=False)


def status(code: int, reason: str, message: str, headers: dict[str, str] | None = None, **details: Any) -> Behaviour:
    body = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return answer(code, {**body, "details": details}, **(headers or {}))


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def open_watch(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(3600)


async def slow_body(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
    while True:
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b" ")


HTML = answer(200, b"<html><body>Please log in</body></html>", "text/html")
TRUNCATED = raw(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"kind": "Conf')
HALF_JSON = answer(200, b'{"kind": "ConfigMap", "data": {')
BAD_GATEWAY = answer(502, b"<html>502 Bad Gateway</html>", "text/html")
