"""Where requests go while edge nodes are away: who else serves the releases that run on them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ai_platform_mcp.core.rows import Inventory, NodeRow
from ai_platform_mcp.domain.views import releases

MOST_MODELS = 6


def spill_hints(inventory: Inventory, gone: Sequence[NodeRow]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (where each model's requests can go, models that nothing else serves), a sentence each.

    Clients reach the model on their own node only, and fail at once there: what takes over is their gateway's choice. This
    says what it has to choose from: nodes of the same site, of the region, and cloud deployments of the model.
    """
    away = {row.name for row in gone}
    models = sorted({model for row in gone for model in releases(row)})
    hints: list[str] = []
    alone: list[str] = []
    for model in models[:MOST_MODELS]:
        affected = [row for row in gone if model in releases(row)]
        places = list(_places(inventory, model, affected, away))
        if places:
            hints.append(f"Requests for {model} can spill to {', '.join(places)}.")
        else:
            alone.append(f"Nothing else serves {model}: its requests there fail until the nodes return.")
    if len(models) > MOST_MODELS:
        hints.append(f"{len(models) - MOST_MODELS} more models run there.")
    return tuple(hints), tuple(alone)


def _places(inventory: Inventory, model: str, affected: Sequence[NodeRow], away: set[str]) -> Iterable[str]:
    sites, regions = {row.site for row in affected}, {row.region for row in affected}
    others = [
        row
        for row in inventory.nodes
        if row.role == "edge" and row.ready and row.name not in away and model in releases(row)
    ]
    near = sum(row.site in sites for row in others)
    region = sum(row.region in regions and row.site not in sites for row in others)
    if near:
        yield f"{near} {'node' if near == 1 else 'nodes'} of the same {'site' if len(sites) == 1 else 'sites'}"
    if region:
        yield f"{region} of other sites in {', '.join(sorted(regions))}"
    for row in inventory.deployments:
        if row.target == "cloud" and row.ready and row.model == model:
            yield f"cloud {row.namespace}/{row.name}"
