"""``platform routing status`` names the counterfactual of its savings, and what they leave out."""

from __future__ import annotations

from ai_platform_mcp.cli.routing import lines

UNKNOWN = {"value": None, "why": "no samples"}


def test_savings_are_told_with_their_counterfactual_and_without_fixed_cost() -> None:
    row = {"rps": UNKNOWN, "p95_seconds": UNKNOWN, "error_rate": UNKNOWN}
    told = lines(
        {
            "model": "m",
            "window": "1h",
            "targets": {"edge": row, "cloud": row},
            "edge_share": UNKNOWN,
            "savings": {"value": 2.5, "unit": "USD/hour", "why": ""},
        }
    )
    (savings,) = [line for line in told if "savings" in line]
    assert "2.50 USD/hour" in savings
    assert "against serving all from the cloud" in savings
    assert "fixed cost of edge hardware left out" in savings
