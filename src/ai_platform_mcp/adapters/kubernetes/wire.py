"""One exchange over the official client, and the ways it can end: an answer, nothing sent, or sent and no answer."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import anyio

from ai_platform_mcp.adapters.kubernetes.connection import Connection
from ai_platform_mcp.adapters.kubernetes.session import Redirected
from ai_platform_mcp.core.model import type_json

_MOST_BYTES = 64 * 1024 * 1024
"""No list page comes near this; whoever sends more is no API server."""
_MOST_ERROR_BYTES = 1024 * 1024
_MOST_EVENT_BYTES = 16 * 1024 * 1024
"""One watch event holds one object; etcd takes objects of up to 1.5 MiB."""
_REFUSED_CERTIFICATE = re.compile(r"ALERT_\w*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)", re.IGNORECASE)


class Unsent(Exception):
    """The request never reached the server: name, route, TLS or connection failed."""


class Untrusted(Unsent):
    """We do not accept the server's certificate; nothing was sent."""


class Unwelcome(Unsent):
    """The server does not accept our certificate. It says so in the TLS handshake, before it reads any request."""


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
        if good and not accept_text:
            _demand_object(response, document, target)
        return Received(
            code=int(response.status),
            headers=response.headers,
            warnings=tuple(str(text) for text in response.headers.getall("Warning", ())),
            body=document,
        )


def _demand_object(response: Any, document: type_json | None, target: str) -> None:
    """Refuse an answer that no API server gives: a login page, another service's JSON, a failure that says 200.

    Raises:
        Silent: everything below /api and /apis has a kind; who believes less takes a proxy's page for an empty cluster.
    """
    if document is None:
        raise Silent(f"HTTP {response.status} with a body that is no JSON object ({_kind(response)})")
    if not target.startswith("/api"):
        return
    if not isinstance(document.get("kind"), str):
        raise Silent(f"HTTP {response.status} with JSON that is no Kubernetes object ({_kind(response)})")
    if document["kind"] == "Status" and document.get("status") == "Failure":
        raise Silent(f"HTTP {response.status} with a status that says Failure")


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
    except (aiohttp.ClientError, Redirected, TimeoutError, OSError, ValueError) as problem:
        raise _meaning(problem) from problem
    response = answer.response
    try:
        yield response
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
        raise Silent(f"the answer broke off: {problem or type(problem).__name__}") from problem
    finally:
        # After a whole body the connection is back in the pool already; otherwise it must not be used again.
        response.close()


def _meaning(problem: Exception) -> Unsent | Silent:
    """Return which of the endings a failure before the head of the answer is."""
    import aiohttp

    text = str(problem) or type(problem).__name__
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        return Untrusted(str(problem.certificate_error) or text)
    if isinstance(problem, OSError | ssl.SSLError) and _REFUSED_CERTIFICATE.search(text):
        return Unwelcome(text)
    never = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL, Redirected)
    return Unsent(text) if isinstance(problem, never) else Silent(text)


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
    begun: list[bytes] = []  # joined once per line: an event that comes in many pieces must not be copied for each
    size = 0
    async for chunk in response.content.iter_any():
        first, *others = chunk.split(b"\n")
        begun.append(first)
        size += len(first)
        for line in others:
            if event := b"".join(begun).strip():
                yield _event(event)
            begun, size = [line], len(line)
        if size > _MOST_EVENT_BYTES:
            raise Silent("a watch event without an end")
    if rest := b"".join(begun).strip():
        yield _event(rest)


def _event(line: bytes) -> type_json:
    event = _decode(line)
    if event is None:
        raise Silent("a watch event that is no JSON object")
    return event


def _decode(data: bytes) -> type_json | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast(type_json, found) if isinstance(found, dict) else None


def _kind(response: Any) -> str:
    return str(response.headers.get("Content-Type", "no content type"))[:60]
