"""What the rules see and what they answer: the rollout as asked for, each node as observed, and what is to be done."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.model import Value

Phase = Literal["Ready", "Running", "Paused", "Completing", "Succeeded", "RollingBack", "RolledBack", "Stopped"]
OVER: frozenset[str] = frozenset({"Succeeded", "RolledBack", "Stopped"})
"""Phases after which waves no longer move. A succeeded rollout still serves the nodes that it owes."""
PASSED: frozenset[str] = frozenset({"Completing", "Succeeded"})
"""Phases of a release that every wave has passed: nodes that return late go straight to it."""

NodeState = Literal[
    "unknown",
    "pending",
    "offlinePending",
    "downloading",
    "verified",
    "staged",
    "activating",
    "probation",
    "committed",
    "failed",
    "rolledBack",
    "incompatible",
    "superseded",
    "throttled",
]
"""Names as in the CRD's ``status.nodes``. ``throttled``: a registry or line that is asked too much; never a failure."""

Verdict = Literal["none", "pending", "pass", "fail", "inconclusive"]
"""What analysis says of the wave under way; ``none`` where the rollout asks for no analysis."""


class Release(Value):
    """Bytes under a name."""

    version: str
    digest: str


class Wave(Value):
    """Nodes that change together: those of its sites, or as many as reach a percentage of all by its end."""

    name: str
    sites: tuple[str, ...] = ()
    percent: int | None = None
    canary: bool = False


class Rollout(Value):
    """An EdgeRollout as the rules read it. All times are seconds.

    ``accepted_…`` is what a person accepted when resuming: failures that no longer count, the index of the wave (from 0) whose
    analysis no longer holds the rollout up, and that of the wave which passes unproven where nobody of it is online.
    """

    name: str
    model: str
    release: Release
    rollback_to: Release | None = None
    generation: int = 1
    observed: int = 1
    """``metadata.generation``: which state of the spec this is."""
    waves: tuple[Wave, ...]
    soak: int = 600
    probation: int = 60
    quorum_percent: int = 90
    max_failures: int = 1
    progress_deadline: int = 3600
    offline_grace: int = 300
    on_failure: Literal["RollBack", "Pause"] = "RollBack"
    staged: bool = False
    """Whether a node's image is fetched before the node changes."""
    paused: bool = False
    accepted_failures: int = 0
    accepted_wave: int = -1
    accepted_absent_wave: int = -1


class Mark(Value):
    """What the controller wrote on a node about one model: the memory of a rollout, node by node.

    ``online`` are seconds that the node was up since it was moved, counted up to ``seen``; ``up`` says whether it was up then.
    """

    generation: int
    version: str
    previous: str = ""
    """The release before, empty where the node had none: what a rollback returns to."""
    state: Literal["moved", "committed", "failed", "reverted"] = "moved"
    reason: str = ""
    at: datetime
    online: int = 0
    seen: datetime
    up: bool = True

    def online_seconds(self, now: datetime) -> int:
        """Return how long the node was up since it was moved."""
        return self.online + (max(0, int((now - self.seen).total_seconds())) if self.up else 0)


class PodSeen(Value):
    """The model's pod on a node."""

    version: str
    ready_since: datetime | None = None
    started_at: datetime | None = None
    waiting: str = ""
    """Why its container waits, as the kubelet names it: ``ErrImagePull``, ``CrashLoopBackOff`` …"""
    throttled: bool = False
    """Whether the registry or the line, asked too much, is what keeps it waiting."""
    pulled: bool = False
    created_at: datetime | None = None
    restarts: int = 0
    """How often its container was started again since the pod was made, reboots of its node included."""
    crashed_at: datetime | None = None
    """When its container last ended by itself; None where it never did, or what ended last went down with its node."""
    golden: Literal["none", "running", "pass", "fail", "unusable"] = "none"
    """What the check of golden inputs says; ``unusable``: the inputs themselves are not what was asked for."""
    golden_told: str = ""
    """What it gave as its reason, where it failed."""
    digest_matches: bool | None = None
    """Whether the bytes that run are the release's; None while nobody can tell."""


class NodeSeen(Value):
    """One node as observed. ``since`` is when it came or went (the transition of its Ready condition)."""

    name: str
    site: str
    region: str = ""
    online: bool
    since: datetime
    schedulable: bool = True
    version: str = ""
    """The release that its label names now, empty for none."""
    mark: Mark | None = None
    pod: PodSeen | None = None
    staged: bool = False
    incompatible: str = ""
    """Why this node can never run the release, empty where it can."""


class SiteSeen(Value):
    """What holds for a site: whether it may be changed now, and how many of its nodes must stay healthy."""

    window_open: bool = True
    minimum_healthy: int = 0


class Progress(Value):
    """The part of ``status`` that one look hands to the next."""

    observed: int = 0
    phase: Phase = "Ready"
    reason: str = ""
    message: str = ""
    wave: int = 0
    wave_started: datetime | None = None
    healthy_since: datetime | None = None
    """Since when the wave under way has had its quorum without a break; None where it has not."""


class NodePatch(Value):
    """One write to one node: the mark, and with it the label where that changes. ``release`` None leaves the label alone."""

    node: str
    mark: Mark
    release: str | None = None


class Counted(Value):
    """The fleet in numbers, and the nodes worth naming."""

    total: int = 0
    healthy: int = 0
    failed: int = 0
    offline: int = 0
    states: dict[str, int] = Field(default_factory=dict)
    owed: tuple[str, ...] = ()
    failures: dict[str, str] = Field(default_factory=dict)


class Next(Value):
    """What follows from one look: how the rollout stands, what to write on nodes, and when to look again at the latest."""

    progress: Progress
    patches: tuple[NodePatch, ...] = ()
    counted: Counted = Counted()
    look_again: float = 30.0
