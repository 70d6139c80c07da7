from __future__ import annotations

import json

import pytest

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.text import json_tokens, tokens
from ai_platform_mcp.tools.query_metrics import QueryMetrics
from live_platform import Platform


async def test_a_signal_says_value_unit_freshness_exporter_and_how_it_was_asked(platform: Platform):
    answer = await platform.call("query_metrics", signal="rps", model="vision-v2")
    row = answer.data["series"][0]
    assert row["value"] > 0 and row["labels"]["model"] == "vision-v2"
    assert answer.data["unit"] == "requests/second"
    assert answer.data["backend"] == "http"
    assert answer.data["freshness_seconds"] < 300
    assert 'model="vision-v2"' in answer.data["promql"]


async def test_every_version_and_target_of_a_model_is_one_row_beside_the_others(platform: Platform):
    answer = await platform.call("query_metrics", by="target,version", model="vision-v2")
    assert answer.data["columns"][:6] == ["target", "version", "rps", "error_percent", "p50_ms", "p95_ms"]
    assert ["cloud", "4"] in [row[:2] for row in answer.data["rows"]]
    assert set(answer.data["exporters"].values()) == {"http"}


async def test_over_time_a_series_is_a_summary_and_its_points_only_on_request(platform: Platform):
    arguments = {"signal": "e2e_p95", "model": "vision-v2", "window": "6h", "step": "15m"}
    summary = (await platform.call("query_metrics", **arguments)).data["series"][0]
    assert summary["min"] <= summary["avg"] <= summary["max"]
    assert "points" not in summary and 0 < len(summary["trend"]) <= 24
    every = (await platform.call("query_metrics", **arguments, points=True)).data["series"][0]
    assert 2 <= len(every["points"]) <= 26


async def test_an_absent_metric_is_no_zero(platform: Platform):
    answer = await platform.call("query_metrics", promql="nobody_exports_this_total")
    assert answer.data["series"] == []
    assert "not exported" in answer.data["absence"]
    assert "No value" in answer.text


async def test_an_answer_of_many_series_keeps_to_its_budget_and_counts_the_rest(platform: Platform):
    answer = await platform.call(
        "query_metrics", signal="gpu_util", window="6h", step="10m", points=True, max_series=50
    )
    assert json_tokens(answer.data) <= 2000 and tokens(answer.text) <= 2000
    assert answer.data["omitted_series"] > 0
    assert "more series are left out" in answer.text


async def test_the_signals_of_the_description_are_those_the_platform_has(platform: Platform):
    named = QueryMetrics.description.partition("signals ")[2].partition(";")[0]
    assert {name.strip() for name in named.split(",")} == set(platform.readers.metrics.signals())


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"signal": "rps", "promql": "up"},
        {"signal": "no_such_signal"},
        {"signal": "rps", "window": "8d"},
        {"signal": "rps", "window": "soon"},
        {"signal": "rps", "points": True},
        {"signal": "rps", "window": "7d", "step": "1s"},
        {"promql": "sum(rate(x[1h]"},
        {"promql": '{__name__=~".+"}'},
    ],
    ids=json.dumps,
)
async def test_a_question_that_cannot_be_asked_is_refused_with_a_remedy(
    platform: Platform, arguments: dict[str, object]
):
    with pytest.raises(InvalidInput) as caught:
        await platform.call("query_metrics", **arguments)
    assert caught.value.message and caught.value.remedy
