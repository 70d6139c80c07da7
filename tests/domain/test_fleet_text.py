"""What a change of the fleet means, in words: the numbers are those of the sites, and a window is told where it is one."""

from __future__ import annotations

from datetime import UTC, datetime

from ai_platform_mcp.domain.fleet import Member, SiteRule, fleet_facts, spelled
from ai_platform_mcp.domain.fleet_text import radius, windows

NIGHT = datetime(2026, 1, 5, 2, 30, tzinfo=UTC)
FLEET = tuple(Member(node=f"n{at}", site="a" if at < 3 else "b", region="r", online=at != 1) for at in range(5))


def test_a_node_that_comes_back_is_healthy_afterwards_and_one_that_goes_is_not() -> None:
    assert "a 2 → 3 healthy (minimum 2)" in radius(fleet_facts(FLEET, ["n1"], {}, brought_back=["n1"]))
    assert "a 2 → 1 healthy (minimum 2)" in radius(fleet_facts(FLEET, ["n0"], {}, taken_away=["n0"]))
    assert radius(fleet_facts(FLEET, ["n3", "n4"], {})) == "2 of 5 edge nodes (40 %): b 2 of 2 healthy (minimum 2)."


def test_windows_are_told_where_sites_have_one_and_one_that_cannot_be_read_is_a_warning() -> None:
    rules = {
        "always": SiteRule(maintenance_window_utc="00:00-24:00"),
        "late": SiteRule(maintenance_window_utc="22:00-04:00"),
        "noon": SiteRule(maintenance_window_utc="12:00-13:00"),
        "odd": SiteRule(maintenance_window_utc="whenever"),
    }
    reasons, risks = windows(rules, ("noon", "late", "always", "odd", "unknown"), NIGHT)
    assert len(reasons) == 1 and reasons[0].endswith("late 22:00-04:00 (open now); noon 12:00-13:00 (closed now).")
    assert [row.severity for row in risks] == ["warning"] and "Site odd stays closed" in risks[0].text
    assert windows(rules, ("always", "unknown"), NIGHT) == ((), ())


def test_a_place_is_meant_by_any_spelling_unless_two_could_be() -> None:
    assert spelled("US South", ["us-south", "us-east"]) == "us-south"
    assert spelled("US-SOUTH", ["us-south", "Us-South"]) == "US-SOUTH"
    assert spelled("Us-South", ["us-south", "Us-South"]) == "Us-South"
    assert spelled("mars", ["us-south"]) == "mars"
