"""What readers answer with: clusters, inventory, registry and metrics, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Literal, NamedTuple

from pydantic import Field

from ai_platform_mcp.core.facts import ClusterFacts
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.plan import Diff
from ai_platform_mcp.core.serverless import ServerlessAccount


class ClusterInfo(Value):
    """A configured cluster and the policy facts that hold for everything in it."""

    name: str
    role: Literal["cloud", "edge", "both"] = "both"
    environment: Literal["dev", "staging", "production"] | None = None
    """None: the namespace's label ``aiplatform.dev/environment`` decides."""
    cloud: str = ""
    region: str = ""
    sandbox: bool = False
    facts: ClusterFacts = ClusterFacts()
    device_hourly_cents: dict[str, int] = Field(default_factory=dict)
    """Price of one device-hour here, by flavor or accelerator name, for flavors that carry no price themselves."""
    price_basis: str = ""
    """Where these prices come from."""
    serverless: ServerlessAccount = ServerlessAccount()


class Page(Value):
    """One page of a list. ``token`` is empty on the last page."""

    items: tuple[type_json, ...]
    token: str = ""
    remaining: int | None = None
    resource_version: str = ""


GitOpsTool = Literal["flux", "argocd", "fleet", "rancher", "helm", "terraform", "pulumi"]
GitOpsState = Literal["reverted", "kept", "paused"]


class GitOpsOwner(Value):
    """Who keeps an object as it is declared elsewhere, and what becomes of a step that changes it."""

    tool: GitOpsTool
    owner: str
    """The tool's own object, such as ``Kustomization flux-system/apps``."""
    repository: str | None = None
    """Where the object is declared; None where that cannot be read here."""
    path: str | None = None
    revision: str | None = None
    state: GitOpsState
    """``reverted``: the tool would undo the step. ``kept``: it leaves the step alone. ``paused``: it is told to stand still."""
    fields: tuple[str, ...] = ()
    """Fields that the step changes and the tool declares."""
    note: str = ""
    """One sentence: what happens to the change, and when."""


class HeldField(Value):
    """A field that another manager set, and when (RFC 3339; empty where the server does not say)."""

    manager: str
    field: str
    since: str = ""


class DryRun(Value):
    """The API server's own opinion of a step: the diff it would make, its warnings, or why it refuses."""

    diff: Diff
    warnings: tuple[str, ...] = ()
    live: type_json | None = None
    """The object before the step, None where it does not exist."""
    gitops: GitOpsOwner | None = None
    taken: tuple[HeldField, ...] = ()
    """Fields that the step takes over from other managers, GitOps tools left out."""
    drift: tuple[HeldField, ...] = ()
    """Fields that others set since we applied the object last."""


class Access(Value):
    """The answer of a SelfSubjectAccessReview, with what was asked and for whom, as people call it."""

    allowed: bool
    reason: str = ""
    identity: str = ""
    resource: str = ""
    """``plural.group/subresource``, as in an RBAC rule."""
    namespace: str = ""


class ClusterIdentity(Value):
    """Whom a cluster takes a request for, in its own words."""

    access: Literal["service", "impersonate", "token"]
    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Stamp(Value):
    """What is written onto objects so that an effect can be recognised later."""

    operation_id: str
    plan_digest: str
    annotations: dict[str, str] = Field(default_factory=dict)


class Outcome(Value):
    """What became of one step."""

    state: Literal["applied", "unchanged", "unknown"]
    version: str = ""
    """resourceVersion, model version or commit id."""
    note: str = ""


class NodeRow(Value):
    """A node as the inventory shows it."""

    cluster: str
    name: str
    ready: bool
    schedulable: bool
    role: Literal["cloud", "edge"]
    cloud: str = ""
    region: str = ""
    zone: str = ""
    site: str = ""
    accelerator: str = ""
    accelerators: int = 0
    spot: bool = False
    labels: dict[str, str] = Field(default_factory=dict)
    conditions: dict[str, str] = Field(default_factory=dict)
    taints: tuple[str, ...] = ()
    last_seen: datetime | None = None
    kubelet: str = ""

    @cached_property
    def text(self) -> str:
        """Everything that a search looks into, in lower case; labels as ``key=value``."""
        state = ("ready" if self.schedulable else "cordoned") if self.ready else "offline"
        labels = [f"{key}={value}" for key, value in self.labels.items()]
        return " ".join((self.name, state, self.role, self.site, self.region, self.accelerator, *labels)).lower()


class FlavorRow(Value):
    """One flavor of a ClusterQueue for one resource; whole devices."""

    cluster: str
    queue: str
    flavor: str
    resource: str
    nominal: int
    used: int
    reserved: int
    borrowing_limit: int | None = None
    cohort: str = ""
    accelerator: str = ""
    cloud: str = ""
    region: str = ""
    spot: bool = False
    hourly_cents: int | None = None
    """Price of one device, from the flavor's annotation or the platform file; None where unknown."""
    node_labels: dict[str, str] = Field(default_factory=dict)
    covered: tuple[str, ...] = ()
    """Every resource that the ClusterQueue has quota for, of whatever flavor."""


class QueueRow(Value):
    """A LocalQueue, with where it leads."""

    cluster: str
    namespace: str
    name: str
    cluster_queue: str
    pending: int
    admitted: int
    active: bool = True


class DeploymentRow(Value):
    """A served model: InferenceService, LLMInferenceService, EdgeRollout, RunService or Function."""

    cluster: str
    namespace: str
    name: str
    kind: str
    model: str
    version: str
    environment: str
    team: str
    ready: bool
    target: Literal["cloud", "edge"]
    url: str = ""
    canary_percent: int | None = None
    replicas: int | None = None
    message: str = ""
    created: datetime | None = None
    progress: dict[str, int | str] = Field(default_factory=dict)


class WorkloadRow(Value):
    """A Kueue Workload with its state in words of Kueue's conditions."""

    cluster: str
    namespace: str
    name: str
    owner: str
    queue: str
    state: str
    reason: str = ""
    accelerator_count: int = 0
    flavor: str = ""
    created: datetime | None = None


class NodeUse(NamedTuple):
    """What runs on a node: its pods that have not ended, and the devices they ask for."""

    pods: int
    devices: int


class HolderRow(Value):
    """Who holds devices: the running pods of one model (or of no known model) in one namespace, counted."""

    cluster: str
    namespace: str
    team: str
    model: str
    resource: str
    pods: int
    devices: int


class Inventory(Value):
    """What one cluster has. ``age_seconds`` is how long ago its watches were last known to be current.

    Nodes, queues, workloads and deployments come sorted by namespace and name.
    """

    cluster: str
    as_of: datetime
    age_seconds: int
    stale: bool
    problem: str = ""
    nodes: tuple[NodeRow, ...] = ()
    flavors: tuple[FlavorRow, ...] = ()
    queues: tuple[QueueRow, ...] = ()
    workloads: tuple[WorkloadRow, ...] = ()
    deployments: tuple[DeploymentRow, ...] = ()
    node_use: Mapping[str, NodeUse] = Field(default_factory=dict[str, NodeUse])
    """By node name; a node without pods is not in it. Empty until the pods have been read once."""
    holders: tuple[HolderRow, ...] = ()
    """Most devices first."""
    missing: tuple[str, ...] = ()
    """Kinds this cluster does not serve, so that the corresponding rows cannot exist."""


class VersionRow(Value):
    """A model version. ``tags`` hold evidence under the ``aiplatform.`` prefix."""

    model: str
    version: str
    created: datetime
    source: str
    run_id: str | None
    status: str
    description: str = ""
    aliases: tuple[str, ...] = ()
    tags: dict[str, str] = Field(default_factory=dict)


class ModelRow(Value):
    """A registered model. ``aliases`` maps alias to version."""

    name: str
    description: str = ""
    aliases: dict[str, str] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    latest: str = ""
    updated: datetime | None = None


class RunRow(Value):
    """A tracked run: latest metrics, parameters, inputs (dataset name and digest)."""

    run_id: str
    name: str
    experiment: str
    status: str
    started: datetime | None
    ended: datetime | None
    metrics: dict[str, float] = Field(default_factory=dict)
    params: dict[str, str] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    artifact_uri: str = ""


class ModelPage(Value):
    """One page of models."""

    items: tuple[ModelRow, ...]
    token: str = ""


class VersionPage(Value):
    """One page of versions, newest first."""

    items: tuple[VersionRow, ...]
    token: str = ""


class MetricScope(Value):
    """What a signal is asked for, and for whom: ``tenant`` matchers are forced into every selector.

    ``team`` and ``roles`` are the caller's: a platform may bind matchers to the team and metric names to roles.
    """

    team: str = ""
    roles: tuple[str, ...] = ()
    model: str = ""
    namespace: str = ""
    version: str = ""
    target: Literal["", "cloud", "edge"] = ""
    region: str = ""
    site: str = ""
    node: str = ""
    queue: str = ""
    tenant: dict[str, str] = Field(default_factory=dict)


class MetricPoint(Value):
    """One sample. ``value`` is None for NaN and infinities."""

    time: datetime
    value: float | None


class MetricSeries(Value):
    """One series: its labels and samples."""

    labels: dict[str, str]
    points: tuple[MetricPoint, ...]
    age_seconds: int | None = None
    """How old its newest sample is, where the answer was split; None: older than the last hour, or not split."""


class MetricAnswer(Value):
    """The answer to one question, with how it was asked and how fresh it is."""

    question: str
    unit: str
    promql: str
    backend: str
    """Which exporter's metric answered (``vllm``, ``kserve`` …); empty for raw PromQL."""
    series: tuple[MetricSeries, ...]
    omitted_series: int = 0
    sample_count: int = 0
    freshness_seconds: int | None = None
    absence: str = ""
    """Why there is nothing: not exported, no samples in the window. Empty where there is something (zero included)."""
    notes: tuple[str, ...] = ()


class Reporting(Value):
    """Which edge nodes report about a model."""

    known: bool
    """Whether the caller may see any series of it, of the last week: where not, nobody's silence says anything."""
    ages: dict[str, int] = Field(default_factory=dict)
    """Seconds since the newest sample of each node that reported in the last hour."""


class PolicyInfo(Value):
    """The law in force."""

    engine: str
    revision: str
    bundle_sha256: str
    stale: bool = False
    problem: str = ""
