"""The generated world: deterministic, monotone, persistent, and as cheap as it claims."""

from __future__ import annotations

import itertools
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_platform_mcp.sandbox.prometheus.model import NAME, Growth, LabelSet, Matcher, matches
from ai_platform_mcp.sandbox.prometheus.platform import edge_specs
from ai_platform_mcp.sandbox.prometheus.seed import seed_metrics
from ai_platform_mcp.sandbox.prometheus.serving import ServedModel, serving_specs
from ai_platform_mcp.sandbox.prometheus.tracks import Life, SeriesSpec, exposed
from ai_platform_mcp.sandbox.prometheus.world import MetricsWorld
from prometheus_support import MODELS, NODES, NOW, NOW_MS, QUEUES, FixedClock, seeded_world

HOUR = 3_600_000
DAY = 24 * HOUR


def by_name(world: MetricsWorld, name: str, start: int = NOW_MS - HOUR, end: int = NOW_MS) -> list[LabelSet]:
    return world.series([Matcher.of(NAME, "=", name)], start, end)


def spec(kind: str = "counter", **params: float) -> SeriesSpec:
    return SeriesSpec("requests_total", kind, {"namespace": "a"}, params, NOW_MS - DAY)  # type: ignore[arg-type]


def test_the_seed_exports_every_family_that_named_signals_ask_for(tmp_path: Path) -> None:
    names = {family.name for family in seeded_world(tmp_path).families()}
    assert {
        "vllm:time_to_first_token_seconds",
        "vllm:kv_cache_usage_perc",
        "request_predict_seconds",
        "kn_serving_invocation_duration_seconds",
        "inference_objective_request_total",
        "inference_pool_average_queue_size",
        "litellm_deployment_total_requests_total",
        "litellm_spend_metric_total",
        "litellm_deployment_state",
        "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "kueue_pending_workloads",
        "kueue_quota_reserved_wait_time_seconds",
        "kube_node_status_condition",
        "http_server_request_duration_seconds",
        "ai_model_drift_score",
    } <= names


def test_two_weeks_of_history_are_there_and_nothing_of_the_future(tmp_path: Path) -> None:
    world = seeded_world(tmp_path)
    (labels, *_) = by_name(world, "vllm:num_requests_waiting")
    samples = world.samples(labels, 0, NOW_MS + DAY)
    assert samples[0][0] - (NOW_MS - 14 * DAY) < 15_000
    assert 0 <= NOW_MS - samples[-1][0] < 15_000
    assert {b[0] - a[0] for a, b in itertools.pairwise(samples)} == {15_000}


def test_a_restart_answers_the_same_history_to_the_last_digit(tmp_path: Path) -> None:
    world = seeded_world(tmp_path)
    (key, *_) = world.select(name="kn_serving_invocation_duration_seconds", model="vision")
    world.change(key, NOW_MS - HOUR, rate=40, median=0.4)
    world.stop(key, NOW_MS - HOUR // 2)
    again = MetricsWorld(tmp_path / "metrics.sqlite", FixedClock(), seed=7)
    everything = world.series((), NOW_MS - 2 * HOUR, NOW_MS)
    assert again.series((), NOW_MS - 2 * HOUR, NOW_MS) == everything
    for labels in everything[:: max(1, len(everything) // 150)]:
        assert again.samples(labels, NOW_MS - 2 * HOUR, NOW_MS) == world.samples(labels, NOW_MS - 2 * HOUR, NOW_MS)


def test_another_seed_gives_other_numbers(tmp_path: Path) -> None:
    answers = []
    for seed in (1, 2):
        world = MetricsWorld(tmp_path / f"{seed}.sqlite", FixedClock(), seed)
        seed_metrics(world, MODELS, NODES, QUEUES, NOW)
        (labels, *_) = by_name(world, "DCGM_FI_DEV_GPU_UTIL")
        answers.append([value for _, value in world.samples(labels, NOW_MS - HOUR, NOW_MS)])
    assert answers[0] != answers[1]


def test_seeding_twice_changes_nothing(tmp_path: Path) -> None:
    world = seeded_world(tmp_path)
    before = world.series((), 0, NOW_MS)
    seed_metrics(world, MODELS, NODES, QUEUES, NOW + timedelta(hours=1))
    assert world.series((), 0, NOW_MS) == before


def test_a_change_of_rate_is_what_a_query_sees_from_then_on(tmp_path: Path) -> None:
    world = MetricsWorld(tmp_path / "w.sqlite", FixedClock(), 1)
    (key,) = world.register(spec(rate=2.0))
    world.change(key, NOW_MS - 2 * HOUR, rate=10.0)
    (labels,) = by_name(world, "requests_total")

    def grown(start: int, end: int) -> float:
        samples = world.samples(labels, start, end)
        return (samples[-1][1] - samples[0][1]) / ((samples[-1][0] - samples[0][0]) / 1000)

    assert grown(NOW_MS - 4 * HOUR, NOW_MS - 2 * HOUR) == pytest.approx(2, rel=0.01)
    assert grown(NOW_MS - HOUR, NOW_MS) == pytest.approx(10, rel=0.01)


def test_series_become_what_is_said_of_them_and_only_what_differs_is_remembered(tmp_path: Path) -> None:
    world = MetricsWorld(tmp_path / "w.sqlite", FixedClock(), 1)
    (key,) = world.register(spec(rate=2.0))
    other = replace(spec(rate=5.0), labels={"namespace": "b"}, start_ms=NOW_MS - HOUR)
    world.become(NOW_MS - HOUR, replace(spec(rate=4.0), start_ms=NOW_MS - HOUR), other)
    world.become(NOW_MS, replace(spec(rate=4.0), start_ms=NOW_MS), other)
    again = MetricsWorld(tmp_path / "w.sqlite", FixedClock(), 1)
    assert again.select(name="requests_total") == [key, other.key]
    (labels,) = (row for row in by_name(again, "requests_total") if dict(row)["namespace"] == "a")
    (before, after) = again.latest(labels, [NOW_MS - HOUR, NOW_MS], 300_000)
    assert before is not None and after is not None
    assert after[1] - before[1] == pytest.approx(4.0 * 3600, rel=0.01)
    with closing(sqlite3.connect(tmp_path / "w.sqlite")) as connection:
        assert connection.execute("SELECT count(*) FROM metric_events").fetchone() == (3,)


def test_a_stopped_series_ends_and_a_registered_again_counter_restarts_from_zero(tmp_path: Path) -> None:
    world = MetricsWorld(tmp_path / "w.sqlite", FixedClock(), 1)
    (key,) = world.register(spec(rate=2.0))
    world.stop(key, NOW_MS - HOUR)
    (labels,) = by_name(world, "requests_total", NOW_MS - DAY)
    assert by_name(world, "requests_total", NOW_MS - HOUR, NOW_MS) == []
    with pytest.raises(KeyError):
        world.change(key, NOW_MS, rate=1)
    world.register(SeriesSpec("requests_total", "counter", {"namespace": "a"}, {"rate": 2.0}, NOW_MS - HOUR // 2))
    values = world.samples(labels, NOW_MS - DAY, NOW_MS)
    assert [b for (_, a), (_, b) in itertools.pairwise(values) if b < a] == [
        next(value for moment, value in values if moment >= NOW_MS - HOUR // 2)
    ]


@pytest.mark.parametrize("params", [{"speed": 1.0}, {"rate": -1.0}, {"rate": 1.0, "swing": 0.8, "noise": 0.3}])
def test_parameters_that_would_break_a_counter_are_refused_and_nothing_is_kept(
    tmp_path: Path, params: dict[str, float]
) -> None:
    world = MetricsWorld(tmp_path / "w.sqlite", FixedClock(), 1)
    with pytest.raises(ValueError, match=r"parameter|negative|exceed"):
        world.register(spec(**params))
    assert world.series((), 0, NOW_MS) == []
    assert MetricsWorld(tmp_path / "w.sqlite", FixedClock(), 1).families() == []


def test_history_that_was_answered_cannot_be_rewritten(tmp_path: Path) -> None:
    world = MetricsWorld(tmp_path / "w.sqlite", FixedClock(), 1)
    (key,) = world.register(spec(rate=2.0))
    world.change(key, NOW_MS - HOUR, rate=3.0)
    with pytest.raises(ValueError, match="later"):
        world.change(key, NOW_MS - 2 * HOUR, rate=9.0)


def test_a_node_that_went_away_reports_nothing_any_more(tmp_path: Path) -> None:
    world = seeded_world(tmp_path)
    for name in ("request_predict_seconds_count", "http_server_request_duration_seconds_count"):
        fresh = [dict(labels) for labels in by_name(world, name)]
        assert {labels["node"] for labels in fresh if labels["target"] == "edge"} == {"edge-1", "edge-2"}
        older = [dict(labels) for labels in by_name(world, name, NOW_MS - 8 * HOUR, NOW_MS)]
        assert {labels["node"] for labels in older if labels["target"] == "edge"} == {"edge-1", "edge-2", "edge-3"}


def test_a_week_of_one_series_costs_less_than_a_second(tmp_path: Path) -> None:
    world = seeded_world(tmp_path)
    labels = by_name(world, "request_predict_seconds_bucket")[3]
    began = time.thread_time()
    samples = world.samples(labels, NOW_MS - 7 * DAY, NOW_MS)
    assert len(samples) > 40_000
    assert time.thread_time() - began < 1.0


def test_what_controllers_register_for_a_model_carries_its_identity() -> None:
    here = {"namespace": "team-x", "model": "m", "version": "4", "target": "cloud"}
    served = ServedModel("m", "4", "team-x", "x", runtime="vllm", golden_rate=1.0)
    at = {"node": "edge-1", "site": "berlin", "region": "eu"}
    there = {**here, "target": "edge", **at}
    cloud, edge = serving_specs(served, NOW_MS), edge_specs(NODES[1], served, 2.0, NOW_MS)
    for one, own, routed in (
        *((one, here, {"namespace": "team-x", "model_id": "m/cloud/team-x//m-cloud/team-x/m-v4"}) for one in cloud),
        *((one, there, {"namespace": "team-x", "model_id": "m/edge/team-x//m/edge-team-x-v4", **at}) for one in edge),
    ):  # a proxy serves many models: only the id says which, and nothing else of ours is in its series
        wanted = routed if one.name.startswith("litellm_") else own
        for labels, _ in exposed(one):
            assert wanted.items() <= dict(labels).items()
            assert wanted is own or not {"target", "version"} & set(dict(labels))


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_the_newest_sample_is_the_last_of_all_samples_within_the_lookback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("newest")
    clock = FixedClock(NOW - timedelta(minutes=data.draw(st.integers(0, 20))))
    world = MetricsWorld(folder / "w.sqlite", clock, 3)
    kind = data.draw(st.sampled_from(["counter", "gauge", "histogram"]))
    params = {"level": 5.0, "jitter": 0.3} if kind == "gauge" else {"rate": 3.0, "swing": 0.4}
    (key,) = world.register(SeriesSpec("x", kind, {}, params, NOW_MS - 3 * HOUR))  # type: ignore[arg-type]
    if data.draw(st.booleans()):
        world.stop(key, NOW_MS - 2 * HOUR)
        gap = data.draw(st.integers(0, 900_000))
        world.register(SeriesSpec("x", kind, {}, params, NOW_MS - 2 * HOUR + gap))  # type: ignore[arg-type]
    labels = data.draw(st.sampled_from(world.series((), 0, NOW_MS)))
    moments = data.draw(st.lists(st.integers(NOW_MS - 4 * HOUR, NOW_MS + HOUR), min_size=1, max_size=8))
    lookback = data.draw(st.sampled_from([20_000, 300_000]))
    everything = world.samples(labels, 0, NOW_MS + DAY)
    expected = [
        max((sample for sample in everything if moment - lookback <= sample[0] <= moment), default=None)
        for moment in moments
    ]
    assert world.latest(labels, moments, lookback) == expected


SHARES = st.tuples(st.floats(0, 0.6), st.floats(0, 0.35))


@settings(max_examples=40, deadline=None)
@given(
    rate=st.floats(1e-6, 1e4),
    shares=SHARES,
    median=st.floats(1e-3, 30),
    changes=st.lists(st.tuples(st.integers(1, 600), st.floats(0, 1e4), st.floats(1e-3, 30)), max_size=4),
    seed=st.integers(0, 1 << 30),
)
def test_histograms_and_counters_never_fall_and_buckets_never_cross(
    rate: float, shares: tuple[float, float], median: float, changes: list[tuple[int, float, float]], seed: int
) -> None:
    start = NOW_MS - 4 * HOUR
    shape = {"rate": rate, "swing": shares[0], "noise": shares[1]}
    for kind, whole in (("counter", True), ("counter", False), ("histogram", True)):
        params = {**shape, "median": median} if kind == "histogram" else shape
        one = SeriesSpec("x", kind, {"pod": str(seed)}, params, start, integral=whole)  # type: ignore[arg-type]
        life = Life(one, seed)
        moment = start
        for minutes, new_rate, new_median in changes:
            moment += minutes * 60_000
            life.change(moment, {"rate": new_rate, **({"median": new_median} if kind == "histogram" else {})})
        ticks = life.ticks(start, start + 3 * HOUR)[::7]
        rows = [[value for _, value in life.samples(part, ticks)] for _, part in exposed(one)]
        for row in rows:
            assert all(b >= a for a, b in itertools.pairwise(row))
        if kind == "histogram":
            buckets, count = rows[:-2], rows[-1]
            assert buckets[-1] == count
            for lower, upper in itertools.pairwise(buckets):
                assert all(a <= b for a, b in zip(lower, upper, strict=True))


@given(
    name=st.sampled_from(["job", "zone", "absent"]),
    op=st.sampled_from(["=", "!=", "=~", "!~"]),
    value=st.sampled_from(["", "a", "a|b", ".*", "a.+"]),
)
def test_a_negated_matcher_accepts_exactly_what_its_opposite_refuses(name: str, op: str, value: str) -> None:
    labels = (("job", "a"), ("zone", "abc"))
    opposite = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}[op]
    one = Matcher.of(name, op, value)  # type: ignore[arg-type]
    other = Matcher.of(name, opposite, value)  # type: ignore[arg-type]
    assert matches([one], labels) != matches([other], labels)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_growth_is_what_the_samples_show_whatever_restarted_in_between(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    world = MetricsWorld(tmp_path_factory.mktemp("growth") / "w.sqlite", FixedClock(), 3)
    kind = data.draw(st.sampled_from(["counter", "gauge", "histogram"]))
    params = {"level": 5.0, "jitter": 0.3} if kind == "gauge" else {"rate": 3.0, "swing": 0.4}
    (key,) = world.register(SeriesSpec("x", kind, {}, params, NOW_MS - 3 * HOUR))  # type: ignore[arg-type]
    if data.draw(st.booleans()):
        world.change(key, NOW_MS - 5 * HOUR // 2, **({"level": 9.0} if kind == "gauge" else {"rate": 0.5}))
    for ago in data.draw(st.sampled_from([(), (2.0,), (2.0, 1.0)])):
        world.stop(key, NOW_MS - int(ago * HOUR))
        begins = NOW_MS - int(ago * HOUR) + data.draw(st.integers(0, 900_000))
        world.register(SeriesSpec("x", kind, {}, params, begins))  # type: ignore[arg-type]
    for labels in world.series((), 0, NOW_MS):
        start = NOW_MS - data.draw(st.integers(0, 4 * HOUR))
        end = start + data.draw(st.integers(0, 4 * HOUR))
        samples = world.samples(labels, start, end)
        told = world.growth(labels, start, end)
        if not samples:
            assert told is None
            continue
        shown = Growth.of([moment for moment, _ in samples], [value for _, value in samples])
        assert told is not None and (told.first, told.last, told.count) == (shown.first, shown.last, shown.count)
        assert told.grown == pytest.approx(shown.grown, rel=1e-9, abs=1e-9)
