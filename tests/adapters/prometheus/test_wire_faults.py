"""Faults of the wire before the sandbox's metrics and a real Prometheus: asked again where that is safe, told where not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.core.errors import DeadlineExceeded, Forbidden, PlatformError, RateLimited, Unavailable
from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from prometheus_support import FixedClock, real_prometheus, seeded_world, served
from real_targets import both
from support import front as faults
from support.certificates import HOUR, Authority, serving
from support.front import Fault, Front, before
from support.patience import ROOM

SECONDS = 2.0
BROKEN = (
    faults.LOST_BEFORE,
    faults.LOST_AFTER,
    faults.TRUNCATED,
    *faults.GATEWAYS,
)

FOREIGN = (faults.EMPTY, faults.LOGIN, faults.WRONG_JSON, faults.WRONG_TYPE, faults.DEEP, faults.REDIRECT)


def named(fault: Fault) -> str:
    return fault.name


@pytest.fixture(scope="module")
def sandbox_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(build_prometheus_app(seeded_world(tmp_path_factory.mktemp("world")), FixedClock(), ())) as url:
        yield url


@pytest.fixture(scope="module")
def real_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_prometheus(tmp_path_factory.mktemp("prometheus"), {}) as url:
        yield url


@pytest.fixture(params=both("prometheus"))
def metrics(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_metrics"))


@asynccontextmanager
async def behind(
    url: str, max_bytes: int = 2_000_000, seconds: float = SECONDS + ROOM
) -> AsyncIterator[tuple[Front, PrometheusClient]]:
    async with before(url) as standing:
        client = PrometheusClient(standing.url, seconds=seconds, max_bytes=max_bytes)
        yield standing, client
        await client.aclose()


async def failing(error: type[PlatformError], client: PrometheusClient) -> PlatformError:
    started = time.monotonic()
    with pytest.raises(error) as caught:
        await client.instant("vector(1)")
    assert time.monotonic() - started < SECONDS + ROOM
    assert type(caught.value).code == error.code
    assert caught.value.message and caught.value.cause and caught.value.remedy
    return caught.value


@pytest.mark.parametrize("fault", BROKEN, ids=named)
async def test_a_question_whose_answer_breaks_once_is_asked_again_unseen(metrics: str, fault: Fault) -> None:
    async with behind(metrics) as (standing, client):
        standing.fail("/api/v1/query", fault)
        assert (await client.instant("vector(1)"))["resultType"] == "vector"
        assert standing.count("/api/v1/query") == 1 + fault.arrives


@pytest.mark.parametrize("fault", BROKEN, ids=named)
async def test_an_answer_that_stays_broken_is_told_after_three_attempts(metrics: str, fault: Fault) -> None:
    async with behind(metrics) as (standing, client):
        standing.fail("/api/v1/query", *[fault] * 4)
        assert (await failing(Unavailable, client)).retryable
        assert len(standing.faults) == 1


@pytest.mark.parametrize("fault", FOREIGN, ids=named)
async def test_a_foreign_answer_is_told_at_once_and_never_an_empty_result(metrics: str, fault: Fault) -> None:
    async with behind(metrics) as (standing, client):
        standing.fail("/api/v1/query", *[fault] * 2)
        await failing(Unavailable, client)
        assert len(standing.faults) == 1


@pytest.mark.parametrize("fault", [faults.SLOW_HEAD, faults.SLOW_BODY, faults.ENDLESS], ids=named)
async def test_an_answer_that_never_ends_costs_the_deadline_and_no_more(metrics: str, fault: Fault) -> None:
    async with behind(metrics, seconds=SECONDS + ROOM if fault is faults.ENDLESS else SECONDS) as (standing, client):
        standing.fail("/api/v1/query", *[fault] * 3)
        await failing(Unavailable if fault is faults.ENDLESS else DeadlineExceeded, client)


def in_date(seconds: float, ahead: float) -> tuple[str, str]:
    theirs = datetime.now(UTC) + timedelta(seconds=ahead)
    late = format_datetime(theirs + timedelta(seconds=seconds), True)
    return f"Retry-After: {late}", f"Date: {format_datetime(theirs, True)}"


@pytest.mark.parametrize("headers", [("Retry-After: 3600",), in_date(3600, -7200), in_date(3600, 7200)])
async def test_a_wait_that_is_too_long_is_told_and_not_asked_again(metrics: str, headers: tuple[str, ...]) -> None:
    async with behind(metrics) as (standing, client):
        standing.fail("/api/v1/query", *[faults.busy(*headers)] * 2)
        assert "3600 s" in (await failing(RateLimited, client)).remedy
        assert len(standing.faults) == 1


@pytest.mark.parametrize("headers", [("Retry-After: 0",), (), in_date(0, 7200)])
async def test_a_short_wait_is_waited(metrics: str, headers: tuple[str, ...]) -> None:
    async with behind(metrics) as (standing, client):
        standing.fail("/api/v1/query", faults.busy(*headers))
        assert (await client.instant("vector(1)"))["result"]


@pytest.mark.parametrize("code", [401, 403])
async def test_a_refused_token_is_named_by_its_setting(metrics: str, code: int) -> None:
    refused = Fault("refused", False, faults.page(code, b"who are you?", "text/plain"))
    async with behind(metrics) as (standing, client):
        standing.fail("/api/v1/query", refused, refused)
        assert "token_file" in (await failing(Forbidden, client)).remedy
        assert len(standing.faults) == 1


@pytest.mark.parametrize("start", [-2 * HOUR, HOUR], ids=["expired", "not yet valid"])
async def test_a_certificate_that_is_not_good_is_told_and_nothing_is_sent(
    metrics: str, tmp_path: Path, start: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ca")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    leaf = authority.server(start=start, end=start + HOUR)
    async with before(metrics, serving=serving(leaf)) as standing:
        client = PrometheusClient(standing.url, seconds=SECONDS)
        found = await failing(Unavailable, client)
        assert "certificate" in found.cause and "clock" in found.remedy
        assert standing.arrived == []
        await client.aclose()
