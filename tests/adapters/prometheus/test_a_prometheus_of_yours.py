"""On any real Prometheus, whatever it holds: PROMETHEUS_URL, or one that is started nearly empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.reader import PrometheusMetrics
from ai_platform_mcp.core.rows import MetricScope
from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from prometheus_support import NOW_MS, FixedClock, ListSource, labelled, prometheus_version, real_prometheus, served
from real_targets import met, on

pytestmark = on("prometheus")

NEEDS_NO_SAMPLES = (
    "vector(1) + 1",
    "scalar(vector(7)) % 4",
    "1 > bool 2",
    'label_replace(vector(1), "a", "$1", "b", "(.*)")',
    "absent(no_such_metric_anywhere)",
    "sum(no_such_metric_anywhere)",
    "time() - time()",
    "-2 ^ 2",
)
REFUSED = ("sum(", "rate(up)", "up[5m] + 1", "no_such_function(up)", "1 + on(a) 2")


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("PROMETHEUS_URL", "").rstrip("/")
    if given:
        met("prometheus", f"{prometheus_version(given)} (PROMETHEUS_URL)")
        yield given
        return
    with real_prometheus(tmp_path_factory.mktemp("yours"), {labelled("other", job="a"): [(NOW_MS, 1.0)]}) as started:
        yield started


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with served(build_prometheus_app(ListSource({}), FixedClock())) as ours:
        yield ours


async def test_every_signal_is_answered_or_says_what_is_missing(url: str) -> None:
    metrics = PrometheusMetrics(PrometheusClient(url, seconds=20), Now(), seconds=20)
    try:
        for name in metrics.signals():
            answer = await metrics.signal(name, MetricScope(), window_seconds=3600)
            assert answer.series or answer.absence, name
            assert answer.promql, name
    finally:
        await metrics.aclose()


@pytest.mark.parametrize("query", [*NEEDS_NO_SAMPLES, *REFUSED])
def test_what_needs_no_samples_is_answered_alike(url: str, sandbox: str, query: str) -> None:
    asked = {"query": query, "time": str(NOW_MS / 1000)}
    ours, real = (httpx.post(f"{base}/api/v1/query", data=asked, timeout=30) for base in (sandbox, url))
    assert ours.status_code == real.status_code, (ours.text, real.text)
    mine, theirs = ours.json(), real.json()
    assert mine["status"] == theirs["status"]
    if theirs["status"] == "error":
        assert mine["errorType"] == theirs["errorType"]
    else:
        assert mine["data"] == theirs["data"]
