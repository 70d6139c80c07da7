"""LiteLLM's series as release 1.106.2 exported them for a chain of groups, and what is told of them: no more than happened."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.reader import PrometheusMetrics
from ai_platform_mcp.core.rows import MetricScope
from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from prometheus_support import NOW_MS, FixedClock, ListSource, labelled, served

DEPLOYMENT, HOUR = "litellm_deployment", 3600
EDGE, ONE, TWO = "chain/edge/dev//chain/edge", "chain/cloud/dev//chain-cloud/one", "chain/cloud/prod//chain-cloud-2/two"
REFUSED, TURNED_AWAY = "Openai.InternalServerError", "RouterRateLimitError"
FELL = (
    ("chain-cloud", "chain", REFUSED),
    ("chain-cloud", "chain", TURNED_AWAY),
    ("chain-cloud-2", "chain-cloud", REFUSED),
)
SEEN = {
    **{
        labelled(f"{DEPLOYMENT}_success_responses_total", model_id=one): 3.0
        for one in (TWO, "b7c1", "chain2/cloud/dev//c/x")
    },
    **{labelled(f"{DEPLOYMENT}_total_requests_total", model_id=one): 3.0 for one in (EDGE, ONE, TWO)},
    labelled(f"{DEPLOYMENT}_failure_responses_total", model_id=EDGE, exception_class=REFUSED): 2.0,
    labelled(f"{DEPLOYMENT}_failure_responses_total", model_id=TWO, exception_class=TURNED_AWAY): 4.0,
    labelled(f"{DEPLOYMENT}_cooled_down_total", model_id=EDGE, exception_status="500"): 1.0,
    **{
        labelled(
            f"{DEPLOYMENT}_successful_fallbacks_total", fallback_model=to, requested_model=first, exception_class=why
        ): count
        for (to, first, why), count in zip(FELL, (2.0, 1.0, 3.0), strict=True)
    },
}
"""Three requests: the edge refused two and was then left alone, the first cloud was dead, the second answered all of them."""


@pytest.fixture
async def metrics() -> AsyncIterator[PrometheusMetrics]:
    rows = {labels: [(NOW_MS - back, value) for back in (45_000, 30_000, 15_000)] for labels, value in SEEN.items()}
    with served(build_prometheus_app(ListSource(rows), FixedClock())) as url:
        made = PrometheusMetrics(PrometheusClient(url, seconds=20), FixedClock(), seconds=20)
        yield made
        await made.aclose()


@pytest.mark.parametrize(
    ("signal", "told"),
    [
        ("fallbacks", {"chain-cloud": 0.0, "chain-cloud-2": 3.0}),
        ("cooldowns", {"dev": 1.0}),
        ("routed", {"dev": 2.0, "prod": 3.0}),
        ("failed_share", {"dev": 1.0, "prod": 0.0}),
    ],
)
async def test_what_began_within_the_window_counts_in_full_and_once(
    metrics: PrometheusMetrics, signal: str, told: dict[str, float]
) -> None:
    answer = await metrics.signal(signal, MetricScope(model="chain"), window_seconds=HOUR)
    found = {row.labels.get("fallback_model") or row.labels["namespace"]: row.points[0].value for row in answer.series}
    assert found == told


async def test_a_tier_is_asked_by_the_id_alone(metrics: PrometheusMetrics) -> None:
    answer = await metrics.signal("routed", MetricScope(model="chain", target="cloud"), window_seconds=HOUR)
    assert [(row.labels, row.points[0].value) for row in answer.series] == [({"namespace": "prod"}, 3.0)]
