"""Nodes that run a release and say nothing: what the inventory knows against what the metrics show."""

from __future__ import annotations

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.inventories import read_inventories
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import MetricScope, NodeRow
from ai_platform_mcp.domain.metric_tables import Silence, silence
from ai_platform_mcp.manifests.edge import release_node_label


async def silent_nodes(readers: Readers, scope: MetricScope) -> Silence | None:
    """Return which nodes of the scope run a release of its model and do not report; None where the question is not about that.

    A caller who may see nothing of the model is told nothing about its nodes.
    """
    if not scope.model or scope.target == "cloud" or scope.queue:
        return None
    if scope.namespace:
        return Silence(unknown="nodes say which release they run, and not of which namespace; ask without namespace")
    try:
        reporting = await readers.metrics.reporting(scope)
        if not reporting.known:
            return None
        inventories = await read_inventories(readers, [one.name for one in await readers.clusters.clusters()])
    except PlatformError as problem:
        return Silence(unknown=problem.message.rstrip("."))
    blind = [one for one in inventories if one.stale and not one.nodes]
    if blind:
        return Silence(unknown="; ".join(one.problem.rstrip(".") or f"{one.cluster} is unread" for one in blind))
    expected = [node for one in inventories for node in one.nodes if _runs(node, scope)]
    return silence(expected, reporting) if expected else None


def _runs(node: NodeRow, scope: MetricScope) -> bool:
    version = node.labels.get(release_node_label(scope.model), "")
    return (
        bool(version)
        and scope.version in ("", version)
        and scope.region in ("", node.region)
        and scope.site in ("", node.site)
        and scope.node in ("", node.name)
    )
