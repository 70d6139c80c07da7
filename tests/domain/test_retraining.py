from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.facts import RetrainFacts
from ai_platform_mcp.domain.retraining import Reason, TrainingRun, facts_of, guards, runs_without_gain

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def run(hours_ago: float, score: float | None = None, *, active: bool = False) -> TrainingRun:
    return TrainingRun(name=f"run-{hours_ago}", started=NOW - timedelta(hours=hours_ago), active=active, score=score)


def facts(reason: Reason = "drift", **fields: int | None) -> RetrainFacts:
    base: dict[str, int | None] = {
        "active_runs": 0,
        "seconds_since_last": None,
        "consecutive_without_gain": 0,
        "drift_milli": 200,
        "performance_drop_milli": 50,
    }
    return RetrainFacts(reason=reason, **{**base, **fields})  # type: ignore[arg-type]


def codes(given_facts: RetrainFacts) -> list[str]:
    return [row.code for row in guards(given_facts)]


def test_drift_with_a_loss_of_performance_may_start_a_run():
    assert codes(facts()) == []


@pytest.mark.parametrize("fields", [{"drift_milli": 99}, {"drift_milli": None}, {"performance_drop_milli": 0}])
def test_drift_alone_or_loss_alone_is_not_enough(fields: dict[str, int | None]):
    assert codes(facts(**fields)) == ["not_confirmed"]


def test_a_run_within_a_day_of_the_last_one_waits():
    assert codes(facts(seconds_since_last=23 * 3600)) == ["cooldown"]
    assert codes(facts(seconds_since_last=24 * 3600)) == []


def test_three_runs_in_vain_open_the_breaker():
    assert codes(facts(consecutive_without_gain=2)) == []
    assert codes(facts(consecutive_without_gain=3)) == ["breaker_open"]


def test_a_person_is_only_bound_by_the_active_run():
    in_the_way = facts("manual", active_runs=1, seconds_since_last=1, consecutive_without_gain=9, drift_milli=None)
    assert codes(in_the_way) == ["active_run"]


def test_history_is_read_into_facts():
    read = facts_of("schedule", [run(30, 0.9), run(6, 0.8), run(1, active=True)], NOW)
    assert (read.active_runs, read.seconds_since_last, read.consecutive_without_gain) == (1, 3600, 1)


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_runs_in_vain_are_those_after_the_last_new_best(scores: list[float | None]):
    runs = [run(len(scores) - place, score) for place, score in enumerate(scores)]
    in_vain = runs_without_gain(runs)
    best = -1.0
    last_gain = -1
    for place, score in enumerate(scores):
        if score is not None and score > best:
            best, last_gain = score, place
    assert in_vain == len(scores) - 1 - last_gain
