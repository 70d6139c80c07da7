"""Servers that hang, lie, redirect or drown us: always an error with a remedy, always within the deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.reader import PrometheusMetrics
from ai_platform_mcp.core.errors import (
    DeadlineExceeded,
    Forbidden,
    InvalidInput,
    Misconfigured,
    PlatformError,
    RateLimited,
    Unavailable,
)
from ai_platform_mcp.core.rows import MetricScope
from prometheus_support import FixedClock
from support.patience import ROOM

SECONDS = 0.8
GOOD = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"2"]}]}}'
Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Counter:
    def __init__(self) -> None:
        self.requests: list[bytes] = []


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[tuple[str, Counter]]:
    """A raw TCP server: hostile answers are written byte by byte, not by a well-behaved framework."""
    counter = Counter()

    async def serve(stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await stream.readuntil(b"\r\n\r\n")
            length = next(
                (int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length")), 0
            )
            counter.requests.append(head + await stream.readexactly(length))
            await handler(head, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", counter
    finally:
        listening.close()


def answers(
    status: str, body: bytes, content_type: str = "application/json", extra: str = "", length: int | None = None
) -> Handler:
    async def handler(head: bytes, writer: asyncio.StreamWriter) -> None:
        size = len(body) if length is None else length
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {size}\r\n"
            f"connection: close\r\n{extra}\r\n".encode()
            + body
        )
        await writer.drain()

    return handler


async def hangs(head: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drips(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
    while True:  # one byte often enough that no read ever times out
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def endless(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    chunk = b"x" * 65_536
    while True:
        writer.write(b"10000\r\n" + chunk + b"\r\n")
        await writer.drain()


async def hangs_up(head: bytes, writer: asyncio.StreamWriter) -> None:
    writer.close()


HOSTILE: dict[str, tuple[Handler, type[PlatformError]]] = {
    "hangs": (hangs, DeadlineExceeded),
    "drips": (drips, DeadlineExceeded),
    "endless body": (endless, Unavailable),
    "hangs up": (hangs_up, Unavailable),
    "html": (answers("200 OK", b"<html>Sign in</html>", "text/html"), Unavailable),
    "html error": (answers("500 Oops", b"<html>", "text/html"), Unavailable),
    "truncated json": (answers("200 OK", GOOD[:50]), Unavailable),
    "short body": (answers("200 OK", GOOD[:50], length=len(GOOD)), Unavailable),
    "deep json": (answers("200 OK", b"[" * 100_000), Unavailable),
    "a list": (answers("200 OK", b"[]"), Unavailable),
    "no data": (answers("200 OK", b'{"status":"success"}'), Unavailable),
    "wrong data": (answers("200 OK", b'{"status":"success","data":[1]}'), Unavailable),
    "wrong result": (
        answers("200 OK", b'{"status":"success","data":{"resultType":"vector","result":[1]}}'),
        Unavailable,
    ),
    "wrong value": (
        answers(
            "200 OK",
            b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1e99,"many"]}]}}',
        ),
        Unavailable,
    ),
    "503": (answers("503 Unavailable", b"no healthy upstream", "text/plain"), Unavailable),
    "429": (answers("429 Slow down", b"", "text/plain"), RateLimited),
    "redirect": (answers("302 Found", b"", extra="location: http://127.0.0.1:1/login\r\n"), Unavailable),
    "401": (answers("401 Unauthorized", b""), Forbidden),
    "404": (answers("404 Not Found", b"nothing here", "text/plain"), Unavailable),
    "its own timeout": (
        answers("503 Unavailable", b'{"status":"error","errorType":"timeout","error":"too slow"}'),
        DeadlineExceeded,
    ),
    "bad data": (answers("400 Bad", b'{"status":"error","errorType":"bad_data","error":"odd\\u0007"}'), InvalidInput),
}


def metrics(url: str, seconds: float) -> PrometheusMetrics:
    client = PrometheusClient(url, seconds=seconds, max_bytes=1_000_000)
    return PrometheusMetrics(client, FixedClock(), seconds=seconds)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_server_is_an_error_with_a_remedy_within_the_deadline(name: str) -> None:
    handler, expected = HOSTILE[name]
    async with server(handler) as (url, _):
        one = metrics(url, SECONDS if handler in (hangs, drips) else SECONDS + ROOM)
        began = time.monotonic()
        with pytest.raises(expected) as raised:
            await one.signal("rps", MetricScope(), window_seconds=300)
        assert time.monotonic() - began < SECONDS + ROOM
        assert raised.value.remedy or raised.value.cause
        assert "\x07" not in raised.value.cause
        await one.aclose()


async def test_nothing_listening_is_unavailable_within_the_deadline() -> None:
    async with server(hangs) as (url, _):
        pass
    began = time.monotonic()
    one = metrics(url, SECONDS + ROOM)
    with pytest.raises(Unavailable) as raised:
        await one.promql("up", MetricScope(), window_seconds=300)
    assert time.monotonic() - began < SECONDS + ROOM
    assert "cannot be reached" in raised.value.message
    await one.aclose()


async def test_a_503_that_passes_is_retried_and_an_answer_is_not() -> None:
    left = [2]

    async def recovers(head: bytes, writer: asyncio.StreamWriter) -> None:
        left[0] -= 1
        status, body = ("503 Unavailable", b"") if left[0] > 0 else ("200 OK", GOOD)
        await answers(status, body)(head, writer)

    async with server(recovers) as (url, counter):
        client = PrometheusClient(url, seconds=ROOM)
        assert (await client.instant("up"))["resultType"] == "vector"
        assert len(counter.requests) == 2
        await client.aclose()
    async with server(answers("422 Bad", b'{"status":"error","errorType":"execution","error":"x"}')) as (url, counter):
        client = PrometheusClient(url, seconds=ROOM)
        with pytest.raises(InvalidInput):
            await client.instant("up")
        assert len(counter.requests) == 1
        await client.aclose()


async def test_a_redirect_never_sees_the_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("sekret-1\n")
    async with server(answers("200 OK", GOOD)) as (elsewhere, seen):
        async with server(answers("307 Temporary", b"", extra=f"location: {elsewhere}/\r\n")) as (url, counter):
            client = PrometheusClient(url, seconds=ROOM, token_file=token)
            with pytest.raises(Unavailable) as raised:
                await client.instant("up")
            assert b"authorization: bearer sekret-1" in counter.requests[0].lower()
            assert "sekret" not in str(raised.value.as_dict())
            await client.aclose()
        assert seen.requests == []


async def test_the_token_is_read_anew_for_each_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    async with server(answers("200 OK", GOOD)) as (url, counter):
        client = PrometheusClient(url, seconds=ROOM, token_file=token)
        with pytest.raises(Misconfigured):
            await client.instant("up")
        for value in ("one", "two"):
            token.write_text(value)
            await client.instant("up")
            assert f"bearer {value}".encode() in counter.requests[-1].lower()
        await client.aclose()
        monkeypatch.setenv("METRICS_TOKEN", "three")
        client = PrometheusClient(url, seconds=ROOM, token_env="METRICS_TOKEN")
        await client.instant("up")
        assert b"bearer three" in counter.requests[-1].lower()
        monkeypatch.delenv("METRICS_TOKEN")
        with pytest.raises(Misconfigured):
            await client.instant("up")
        await client.aclose()


async def test_a_proxy_that_lets_only_get_through_is_asked_by_get() -> None:
    async def only_get(head: bytes, writer: asyncio.StreamWriter) -> None:
        status, body = ("200 OK", GOOD) if head.startswith(b"GET") else ("405 Method Not Allowed", b"")
        await answers(status, body)(head, writer)

    async with server(only_get) as (url, counter):
        client = PrometheusClient(url, seconds=ROOM)
        assert (await client.instant("up"))["result"]
        assert [request.split()[0] for request in counter.requests] == [b"POST", b"GET"]
        await client.aclose()
