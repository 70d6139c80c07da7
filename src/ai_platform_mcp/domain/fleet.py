"""The edge fleet as sites: who belongs to it, how many must stay healthy, and what a plan would touch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from ai_platform_mcp.core.facts import FleetFacts, SiteFacts
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.rows import Inventory

SITES_NAMESPACE = "aiplatform-system"
SITES_CONFIG_MAP = "edge-sites"
DEFAULT_MINIMUM_PERCENT = 60
"""Share of a site that stays healthy where its site facts name no minimum, rounded up."""


class Member(Value):
    """One edge node. ``online``: its kubelet reports and nothing forbids scheduling."""

    node: str
    site: str
    region: str
    online: bool


class SiteRule(Value):
    """What the platform's ConfigMap says of one site."""

    region: str = ""
    minimum_healthy: int | None = None
    maintenance_window_utc: str = ""


def spelled(asked: str, known: Iterable[str]) -> str:
    """Return the known site or region that is meant by a name, whatever its case, with blanks or underscores for hyphens.

    What is spelled exactly so comes first; what nothing or more than one thing is meant by stays as it is.
    """
    names = set(known)
    alike = [name for name in names if _folded(name) == _folded(asked)]
    return alike[0] if asked not in names and len(alike) == 1 else asked


def _folded(name: str) -> str:
    return name.strip().casefold().replace(" ", "-").replace("_", "-")


def members_of(
    inventory: Inventory, sites: Sequence[str] = (), regions: Sequence[str] = (), accelerator: str = ""
) -> tuple[Member, ...]:
    """Return the edge nodes, narrowed to ``sites`` and ``regions`` (empty means all), by node name."""
    rows = [
        Member(node=node.name, site=node.site, region=node.region, online=node.ready and node.schedulable)
        for node in inventory.nodes
        if node.role == "edge"
        and node.site
        and (not sites or node.site in sites)
        and (not regions or node.region in regions)
        and (not accelerator or accelerator.lower() in node.accelerator.lower())
    ]
    return tuple(sorted(rows, key=lambda row: row.node))


def site_rules(config_map: type_json | None) -> dict[str, SiteRule]:
    """Read the ``edge-sites`` ConfigMap: one key per site, its value JSON. An entry that does not parse is left out."""
    data: type_json = (config_map or {}).get("data") or {}
    rules: dict[str, SiteRule] = {}
    for site, text in data.items():
        try:
            parsed: object = json.loads(str(text))
        except ValueError:
            continue
        if isinstance(parsed, dict):
            rules[site] = _rule(cast("type_json", parsed))
    return rules


def _rule(parsed: type_json) -> SiteRule:
    minimum = parsed.get("minimum_healthy")
    return SiteRule(
        region=str(parsed.get("region", "")),
        minimum_healthy=minimum if isinstance(minimum, int) and not isinstance(minimum, bool) else None,
        maintenance_window_utc=str(parsed.get("maintenance_window_utc", "")),
    )


def minimum_healthy(site_members: int, rule: SiteRule | None) -> int:
    """Return how many members of a site must stay healthy: what its facts say, else 60 % of them rounded up."""
    if rule is not None and rule.minimum_healthy is not None:
        return rule.minimum_healthy
    return -(-site_members * DEFAULT_MINIMUM_PERCENT // 100)


def fleet_facts(
    fleet: Sequence[Member],
    affected: Iterable[str],
    rules: Mapping[str, SiteRule],
    *,
    taken_away: Iterable[str] = (),
    brought_back: Iterable[str] = (),
    evicted: Mapping[str, int] | None = None,
) -> FleetFacts:
    """Return the facts policy judges a fleet change by.

    Args:
        fleet: all members, whether touched or not.
        affected: nodes that the plan touches.
        rules: what is known of sites.
        taken_away: nodes that will not be healthy afterwards (drained, cordoned).
        brought_back: nodes that will be (uncordoned ones that report).
        evicted: pods to be evicted, by site.
    """
    touched, gone, back = set(affected), set(taken_away), set(brought_back)
    affected_rows = [row for row in fleet if row.node in touched]
    sites = tuple(
        _site(
            site, [row for row in fleet if row.site == site], rules.get(site), gone, back, (evicted or {}).get(site, 0)
        )
        for site in sorted({row.site for row in affected_rows})
    )
    return FleetFacts(
        members=len(fleet),
        affected=len(affected_rows),
        share_percent=share_percent(len(affected_rows), len(fleet)),
        offline=sum(not row.online for row in affected_rows),
        sites=sites,
    )


def _site(
    site: str, rows: Sequence[Member], rule: SiteRule | None, gone: set[str], back: set[str], evicted: int
) -> SiteFacts:
    online = [row for row in rows if row.online]
    return SiteFacts(
        site=site,
        region=rows[0].region,
        members=len(rows),
        healthy_before=len(online),
        healthy_after=sum(row.node not in gone and (row.online or row.node in back) for row in rows),
        minimum_healthy=minimum_healthy(len(rows), rule),
        pods_evicted=evicted,
    )


def share_percent(part: int, whole: int) -> int:
    """Return a share in whole percent, rounded up: one node of many is never zero."""
    return -(-part * 100 // whole) if whole else 0
