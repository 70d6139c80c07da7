"""A site is changed in its window and at no other time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.rollout.windows import is_open

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("text", "moment", "open_"),
    [
        ("", at(0, 12), True),
        ("09:00-17:00", at(0, 9), True),
        ("09:00-17:00", at(0, 17), False),
        ("22:00-04:00", at(0, 23), True),
        ("22:00-04:00", at(1, 3, 59), True),
        ("22:00-04:00", at(1, 4), False),
        ("Mon-Fri 22:00-04:00", at(5, 3), True),  # Saturday morning belongs to Friday night
        ("Mon-Fri 22:00-04:00", at(0, 3), False),  # Monday morning belongs to Sunday night
        ("Mon-Fri 22:00-04:00", at(5, 23), False),
        ("Fri-Mon 10:00-11:00", at(6, 10), True),
        ("Fri-Mon 10:00-11:00", at(2, 10), False),
        ("sat, sun 00:00-24:00", at(6, 23, 59), True),
        ("01:00-02:00; 13:00-14:00", at(3, 13, 30), True),
    ],
)
def test_a_moment_is_inside_or_outside_of_a_window(text: str, moment: datetime, open_: bool):
    assert is_open(text, moment) is open_


@pytest.mark.parametrize(
    "text", ["night", "25:00-26:00", "10:00-10:00", "10:60-11:00", "Funday 10:00-11:00", "10-11", "Mo 1:00-2:00"]
)
def test_a_text_that_is_no_window_is_refused_with_an_example(text: str):
    with pytest.raises(InvalidInput) as refused:
        is_open(text, MONDAY)
    assert "22:00-04:00" in refused.value.remedy


@given(begin=st.integers(0, 1439), end=st.integers(0, 1439), minute=st.integers(0, 1439))
def test_a_window_and_its_complement_never_agree(begin: int, end: int, minute: int):
    if begin == end:
        return
    text, other = (f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in ((begin, end), (end, begin)))
    now = MONDAY + timedelta(minutes=minute)
    assert is_open(text, now) is not is_open(other, now)
