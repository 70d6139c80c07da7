"""What ``manage_edge_nodes`` shows: the nodes, and their state with what ails them and what is proposed. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.rows import Inventory, NodeRow
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.domain import views
from ai_platform_mcp.domain.answer import Cursor, listing_result
from ai_platform_mcp.domain.fleet import fleet_facts, members_of, site_rules
from ai_platform_mcp.domain.fleet_text import windows
from ai_platform_mcp.domain.hardware import Finding, proposal_of
from ai_platform_mcp.domain.objects import metadata_of, section
from ai_platform_mcp.domain.progress import progress_of
from ai_platform_mcp.domain.text import Cell, Listing, clip
from ai_platform_mcp.domain.views import Filters
from ai_platform_mcp.tools._node_health import Health

ROWS = 200
_COLUMNS = ("node", "state", "site", "pods", "proposes", "class", "severity", "finding", "device", "meaning")


def listed(inventory: Inventory, chosen: Sequence[NodeRow], token: str, now: datetime) -> Result:
    """Return the chosen nodes with state, place, devices, releases and pods."""
    narrowed = inventory.model_copy(update={"nodes": tuple(chosen)})
    return listing_result(views.nodes([narrowed], Filters(), now), verbose=False, limit=ROWS, cursor=Cursor.read(token))


def status(
    inventory: Inventory,
    chosen: Sequence[NodeRow],
    health: Health,
    config: type_json | None,
    rollouts: Sequence[type_json],
    token: str,
    now: datetime,
) -> Result:
    """Return one row per finding, one per node that is away without any, and in words the sites and the rollouts.

    Healthy nodes are counted, not listed.
    """
    rows = [row for node in chosen for row in _rows(node, inventory, health.findings.get(node.name, ()))]
    order = {"replace": 0, "drain": 1, "cordon": 2, "watch": 3, "none": 4, "": 5}
    rows.sort(key=lambda row: (order[str(row[4])], str(row[1]), str(row[0])))
    facts, stale = views.freshness([inventory])
    proposed = _proposed(chosen, health)
    notes = [f"In all: {views.counted(chosen)}.", *_sites(inventory, chosen, config)]
    notes += [f"Rollout {_rollout(row)}" for row in rollouts[:8]]
    if any(not progress_of(row).settled for row in rollouts):
        notes += _shut(rollouts, inventory, config, now)
    for action in ("cordon", "drain"):
        if proposed.get(action):
            notes.append(
                f"Proposed to {action}: {', '.join(proposed[action][:8])}; action={action} reason=health plans it."
            )
    if proposed.get("replace"):
        notes.append(f"To be replaced or repaired: {', '.join(proposed['replace'][:8])}; drain them first.")
    listing = Listing(
        kind="edge status",
        columns=_COLUMNS,
        rows=tuple(rows),
        empty="Every node is ready, and nothing is found wrong.",
        notes=(*notes, *health.unread, *stale),
        facts={**facts, "cluster": inventory.cluster, "proposed": proposed},
    )
    return listing_result(listing, verbose=False, limit=ROWS, cursor=Cursor.read(token))


def _rows(node: NodeRow, inventory: Inventory, findings: Sequence[Finding]) -> list[tuple[Cell, ...]]:
    state = views.node_state(node)
    use = inventory.node_use.get(node.name)
    head = (node.name, state, node.site, use.pods if use else None)
    if not findings:
        return [] if state == "ready" else [(*head, "", "", "", "", "", "")]
    return [
        (*head, row.proposal, row.fault, row.severity, clip(row.code, 80), row.device, row.meaning) for row in findings
    ]


def _proposed(chosen: Sequence[NodeRow], health: Health) -> dict[str, list[str]]:
    """Return by proposal the nodes it is made for: the gravest of each node, and no cordon for those that have one."""
    found: dict[str, list[str]] = {}
    for node in chosen:
        proposal = proposal_of(health.findings.get(node.name, ()))
        if proposal != "none" and not (proposal == "cordon" and not node.schedulable):
            found.setdefault(proposal, []).append(node.name)
    return found


def _sites(inventory: Inventory, chosen: Sequence[NodeRow], config: type_json | None) -> list[str]:
    """Return the sites that have nodes away, with their minimum: those below it first."""
    sites = fleet_facts(members_of(inventory), [row.name for row in chosen], site_rules(config)).sites
    away = [row for row in sites if row.healthy_before < row.members]
    away.sort(key=lambda row: (row.healthy_before - row.minimum_healthy, row.site))
    told = [f"{row.site} {row.healthy_before} of {row.members} (minimum {row.minimum_healthy})" for row in away[:8]]
    more = f" and {len(away) - 8} more sites" if len(away) > 8 else ""
    return [f"Sites with nodes away: {'; '.join(told)}{more}."] if told else []


def _shut(rollouts: Sequence[type_json], inventory: Inventory, config: type_json | None, now: datetime) -> list[str]:
    """Return what the maintenance windows keep rollouts under way from doing now."""
    under_way = [section(row, "spec") for row in rollouts if not progress_of(row).settled]
    sites = {
        member.site
        for spec in under_way
        for member in members_of(inventory, tuple(spec.get("sites") or ()), tuple(spec.get("regions") or ()))
    }
    reasons, risks = windows(site_rules(config), sites, now)
    return [*(text for text in reasons if "(closed now)" in text), *(risk.text for risk in risks)]


def _rollout(live: type_json) -> str:
    spec, meta = section(live, "spec"), metadata_of(live)
    what = f"{meta.get('namespace')}/{meta.get('name')} of {spec.get('model')} {spec.get('version')}"
    return clip(f"{what}: {progress_of(live).text()}", 240)
