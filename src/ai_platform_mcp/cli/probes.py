"""The few addresses that a kubelet and a Prometheus ask a process of ours for. No web framework is started for them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from ai_platform_mcp.core.errors import InvalidInput

Answer = tuple[int, str, str]
"""Status, content type and body."""
PLAIN = "text/plain"
_WORDS = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}
_SECONDS = 5.0
_MAX_LINES = 100


def said(problem: str) -> Answer:
    """Return the answer to a probe: what is wrong, or ok."""
    return (503, PLAIN, f"{problem}\n") if problem else (200, PLAIN, "ok\n")


async def serve_probes(address: str, answers: Callable[[str], Answer]) -> None:
    """Listen at ``HOST:PORT`` and answer every request by its path, until the event loop ends.

    Without a host it is every address of the machine, of both families; port 0 is any.

    Raises:
        InvalidInput: the address is none.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise InvalidInput(f"{address!r} is not HOST:PORT.", remedy="Such as 0.0.0.0:8080, or :8080.")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            path = await asyncio.wait_for(_path(reader), _SECONDS)
            status, kind, text = answers(path)
            body = text.encode()
            head = f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
            await asyncio.wait_for(writer.drain(), _SECONDS)
        except (TimeoutError, ConnectionError, ValueError, IndexError):
            pass  # whoever asked is gone, or did not speak HTTP
        finally:
            writer.close()

    server = await asyncio.start_server(answer, host.strip("[]") or None, int(port), limit=8192)
    sys.stderr.write(f"Health on http://{host or 'localhost'}:{server.sockets[0].getsockname()[1]}/healthz\n")


async def _path(reader: asyncio.StreamReader) -> str:
    """Return the request's path once its head is read: closing earlier would reset the connection under the asker."""
    path = (await reader.readline()).decode("latin-1").split(" ")[1]
    for _ in range(_MAX_LINES):
        if (await reader.readline()).strip() == b"":
            break
    return path.partition("?")[0]
