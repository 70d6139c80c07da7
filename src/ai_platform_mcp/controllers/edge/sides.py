"""Which nodes of an edge rollout are compared with which. Pure: nodes in, sides out.

Nodes differ from each other more than calls on one node do: a site with a bad line fails more whatever it runs. So the
control is sought where the new nodes are, first in the same sites, then in the same regions, and then anywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from ai_platform_mcp.domain.analysis.asked import Analysis
from ai_platform_mcp.domain.analysis.judge import Check
from ai_platform_mcp.domain.analysis.sides import Comparison, Side, Span
from ai_platform_mcp.domain.rollout.state import NodeSeen, Rollout

NODES, BEFORE, CLOUD = "control nodes", "same nodes before", "cloud"
ENOUGH = 3
"""Control nodes below which a narrower match (same sites, same regions) is not enough to compare with."""
SPANS = 8
"""Moments that nodes' counts begin at, at most: nodes that were committed close together share the latest of theirs."""
LOOK_BACK = timedelta(minutes=10)
"""What a node served before it changed is counted over this time at least."""
_NOBODY = "no node has been committed yet"


def new_side(rollout: Rollout, version: str, namespace: str, nodes: Sequence[NodeSeen]) -> Side:
    """Return the nodes that have proven the release, each from then on; ``version`` is its name as registered."""
    return Side(
        model=rollout.model,
        target="edge",
        spans=_spans({node.name: since for node in nodes if (since := _proven_since(rollout, node)) is not None}),
        versions=(version,),
        namespace=namespace,
    )


def comparisons_of(
    new: Side, rollout: Rollout, asked: Analysis, nodes: Sequence[NodeSeen], wait: timedelta
) -> tuple[Comparison, ...]:
    """Return what the new side is compared with. Golden answers are given by nodes alone, so that nodes are their control."""
    every: tuple[Check, ...] = tuple(row.check for row in asked.checks)
    golden: tuple[Check, ...] = tuple(row.check for row in asked.checks if row.check == "disagreement")
    on_nodes = golden if asked.control == "Cloud" else every
    in_cloud: tuple[Check, ...] = tuple(name for name in every if asked.control != "Nodes" and name not in golden)
    found: list[Comparison] = []
    if on_nodes:
        found.append(_against_nodes(new, rollout, nodes, on_nodes, max(wait, LOOK_BACK)))
    if in_cloud:
        control = Side(model=new.model, target="cloud", spans=(Span(since=_first(new)),)) if new.spans else _NOBODY
        found.append(Comparison(against=CLOUD, control=control, checks=in_cloud))
    return tuple(found)


def _proven_since(rollout: Rollout, node: NodeSeen) -> datetime | None:
    """Return since when a node's calls count for the release: its commit, or its pod's readiness where it ran it already."""
    mark, pod = node.mark, node.pod
    if node.version != rollout.release.version:
        return None
    if mark is not None and mark.generation == rollout.generation:
        return mark.seen if mark.state == "committed" else None
    return pod.ready_since if pod is not None and pod.version == node.version else None


def _spans(since: dict[str, datetime]) -> tuple[Span, ...]:
    """Return the nodes by the moment that they count from, never before their own."""
    order = sorted(since, key=lambda name: (since[name], name))
    size = -(-len(order) // SPANS) if len(set(since.values())) > SPANS else 1
    groups: dict[datetime, list[str]] = defaultdict(list)
    for place in range(0, len(order), size):
        part = order[place : place + size]
        groups[since[part[-1]]] += part
    return tuple(Span(since=moment, nodes=tuple(sorted(groups[moment]))) for moment in sorted(groups))


def _first(new: Side) -> datetime:
    return min(span.since for span in new.spans)


def _against_nodes(
    new: Side, rollout: Rollout, nodes: Sequence[NodeSeen], checks: tuple[Check, ...], back: timedelta
) -> Comparison:
    if not new.spans:
        return Comparison(against=NODES, control=_NOBODY, checks=checks)
    mine = {name for span in new.spans for name in span.nodes}
    others = [node for node in nodes if node.name not in mine and _runs_another(rollout, node)]
    if others:
        chosen = _matched([node for node in nodes if node.name in mine], others)
        span = Span(since=_first(new), nodes=tuple(sorted(node.name for node in chosen)))
        versions = tuple(sorted({node.version for node in chosen}))
        side = new.model_copy(update={"spans": (span,), "versions": versions})
        return Comparison(against=NODES, control=side, checks=checks)
    return _before(new, rollout, nodes, checks, back)


def _runs_another(rollout: Rollout, node: NodeSeen) -> bool:
    """Whether a node is online with another release, and was not moved by this rollout: one that failed is no yardstick."""
    moved = node.mark is not None and node.mark.generation == rollout.generation
    return node.online and not moved and node.version not in ("", rollout.release.version)


def _matched(mine: Sequence[NodeSeen], others: Sequence[NodeSeen]) -> Sequence[NodeSeen]:
    keys: tuple[Callable[[NodeSeen], str], ...] = (lambda node: node.site, lambda node: node.region)
    for key in keys:
        places = {key(node) for node in mine}
        chosen = [node for node in others if key(node) in places]
        if len(chosen) >= ENOUGH:
            return chosen
    return others


def _before(
    new: Side, rollout: Rollout, nodes: Sequence[NodeSeen], checks: tuple[Check, ...], back: timedelta
) -> Comparison:
    """Compare with what the same nodes served before they changed: in the last wave nobody is left who still does."""
    marks = {
        node.name: node.mark
        for node in nodes
        if node.mark is not None
        and node.mark.generation == rollout.generation
        and node.mark.previous not in ("", rollout.release.version)
    }
    if not marks:
        return Comparison(against=NODES, control="no node runs, or ran, another release to compare with", checks=checks)
    since = {name: mark.at - back for name, mark in marks.items()}
    versions = tuple(sorted({mark.previous for mark in marks.values()}))
    # From the earliest moment of all, and for the whole group: what ran before it has its own version, and has ended.
    span = Span(since=min(since.values()), nodes=tuple(sorted(since)))
    side = new.model_copy(update={"spans": (span,), "versions": versions, "over": True})
    return Comparison(against=BEFORE, control=side, checks=checks)
