"""Faults of the wire before a real MLflow server: reads are asked again, changes are sent once and read back.

The sandbox's registry is the SQL store itself, without a wire; where no server can be had, a small one stands in that keeps
tags of one model, so that effects are counted all the same.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from ai_platform_mcp.adapters.mlflow import session
from ai_platform_mcp.adapters.mlflow.registry import MlflowRegistry
from ai_platform_mcp.core.errors import DeadlineExceeded, OutcomeUnknown, PlatformError, RateLimited, Unavailable
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import SetTag
from ai_platform_mcp.core.rows import Stamp
from real_targets import both
from support import front as faults
from support.certificates import HOUR, Authority, serving
from support.front import Fault, Front, before

SECONDS = 20.0
"""Long: a busy machine is no fault of the server. What is to run into its deadline gets the short one."""
SHORT = 3.0
STAMP = Stamp(operation_id="op-1", plan_digest="d1")
BROKEN = (
    faults.LOST_BEFORE,
    faults.LOST_AFTER,
    faults.TRUNCATED,
    faults.EMPTY,
    faults.LOGIN,
    faults.WRONG_TYPE,
    faults.DEEP,
    *faults.GATEWAYS,
)
HANGING = (faults.SLOW_HEAD, faults.SLOW_BODY)


class OneModel(BaseHTTPRequestHandler):
    """The least of an MLflow server: one registered model, and its tags."""

    protocol_version = "HTTP/1.1"
    tags: dict[str, str]

    def do_GET(self) -> None:
        tags = [{"key": key, "value": value} for key, value in self.tags.items()]
        self.say({"registered_model": {"name": "vision", "tags": tags}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.tags[body["key"]] = body["value"]
        self.say({})

    def say(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def sandbox_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (OneModel,), {"tags": {}}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def real_server(real_registry: str) -> str:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=real_registry, registry_uri=real_registry)
    if not client.search_registered_models("name = 'vision'"):
        client.create_registered_model("vision")
    return real_registry


@pytest.fixture(params=both("mlflow"))
def server(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_server"))


@asynccontextmanager
async def behind(url: str, seconds: float = SECONDS) -> AsyncIterator[tuple[Front, MlflowRegistry]]:
    async with before(url) as standing:
        registry = MlflowRegistry(standing.url, seconds)
        await registry._calls._load()  # pyright: ignore[reportPrivateUsage]  # the import is not the server's fault
        session.bind(seconds)
        yield standing, registry


async def failing(error: type[PlatformError], call: object) -> PlatformError:
    started = time.monotonic()
    with pytest.raises(error) as caught:
        await call  # type: ignore[misc]
    assert time.monotonic() - started < SECONDS + 1
    assert type(caught.value).code == error.code
    assert caught.value.message and caught.value.cause and caught.value.remedy
    return caught.value


def tag() -> SetTag:
    return SetTag(id="s1", title="t", model="vision", key=f"k{uuid4().hex[:8]}", value="1")


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.name)
async def test_a_read_that_breaks_once_is_asked_again_unseen(server: str, fault: Fault) -> None:
    async with behind(server) as (standing, registry):
        standing.fail("GET ", fault)
        found = await registry.model("vision")
        assert found is not None and found.name == "vision"
        assert standing.faults == []


@pytest.mark.parametrize("fault", [*BROKEN, faults.WRONG_JSON, faults.REDIRECT], ids=lambda fault: fault.name)
async def test_a_read_that_stays_broken_is_an_error_and_never_an_empty_registry(server: str, fault: Fault) -> None:
    async with behind(server) as (standing, registry):
        standing.fail("GET ", *[fault] * 3)
        await failing(Unavailable, registry.model("vision"))
        assert standing.count("GET ") == 2 * fault.arrives


@pytest.mark.parametrize("fault", [*BROKEN, faults.WRONG_JSON, faults.SLOW_HEAD], ids=lambda fault: fault.name)
async def test_a_change_whose_answer_is_lost_is_sent_once_and_read_back(server: str, fault: Fault) -> None:
    step = tag()
    async with behind(server, SHORT if fault in HANGING else SECONDS) as (standing, registry):
        standing.fail("POST ", fault)
        with open_permit(Permit("op-1", "s1")):
            await failing(OutcomeUnknown, registry.execute(step, STAMP))
        assert standing.count("POST ") == fault.arrives
        assert await registry.read_back(step, STAMP) is fault.arrives
        with open_permit(Permit("op-1", "s1")):
            again = await registry.execute(step, STAMP)
        assert again.state == ("unchanged" if fault.arrives else "applied")
        assert standing.count("POST ") == 1


async def test_the_sites_own_retries_do_not_repeat_a_change(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    async with behind(server) as (standing, registry):
        standing.fail("POST ", *[faults.GATEWAYS[0]] * 6)
        with open_permit(Permit("op-1", "s1")):
            await failing(OutcomeUnknown, registry.execute(tag(), STAMP))
        assert standing.count("POST ") == 1


@pytest.mark.parametrize("fault", [*HANGING, faults.ENDLESS], ids=lambda fault: fault.name)
async def test_a_read_that_never_ends_costs_the_deadline_and_ends_its_thread(
    server: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "MOST_BYTES", 1024 * 1024)
    async with behind(server, SHORT) as (standing, registry):
        standing.fail("GET ", *[fault] * 3)
        await failing(Unavailable if fault is faults.ENDLESS else DeadlineExceeded, registry.model("vision"))


async def test_a_busy_server_is_waited_for_shortly_and_told_otherwise(server: str) -> None:
    async with behind(server) as (standing, registry):
        standing.fail("GET ", faults.busy("Retry-After: 0"))
        assert await registry.model("vision") is not None
        standing.fail("GET ", *[faults.busy("Retry-After: 3600")] * 2)
        found = await failing(RateLimited, registry.model("vision"))
        assert "3600 s" in found.remedy and len(standing.faults) == 1
        standing.fail("POST ", faults.busy("Retry-After: 3600"))
        with open_permit(Permit("op-1", "s1")):
            await failing(RateLimited, registry.execute(tag(), STAMP))  # not begun, so not unknown
        assert standing.count("POST ") == 0


@pytest.mark.parametrize("start", [-2 * HOUR, HOUR], ids=["expired", "not yet valid"])
async def test_a_certificate_that_is_not_good_is_told_and_nothing_is_sent(
    server: str, tmp_path: Path, start: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(authority.certificate))
    leaf = authority.server(start=start, end=start + HOUR)  # type: ignore[arg-type, operator]
    async with before(server, serving=serving(leaf)) as standing:
        registry = MlflowRegistry(standing.url, SECONDS)
        await registry._calls._load()  # pyright: ignore[reportPrivateUsage]
        found = await failing(Unavailable, registry.model("vision"))
        assert "clock" in found.remedy
        assert standing.arrived == []
