"""What state a node is in for one rollout, told from its mark, its pod and whether it is there at all."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ai_platform_mcp.domain.rollout.state import Mark, NodeSeen, NodeState, PodSeen, Rollout

CRASHES = 3
"""Restarts before readiness after which a release counts as failed on a node: the kubelet backs off from the second."""
BACKS_OFF = "CrashLoopBackOff"
"""Why a container waits that ended again and again. The kubelet counts that in memory: a reboot of the node begins anew."""
FATAL = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Reasons of the kubelet that no waiting mends (kubernetes/pkg/kubelet: container and image errors)."""


class NodeView(NamedTuple):
    """A node with what it means for the rollout. Every look makes one of every node: making it has to cost next to nothing."""

    seen: NodeSeen
    state: NodeState
    reason: str = ""
    healthy: bool = False
    """Runs the release, is online and its pod answers."""
    commit: bool = False
    """Has just proven itself: its mark is to say so."""
    stalled: bool = False
    """Was online for longer than the progress deadline without getting there, for no fault of the release."""

    @property
    def in_flight(self) -> bool:
        """Whether it is on its way right now."""
        return self.state in ("downloading", "verified", "activating", "probation", "throttled")


def mark_of(rollout: Rollout, node: NodeSeen) -> Mark | None:
    """Return the node's mark if this rollout made it."""
    mark = node.mark
    return mark if mark is not None and mark.generation == rollout.generation else None


def view(rollout: Rollout, node: NodeSeen, now: datetime) -> NodeView:
    """Return the node's state for the rollout."""
    if node.mark is not None and node.mark.generation > rollout.generation:
        return NodeView(seen=node, state="superseded", reason="a newer release has taken the node over")
    mark = mark_of(rollout, node)
    if mark is None:
        return _untouched(rollout, node, now)
    if mark.state == "failed":
        return NodeView(seen=node, state="failed", reason=mark.reason)
    if mark.state == "reverted":
        return NodeView(seen=node, state="rolledBack", reason=mark.reason)
    if mark.state == "committed":
        return _committed(rollout, node, now)
    if not node.online:
        return NodeView(seen=node, state="offlinePending", reason="went offline on its way")
    return _moving(rollout, node, mark, now)


def _untouched(rollout: Rollout, node: NodeSeen, now: datetime) -> NodeView:
    if node.incompatible:
        return NodeView(seen=node, state="incompatible", reason=node.incompatible)
    if node.version == rollout.release.version and node.online and _proven(rollout, node, now):
        return NodeView(seen=node, state="committed", reason="ran it already", healthy=True)
    if not node.online:
        return NodeView(seen=node, state="offlinePending")
    return NodeView(seen=node, state="staged" if node.staged else "pending")


def _proven(rollout: Rollout, node: NodeSeen, now: datetime) -> bool:
    """Whether the release's pod has answered for as long as probation takes, with the right bytes and answers."""
    pod = node.pod
    return (
        pod is not None
        and pod.version == rollout.release.version
        and pod.digest_matches is not False
        and pod.golden in ("none", "pass")
        and pod.ready_since is not None
        and (now - max(pod.ready_since, node.since)).total_seconds() >= rollout.probation
    )


def _committed(rollout: Rollout, node: NodeSeen, now: datetime) -> NodeView:
    pod = node.pod
    if not node.online:
        return NodeView(seen=node, state="committed", reason="offline since")
    fault = _fault(rollout, node, now)
    if fault:
        return NodeView(seen=node, state="failed", reason=f"after it was committed: {fault}")
    answers = pod is not None and pod.version == rollout.release.version and pod.ready_since is not None
    return NodeView(seen=node, state="committed", reason="" if answers else "does not answer now", healthy=answers)


def _moving(rollout: Rollout, node: NodeSeen, mark: Mark, now: datetime) -> NodeView:
    fault = _fault(rollout, node, now)
    if fault:
        return NodeView(seen=node, state="failed", reason=fault)
    if _proven(rollout, node, now):
        return NodeView(seen=node, state="committed", healthy=True, commit=True)
    late = mark.online_seconds(now) > rollout.progress_deadline
    pod = node.pod if node.pod is not None and node.pod.version == rollout.release.version else None
    if pod is not None and pod.ready_since is not None:
        return NodeView(seen=node, state="probation", healthy=False)
    if pod is not None and pod.started_at is not None:
        tried = (now - max(pod.started_at, node.since)).total_seconds()
        if tried > rollout.progress_deadline:
            why = f"not ready {rollout.progress_deadline} s after its start"
            return NodeView(seen=node, state="failed", reason=why)
        if late and pod.crashed_at is not None and pod.crashed_at >= node.since:
            # Each end begins a new try, and those that are far apart are no crash loop: this would go on for ever.
            why = f"ended by itself, and not healthy in {rollout.progress_deadline} s online"
            return NodeView(seen=node, state="failed", reason=why)
        return NodeView(seen=node, state="activating")
    if pod is not None and pod.throttled:
        return NodeView(seen=node, state="throttled", reason=pod.waiting, stalled=late)
    if pod is not None and pod.pulled:
        return NodeView(seen=node, state="verified", stalled=late)
    return NodeView(seen=node, state="downloading", reason=pod.waiting if pod else "", stalled=late)


def _fault(rollout: Rollout, node: NodeSeen, now: datetime) -> str:
    """Return what is wrong with the release on this node, empty where nothing is."""
    pod = node.pod
    if pod is None or pod.version != rollout.release.version:
        return ""
    if pod.digest_matches is False:
        return "runs other bytes than the release's digest"
    if pod.golden == "fail":
        return f"its answers to the golden inputs differ{_told(pod)}"
    if pod.golden == "unusable":
        return f"its golden inputs cannot be used{_told(pod)}"
    if pod.waiting in FATAL:
        return pod.waiting
    return f"crashed {pod.restarts} times" if _crash_loops(node, pod) else ""


def _crash_loops(node: NodeSeen, pod: PodSeen) -> bool:
    """Tell whether the release ends again and again by itself.

    Every reboot of a node restarts its containers too, and no count tells these from crashes. So the restarts are believed
    where the node was there without a break since the pod was made; where it was not, the kubelet is to say that it backs off
    after an end that came after the node's return.
    """
    if pod.ready_since is not None or pod.restarts < CRASHES or pod.crashed_at is None:
        return False
    if pod.created_at is not None and node.since <= pod.created_at:
        return True
    return pod.waiting == BACKS_OFF and pod.crashed_at >= node.since


def _told(pod: PodSeen) -> str:
    return f": {pod.golden_told}" if pod.golden_told else ""


def counted_online(rollout: Rollout, row: NodeView, now: datetime) -> bool:
    """Tell whether a node has a say in its wave's quorum: it is online, or was until a moment ago.

    A node that is gone for longer than the grace leaves the quorum and stays owed. So does one that is held up by its line:
    slow is not failed, and must not hold up the others for ever.
    """
    if row.state in ("incompatible", "superseded", "rolledBack") or row.stalled:
        return False
    if row.seen.online:
        return True
    return (now - row.seen.since).total_seconds() < rollout.offline_grace
