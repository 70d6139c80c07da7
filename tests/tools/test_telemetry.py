"""What comes back from edge and cloud: split, side by side, aged; who is silent; and nothing of another tenant's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.reader import PrometheusMetrics
from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import MetricScope
from ai_platform_mcp.domain.text import json_tokens, tokens
from ai_platform_mcp.sandbox.life.world import Conduct
from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from ai_platform_mcp.sandbox.prometheus.model import LabelSet, Sample
from ai_platform_mcp.tools._signals import p95_ms
from prometheus_support import NOW_MS, FixedClock, ListSource, labelled, real_prometheus, served
from real_targets import on
from support.telemetry import EDGE, MODEL, NAMESPACE, Fleet, everywhere, open_fleet, rows_of

GONE, BAD = "edge-eu-west-3-02", Conduct(error_share=0.2, slower=4.0)
FIRST = [node.name for node in EDGE if node.site == "us-south-1"]
HOUR = 3600


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """An hour of version 4 on 47 nodes; then 20 minutes of a bad version 5 at one site, and one node that is offline."""
    with open_fleet(tmp_path_factory.mktemp("fleet")) as found:

        async def live() -> None:
            await found.step(everywhere("4"), {"4": 1.0}, minutes=60)
            found.away = frozenset({GONE})
            await found.step(everywhere("4") | everywhere("5", FIRST), {"4": 0.9, "5": 0.1}, {"5": BAD}, minutes=20)

        anyio.run(live)
        yield found


async def test_edge_and_cloud_of_a_model_stand_side_by_side_in_one_answer(fleet: Fleet):
    answer = await fleet.ask(by="target", model=MODEL)
    cloud, edge = rows_of(answer)
    assert (cloud["target"], edge["target"]) == ("cloud", "edge")
    assert edge["rps"] > cloud["rps"] > 0
    assert 0 < edge["p50_ms"] < edge["p95_ms"] < 50 < cloud["p50_ms"]
    assert 0.3 < cloud["error_percent"] < 5 and 0.3 < edge["error_percent"] < 5
    assert cloud["age_seconds"] < 60 and edge["age_seconds"] < 60 and "stale" not in cloud
    assert answer.data["units"]["p95_ms"] == "milliseconds"
    assert "newest sample" in answer.text and "cloud " in answer.text


async def test_a_bad_release_shows_in_its_own_row_and_not_in_the_others(fleet: Fleet):
    rows = {(row["target"], row["version"]): row for row in rows_of(await fleet.ask(by="target,version", model=MODEL))}
    assert set(rows) == {("cloud", "4"), ("cloud", "5"), ("edge", "4"), ("edge", "5")}
    for target in ("cloud", "edge"):
        good, bad = rows[target, "4"], rows[target, "5"]
        assert good["error_percent"] < 1 and 15 < bad["error_percent"] < 25
        assert bad["p50_ms"] > 3 * good["p50_ms"]


async def test_a_silent_node_is_named_with_its_age_and_is_never_a_zero(fleet: Fleet):
    for by in ("site", "version"):
        answer = await fleet.ask(by=by, model=MODEL)
        told = answer.data["silent"]
        assert (told["expected"], told["silent"]) == (47, 1)
        (row,) = told["nodes"]
        assert (row["node"], row["site"], row["online"]) == (GONE, "eu-west-3", False)
        assert 19 * 60 < row["age_seconds"] < 22 * 60
        assert f"{GONE} (offline, last sample 20m ago)" in answer.text
    row = next(row for row in rows_of(await fleet.ask(by="node", model=MODEL, site="eu-west-3")) if row["node"] == GONE)
    assert row["stale"] is True and row["rps"] > 0 and 19 * 60 < row["age_seconds"] < 22 * 60


async def test_a_node_that_comes_back_is_silent_no_more(tmp_path_factory: pytest.TempPathFactory):
    with open_fleet(tmp_path_factory.mktemp("back")) as fleet:
        node = FIRST[0]
        fleet.away = frozenset({node})
        await fleet.step(everywhere("4", FIRST), minutes=10)
        told = (await fleet.ask(by="node", model=MODEL)).data["silent"]
        assert told["nodes"] == [{"node": node, "site": "us-south-1", "online": False, "age_seconds": None}]
        fleet.away = frozenset()
        await fleet.step(everywhere("4", FIRST), minutes=2)
        answer = await fleet.ask(by="node", model=MODEL)
        assert answer.data["silent"] == {"expected": 5, "silent": 0}
        assert "All 5 nodes that run a release report." in answer.text
        assert {row["node"] for row in rows_of(answer)} == set(FIRST)


async def test_every_node_of_the_fleet_fits_the_budget_and_what_is_left_out_is_counted(fleet: Fleet):
    whole = await fleet.ask(by="node", model=MODEL)
    assert len(rows_of(whole)) == 48 and "omitted_rows" not in whole.data  # 47 nodes, and the cloud to compare with
    cut = await fleet.ask(by="node,version", model=MODEL)
    for answer in (whole, cut):
        assert tokens(answer.text) <= 2000 and json_tokens(answer.data) <= 2000
    shown = rows_of(cut)
    assert len(shown) + cut.data.get("omitted_rows", 0) == 48 + 1 + len(FIRST)
    assert {row["node"] for row in shown if row["version"] == "5"} == {*FIRST, "(cloud)"}


async def test_one_signal_is_split_and_narrowed_by_site_region_and_version(fleet: Fleet):
    sites = rows_of(await fleet.ask(signal="error_rate", by="site", model=MODEL, target="edge"))
    worst = max(sites, key=lambda row: row["error_rate"])
    assert worst["site"] == "us-south-1" and len(sites) == 11
    (narrow,) = rows_of(await fleet.ask(signal="rps", by="region", model=MODEL, version="5", target="edge"))
    assert narrow["region"] == "us-south"
    answer = await fleet.ask(signal="rps", model=MODEL, site="us-south-1", version="4")
    assert 'site="us-south-1"' in answer.data["promql"] and 'version="4"' in answer.data["promql"]
    over_time = await fleet.ask(signal="rps", by="version", model=MODEL, site="us-south-1", step="5m")
    ages = {row["labels"]["version"]: row["age_seconds"] for row in over_time.data["series"]}
    assert ages["5"] < 60 and 19 * 60 < ages["4"] < 22 * 60


@pytest.mark.parametrize("by", ["target", "site", "region", "version", "node", "site,version"])
async def test_counts_split_by_anything_add_up_to_the_unsplit_count(fleet: Fleet, by: str):
    store = fleet.store()
    scope = MetricScope(model=MODEL)

    async def total(split: list[str]) -> float:
        answer = await store.signal("rps", scope, window_seconds=HOUR, by=split, max_series=500)
        values = [row.points[0].value for row in answer.series]
        assert all(value is not None for value in values)
        return sum(value for value in values if value is not None)

    try:
        assert await total(by.split(",")) == pytest.approx(await total([]), rel=1e-9)
    finally:
        await store.aclose()


async def test_a_tenant_sees_neither_rows_nor_silent_nodes_of_another_tenants_model(fleet: Fleet):
    bound = {"tenant": {"team": "{team}"}}
    own = await fleet.ask(by="site", model=MODEL, readers=fleet.readers(**bound))
    assert len(rows_of(own)) == 12 and own.data["silent"]["silent"] == 1
    for by in ("site", "node"):
        other = await fleet.ask(by=by, model=MODEL, team="nlp", readers=fleet.readers(**bound))
        assert other.data["rows"] == [] and "silent" not in other.data
        assert "us-south" not in other.text and "edge-" not in other.text
        assert other.data["absence"]


@on("prometheus")
async def test_a_real_prometheus_gives_the_same_table(tmp_path: Path):
    """Its present is the machine's, so the samples end there too, and what slides on meanwhile may differ by a little."""
    with open_fleet(tmp_path / "ours", datetime.now(UTC) - timedelta(minutes=20)) as fleet:
        nodes = FIRST[:3]
        await fleet.step(everywhere("4", nodes), {"4": 1.0}, minutes=12)
        fleet.away = frozenset({nodes[0]})
        await fleet.step(everywhere("4", nodes), {"4": 0.5, "5": 0.5}, {"5": BAD}, minutes=8)
        now, world = fleet.metrics.now_ms(), fleet.metrics
        rows = {labels: found for labels in world.series((), 0, now) if (found := world.samples(labels, 0, now))}
        with real_prometheus(tmp_path, rows) as url:
            for by in ("target,version", "node"):
                mine = await fleet.ask(by=by, model=MODEL, window="20m")
                real = replace(fleet.readers(), metrics=fleet.store(url))
                theirs = await fleet.ask(by=by, model=MODEL, window="20m", readers=real)
                assert mine.data["columns"] == theirs.data["columns"] and mine.data["promql"] == theirs.data["promql"]
                assert mine.data["silent"]["silent"] == theirs.data["silent"]["silent"] == 1
                assert [row["node"] for row in theirs.data["silent"]["nodes"]] == [nodes[0]]
                for one, other in zip(rows_of(mine), rows_of(theirs), strict=True):
                    for column, value in one.items():
                        near = value if isinstance(value, str | bool) else pytest.approx(value, rel=0.2, abs=60)
                        assert other[column] == near, (by, column)


async def test_cloud_and_edge_measured_by_different_exporters_are_both_there_and_it_is_said():
    grid = range(NOW_MS - HOUR * 1000, NOW_MS + 1, 15_000)
    cloud = {"model": MODEL, "version": "4", "target": "cloud", "http_response_status_code": "200"}
    edge = {**cloud, "target": "edge", "node": "edge-1", "site": "s1", "region": "r1"}
    rows = {
        labelled("kn_serving_invocation_duration_seconds_count", **cloud): [
            (m, float(i * 30)) for i, m in enumerate(grid)
        ],
        labelled("request_predict_seconds_count", **edge): [(m, float(i * 15)) for i, m in enumerate(grid)],
    }
    with served(build_prometheus_app(ListSource(rows), FixedClock())) as url:
        store = PrometheusMetrics(PrometheusClient(url, seconds=20), FixedClock(), seconds=20)
        for by in ((), ("target",), ("version",)):
            answer = await store.signal("rps", MetricScope(model=MODEL), window_seconds=HOUR, by=by)
            found = {row.labels["target"]: row.points[0].value for row in answer.series}
            assert found == pytest.approx({"cloud": 2.0, "edge": 1.0}, rel=0.01)
            assert answer.backend == "knative, kserve"
            assert any("different exporters" in note for note in answer.notes)
        only = await store.signal("rps", MetricScope(model=MODEL, target="cloud"), window_seconds=HOUR)
        assert [row.labels["target"] for row in only.series] == ["cloud"]
        await store.aclose()


@pytest.mark.parametrize("exporter", ["istio", "triton"])
async def test_a_mesh_and_triton_answer_where_nothing_nearer_does(exporter: str):
    grid = list(enumerate(range(NOW_MS - HOUR * 1000, NOW_MS + 1, 15_000)))
    who = {"model": MODEL, "version": "4", "target": "edge", "node": "edge-1", "site": "s1", "region": "r1"}

    def counter(name: str, per_scrape: int, **labels: str) -> dict[LabelSet, list[Sample]]:
        return {labelled(name, **who, **labels): [(moment, float(index * per_scrape)) for index, moment in grid]}

    if exporter == "triton":
        rows = counter("nv_inference_request_success", 27) | counter("nv_inference_request_failure", 3)
    else:
        rows = {
            key: row
            for reporter in ("source", "destination")
            for part in (
                counter("istio_requests_total", 27, reporter=reporter, response_code="200"),
                counter("istio_requests_total", 3, reporter=reporter, response_code="503"),
                counter("istio_request_duration_milliseconds_count", 30, reporter=reporter),
                counter("istio_request_duration_milliseconds_bucket", 0, reporter=reporter, le="50"),
                counter("istio_request_duration_milliseconds_bucket", 30, reporter=reporter, le="100"),
                counter("istio_request_duration_milliseconds_bucket", 30, reporter=reporter, le="+Inf"),
            )
            for key, row in part.items()
        }
    with served(build_prometheus_app(ListSource(rows), FixedClock())) as url:
        store = PrometheusMetrics(PrometheusClient(url, seconds=20), FixedClock(), seconds=20)
        for signal, expected in (("rps", 2.0), ("error_rate", 0.1), ("e2e_p50", 0.075)):
            answer = await store.signal(signal, MetricScope(model=MODEL), window_seconds=HOUR, by=["site"])
            if exporter == "triton" and signal == "e2e_p50":
                assert answer.series == () and answer.absence.startswith("not exported")
                continue
            (row,) = answer.series
            assert answer.backend == exporter and row.labels["site"] == "s1"
            assert row.points[0].value == pytest.approx(expected, rel=0.01)
        await store.aclose()


async def test_which_metrics_exist_is_asked_once_for_a_while(fleet: Fleet, monkeypatch: pytest.MonkeyPatch):
    store = fleet.store()
    asked: list[object] = []
    names = PrometheusClient.names

    async def counted(self: PrometheusClient, *given: Any) -> frozenset[str]:
        asked.append(given)
        return await names(self, *given)

    monkeypatch.setattr(PrometheusClient, "names", counted)
    for _ in range(3):
        answer = await store.promql("nobody_exports_this_total", MetricScope(), window_seconds=HOUR)
        assert "not exported" in answer.absence
    assert len(asked) == 1
    before, fleet.clock.moment = fleet.clock.moment, fleet.clock.moment + timedelta(minutes=1)
    await store.promql("nobody_exports_this_total", MetricScope(), window_seconds=HOUR)
    fleet.clock.moment = before
    assert len(asked) == 2
    await store.aclose()


async def test_what_a_plan_reads_of_metrics_is_the_callers_where_metrics_are_bound_to_teams(fleet: Fleet):
    bound = fleet.readers(tenant={"team": "{team}"})
    own, other = (Principal(id="local:x", kind="agent", team=team, roles=("developer",)) for team in ("vision", "nlp"))
    assert await p95_ms(bound, own, MODEL, "edge") is not None
    assert await p95_ms(bound, other, MODEL, "edge") is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"by": "colour"}, "target, site, region, version, node"),
        ({"by": "site", "promql": "up"}, "promql stands alone"),
        ({"by": "site", "step": "5m"}, "one signal"),
        ({"by": "site", "signal": "savings", "model": MODEL}, "cannot be split"),
        ({"by": "site", "signal": "quota_usage"}, "cannot be split"),
    ],
)
async def test_a_split_that_cannot_be_is_refused_with_what_can_be(fleet: Fleet, arguments: dict[str, Any], says: str):
    with pytest.raises((InvalidInput, ValueError), match=says) as refused:
        await fleet.ask(**arguments)
    if isinstance(refused.value, InvalidInput):
        assert refused.value.remedy


async def test_a_namespace_narrows_the_rows_and_is_no_ground_to_call_a_node_silent(fleet: Fleet):
    answer = await fleet.ask(by="version", namespace=NAMESPACE, model=MODEL, target="edge", site="eu-west-1")
    assert [row["version"] for row in rows_of(answer)] == ["4"]
    assert "nodes" not in answer.data["silent"] and "ask without namespace" in answer.text
    other = await fleet.ask(by="version", namespace="vision-dev", model=MODEL)
    assert other.data["rows"] == [] and "nothing for this scope" in other.data["absence"]
