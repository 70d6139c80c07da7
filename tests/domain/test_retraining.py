from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.domain.retraining import TrainingRun, facts_of, history, rise, running, runs_without_gain

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def run(hours_ago: float, score: float | None = None, *, active: bool = False) -> TrainingRun:
    return TrainingRun(name=f"run-{hours_ago}", started=NOW - timedelta(hours=hours_ago), active=active, score=score)


def test_the_oldest_active_run_is_the_one_that_is_returned():
    assert running([run(1, active=True), run(3, active=True), run(5)]) == run(3, active=True)
    assert running([run(5)]) is None


def test_history_is_told_in_sentences():
    text = " ".join(history(facts_of("drift", [run(90, 0.9), run(60, 0.9)], NOW, drift_milli=240)))
    assert "began 2 days ago" in text and "brought no gain" in text
    assert "drift 0.24, loss of performance not measured" in text
    assert history(facts_of("manual", [], NOW)) == ("No earlier run of this model is known.",)


def test_history_is_read_into_facts():
    read = facts_of("schedule", [run(30, 0.9), run(6, 0.8), run(1, active=True)], NOW)
    assert (read.active_runs, read.seconds_since_last, read.consecutive_without_gain) == (1, 3600, 1)


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_runs_in_vain_are_the_scored_ones_after_the_last_new_best(scores: list[float | None]):
    runs = [run(len(scores) - place, score) for place, score in enumerate(scores)]
    known = [score for score in scores if score is not None]
    last_gain = max(
        (place for place in range(len(known)) if all(known[place] > old for old in known[:place])), default=-1
    )
    assert runs_without_gain(runs) == len(known) - 1 - last_gain


@given(st.lists(st.floats(0, 1), min_size=5, max_size=20))
def test_a_rise_is_positive_exactly_when_the_recent_mean_is_higher(values: list[float]):
    change = rise(values, 4)
    before, after = values[:-4], values[-4:]
    assert change is not None
    assert change == sum(after) / 4 - sum(before) / len(before)


def test_a_rise_needs_something_to_compare_with():
    assert rise([0.1, 0.2], 4) is None
    assert rise([None, None, None, None, 0.1], 4) is None
