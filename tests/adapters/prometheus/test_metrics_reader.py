"""The metrics reader over real HTTP: the sandbox's store, and a real Prometheus over the same samples."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.reader import PrometheusMetrics
from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.rows import MetricAnswer, MetricScope
from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from ai_platform_mcp.sandbox.prometheus.model import LabelSet, Sample
from ai_platform_mcp.sandbox.prometheus.seed import PLATFORM_ALERTS
from prometheus_support import (
    NOW,
    NOW_MS,
    FixedClock,
    ListSource,
    labelled,
    real_prometheus,
    seeded_world,
    served,
)
from real_targets import on

HOUR = 3_600


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    world = seeded_world(tmp_path_factory.mktemp("world"))
    with served(build_prometheus_app(world, FixedClock(), PLATFORM_ALERTS)) as url:
        yield url


def reader(url: str, **given: object) -> PrometheusMetrics:
    return PrometheusMetrics(PrometheusClient(url, seconds=20), FixedClock(), seconds=20, **given)  # type: ignore[arg-type]


async def ask(url: str, signal: str, scope: MetricScope | None = None, **given: object) -> MetricAnswer:
    one = reader(url)
    try:
        return await one.signal(signal, scope or MetricScope(), **{"window_seconds": HOUR, **given})  # type: ignore[arg-type]
    finally:
        await one.aclose()


SIGNALS = {
    "ttft_p95": ("vllm", 0.0, 5.0),
    "itl_p95": ("vllm", 0.0, 0.5),
    "e2e_p50": ("http", 0.0, 5.0),
    "e2e_p95": ("http", 0.0, 20.0),
    "error_rate": ("http", 0.0, 0.05),
    "rps": ("http", 1.0, 20.0),
    "queue_depth": ("vllm", 0.0, 20.0),
    "kv_util": ("vllm", 0.0, 1.0),
    "gpu_util": ("dcgm", 0.0, 100.0),
    "gpu_tensor_active": ("dcgm", 0.0, 1.0),
    "gpu_mem": ("dcgm", 0.0, 1.0),
    "gpu_health": ("dcgm", 0.0, 0.0),
    "queue_wait_p95": ("kueue", 10.0, 5_000.0),
    "evictions": ("kueue", 0.0, 5.0),
    "quota_usage": ("kueue", 0.1, 1.0),
    "edge_share": ("litellm", 0.0, 1.0),
    "edge_latency": ("http", 0.0, 1.0),
    "spend_rate": ("litellm", 0.0, 100.0),
    "savings": ("litellm", 0.0, 100.0),
    "drift_score": ("evidently", 0.0, 0.2),
}


def test_every_signal_is_listed_with_its_unit() -> None:
    lines = reader("http://127.0.0.1:9").signals()
    assert set(lines) == set(SIGNALS)
    assert "seconds, lower is better" in lines["ttft_p95"]


@pytest.mark.parametrize("name", SIGNALS)
async def test_each_signal_answers_from_the_seeded_world(sandbox: str, name: str) -> None:
    backend, low, high = SIGNALS[name]
    answer = await ask(sandbox, name)
    assert answer.backend == backend
    assert answer.absence == ""
    assert answer.freshness_seconds is not None and 0 <= answer.freshness_seconds <= 60
    assert answer.series and answer.sample_count == len(answer.series)
    for series in answer.series:
        value = series.points[0].value
        assert value is not None and low <= value <= high, (series.labels, value)


@on("prometheus")
async def test_a_real_prometheus_gives_every_signal_the_same_answer(tmp_path: Path) -> None:
    """Over a range, since that carries its own times: a real server's present is not the samples'."""
    world = seeded_world(tmp_path)
    start = NOW_MS - 100 * 60_000
    rows: dict[LabelSet, list[Sample]] = {}
    for labels in world.series((), start, NOW_MS):
        samples = world.samples(labels, start, NOW_MS)
        if samples:
            rows[labels] = samples
    app = build_prometheus_app(ListSource(rows), FixedClock())
    with served(app) as ours, real_prometheus(tmp_path, rows) as real:
        for name in SIGNALS:
            mine = await ask(ours, name, step_seconds=300)
            theirs = await ask(real, name, step_seconds=300)
            assert mine.backend == theirs.backend == SIGNALS[name][0]
            assert mine.promql == theirs.promql
            expected = {tuple(sorted(one.labels.items())): one.points for one in theirs.series}
            assert {tuple(sorted(one.labels.items())) for one in mine.series} == set(expected)
            for one in mine.series:
                other = expected[tuple(sorted(one.labels.items()))]
                assert [p.time for p in one.points] == [p.time for p in other]
                assert [p.value is None for p in one.points] == [p.value is None for p in other]
                numbers = [p.value for p in other if p.value is not None]
                assert [p.value for p in one.points if p.value is not None] == pytest.approx(numbers, rel=1e-9)


@on("prometheus")
async def test_an_empty_real_prometheus_says_that_nothing_is_exported(tmp_path: Path) -> None:
    with real_prometheus(tmp_path, {labelled("other", job="a"): [(NOW_MS, 1.0)]}) as url:
        answer = await ask(url, "rps")
    assert answer.series == ()
    assert answer.absence.startswith("not exported")


async def test_the_scope_narrows_and_the_expanded_promql_says_how(sandbox: str) -> None:
    answer = await ask(sandbox, "rps", MetricScope(model="vision", target="edge"))
    assert answer.backend == "http"
    assert 'model="vision"' in answer.promql
    assert [one.labels["target"] for one in answer.series] == ["edge"]
    by_node = await ask(sandbox, "gpu_util", MetricScope(node="gpu-1"))
    assert {one.labels["node"] for one in by_node.series} == {"gpu-1"}


async def test_a_scope_that_no_exporter_carries_is_refused_with_what_can_be_asked(sandbox: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        await ask(sandbox, "quota_usage", MetricScope(model="vision"))
    assert "queue" in refused.value.remedy
    with pytest.raises(InvalidInput) as unknown:
        await ask(sandbox, "latency")
    assert "e2e_p95" in unknown.value.remedy


async def test_absence_tells_not_exported_from_out_of_scope_from_silent_from_zero(sandbox: str) -> None:
    assert (await ask(sandbox, "rps", MetricScope(model="ghost"))).absence.startswith("nothing for this scope")
    zero = await ask(sandbox, "gpu_health")
    assert zero.absence == "" and any("Measured zero" in note for note in zero.notes)
    old = [(NOW_MS - 3 * HOUR * 1000 + i * 15_000, float(i)) for i in range(10)]
    source = ListSource({labelled("ai_model_drift_score", model="m", feature="f"): old})
    with served(build_prometheus_app(source, FixedClock())) as url:
        assert (await ask(url, "drift_score")).absence.startswith("no samples in the window")
        assert (await ask(url, "kv_util")).absence.startswith("not exported")


async def test_a_range_has_aligned_points_and_reports_its_samples(sandbox: str) -> None:
    answer = await ask(sandbox, "rps", MetricScope(model="vision"), step_seconds=600)
    points = answer.series[0].points
    assert len(points) == HOUR // 600 + 1
    assert all(point.time.timestamp() % 600 == 0 for point in points)
    assert answer.sample_count == sum(len(one.points) for one in answer.series)


async def test_a_ratio_without_traffic_is_null_and_not_a_number_made_up() -> None:
    grid = range(NOW_MS - HOUR * 1000, NOW_MS + 1, 15_000)
    idle = {
        labelled(
            "kn_serving_invocation_duration_seconds_count", model="m", version="1", http_response_status_code="200"
        ): [(moment, 7.0) for moment in grid]
    }
    with served(build_prometheus_app(ListSource(idle), FixedClock())) as url:
        answer = await ask(url, "error_rate")
    assert answer.series[0].points[0].value is None
    assert any("null" in note for note in answer.notes)


async def test_series_over_the_budget_are_left_out_and_the_note_says_how_to_get_the_largest(sandbox: str) -> None:
    one = reader(sandbox)
    answer = await one.promql("vllm:e2e_request_latency_seconds_bucket", MetricScope(), window_seconds=60, max_series=5)
    assert len(answer.series) == 5
    assert answer.omitted_series == 2 * 15 - 5
    assert "topk(5, vllm:e2e_request_latency_seconds_bucket)" in answer.notes[0]
    follow = await one.promql(answer.notes[0].rpartition("ask: ")[2], MetricScope(), window_seconds=60, max_series=5)
    assert (len(follow.series), follow.omitted_series) == (5, 0)
    await one.aclose()


async def test_a_tenant_sees_its_own_models_and_the_platforms_shared_figures(sandbox: str) -> None:
    scope = MetricScope(tenant={"namespace": "team-a", "team": "ml-a"})
    assert {one.labels["model"] for one in (await ask(sandbox, "rps", scope)).series} == {"chat-7b"}
    quota = await ask(sandbox, "quota_usage", scope)
    assert quota.series and any("Platform-wide" in note for note in quota.notes)
    gpus = await ask(sandbox, "gpu_util", scope)
    assert {one.labels["node"] for one in gpus.series} == {"gpu-1"}
    hidden = await ask(sandbox, "rps", MetricScope(tenant={"cost_center": "7"}))
    assert hidden.series == () and hidden.absence.startswith("not visible")


async def test_free_promql_stays_inside_the_tenant(sandbox: str) -> None:
    one = reader(sandbox, tenant={"namespace": "team-a"}, allowed={"*": ("vllm:*", "litellm_*")})
    mine = await one.promql(
        "count by (namespace) (litellm_deployment_state)", MetricScope(tenant={"team": "ml-a"}), window_seconds=60
    )
    assert [series.labels for series in mine.series] == [{"namespace": "team-a"}]
    assert 'namespace="team-a"' in mine.promql and 'team="ml-a"' in mine.promql
    other = await one.promql('litellm_deployment_state{namespace="team-b"}', MetricScope(), window_seconds=60)
    assert other.series == () and "no samples" in other.absence and "another namespace" in other.notes[0]
    missing = await one.promql("vllm:no_such_thing", MetricScope(), window_seconds=60)
    assert "vllm:no_such_thing" in missing.absence and missing.absence.startswith("not exported")
    with pytest.raises(InvalidInput) as refused:
        await one.promql("kube_node_status_condition", MetricScope(), window_seconds=60)
    assert refused.value.details["code"] == "metric_not_allowed"
    with pytest.raises(InvalidInput) as mismatch:
        await one.promql("vllm:x", MetricScope(tenant={"namespace": "team-b"}), window_seconds=60)
    assert mismatch.value.details["code"] == "tenant_mismatch"
    await one.aclose()


async def test_an_expression_without_selectors_is_answered(sandbox: str) -> None:
    one = reader(sandbox)
    answer = await one.promql("1 / 0", MetricScope(), window_seconds=60)
    assert answer.series[0].points[0].value is None and answer.freshness_seconds is None
    await one.aclose()


async def test_what_the_server_cannot_evaluate_comes_back_with_its_own_words(sandbox: str) -> None:
    one = reader(sandbox)
    with pytest.raises(InvalidInput) as refused:
        await one.promql(
            "vllm:kv_cache_usage_perc * on (namespace) vllm:num_requests_waiting", MetricScope(), window_seconds=60
        )
    assert refused.value.details["code"] == "promql_rejected"
    assert "many-to-many" in refused.value.cause
    await one.aclose()


async def test_old_samples_show_their_age(tmp_path: Path) -> None:
    clock = FixedClock()
    source = ListSource({labelled("ai_model_drift_score", model="m", feature="f"): [(NOW_MS, 0.2)]})
    with served(build_prometheus_app(source, clock)) as url:
        clock.moment = NOW + timedelta(seconds=200)
        assert (await ask(url, "drift_score")).freshness_seconds == 200


async def test_alerts_are_those_of_the_tenant_and_of_the_platform(sandbox: str) -> None:
    one = reader(sandbox)
    alerts = await one.alerts()
    assert {alert["name"] for alert in alerts} == {"QueueQuotaExhausted", "NodeNotReady"}
    assert {alert["state"] for alert in alerts} == {"firing"}
    await one.aclose()


async def test_metrics_bound_to_the_team_show_a_caller_their_own_and_nothing_without_a_team(sandbox: str) -> None:
    one = reader(sandbox, tenant={"team": "{team}"})
    answer = await one.promql("litellm_deployment_state", MetricScope(team="nlp"), window_seconds=3600)
    assert 'team="nlp"' in answer.promql
    with pytest.raises(InvalidInput) as refused:
        await one.promql("litellm_deployment_state", MetricScope(), window_seconds=3600)
    assert refused.value.details["code"] == "tenant_unknown"


async def test_a_role_may_name_the_metrics_of_its_list_and_another_role_all(sandbox: str) -> None:
    one = reader(sandbox, allowed={"developer": ("vllm:*",), "platform-engineer": ()})
    with pytest.raises(InvalidInput):
        await one.promql("litellm_deployment_state", MetricScope(roles=("developer",)), window_seconds=3600)
    with pytest.raises(InvalidInput):
        await one.promql("litellm_deployment_state", MetricScope(roles=("visitor",)), window_seconds=3600)
    answer = await one.promql(
        "litellm_deployment_state", MetricScope(roles=("platform-engineer",)), window_seconds=3600
    )
    assert answer.promql
