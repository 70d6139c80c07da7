"""The facts that policy judges a plan by: read by the server, never taken from the caller.

Units are whole numbers, since Rego engines disagree on fractions: money in cents, shares in percent, metric values and
thresholds in thousandths (``_milli``), times in seconds. ``None`` means «could not be read»; policy treats a missing fact
that a rule needs as a violation.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.model import Value


class GateVerdict(Value):
    """One evaluation of a model version against a declared threshold, as stored with the version."""

    metric: str
    value_milli: int
    threshold_milli: int
    verdict: Literal["pass", "fail"]
    age_seconds: int


class ModelFacts(Value):
    """What the registry says of the model version that the plan concerns."""

    name: str
    version: str
    aliases: tuple[str, ...]
    source: str
    digest: str | None
    """``sha256:…`` of the artifact, None where the version is not pinned."""
    signed: bool
    card: bool
    licence: str | None
    owner_team: str
    residency: tuple[str, ...]
    """Regions (prefixes such as ``eu``) the model's data may be served in; empty means anywhere."""
    gates: tuple[GateVerdict, ...]


class ComputeFacts(Value):
    """Accelerators the plan would take."""

    purpose: Literal["train", "batch", "serve", "dev"]
    accelerator: str
    count: int
    """Devices in all, over every node or replica."""
    hours: int | None
    spot: bool
    checkpoint: bool
    deadline_seconds: int | None = None


class AnalysisFacts(Value):
    """What a rollout asks of the measured comparison that lets a wave or step pass."""

    checks: tuple[str, ...]
    """Of ``errors``, ``slow``, ``disagreement``."""
    tolerated_milli: int
    """The largest rise of a bad share, over the checks, that is tolerated."""
    min_samples: int
    wait_seconds: int


class RolloutFacts(Value):
    """How traffic would move."""

    strategy: Literal["new", "canary", "blue_green", "all_at_once", "none"]
    first_step_percent: int
    current_version: str | None
    replicas_before: int
    replicas_after: int
    analysis: AnalysisFacts | None = None
    """None where waves or steps pass without one."""
    by_hand: bool = False
    """Whether a person moves the canary on, since no controller can: nothing is measured then."""
    golden_inputs: bool | None = None
    """Whether edge nodes ask inputs with known answers of the release before it counts; None where nothing goes to the edge."""


class FleetFacts(Value):
    """Which share of an edge fleet a plan touches. ``sites`` lists each touched site."""

    members: int
    affected: int
    share_percent: int
    offline: int
    sites: tuple[SiteFacts, ...] = ()
    health: HealthFacts | None = None
    """What findings of hardware health say of the touched nodes; None where the change is not made for its sake."""


class HealthFacts(Value):
    """How many of the touched nodes have a finding that proposes the action, or more than it."""

    proposed: int
    hardware: int
    """Of those, the ones whose finding is of class ``hardware``."""


class SiteFacts(Value):
    """One edge site, before and after the plan."""

    site: str
    region: str
    members: int
    healthy_before: int
    healthy_after: int
    minimum_healthy: int
    pods_evicted: int = 0


class RetrainFacts(Value):
    """The guards of automatic retraining."""

    reason: Literal["manual", "drift", "performance", "schedule", "data"]
    active_runs: int
    seconds_since_last: int | None
    consecutive_without_gain: int
    drift_milli: int | None
    performance_drop_milli: int | None


class RouteFacts(Value):
    """One target in one group of a routing plan."""

    target: str
    group: str
    tier: Literal["edge", "cloud"]
    region: str
    """Empty where nothing says it."""
    spot: bool
    critical: bool
    """Whether requests that may be critical come here: as interactive ones, or by a fallback of theirs."""


class RoutesFacts(Value):
    """How a model's requests would be routed."""

    slo_ms: int | None
    """What the call promises; None where it says nothing."""
    breaker: bool
    routes: tuple[RouteFacts, ...]


class ObjectChange(Value):
    """One object the plan changes, with the owner that the live object names."""

    action: Literal["create", "update", "delete", "none"]
    system: Literal["kubernetes", "registry", "git"]
    kind: str
    name: str
    namespace: str | None
    owner_team: str | None
    """Team label of the live object; None for a new one or where it carries no label."""
    replicas_removed: int = 0
    forced: bool = False
    gitops: Literal["none", "reverted", "kept", "paused", "committed"] = "none"
    """What a tool that keeps the object as declared elsewhere would do about the change; ``committed``: it goes that way."""
    gitops_tool: str = ""
    gitops_owner: str = ""
    """The tool's own object, such as ``Kustomization flux-system/apps``; empty with ``none``."""
    gitops_repository: str | None = None
    """Where the object is declared; None where that could not be read."""
    gitops_path: str | None = None


class ClusterFacts(Value):
    """What the platform file says of a cluster for policy to judge by. It holds for everything in the cluster."""

    protected: bool = False
    """Whether every change there needs an approver, whatever the environment."""
    allowed_teams: tuple[str, ...] = ()
    """Teams that may change anything there; empty means all."""
    tier: str = ""
    data_classification: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    """Whatever else a platform's own rules want to know."""


class QuotaFacts(Value):
    """Where the request would stand in its queue."""

    queue: str
    flavor: str
    nominal: int
    used: int
    requested: int
    forecast: Literal["now", "queued", "never"]


class Facts(Value):
    """All facts of one plan. A group that does not concern the tool is None."""

    model: ModelFacts | None = None
    compute: ComputeFacts | None = None
    rollout: RolloutFacts | None = None
    fleet: FleetFacts | None = None
    retrain: RetrainFacts | None = None
    quota: QuotaFacts | None = None
    routing: RoutesFacts | None = None
    changes: tuple[ObjectChange, ...] = ()


FleetFacts.model_rebuild()
