"""One exchange over the official client, and the three ways it can end: an answer, nothing sent, or sent and no answer."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import anyio

from ai_platform_mcp.adapters.kubernetes.connection import Connection
from ai_platform_mcp.core.model import type_json

_MOST_BYTES = 64 * 1024 * 1024
"""No list page comes near this; whoever sends more is no API server."""
_MOST_ERROR_BYTES = 1024 * 1024


class Unsent(Exception):
    """The request never reached the server: name, route, TLS or connection failed."""


class Silent(Exception):
    """The request was sent, and the answer is missing, broken or not the protocol."""


@dataclass(frozen=True)
class Received:
    """A whole HTTP answer; ``body`` is the decoded JSON object, None where it was not one."""

    code: int
    headers: Mapping[str, str]
    warnings: tuple[str, ...]
    body: type_json | None

    @property
    def status(self) -> type_json:
        """The body where it is a Kubernetes ``Status``, else empty: other bodies (proxies, login pages) say nothing."""
        return self.body if self.body is not None and self.body.get("kind") == "Status" else {}


async def exchange(
    connection: Connection, method: str, target: str, headers: dict[str, str], body: Any, accept_text: bool = False
) -> Received:
    """Send one request and read the whole answer. The caller bounds the time.

    ``accept_text`` takes a 2xx whose body is plain text (``/livez``) for an answer.

    Raises:
        Unsent, Silent: as they say.
    """
    async with _opened(connection, method, target, headers, body) as response:
        good = 200 <= response.status < 300
        data = await _read(response, _MOST_BYTES if good else _MOST_ERROR_BYTES)
        document = _decode(data)
        if good and document is None and not accept_text:
            raise Silent(f"HTTP {response.status} with a body that is no JSON object ({_kind(response)})")
        return Received(
            code=int(response.status),
            headers=response.headers,
            warnings=tuple(str(text) for text in response.headers.getall("Warning", ())),
            body=document,
        )


@asynccontextmanager
async def streaming(
    connection: Connection, target: str, headers: dict[str, str], *, open_seconds: float, idle_seconds: float
) -> AsyncGenerator[Received | AsyncIterator[type_json]]:
    """Open a watch: gives its events, or the whole answer where the server refused it.

    Raises:
        Unsent, Silent: while opening or reading; a line that is no JSON object is Silent too.
    """
    async with _opened(connection, "GET", target, headers, None, (open_seconds, idle_seconds)) as response:
        if response.status != 200:
            data = await _read(response, _MOST_ERROR_BYTES)
            yield Received(int(response.status), response.headers, (), _decode(data))
        else:
            yield _lines(response)


@asynccontextmanager
async def _opened(
    connection: Connection,
    method: str,
    target: str,
    headers: dict[str, str],
    body: Any,
    limits: tuple[float | None, float | None] = (None, None),
) -> AsyncGenerator[Any]:
    """Give the aiohttp response; its failures come out as Unsent or Silent.

    ``limits``: seconds until the head of the answer, and between two pieces of its body. No cancel scope stays open
    while the response is out: generators may be closed by another task than the one that began them.
    """
    import aiohttp

    head, idle = limits
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=connection.config.connect_seconds, sock_read=idle)
    try:
        with anyio.fail_after(head):
            answer = await connection.client.rest_client.request(
                method,
                connection.host + target,
                headers=headers,
                body=body,
                _request_timeout=cast(Any, timeout),  # passed on to aiohttp; the annotation knows seconds only
            )
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as problem:
        raise Unsent(str(problem) or type(problem).__name__) from problem
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
        raise Silent(str(problem) or type(problem).__name__) from problem
    response = answer.response
    try:
        yield response
    except (aiohttp.ClientError, TimeoutError, OSError) as problem:
        raise Silent(f"the answer broke off: {problem or type(problem).__name__}") from problem
    finally:
        # After a whole body the connection is back in the pool already; otherwise it must not be used again.
        response.close()


async def _read(response: Any, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > most and response.status >= 300:
            return b""  # the code says that it was refused; nobody needs that much of an explanation
        if size > most:
            raise Silent(f"an answer of more than {most} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


async def _lines(response: Any) -> AsyncIterator[type_json]:
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
        if len(rest) > _MOST_BYTES:
            raise Silent("a watch event without an end")
        for line in lines:
            if line.strip():
                yield _event(line)
    if rest.strip():
        yield _event(rest)


def _event(line: bytes) -> type_json:
    event = _decode(line)
    if event is None:
        raise Silent("a watch event that is no JSON object")
    return event


def _decode(data: bytes) -> type_json | None:
    try:
        found = json.loads(data)
    except ValueError:
        return None
    return cast(type_json, found) if isinstance(found, dict) else None


def _kind(response: Any) -> str:
    return str(response.headers.get("Content-Type", "no content type"))[:60]
