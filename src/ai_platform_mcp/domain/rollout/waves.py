"""Which nodes change together."""

from __future__ import annotations

from collections.abc import Sequence

from ai_platform_mcp.domain.rollout.state import NodeSeen, Rollout


def wave_members(rollout: Rollout, nodes: Sequence[NodeSeen]) -> list[list[NodeSeen]]:
    """Return the nodes of each wave: those of its sites, or as many as reach its percentage of all by its end.

    Every node is in exactly one wave; what no wave names belongs to the last one. The order of nodes is by site and name,
    whatever order they come in, so that a wave is the same set in every look.
    """
    left = sorted(nodes, key=lambda node: (node.site, node.name))
    total = len(left)
    waves: list[list[NodeSeen]] = []
    for wave in rollout.waves:
        if wave.sites:
            sites = frozenset(wave.sites)
            mine = [node for node in left if node.site in sites]
        else:
            reach = -(-total * (wave.percent or 100) // 100)
            mine = left[: max(0, reach - (total - len(left)))]
        names = {node.name for node in mine}
        left = [node for node in left if node.name not in names]
        waves.append(mine)
    if left:
        waves[-1] += left
    return waves


def wave_places(rollout: Rollout, nodes: Sequence[NodeSeen]) -> dict[str, int]:
    """Return the index of each node's wave, by node name."""
    return {node.name: place for place, wave in enumerate(wave_members(rollout, nodes)) for node in wave}
