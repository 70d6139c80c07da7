"""A rollout in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import get_args

from ai_platform_mcp.domain.rollout.nodes import NodeView
from ai_platform_mcp.domain.rollout.state import Counted, NodeState, Rollout

STATES: tuple[str, ...] = get_args(NodeState)
NAMED_OWED, NAMED_FAILURES = 500, 50
"""How many names a status lists; the numbers are whole. An object has 1.5 MB in etcd, and a status is read by people."""


def count(rollout: Rollout, views: Sequence[NodeView], wave: int, *, over: bool) -> Counted:
    """Return the numbers of the status. ``over``: ended without success, so that nothing is owed any more."""
    states = Counter(row.state for row in views)
    owed = [row.seen.name for row in views if row.state == "offlinePending" and not over]
    failures = {row.seen.name: row.reason for row in views if row.state == "failed"}
    return Counted(
        total=sum(row.state != "superseded" for row in views),
        healthy=sum(row.healthy for row in views),
        failed=states["failed"],
        offline=sum(not row.seen.online and row.state != "superseded" for row in views),
        states={name: states[name] for name in STATES},
        owed=tuple(sorted(owed)[:NAMED_OWED]),
        failures=dict(sorted(failures.items())[:NAMED_FAILURES]),
    )
