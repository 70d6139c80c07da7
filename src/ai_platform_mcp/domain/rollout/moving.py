"""Which nodes get the release now, and how their online time is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from ai_platform_mcp.domain.rollout.nodes import NodeView
from ai_platform_mcp.domain.rollout.state import Mark, NodePatch, Rollout, SiteSeen

_ANY_TIME = SiteSeen()


def moves(
    rollout: Rollout,
    rows: Sequence[NodeView],
    sites: Mapping[str, SiteSeen],
    now: datetime,
    fetching: Collection[str] = (),
) -> list[NodePatch]:
    """Return the nodes to move: online, able, at an open window, fetched where that is asked for, few enough per site.

    A node that changes does not serve for a while. So a site has at most as many on their way as it has healthy nodes above its
    minimum, but always one: a site of one node could otherwise never change. ``fetching``: the nodes for which the image is
    fetched now; one that returns after its wave has passed is not among them and fetches as it changes.
    """
    busy = Counter(row.seen.site for row in rows if row.in_flight)
    up = Counter(row.seen.site for row in rows if row.seen.online)
    found: list[NodePatch] = []
    for row in sorted(rows, key=lambda row: (row.seen.site, row.seen.name)):
        node, site = row.seen, sites.get(row.seen.site, _ANY_TIME)
        waits = rollout.staged and node.name in fetching
        ready = row.state == "staged" or (row.state == "pending" and not waits)
        if not ready or not node.schedulable or not site.window_open:
            continue
        if busy[node.site] >= max(1, up[node.site] - site.minimum_healthy):
            continue
        busy[node.site] += 1
        found.append(NodePatch(node=node.name, mark=_moved(rollout, row, now), release=rollout.release.version))
    return found


def _moved(rollout: Rollout, row: NodeView, now: datetime) -> Mark:
    version, old = rollout.release.version, row.seen.mark
    previous = row.seen.version
    if previous == version:  # the same release under a new generation: what was before it is still what to return to
        previous = old.previous if old is not None and old.version == version else ""
    return Mark(generation=rollout.generation, version=version, previous=previous, at=now, seen=now)


def keep_time(row: NodeView, now: datetime) -> NodePatch | None:
    """Return the write that keeps a node's online time, where it came or went since its mark was written."""
    node, mark = row.seen, row.seen.mark
    if mark is None or mark.state != "moved" or mark.up == node.online or row.state == "superseded":
        return None
    moment = min(now, max(node.since, mark.seen))
    fresh = {"online": mark.online_seconds(moment), "seen": moment, "up": node.online}
    return NodePatch(node=node.name, mark=mark.model_copy(update=fresh))
