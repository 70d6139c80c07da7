"""Latency is kept as what was measured, the buckets: adding them up loses nothing, and shares never leave 0 to 1."""

from __future__ import annotations

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.domain.routing.latency import Latency, together

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0)


def latency(*inside: float, bounds: tuple[float, ...] = BOUNDS) -> Latency:
    counts = list(accumulate(inside))
    found = Latency.of({**dict(zip(bounds, counts, strict=False)), math.inf: counts[-1]})
    assert found is not None
    return found


COUNTS = st.lists(st.integers(0, 1000), min_size=6, max_size=6)


@given(st.lists(COUNTS, min_size=1, max_size=5), st.floats(0.01, 2.0))
def test_sites_together_are_late_as_often_as_all_of_their_requests(sites: list[list[int]], seconds: float) -> None:
    parts = [latency(*counts) for counts in sites]
    whole = together(parts)
    assert whole is not None
    assert whole.count == sum(map(sum, sites))
    late = whole.late(seconds)
    if late is None:
        assert whole.count == 0
        return
    assert 0 <= late.low <= late.share + 1e-9
    assert late.share <= late.high + 1e-9 <= 1 + 2e-9
    counted = sum(part.count * row.share for part in parts if (row := part.late(seconds)) is not None)
    assert counted == pytest.approx(whole.count * late.share, abs=1e-6)


@given(COUNTS)
def test_percentiles_rise(counts: list[int]) -> None:
    found = latency(*counts)
    values = [found.quantile(share) for share in (0.1, 0.5, 0.95, 1.0)]
    if sum(counts) == 0:
        assert values == [None] * 4
        return
    known = [value for value in values if value is not None]
    assert known == sorted(known)
    assert known[-1] <= BOUNDS[-1]


def test_a_promise_on_a_bound_is_counted_exactly() -> None:
    late = latency(10, 20, 30, 30, 5, 5).late(0.25)
    assert late is not None
    assert (late.low, late.share, late.high) == (0.4, 0.4, 0.4)


def test_a_promise_beyond_the_last_bound_is_missed_by_those_beyond_it_at_most() -> None:
    late = latency(10, 20, 30, 30, 5, 5).late(4.0)
    assert late is not None
    assert (late.low, late.high) == (0.0, 0.05)


def test_other_bounds_can_be_added_too() -> None:
    whole = together([latency(10, 0, 0, 0, 0, 0), latency(0, 10, 0, bounds=(0.1, 0.2))])
    assert whole is not None
    assert whole.count == 20
    assert whole.quantile(0.5) == pytest.approx(0.05)


def test_buckets_without_the_last_one_say_nothing() -> None:
    assert Latency.of({0.1: 3.0}) is None
    assert together([None, None]) is None
