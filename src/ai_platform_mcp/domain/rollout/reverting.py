"""The way back: every node that has the release returns to what it ran before, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ai_platform_mcp.domain.rollout.counting import count
from ai_platform_mcp.domain.rollout.nodes import NodeView
from ai_platform_mcp.domain.rollout.state import Next, NodePatch, Progress, Rollout

LOOK_AGAIN = 10.0


def advance(rollout: Rollout, progress: Progress, views: Sequence[NodeView], now: datetime) -> Next:
    """Return the writes that take the release off, and whether the nodes answer with the one before.

    Labels are written for offline nodes too: they return to the old release when they return at all, so that no late node
    brings back what was taken away.
    """
    patches = [
        NodePatch(node=row.seen.name, mark=mark.model_copy(update=_back(row, now)), release=mark.previous)
        for row in views
        if (mark := row.seen.mark) is not None
        and mark.generation == rollout.generation
        and mark.state in ("moved", "committed")
    ]
    waiting = [row for row in views if row.state in ("rolledBack", "failed") and row.seen.online and not _answers(row)]
    if progress.phase == "RollingBack" and not patches and not waiting:
        offline = sum(row.state == "rolledBack" and not row.seen.online for row in views)
        tail = f"; {offline} offline nodes get it when they return" if offline else ""
        text = f"{progress.message} Every node is back on the release before{tail}."
        progress = progress.model_copy(update={"phase": "RolledBack", "message": text})
    counted = count(rollout, views, progress.wave, over=True)
    return Next(progress=progress, patches=tuple(patches), counted=counted, look_again=LOOK_AGAIN)


def _back(row: NodeView, now: datetime) -> dict[str, object]:
    """Return what its mark says from now on: a node that failed is remembered as the reason of it all."""
    if row.state == "failed":
        return {"state": "failed", "reason": row.reason[:200], "seen": now}
    return {"state": "reverted", "reason": "rolled back", "seen": now}


def _answers(row: NodeView) -> bool:
    """Whether the node serves its release before again; one that had none is back as soon as the label is gone."""
    mark, pod = row.seen.mark, row.seen.pod
    if mark is None or not mark.previous:
        return True
    return pod is not None and pod.version == mark.previous and pod.ready_since is not None
