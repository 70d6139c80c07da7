"""The platform on one page: what is there, what is used, what needs attention. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.rows import Inventory
from ai_platform_mcp.domain.objects import section
from ai_platform_mcp.domain.text import Cell, Listing, clip
from ai_platform_mcp.domain.views import freshness, node_state, said

SHOWN = 5
"""Names listed per line of attention."""


class Seen(Value):
    """What could be read. A part that could not is None, and ``problems`` says why."""

    inventories: tuple[Inventory, ...]
    models: int | None = None
    more_models: bool = False
    running: tuple[str, ...] | None = None
    pending_approvals: tuple[str, ...] | None = None
    alerts: tuple[type_json, ...] | None = None
    problems: Mapping[str, str] = {}  # pydantic copies defaults


def overview(seen: Seen) -> Listing:
    """Return one row per part of the platform: name, amount, what needs attention."""
    rows: list[tuple[Cell, ...]] = []
    if len(seen.inventories) > 1:
        stale = [row.cluster for row in seen.inventories if row.stale]
        current = len(seen.inventories) - len(stale)
        rows.append(
            ("clusters", f"{len(seen.inventories)}: {current} current", f"stale: {_names(stale)}" if stale else "")
        )
    for inventory in seen.inventories:
        rows += _cluster(inventory)
    if seen.models is not None:
        rows.append(("models", f"{seen.models}{'+' if seen.more_models else ''} registered", ""))
    if seen.running is not None:
        rows.append(("operations", f"{len(seen.running)} running", _names(seen.running)))
    if seen.pending_approvals is not None:
        rows.append(("approvals", f"{len(seen.pending_approvals)} pending", _names(seen.pending_approvals)))
    if seen.alerts is not None:
        firing = [row for row in seen.alerts if str(row.get("state", "firing")) == "firing"]
        rows.append(("alerts", f"{len(firing)} firing", _names([_alert(row) for row in firing])))
    facts, notes = freshness(seen.inventories)
    broken = tuple(f"{part} could not be read: {said(why)}" for part, why in seen.problems.items())
    return Listing(
        kind="overview",
        columns=("part", "amount", "attention"),
        rows=tuple(rows),
        empty="Nothing could be read; `platform doctor` says what is configured and reachable.",
        notes=(
            *broken,
            *notes,
            "Details: kind=nodes|gpu_pools|queues|deployments|models|versions|operations|approvals.",
        ),
        facts=facts,
    )


def _cluster(inventory: Inventory) -> list[tuple[Cell, ...]]:
    at = f" ({inventory.cluster})"
    rows: list[tuple[Cell, ...]] = []
    for role in ("edge", "cloud"):
        nodes = [row for row in inventory.nodes if row.role == role]
        if nodes:
            trouble = [row for row in nodes if not (row.ready and row.schedulable)]
            states = Counter(map(node_state, trouble)) + Counter(ready=len(nodes) - len(trouble))
            amount = f"{len(nodes)}: " + ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
            rows.append((f"{role} nodes{at}", amount, _names([row.name for row in trouble])))
    devices: dict[str, list[int]] = {}
    for row in inventory.flavors:
        total = devices.setdefault(row.accelerator or row.resource, [0, 0])
        total[0] += row.used
        total[1] += row.nominal
    if devices:
        amount = ", ".join(f"{name} {used}/{nominal}" for name, (used, nominal) in sorted(devices.items()))
        full = [row.flavor for row in inventory.flavors if row.nominal and row.used >= row.nominal]
        rows.append((f"gpu pools used/quota{at}", amount, f"full: {_names(full)}" if full else ""))
    if inventory.queues:
        waiting = [f"{row.namespace}/{row.name} {row.pending}" for row in inventory.queues if row.pending]
        pending = sum(row.pending for row in inventory.queues)
        rows.append((f"queues{at}", f"{len(inventory.queues)}: {pending} workloads waiting", _names(waiting)))
    if inventory.deployments:
        unready = [f"{row.namespace}/{row.name}" for row in inventory.deployments if not row.ready]
        ready = len(inventory.deployments) - len(unready)
        rows.append((f"deployments{at}", f"{len(inventory.deployments)}: {ready} ready", _names(unready)))
    return rows


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _alert(row: Mapping[str, Any]) -> str:
    labels = section(row.get("labels"))
    where = next((str(labels[key]) for key in ("model", "node", "namespace", "instance") if labels.get(key)), "")
    return clip(f"{labels.get('alertname', row.get('name', 'alert'))} {where}".strip(), 60)
