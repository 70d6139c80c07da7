"""What comes back from edge and cloud: split, side by side, aged; who is silent; and nothing of another tenant's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.rows import MetricScope
from ai_platform_mcp.domain.text import json_tokens, tokens
from ai_platform_mcp.sandbox.life.world import Conduct
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
    for by in ("site", "target", "node", "version", "region"):
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
    for by in ("site", "target", "node"):
        other = await fleet.ask(by=by, model=MODEL, team="nlp", readers=fleet.readers(**bound))
        assert other.data["rows"] == [] and "silent" not in other.data
        assert "us-south" not in other.text and "edge-" not in other.text
        assert other.data["absence"]


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


async def test_the_namespace_of_the_series_is_the_rollouts(fleet: Fleet):
    (row,) = rows_of(
        await fleet.ask(by="version", signal="rps", namespace=NAMESPACE, model=MODEL, target="edge", site="eu-west-1")
    )
    assert row["version"] == "4"
