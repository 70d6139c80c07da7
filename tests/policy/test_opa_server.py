"""OPA over REST: a server that misbehaves in any way gets a denial, a good one is believed."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from ai_platform_mcp.adapters.policy.bundle import load_bundle
from ai_platform_mcp.adapters.policy.opa import OpaPolicy
from ai_platform_mcp.core.decision import Decision
from policy.questions import question
from policy.support import POLICIES, regorus
from support.patience import ROOM

Respond = Callable[[bytes], bytes]
GOOD = question("request_gpu")


def http(body: str | bytes, status: str = "200 OK", extra: str = "") -> bytes:
    text = body if isinstance(body, bytes) else body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n{extra}\r\n"
    return head.encode() + text


@asynccontextmanager
async def server(respond: Respond, seen: list[bytes] | None = None) -> AsyncIterator[str]:
    """Serve HTTP on loopback; ``respond`` turns a request body into raw bytes, empty meaning silence."""

    async def handle(stream: SocketStream) -> None:
        data = b""
        async with stream:
            try:
                while True:
                    while b"\r\n\r\n" not in data:
                        data += await stream.receive()
                    head, _, data = data.partition(b"\r\n\r\n")
                    sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                    size = int(sizes[0].split(b":")[1]) if sizes else 0
                    while len(data) < size:
                        data += await stream.receive()
                    body, data = data[:size], data[size:]
                    if seen is not None:
                        seen.append(head + b"\r\n\r\n" + body)
                    answer = respond(body)
                    if not answer:
                        await anyio.sleep_forever()
                    await stream.send(answer)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        yield f"http://127.0.0.1:{port}"
        group.cancel_scope.cancel()
    await listener.aclose()


async def decide(respond: Respond, seconds: float = ROOM) -> Decision:
    async with server(respond) as url:
        policy = OpaPolicy(url, connect_seconds=seconds, read_seconds=seconds)
        try:
            return await policy.decide(GOOD)
        finally:
            await policy.aclose()


@pytest.fixture(scope="module")
def truth() -> dict[str, Any]:
    answer: dict[str, Any] = regorus()(GOOD.model_dump(mode="json", by_alias=True))
    return answer


def result(document: Any) -> bytes:
    return http(json.dumps({"result": document}))


async def test_a_sound_server_is_believed(truth: dict[str, Any]) -> None:
    seen: list[bytes] = []
    async with server(lambda body: result(truth) if body else http("{}"), seen) as url:
        policy = OpaPolicy(url, token="t0ken")
        decision = await policy.decide(GOOD)
        again = await policy.decide(GOOD)
        info = await policy.info()
        law = load_bundle(POLICIES)
        assert set(await policy.law()) == set(law.files)
        assert policy.explain("card_missing", {})[1]
        await policy.aclose()
    assert (decision.effect, again.effect, decision.engine) == ("allow", "allow", "opa")
    assert (info.revision, info.problem) == (law.revision, "")
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/data/aiplatform/main/decision?strict-builtin-errors=true ")
    assert b"Bearer t0ken" in head
    assert json.loads(body)["input"] == GOOD.model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize(
    "answer",
    [
        http("{}"),
        http('{"result": true}'),
        http('{"result": {}}'),
        http('{"result": "<undefined>"}'),
        http('{"result": {"allow": true, "effect": "allow"}}'),
        http("<html>welcome</html>"),
        http("[]"),
        http("x" * 300_000),
        http("{}", "500 Internal Server Error"),
        http("{}", "503 Service Unavailable"),
        http("{}", "401 Unauthorized"),
        http("{}", "403 Forbidden"),
        http("{}", "404 Not Found"),
        http("{}", "429 Too Many Requests", "Retry-After: 3600\r\n"),
        http("<html>gateway</html>", "502 Bad Gateway"),
        http("{}", "504 Gateway Timeout"),
        http("[" * 100_000),
        http("", "204 No Content"),
        http("", "302 Found", "Location: http://127.0.0.1:1/v1/data\r\n"),
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    ],
)
async def test_a_hostile_server_is_denied(answer: bytes) -> None:
    decision = await decide(lambda _: answer, 0.3)
    assert decision.effect == "deny"
    assert decision.violations[0].code in ("policy_error", "policy_unavailable")
    assert decision.violations[0].msg


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"allow": False}, "policy_error"),
        ({"effect": "permit"}, "policy_error"),
        ({"effect": "require_approval", "allow": False}, "policy_error"),
        ({"violations": [{"code": "x", "severity": "high"}]}, "policy_error"),
        ({"extra": 1}, "policy_error"),
        ({"obligations": [{"type": "encrypt", "mandatory": True, "params": {}}]}, "unknown_obligation"),
        ({"revision": "r-other"}, "policy_revision_mismatch"),
        ({"revision": ""}, "policy_revision_mismatch"),
        ({"limits": {"max_hours": "many"}}, "policy_error"),
    ],
)
async def test_an_answer_that_contradicts_itself_is_denied(
    truth: dict[str, Any], change: dict[str, Any], code: str
) -> None:
    decision = await decide(lambda _: result({**truth, **change}))
    assert decision.effect == "deny"
    assert [row.code for row in decision.violations] == [code]


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect"])
async def test_a_redirect_is_not_followed_to_a_server_that_would_allow(truth: dict[str, Any], status: str) -> None:
    asked: list[bytes] = []
    async with server(lambda _: result(truth), asked) as willing:
        moved = http("", status, f"Location: {willing}/v1/data/aiplatform/main/decision\r\n")
        assert (await decide(lambda _: moved)).effect == "deny"
    assert asked == []


async def test_a_server_that_is_not_there_is_a_denial_and_a_problem() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    policy = OpaPolicy(url, connect_seconds=0.2, read_seconds=0.2)
    decision = await policy.decide(GOOD)
    assert [row.code for row in decision.violations] == ["policy_unavailable"]
    assert "cannot be reached" in (await policy.info()).problem
    await policy.aclose()


async def test_a_drip_of_bytes_does_not_outlast_the_deadline() -> None:
    async def drip(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            try:
                await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while True:
                    await stream.send(b" ")
                    await anyio.sleep(0.05)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, drip)
        policy = OpaPolicy(f"http://127.0.0.1:{port}", connect_seconds=0.2, read_seconds=0.2)
        with anyio.fail_after(30):
            decision = await policy.decide(GOOD)
        await policy.aclose()
        group.cancel_scope.cancel()
    await listener.aclose()
    assert [row.code for row in decision.violations] == ["policy_unavailable"]
