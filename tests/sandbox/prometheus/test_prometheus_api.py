"""The store's HTTP face over real loopback HTTP, without a real Prometheus beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from ai_platform_mcp.sandbox.prometheus.rules import AlertRule
from ai_platform_mcp.sandbox.prometheus.seed import PLATFORM_ALERTS
from prometheus_support import MODELS, NOW, NOW_MS, FixedClock, ListSource, labelled, seeded_world, served


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    world = seeded_world(tmp_path_factory.mktemp("world"))
    with (
        served(build_prometheus_app(world, FixedClock(), PLATFORM_ALERTS)) as url,
        httpx.Client(base_url=url) as client,
    ):
        yield client


def test_a_form_and_a_query_string_ask_the_same(store: httpx.Client) -> None:
    params = {"query": "sum(vllm:num_requests_running)", "time": str(NOW_MS / 1000)}
    got, posted = store.get("/api/v1/query", params=params), store.post("/api/v1/query", data=params)
    assert got.json() == posted.json()
    assert got.json()["data"]["result"][0]["value"][0] == NOW_MS // 1000


def test_without_a_time_the_answer_is_for_the_clocks_now(store: httpx.Client) -> None:
    answer = store.get("/api/v1/query", params={"query": "time()"}).json()
    assert answer["data"]["result"] == [NOW_MS // 1000, str(NOW_MS // 1000)]


def test_metadata_names_type_help_and_unit(store: httpx.Client) -> None:
    one = store.get("/api/v1/metadata", params={"metric": "vllm:e2e_request_latency_seconds"}).json()["data"]
    assert one == {
        "vllm:e2e_request_latency_seconds": [
            {"type": "histogram", "help": "End to end request latency", "unit": "seconds"}
        ]
    }
    assert len(store.get("/api/v1/metadata", params={"limit": "3"}).json()["data"]) == 3


def test_an_expired_timeout_is_a_503_of_type_timeout(store: httpx.Client) -> None:
    answer = store.get(
        "/api/v1/query", params={"query": "sum(rate(request_predict_seconds_bucket[7d]))", "timeout": "1ms"}
    )
    assert (answer.status_code, answer.json()["errorType"]) == (503, "timeout")


def test_a_query_over_too_many_samples_is_refused_as_execution_error(tmp_path: Path) -> None:
    with served(build_prometheus_app(seeded_world(tmp_path), FixedClock(), max_samples=5_000)) as url:
        params = {"query": 'sum_over_time({__name__=~"vllm.+_bucket"}[1d])'}
        answer = httpx.get(f"{url}/api/v1/query", params=params)
        assert (answer.status_code, answer.json()["errorType"]) == (422, "execution")
        assert httpx.get(f"{url}/api/v1/query", params={"query": "sum(vllm:num_requests_running)"}).status_code == 200


@pytest.mark.parametrize("path", ["/-/ready", "/-/healthy", "/api/v1/status/buildinfo", "/api/v1/targets"])
def test_the_server_says_that_it_is_well(store: httpx.Client, path: str) -> None:
    assert store.get(path).status_code == 200


def test_targets_are_the_jobs_that_report(store: httpx.Client) -> None:
    active = store.get("/api/v1/targets").json()["data"]["activeTargets"]
    assert {"vllm", "kserve", "kueue", "dcgm-exporter", "serving"} <= {one["labels"]["job"] for one in active}


def test_an_alert_fires_for_the_full_queue_and_the_lost_node(store: httpx.Client) -> None:
    alerts = store.get("/api/v1/alerts").json()["data"]["alerts"]
    firing = {
        (one["labels"]["alertname"], one["labels"].get("cluster_queue") or one["labels"].get("node")) for one in alerts
    }
    assert firing == {("QueueQuotaExhausted", "prod-h100"), ("NodeNotReady", "edge-3")}
    rules = store.get("/api/v1/rules").json()["data"]["groups"][0]["rules"]
    assert {rule["name"]: rule["state"] for rule in rules}["GPUXidError"] == "inactive"


def test_an_alert_is_pending_until_its_condition_has_lasted() -> None:
    values = [(NOW_MS - back * 15_000, 1.0 if back < 9 else 0.0) for back in range(80, -1, -1)]
    source = ListSource({labelled("broken", job="a"): values})
    rules = (AlertRule("Slow", "broken > 0", 300), AlertRule("Quick", "broken > 0", 60))
    clock = FixedClock()
    with served(build_prometheus_app(source, clock, rules)) as url:
        alerts = httpx.get(f"{url}/api/v1/alerts").json()["data"]["alerts"]
        assert {one["labels"]["alertname"]: one["state"] for one in alerts} == {"Slow": "pending", "Quick": "firing"}
        clock.moment = NOW + timedelta(hours=1)
        assert httpx.get(f"{url}/api/v1/alerts").json()["data"]["alerts"] == []


def test_a_week_of_a_rate_over_every_site_answers_within_seconds(tmp_path: Path) -> None:
    with served(build_prometheus_app(seeded_world(tmp_path), FixedClock())) as url:
        params = {
            "query": "histogram_quantile(0.95, sum by (site, le) (rate(request_predict_seconds_bucket{target='edge'}[1h])))",
            "start": str(NOW_MS / 1000 - 7 * 86_400),
            "end": str(NOW_MS / 1000),
            "step": "3600",
        }
        answer = httpx.get(f"{url}/api/v1/query_range", params=params, timeout=20).json()
    sites = {row["metric"]["site"]: [float(v) for _, v in row["values"]] for row in answer["data"]["result"]}
    assert set(sites) == {"austin", "berlin", "reno"}
    edge = next(one for one in MODELS if one.target == "edge")
    assert all(edge.latency_s * 0.8 < value < edge.latency_s * 8 for values in sites.values() for value in values)
