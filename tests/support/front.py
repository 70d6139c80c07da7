"""What stands between us and any API server: passes requests on one by one, counts them, and fails where it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from kubernetes_servers import Server, write_config

Say = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """One way to fail: whether the server behind gets the request, and what the caller gets of the server's answer."""

    name: str
    arrives: bool
    say: Say


@dataclass
class Front:
    """Requests whose line contains ``match`` meet the next of the ``faults``; all others pass."""

    upstream: str
    context: ssl.SSLContext | None
    match: str = "\0"
    faults: list[Fault] = field(default_factory=list[Fault])
    arrived: list[str] = field(default_factory=list[str])
    """Request lines that the server behind received and answered."""
    refused: int = 0
    """Connections that ended before a request, such as failed TLS handshakes."""
    kubeconfig: Path = Path()
    url: str = ""
    _tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    def fail(self, match: str, *faults: Fault) -> None:
        """Let the next requests that match meet these faults, one each."""
        self.match, self.faults = match, list(faults)

    def count(self, text: str) -> int:
        """How many requests with this text in their first line reached the server."""
        return sum(1 for line in self.arrived if text in line)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, which carries one request."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = writer
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.split(b"\r\n", 1)[0].decode("latin-1")
        sizes = [row for row in head.lower().split(b"\r\n") if row.startswith(b"content-length:")]
        body = await reader.readexactly(int(sizes[0].split(b":")[1])) if sizes else b""
        fault = self.faults.pop(0) if self.faults and self.match in line else None
        if fault is not None and not fault.arrives:
            await fault.say(b"", writer)
            return
        parts = urlsplit(self.upstream)
        far, out = await asyncio.open_connection(parts.hostname, parts.port, ssl=self.context)
        kept = [
            row for row in head.split(b"\r\n") if not row.lower().startswith((b"connection:", b"host:", b"expect:"))
        ]
        out.write(b"\r\n".join([kept[0], f"Host: {parts.netloc}".encode(), b"Connection: close", *kept[1:]]) + body)
        try:
            if fault is None:
                while data := await far.read(65536):
                    if line:  # each connection carries one request, and the caller is to know
                        data = data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                    self._note(line)
                    line = ""
                    writer.write(data)
                    await writer.drain()
                return
            whole = await far.read()
            self._note(line)
            await fault.say(whole, writer)
        finally:
            out.close()

    def _note(self, line: str) -> None:
        if line:
            self.arrived.append(line)

    async def cut(self) -> None:
        """End every connection now."""
        for task, writer in self._tasks.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()


def user_of(server: Server) -> tuple[str, ssl.SSLContext | None]:
    """Return the token of a server's administrator, and how to reach the server."""
    document: dict[str, Any] = yaml.safe_load(server.kubeconfig.read_text())
    cluster = document["clusters"][0]["cluster"]
    if not cluster["server"].startswith("https"):
        return document["users"][0]["user"]["token"], None
    return document["users"][0]["user"]["token"], ssl.create_default_context(cafile=cluster["certificate-authority"])


@asynccontextmanager
async def before(
    upstream: str, context: ssl.SSLContext | None = None, serving: ssl.SSLContext | None = None
) -> AsyncIterator[Front]:
    """Stand before any HTTP server, reached with ``context``, and serve TLS where ``serving`` is given."""
    standing = Front(upstream.rstrip("/"), context)
    listening = await asyncio.start_server(standing.serve, "127.0.0.1", 0, ssl=serving)
    scheme = "https" if serving else "http"
    standing.url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield standing
    finally:
        listening.close()
        await standing.cut()


@asynccontextmanager
async def front(server: Server, folder: Path, serving: ssl.SSLContext | None = None) -> AsyncIterator[Front]:
    """Stand before an API server; ``kubeconfig`` leads here with its administrator's token (plain only)."""
    token, context = user_of(server)
    async with before(str(server.http.base_url), context, serving) as standing:
        standing.kubeconfig = write_config(folder / "front.kubeconfig", standing.url, token)
        yield standing


def page(code: int, body: bytes = b"<html>gateway</html>", kind: str = "text/html", *extra: str) -> Say:
    """Say this instead of the server's answer."""
    lines = [f"HTTP/1.1 {code} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close", *extra]

    async def say(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return say


async def abort(_: bytes, writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    writer.transport.abort()


async def half(answer: bytes, writer: asyncio.StreamWriter) -> None:
    """Say the head and half of the body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    writer.write(head + b"\r\n\r\n" + body[: len(body) // 2])
    await writer.drain()


async def slow_head(answer: bytes, writer: asyncio.StreamWriter) -> None:
    """Say the first bytes of the head and no more, for as long as the caller stays."""
    writer.write(answer[:12] or b"HTTP/1.1 200")
    await asyncio.Event().wait()


async def slow_body(answer: bytes, writer: asyncio.StreamWriter) -> None:
    """Say the body a byte at a time, so slowly that it never ends."""
    head, _, body = answer.partition(b"\r\n\r\n")
    writer.write(head + b"\r\n\r\n")
    for place in range(len(body)):
        writer.write(body[place : place + 1])
        await writer.drain()
        await asyncio.sleep(1)


async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
    """Say ever more."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        await writer.drain()


LOST_BEFORE = Fault("reset before", False, abort)
LOST_AFTER = Fault("reset after", True, abort)
EMPTY = Fault("empty body", True, page(200, b"", "application/json"))
WRONG_JSON = Fault("JSON of another service", True, page(200, b'{"message": "please log in"}', "application/json"))
WRONG_TYPE = Fault("wrong content type", True, page(200, b"ok", "application/octet-stream"))
SAYS_FAILURE = Fault(
    "a failure that says 200", True, page(200, b'{"kind": "Status", "status": "Failure"}', "application/json")
)
DEEP = Fault("nested JSON", True, page(200, b"[" * 200_000, "application/json"))
LOGIN = Fault("login page", True, page(200))
TRUNCATED = Fault("truncated", True, half)
SLOW_HEAD = Fault("slow head", True, slow_head)
SLOW_BODY = Fault("slow body", True, slow_body)
ENDLESS = Fault("endless body", True, endless)
GATEWAYS = tuple(Fault(f"page with {code}", True, page(code)) for code in (500, 502, 503, 504))
REDIRECT = Fault("redirect", False, page(307, b"", "text/html", "Location: http://127.0.0.1:1/login?next=secret"))


def busy(*headers: str) -> Fault:
    """A 429 as the real server says it, before it begins with the request."""
    body = b'{"kind":"Status","status":"Failure","reason":"TooManyRequests","code":429,"message":"slow down"}'
    return Fault("429", False, page(429, body, "application/json", *headers))
