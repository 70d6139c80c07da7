"""What a rollout asks of its analysis survives being written and read, and histograms give proportions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.domain.analysis.asked import ALPHA, CHECKS, CONTROLS, Analysis, Asked, analysis_for, analysis_of
from ai_platform_mcp.domain.analysis.proportions import Sample, difference
from ai_platform_mcp.domain.analysis.sides import Outcomes, sample_of, slow_from

checks = st.lists(st.sampled_from(CHECKS), min_size=1, max_size=3, unique=True).map(
    lambda names: tuple(sorted(names, key=CHECKS.index))
)


@given(checks=checks, control=st.sampled_from(CONTROLS), milli=st.integers(1, 999), count=st.integers(1, 10**6))
def test_an_analysis_reads_back_as_it_was_written(checks: tuple[str, ...], control: str, milli: int, count: int):
    rows = tuple(
        Asked(check=name, tolerated_milli=milli, slower_than_ms=count if name == "slow" else None)  # type: ignore[arg-type]
        for name in checks
    )
    asked = Analysis(checks=rows, control=control, min_samples=count, wait_seconds=count)  # type: ignore[arg-type]
    assert analysis_of({"analysis": asked.manifest()}) == asked


def test_what_is_left_out_has_its_default_and_no_block_asks_for_nothing():
    assert analysis_of({}) is None
    found = analysis_of({"analysis": {"checks": [{"check": "slow"}, {"check": "errors"}]}})
    assert found == analysis_for(("errors", "slow"))
    assert found.facts().tolerated_milli == 50 and found.facts().checks == ("errors", "slow")


def test_many_comparisons_share_the_chance_of_a_false_alarm():
    demands = analysis_for(("errors", "slow")).demands(4)
    assert {row.alpha for row in demands.values()} == {0.0125}
    assert (demands["errors"].max_increase, demands["slow"].max_increase) == (0.02, 0.05)


def histogram(total: float, *slower: tuple[float, float]) -> Outcomes:
    return Outcomes(source="test", total=total, slower=slower)


def test_slow_begins_at_a_boundary_that_both_sides_have():
    control = histogram(1000, (0.1, 400), (0.25, 60), (0.5, 40), (1.0, 1))
    new = histogram(500, (0.1, 300), (0.5, 200), (1.0, 90))
    assert slow_from(new, control, None) == 0.5, "0.25 s is not the new side's, and its 60 are more than 5 %"
    assert slow_from(new, control, 0.06) == 0.1
    assert slow_from(new, control, 30.0) == 1.0, "beyond the last boundary nothing is known"
    assert slow_from(new, histogram(10, (7.0, 1)), None) is None
    assert sample_of(new, 0.5).share == 0.4 and sample_of(control, 0.5).share == 0.04


@pytest.mark.parametrize(("total", "bad"), [(10.2, 10.9), (0.0, 3.0), (5.0, -0.1)])
def test_extrapolated_counts_stay_shares(total: float, bad: float):
    assert 0 <= sample_of(Outcomes(source="test", total=total, bad=bad), None).share <= 1


def test_the_documentation_says_how_many_calls_a_pass_takes():
    text = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text()

    def calls(share: float, tolerated: float) -> str:
        sizes = range(50, 5000, 10)
        sides = ((size, Sample(total=size, bad=size * share)) for size in sizes)
        found = next(size for size, side in sides if difference(side, side, ALPHA / 2).high < tolerated)
        return f"{found:,}"

    assert f"it is {calls(0.01, 0.02)} calls" in text and f"and {calls(0.01, 0.05)} where" in text
    assert f"it is {calls(0.05, 0.02)} and {calls(0.05, 0.05)}." in text
