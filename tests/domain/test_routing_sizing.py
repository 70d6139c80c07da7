from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.routing.sizing import Option, Sized, Sizing, arrivals, right_size

SERVERLESS = Option(
    name="serverless",
    kind="serverless",
    service_seconds=0.2,
    slots=4,
    unit_cents_per_hour=400,
    cold_start_seconds=8,
    keep_seconds=60,
)
ALWAYS = Option(name="always", kind="always_on", service_seconds=0.2, slots=4, unit_cents_per_hour=200)
EDGE = Option(name="edge", kind="edge", service_seconds=0.5, unit_cents_per_hour=20, request_cents=0.001)


def row(sizing: Sizing, name: str) -> Sized:
    return next(option for option in sizing.options if option.option == name)


def test_rare_requests_are_cheapest_from_zero_and_frequent_ones_from_what_stays() -> None:
    rare = right_size(arrivals(5, 24, seed=1), 24, (SERVERLESS, ALWAYS), 10)
    often = right_size(arrivals(3000, 2, seed=1), 2, (SERVERLESS, ALWAYS), 10)
    assert (rare.choice, often.choice) == ("serverless", "always")
    assert row(rare, "always").cents_per_hour == 200


def test_the_break_even_lies_between_and_both_cost_the_same_there() -> None:
    times = arrivals(5, 48, seed=1)
    sizing = right_size(times, 48, (SERVERLESS, ALWAYS), 10)
    even = sizing.break_even_per_hour["always"]
    factor = even / sizing.rate_per_hour
    there = right_size([now / factor for now in times], 48 / factor, (SERVERLESS, ALWAYS), 10)
    assert row(there, "serverless").cents_per_hour == pytest.approx(200, rel=0.02)
    # one unit that stays a minute after each request: half of the time up at ln 2 requests per minute
    assert 30 < even < 55


def test_a_cold_start_that_breaks_the_promise_counts_against_serverless() -> None:
    sizing = right_size(arrivals(5, 24, seed=1), 24, (SERVERLESS, ALWAYS), 2)
    cold = row(sizing, "serverless")
    assert (sizing.choice, cold.keeps_slo) == ("always", False)
    assert cold.missed_share > 0.5
    assert any("cold starts" in reason for reason in sizing.reasons)


def test_an_edge_that_is_slow_needs_more_nodes_and_may_still_be_cheapest() -> None:
    sizing = right_size(arrivals(7200, 1, seed=2), 1, (SERVERLESS, ALWAYS, EDGE), 1)
    assert (sizing.choice, row(sizing, "always").units) == ("edge", 1)
    assert 2 <= row(sizing, "edge").units <= 6
    assert row(sizing, "edge").cents_per_hour == pytest.approx(20 * row(sizing, "edge").units + 7.2, rel=0.05)


def test_bursts_need_more_than_the_same_rate_spread_evenly() -> None:
    even, bursts = (right_size(arrivals(7200, 1, burstiness, seed=3), 1, (EDGE,), 1) for burstiness in (0.05, 30.0))
    assert row(bursts, "edge").units > row(even, "edge").units


def test_what_no_number_of_units_can_keep_is_said_and_not_bought_without_end() -> None:
    sizing = right_size(arrivals(100, 1), 1, (EDGE.model_copy(update={"most_units": 3}),), 0.1)
    assert row(sizing, "edge").units <= 3
    assert not row(sizing, "edge").keeps_slo


@settings(max_examples=30)
@given(
    st.lists(st.floats(0, 3600), min_size=1, max_size=40).map(sorted),
    st.floats(0.2, 20),
    st.floats(0, 20),
)
def test_the_choice_is_never_dearer_than_another_that_keeps_the_promise(
    times: list[float], slo: float, cold: float
) -> None:
    sizing = right_size(times, 1, (SERVERLESS.model_copy(update={"cold_start_seconds": cold}), ALWAYS, EDGE), slo)
    best = row(sizing, sizing.choice)
    keeping = [option.cents_per_hour for option in sizing.options if option.keeps_slo]
    assert best.keeps_slo == bool(keeping)
    assert not keeping or best.cents_per_hour == min(keeping)
    assert 1 <= row(sizing, "serverless").cold_starts <= len(times)


def test_arrivals_that_make_no_sense_are_refused() -> None:
    for times in ([], [5.0, 1.0], [-1.0], [4000.0]):
        with pytest.raises(InvalidInput):
            right_size(times, 1, (ALWAYS,), 1)
    with pytest.raises(InvalidInput):
        arrivals(0, 1)
