"""What the adapter says when the server is dead, slow or lying. The servers are sockets on loopback."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ai_platform_mcp.adapters.mlflow.registry import MlflowRegistry
from ai_platform_mcp.core.errors import DeadlineExceeded, Forbidden, OutcomeUnknown, Unavailable
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import SetAlias, SetTag
from ai_platform_mcp.core.rows import Stamp
from support.patience import ROOM

STAMP = Stamp(operation_id="op-1", plan_digest="d1")
Serve = Callable[[Callable[["Handler"], None]], str]


class Handler(BaseHTTPRequestHandler):
    answer: Callable[[Handler], None]

    def do_GET(self) -> None:
        type(self).answer(self)

    def do_POST(self) -> None:
        type(self).answer(self)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def say(self, status: int, body: str, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[Handler], None]) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answering", (Handler,), {"answer": staticmethod(answer)}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


async def loaded(uri: str, seconds: float = 10) -> MlflowRegistry:
    """Return a registry whose import is behind it, so that the test measures the call."""
    registry = MlflowRegistry(uri, seconds)
    await registry._calls._load()  # pyright: ignore[reportPrivateUsage]
    return registry


async def dead(port: int) -> MlflowRegistry:
    return MlflowRegistry(f"http://user:geheim@127.0.0.1:{port}", 10)


async def dead_since_it_was_loaded(port: int) -> MlflowRegistry:
    with socket.create_server(("127.0.0.1", port)):
        return await loaded(f"http://user:geheim@127.0.0.1:{port}")


@pytest.mark.parametrize("registry_of", [dead, dead_since_it_was_loaded])
async def test_a_dead_server_is_unavailable_without_waiting_for_the_deadline(
    registry_of: Callable[[int], Awaitable[MlflowRegistry]],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    registry = await registry_of(port)
    began = time.monotonic()
    with pytest.raises(Unavailable) as error:
        await registry.models()
    assert time.monotonic() - began < ROOM
    assert error.value.remedy and error.value.retryable
    assert "geheim" not in json.dumps(error.value.as_dict())
    with open_permit(Permit("op-1", "s1")), pytest.raises(Unavailable):
        await registry.execute(SetTag(id="s1", title="t", model="m", key="k", value="v"), STAMP)


async def test_a_slow_server_costs_the_deadline_and_no_more(serve: Serve) -> None:
    released = threading.Event()
    registry = await loaded(serve(lambda handler: (released.wait(20), None)[1]), seconds=0.3)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await registry.models()
    with open_permit(Permit("op-1", "s1")), pytest.raises(OutcomeUnknown):
        await registry.execute(SetTag(id="s1", title="t", model="m", key="k", value="v"), STAMP)
    assert time.monotonic() - began < 0.6 + ROOM
    released.set()


LIES = {
    "a login page": lambda handler: handler.say(200, "<html>please log in</html>", "text/html"),
    "a page that is not there": lambda handler: handler.say(404, "<html>not found</html>", "text/html"),
    "JSON of another shape": lambda handler: handler.say(200, '["surprise"]'),
    "fields of another type": lambda handler: handler.say(200, '{"registered_models": "many", "registered_model": 7}'),
    "half an answer": lambda handler: handler.say(200, '{"registered_models": ['),
    "an error of its own": lambda handler: handler.say(500, '{"error_code": "INTERNAL_ERROR", "message": "ouch"}'),
    "nothing": lambda handler: handler.wfile.close(),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lying_server_is_unavailable_and_never_an_empty_registry(serve: Serve, lie: str) -> None:
    registry = await loaded(serve(LIES[lie]))
    for call in (
        registry.models(),
        registry.model("vision"),
        registry.versions("vision"),
        registry.version("vision", "1"),
    ):
        with pytest.raises(Unavailable):
            await call


async def test_a_change_without_a_proper_answer_is_unknown(serve: Serve) -> None:
    sent: list[str] = []

    def answer(handler: Handler) -> None:
        if handler.command == "GET":
            handler.say(200, '{"registered_model": {"name": "vision"}}')
        else:
            sent.append(handler.path)
            handler.wfile.close()

    registry = await loaded(serve(answer))
    with open_permit(Permit("op-1", "s1")), pytest.raises(OutcomeUnknown) as error:
        await registry.execute(
            SetAlias(id="s1", title="t", model="vision", alias="champion", version="1", expected=None), STAMP
        )
    assert "resume" in error.value.remedy
    assert sent == ["/api/2.0/mlflow/registered-models/alias"]


@pytest.mark.parametrize(("status", "code"), [(401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED")])
async def test_a_refused_identity_is_told_how_to_log_in(serve: Serve, status: int, code: str) -> None:
    bodies = (json.dumps({"error_code": code, "message": "no"}), "You are not authenticated.")
    for body in bodies:
        registry = await loaded(serve(lambda handler, body=body: handler.say(status, body)))
        with pytest.raises(Forbidden) as error:
            await registry.models()
        assert "MLFLOW_TRACKING_TOKEN" in error.value.remedy
