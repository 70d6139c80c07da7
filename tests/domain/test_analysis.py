"""Verdicts over counts: what passes, what fails, what cannot be told, and how often that is wrong."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.domain.analysis.asked import ALPHA, analysis_for
from ai_platform_mcp.domain.analysis.judge import Demand, compare, judge
from ai_platform_mcp.domain.analysis.proportions import Sample, difference


def test_a_release_that_fails_far_more_often_is_told_early():
    found = compare("errors", Sample(total=150, bad=45), Sample(total=150, bad=2), Demand(), waited=10)
    assert found.verdict == "fail" and "30.00%" in found.sentence()


def test_a_release_that_is_as_good_passes_once_there_is_enough_to_tell():
    few = compare("errors", Sample(total=200, bad=2), Sample(total=200, bad=2), Demand(), waited=10)
    many = compare("errors", Sample(total=9000, bad=90), Sample(total=9000, bad=90), Demand(), waited=10)
    assert (few.verdict, many.verdict) == ("pending", "pass")


def test_too_few_calls_say_nothing_and_are_inconclusive_when_time_is_up():
    sides = Sample(total=20, bad=20), Sample(total=20, bad=0)
    assert compare("errors", *sides, Demand(), waited=60).verdict == "pending"
    assert compare("errors", *sides, Demand(), waited=1800).verdict == "inconclusive"


def test_a_difference_that_is_sure_and_too_small_to_matter_does_not_fail():
    found = compare(
        "slow",
        Sample(total=400_000, bad=21_200),
        Sample(total=400_000, bad=20_000),
        Demand(max_increase=0.01),
        waited=10,
    )
    assert found.difference.low > 0 and found.verdict == "pass"


def test_what_is_not_measured_never_passes():
    good = Sample(total=9000, bad=9), Sample(total=9000, bad=9)
    assert judge({"errors": good, "slow": "no samples"}, {}, waited=10).verdict == "pending"
    late = judge({"errors": good, "slow": "no samples"}, {}, waited=3600)
    assert late.verdict == "inconclusive" and "slow: no samples" in late.sentence()
    assert judge({"errors": good}, {}, waited=10).verdict == "pass"
    assert judge({}, {}, waited=10_000).verdict == "pending"


def test_one_check_that_fails_decides():
    good = Sample(total=9000, bad=9), Sample(total=9000, bad=9)
    bad = Sample(total=9000, bad=900), Sample(total=9000, bad=9)
    assert judge({"errors": good, "disagreement": bad}, {}, waited=10).verdict == "fail"


@pytest.mark.parametrize("share", [0.005, 0.05, 0.3])
def test_looking_again_and_again_at_equals_is_rarely_fooled(share: float):
    random_ = random.Random(7)
    wrong, runs = 0, 300
    for _ in range(runs):
        new = old = 0
        for look in range(1, 41):
            new += _count(random_, share)
            old += _count(random_, share)
            found = difference(Sample(total=50 * look, bad=new), Sample(total=50 * look, bad=old))
            if not found.low <= 0 <= found.high:
                wrong += 1
                break
    assert wrong / runs <= 0.05


def _outcomes(random_: random.Random, looks: int, new: float, old: float, calls: int = 50):
    """Both sides as they come in, look by look."""
    bad = [0, 0]
    for look in range(1, looks + 1):
        bad = [bad[0] + _count(random_, new, calls), bad[1] + _count(random_, old, calls)]
        yield tuple(Sample(total=calls * look, bad=number) for number in bad)


def _verdicts(seed: int, runs: int, new: float, old: float, looks: int = 40) -> Counter[str]:
    """Count how a wave ends that is judged at every look, until the first verdict that ends it."""
    random_, found = random.Random(seed), Counter[str]()
    demands = analysis_for(("errors", "slow")).demands(2)
    for _ in range(runs):
        verdict = "inconclusive"
        errors, slow = _outcomes(random_, looks, new, old), _outcomes(random_, looks, 0.05, 0.05)
        for pair, other in zip(errors, slow, strict=True):
            verdict = judge({"errors": pair, "slow": other}, demands, waited=10).verdict  # type: ignore[dict-item]
            if verdict in ("pass", "fail"):
                break
        found[verdict] += 1
    return found


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
def test_a_wave_of_equals_is_failed_no_more_often_than_was_asked_for(share: float):
    runs = 200
    assert _verdicts(11, runs, share, share)["fail"] <= ALPHA * runs


def test_a_wave_of_a_release_that_is_clearly_worse_is_failed_and_never_passed():
    found = _verdicts(12, 100, new=0.15, old=0.01)
    assert found["fail"] == 100


def test_a_release_that_is_worse_by_more_than_is_tolerated_rarely_passes():
    found = _verdicts(13, 100, new=0.06, old=0.02)
    assert found["pass"] <= ALPHA * 100


def _count(random_: random.Random, share: float, calls: int = 50) -> int:
    return sum(random_.random() < share for _ in range(calls))


@given(
    total=st.integers(1, 10_000),
    other=st.integers(1, 10_000),
    a=st.floats(0, 1),
    b=st.floats(0, 1),
    more=st.integers(2, 50),
)
def test_the_interval_holds_the_estimate_and_narrows_as_data_comes(
    total: int, other: int, a: float, b: float, more: int
):
    def at(factor: int):
        return difference(
            Sample(total=total * factor, bad=total * factor * a), Sample(total=other * factor, bad=other * factor * b)
        )

    early, late = at(1), at(more)
    assert early.low <= early.estimate <= early.high
    assert late.high - late.low <= early.high - early.low + 1e-9


@given(total=st.integers(1, 5000), bad=st.integers(0, 5000), other=st.integers(1, 5000), worse=st.integers(0, 5000))
def test_swapping_the_sides_turns_the_interval_round(total: int, bad: int, other: int, worse: int):
    one, two = Sample(total=total, bad=min(bad, total)), Sample(total=other, bad=min(worse, other))
    there, back = difference(one, two), difference(two, one)
    assert there.low == pytest.approx(-back.high) and there.high == pytest.approx(-back.low)
