"""Our evaluator and a real Prometheus over the same samples: any difference is a bug of ours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from ai_platform_mcp.sandbox.prometheus.model import LabelSet, Sample
from prometheus_expressions import ERRORS, EXPRESSIONS, ORDERED
from prometheus_support import (
    NOW_MS,
    FixedClock,
    ListSource,
    labelled,
    real_prometheus,
    seeded_world,
    served,
)
from real_targets import on

pytestmark = on("prometheus")

MINUTES = 60_000
HISTORY_MS = 70 * MINUTES


def edge_cases() -> dict[LabelSet, list[Sample]]:
    """Resets, gaps, infinities, odd labels, histograms: what the generated world does not have."""
    grid = range(NOW_MS - HISTORY_MS, NOW_MS + 1, 15_000)
    resetting: list[Sample] = []
    value = 3.0
    for index, moment in enumerate(grid):
        value = 0.5 if index % 37 == 36 else value + 1 + (index % 5)
        resetting.append((moment, value))
    gapped = [(moment, float(index)) for index, moment in enumerate(grid) if index % 60 < 35]
    special = [0.0, 1.5, -2.0, math.inf, -math.inf, math.nan, 1e-9, 3e21, 0.1]
    rows: dict[LabelSet, list[Sample]] = {
        labelled("case_resets_total", job="a", zone="x"): resetting,
        labelled("case_resets_total", job="b", zone="x"): [(m + 4_321, v * 2) for m, v in resetting],
        labelled("case_resets_total", job="b", zone="y"): [(m, v / 3) for m, v in resetting[::3]],
        labelled("case_gap", job="a"): gapped,
        labelled("case_gap", job="c"): gapped[::2],
        labelled("case_info", job="a", owner="ann"): [(moment, 1.0) for moment in grid],
        labelled("case_info", job="b", owner="bob"): [(moment, 1.0) for moment in grid],
        labelled("case_flat", job="a"): [(moment, 5.0) for moment in grid],
        labelled("case_short", job="a"): [(NOW_MS - 40_000, 2.0)],
        labelled("case_odd", path='a"b\\c'): [(moment, 7.0) for moment in grid],
    }
    for index, number in enumerate(special):
        rows[labelled("case_special", n=str(index))] = [(moment, number) for moment in grid]
    for le, share in (("0.1", 0.2), ("0.5", 0.7), ("1", 0.95), ("+Inf", 1.0)):
        rows[labelled("case_seconds_bucket", job="a", le=le)] = [(m, math.floor(v * share)) for m, v in resetting]
    for le in ("0.1", "0.5"):
        rows[labelled("case_broken_bucket", job="a", le=le)] = [(moment, 4.0) for moment in grid]
    return rows


class Pair:
    """The same question to both."""

    def __init__(self, ours: str, real: str) -> None:
        self.ours = httpx.Client(base_url=ours, timeout=60)
        self.real = httpx.Client(base_url=real, timeout=60)

    def instant(self, query: str, moment_ms: int = NOW_MS) -> tuple[Any, Any]:
        return self._both("/api/v1/query", {"query": query, "time": str(moment_ms / 1000)})

    def ranged(self, query: str, minutes: int = 40, step: str = "47s") -> tuple[Any, Any]:
        start = (NOW_MS - minutes * MINUTES) / 1000
        return self._both(
            "/api/v1/query_range", {"query": query, "start": str(start), "end": str(NOW_MS / 1000), "step": step}
        )

    def _both(self, path: str, params: dict[str, str]) -> tuple[Any, Any]:
        ours = self.ours.post(path, data=params)
        real = self.real.post(path, data=params)
        assert ours.status_code == real.status_code, (params, ours.text[:600], real.text[:600])
        return ours.json(), real.json()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("prometheus")
    world = seeded_world(folder)
    rows = edge_cases()
    for labels in world.series((), NOW_MS - HISTORY_MS, NOW_MS):
        samples = world.samples(labels, NOW_MS - HISTORY_MS, NOW_MS)
        if samples:
            rows[labels] = samples
    app = build_prometheus_app(ListSource(rows), FixedClock())
    with served(app) as ours, real_prometheus(folder, rows) as real:
        yield Pair(ours, real)


def same(ours: Any, real: Any, query: str, tolerance: float = 1e-9) -> None:
    assert ours["status"] == real["status"], (query, ours, real)
    if ours["status"] == "error":
        assert ours["errorType"] == real["errorType"], (query, ours, real)
        return
    assert ours["data"]["resultType"] == real["data"]["resultType"], query
    mine, theirs = ours["data"]["result"], real["data"]["result"]
    if ours["data"]["resultType"] == "string":
        assert mine == theirs, query
        return
    if ours["data"]["resultType"] == "scalar":
        assert mine[0] == theirs[0] and close(mine[1], theirs[1], tolerance), (query, mine, theirs)
        return
    by_labels = {tuple(sorted(one["metric"].items())): one for one in mine}
    assert len(by_labels) == len(mine), f"duplicate label sets: {query}"
    expected = {tuple(sorted(one["metric"].items())): one for one in theirs}
    assert by_labels.keys() == expected.keys(), query
    for key, one in by_labels.items():
        points, wanted = points_of(one), points_of(expected[key])
        assert [p[0] for p in points] == [p[0] for p in wanted], (query, key)
        for (moment, a), (_, b) in zip(points, wanted, strict=True):
            assert close(a, b, tolerance), (query, key, moment, a, b)


def points_of(row: dict[str, Any]) -> list[Any]:
    return row["values"] if "values" in row else [row["value"]]


def close(a: str, b: str, tolerance: float) -> bool:
    if a == b:
        return True
    x, y = float(a), float(b)
    # Sums are added in another order there: a difference that cancelled to nothing has no relative size.
    return math.isclose(x, y, rel_tol=tolerance, abs_tol=1e-9)


@pytest.mark.parametrize("query", EXPRESSIONS)
def test_an_instant_query_gives_the_same_answer(pair: Pair, query: str) -> None:
    for moment in (NOW_MS, NOW_MS - 1_234, NOW_MS - 13 * MINUTES):
        same(*pair.instant(query, moment), query)


@pytest.mark.parametrize("query", EXPRESSIONS)
def test_a_range_query_gives_the_same_answer(pair: Pair, query: str) -> None:
    same(*pair.ranged(query), query)


@pytest.mark.parametrize("query", ORDERED)
def test_sorted_answers_come_in_the_same_order(pair: Pair, query: str) -> None:
    ours, real = pair.instant(query)
    assert [one["metric"] for one in ours["data"]["result"]] == [one["metric"] for one in real["data"]["result"]]


@pytest.mark.parametrize("query", ERRORS)
def test_what_a_real_prometheus_refuses_is_refused_with_its_status_and_type(pair: Pair, query: str) -> None:
    ours, real = pair.instant(query)
    assert real["status"] == "error", "not an error there: the list is wrong"
    assert (ours["status"], ours["errorType"]) == ("error", real["errorType"])


def test_special_values_are_spelled_alike(pair: Pair) -> None:
    ours, real = pair.instant("case_special")
    spelled = {one["metric"]["n"]: one["value"][1] for one in ours["data"]["result"]}
    assert spelled == {one["metric"]["n"]: one["value"][1] for one in real["data"]["result"]}
    assert {"NaN", "+Inf", "-Inf"} <= set(spelled.values())


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/api/v1/series", [("match[]", 'case_resets_total{job="b"}'), ("match[]", "case_info")]),
        ("/api/v1/series", []),
        ("/api/v1/series", [("match[]", "rate(x[5m])")]),
        ("/api/v1/labels", [("match[]", "case_gap")]),
        ("/api/v1/labels", []),
        ("/api/v1/label/job/values", [("match[]", '{__name__=~"case_.*"}')]),
        ("/api/v1/label/0bad/values", []),
        ("/api/v1/query", [("query", "1"), ("time", "yesterday")]),
        ("/api/v1/query", [("query", "1"), ("timeout", "soon")]),
        ("/api/v1/query", []),
        ("/api/v1/query_range", [("query", "1"), ("start", "0"), ("end", "12000"), ("step", "1")]),
        ("/api/v1/query_range", [("query", "1"), ("start", "0"), ("end", "11000"), ("step", "1s")]),
        ("/api/v1/query_range", [("query", "1"), ("start", "9"), ("end", "1"), ("step", "1")]),
        ("/api/v1/query_range", [("query", "1"), ("start", "1"), ("end", "9"), ("step", "0")]),
        ("/api/v1/query_range", [("query", "1"), ("start", "2026-11-20T10:00:00Z"), ("end", "1"), ("step", "1")]),
        ("/api/v1/query_range", [("query", "case_flat[5m]"), ("start", "1"), ("end", "2"), ("step", "1")]),
    ],
)
def test_other_routes_answer_alike(pair: Pair, path: str, params: list[tuple[str, str]]) -> None:
    ours, real = pair.ours.get(path, params=params), pair.real.get(path, params=params)
    assert ours.status_code == real.status_code, (ours.text[:300], real.text[:300])
    mine, theirs = ours.json(), real.json()
    assert mine["status"] == theirs["status"]
    if mine["status"] == "error":
        assert mine["errorType"] == theirs["errorType"]
    elif path.endswith("/series"):
        assert sorted(map(repr, (sorted(m.items()) for m in mine["data"]))) == sorted(
            map(repr, (sorted(m.items()) for m in theirs["data"]))
        )
    else:
        assert mine["data"] == theirs["data"]


SELECTORS = st.sampled_from(
    [
        "case_resets_total",
        'case_resets_total{job="b"}',
        'case_resets_total{zone!="y"}',
        "case_gap",
        'case_gap{job=~"a|z"}',
        "case_info",
        "case_flat",
        "case_short",
        "case_missing",
    ]
)
OFFSETS = st.sampled_from(["", "", "", " offset 3m", " offset -90s", " @ end()", f" @ {NOW_MS // 1000 - 700}"])
RANGES = st.sampled_from(["30s", "1m", "5m", "7m13s"])
ROLLUPS = st.sampled_from(
    ["rate", "irate", "increase", "delta", "deriv", "changes", "resets"]
    + [f"{name}_over_time" for name in ("avg", "min", "max", "sum", "count", "last", "stddev", "present")]
)
REDUCERS = st.sampled_from(["sum", "avg", "min", "max", "count", "group", "stddev"])
GROUPINGS = st.sampled_from(["", " by (job)", " by (job, zone)", " without (job)", " by ()"])
SIMPLE = st.sampled_from(["abs", "ceil", "floor", "sqrt", "-", "sgn", "absent"])
OPERATORS = st.sampled_from(["+", "-", "*", "/", "%", ">", "<=", "== bool", "and", "or", "unless"])
MATCHING = st.sampled_from(["", " on (job)", " ignoring (zone, owner)", " on ()"])


@st.composite
def vectors(draw: st.DrawFn, depth: int = 3) -> str:
    if depth == 0:
        return draw(SELECTORS) + draw(OFFSETS)
    inner = vectors(depth - 1)
    form = draw(st.sampled_from(["leaf", "rollup", "subquery", "aggregate", "function", "binary", "scalar"]))
    if form == "leaf":
        return draw(SELECTORS) + draw(OFFSETS)
    if form == "rollup":
        return f"{draw(ROLLUPS)}({draw(SELECTORS)}[{draw(RANGES)}]{draw(OFFSETS)})"
    if form == "subquery":
        step = draw(st.sampled_from(["", "30s", "1m17s"]))
        return f"{draw(ROLLUPS)}(({draw(inner)})[{draw(RANGES)}:{step}])"
    if form == "aggregate":
        return f"{draw(REDUCERS)}{draw(GROUPINGS)} ({draw(inner)})"
    if form == "function":
        return f"{draw(SIMPLE)}({draw(inner)})"
    if form == "scalar":
        operator = draw(st.sampled_from(["+", "*", "/", "^", ">", "!= bool"]))
        return f"({draw(inner)}) {operator} {draw(st.sampled_from(['2', '0.5', '-1', '0']))}"
    return f"({draw(inner)}) {draw(OPERATORS)}{draw(MATCHING)} ({draw(inner)})"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(query=vectors())
def test_generated_expressions_agree(pair: Pair, query: str) -> None:
    same(*pair.instant(query), query, 1e-7)
    same(*pair.ranged(query, minutes=12, step="61s"), query, 1e-7)
