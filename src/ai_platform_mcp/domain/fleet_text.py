"""What a change of the fleet means for its sites, in words: who is touched, who stays, and when a site may change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.facts import FleetFacts, SiteFacts
from ai_platform_mcp.core.plan import Risk
from ai_platform_mcp.domain.fleet import SITES_CONFIG_MAP, SITES_NAMESPACE, SiteRule
from ai_platform_mcp.domain.rollout.windows import is_open

MOST_SITES = 8
_ALWAYS = ("", "00:00-24:00")


def radius(facts: FleetFacts) -> str:
    """Return how much of the fleet is touched, and each site's healthy nodes with the minimum that must stay."""
    sites = "; ".join(_site(row) for row in facts.sites[:MOST_SITES])
    left = len(facts.sites) - MOST_SITES
    more = f"; and {left} more {'site' if left == 1 else 'sites'}" if left > 0 else ""
    return f"{facts.affected} of {facts.members} edge nodes ({facts.share_percent} %): {sites}{more}."


def _site(row: SiteFacts) -> str:
    if row.healthy_before == row.healthy_after:
        return f"{row.site} {row.healthy_before} of {row.members} healthy (minimum {row.minimum_healthy})"
    return f"{row.site} {row.healthy_before} → {row.healthy_after} healthy (minimum {row.minimum_healthy})"


def windows(
    rules: Mapping[str, SiteRule], sites: Iterable[str], now: datetime
) -> tuple[tuple[str, ...], tuple[Risk, ...]]:
    """Return when the sites may change, where that is not always, as a reason; sites whose window cannot be read as a risk."""
    told: list[str] = []
    risks: list[Risk] = []
    for site in sorted(set(sites)):
        text = rules[site].maintenance_window_utc.strip() if site in rules else ""
        if text in _ALWAYS:
            continue
        try:
            state = "open now" if is_open(text, now) else "closed now"
        except InvalidInput as problem:
            where = f"ConfigMap {SITES_NAMESPACE}/{SITES_CONFIG_MAP}"
            risks.append(Risk(severity="warning", text=f"Site {site} stays closed: {problem.message} See {where}."))
        else:
            told.append(f"{site} {text} ({state})")
    if not told:
        return (), tuple(risks)
    left = len(told) - MOST_SITES
    more = f"; and {left} more" if left > 0 else ""
    listed = "; ".join(told[:MOST_SITES])
    return (f"Nodes change in their site's maintenance window only (UTC): {listed}{more}.",), tuple(risks)
