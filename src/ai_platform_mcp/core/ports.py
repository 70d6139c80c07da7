"""What the inside needs of the outside, split into readers and writers. Tools and resources receive readers only.

The ports of what is remembered are in ``core.memory``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from ai_platform_mcp.core.decision import Decision, PolicyInput
from ai_platform_mcp.core.memory import Approvals, Journal
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import ClusterStep, Commit, ObjectRef, RegistryStep
from ai_platform_mcp.core.rows import (
    Access,
    ClusterIdentity,
    ClusterInfo,
    DryRun,
    Inventory,
    MetricAnswer,
    MetricScope,
    ModelPage,
    ModelRow,
    Outcome,
    Page,
    PolicyInfo,
    Reporting,
    RunRow,
    Stamp,
    VersionPage,
    VersionRow,
)
from ai_platform_mcp.core.tariff import Tariff


class Clock(Protocol):
    """The time. Injected so that tests and the sandbox can drive it."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware UTC."""
        ...


class ClusterReader(Protocol):
    """Reads of Kubernetes clusters. All methods raise Unavailable, Forbidden or CapabilityMissing as it is."""

    async def clusters(self) -> Sequence[ClusterInfo]:
        """Return the configured clusters; no cluster is contacted."""
        ...

    async def serves(self, cluster: str, api_version: str, kind: str) -> bool:
        """Tell whether the cluster serves this kind (discovery, cached)."""
        ...

    async def kinds(self, cluster: str) -> frozenset[str]:
        """Return every served kind as ``group/version/Kind``."""
        ...

    async def version(self, cluster: str) -> str:
        """Return the API server's version such as ``v1.36.0``."""
        ...

    async def get(
        self, cluster: str, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> type_json | None:
        """Return one object, None where it does not exist."""
        ...

    async def list(
        self,
        cluster: str,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
        token: str = "",
    ) -> Page:
        """Return one page; ``namespace`` None means all namespaces."""
        ...

    def watch(
        self,
        cluster: str,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        name: str | None = None,
        seconds: int = 60,
    ) -> AsyncIterator[type_json]:
        """Yield objects as they change, for at most ``seconds``; a deleted object has ``metadata.deletionTimestamp``."""
        ...

    async def dry_run(self, step: ClusterStep) -> DryRun:
        """Ask the API server what the step would do (``dryRun=All``, strict field validation).

        Raises:
            Rejected: schema, quota or admission refuses it.
            FieldConflict: another manager owns a field.
        """
        ...

    async def allowed(self, cluster: str, verb: str, ref: ObjectRef, subresource: str | None = None) -> Access:
        """Ask with a SelfSubjectAccessReview, with namespace and verb."""
        ...

    async def whoami(self, cluster: str) -> ClusterIdentity:
        """Ask whom the cluster takes us for."""
        ...


class ClusterWriter(Protocol):
    """Writes to Kubernetes clusters; each needs an open permit."""

    async def execute(self, step: ClusterStep, stamp: Stamp) -> Outcome:
        """Perform the step; idempotent for the same stamp."""
        ...

    async def read_back(self, step: ClusterStep, stamp: Stamp) -> bool:
        """Tell whether the step's effect is there (a read; used after crashes and time-outs)."""
        ...


class InventoryReader(Protocol):
    """The watch-fed cache."""

    async def inventory(self, cluster: str) -> Inventory:
        """Return the cached state; the first call syncs. Never raises for a dead cluster: it says so."""
        ...


class RegistryReader(Protocol):
    """Reads of the model registry and of tracked runs."""

    async def models(self, *, contains: str = "", limit: int = 50, token: str = "") -> ModelPage:
        """Return one page of registered models."""
        ...

    async def model(self, name: str) -> ModelRow | None:
        """Return one model with its aliases."""
        ...

    async def versions(self, name: str, *, limit: int = 20, token: str = "") -> VersionPage:
        """Return versions with their aliases, newest first."""
        ...

    async def version(self, name: str, version: str) -> VersionRow | None:
        """Return one version by number or by alias (``@champion`` or ``champion``)."""
        ...

    async def run(self, run_id: str) -> RunRow | None:
        """Return one run."""
        ...

    async def runs(self, *, experiment: str = "", contains: str = "", limit: int = 20) -> Sequence[RunRow]:
        """Return the newest runs of an experiment (all experiments where empty)."""
        ...


class RegistryWriter(Protocol):
    """Writes to the registry; each needs an open permit."""

    async def execute(self, step: RegistryStep, stamp: Stamp) -> Outcome:
        """Perform the step; idempotent for the same stamp."""
        ...

    async def read_back(self, step: RegistryStep, stamp: Stamp) -> bool:
        """Tell whether the step's effect is there."""
        ...


class GitWriter(Protocol):
    """Commits for platforms that change clusters through Git."""

    async def execute(self, step: Commit, stamp: Stamp) -> Outcome:
        """Commit and push to the step's branch."""
        ...

    async def read_back(self, step: Commit, stamp: Stamp) -> bool:
        """Tell whether the branch holds a commit of this operation."""
        ...


class MetricsReader(Protocol):
    """Reads of Prometheus."""

    def signals(self) -> Mapping[str, str]:
        """Return each named signal with one line of meaning (unit included)."""
        ...

    async def signal(
        self,
        name: str,
        scope: MetricScope,
        *,
        window_seconds: int,
        step_seconds: int | None = None,
        max_series: int = 50,
        by: Sequence[str] = (),
    ) -> MetricAnswer:
        """Answer a named signal: the first backend with data wins. ``step_seconds`` None means one value now.

        ``by`` splits the answer (target, version, region, site, node), with the age of each row's newest sample. Cloud and
        edge are never added up: where the scope names neither, the target is a label of every row.
        """
        ...

    async def reporting(self, scope: MetricScope) -> Reporting:
        """Return which edge nodes report about the scope's model, by the nodes' own exporters."""
        ...

    async def promql(
        self,
        query: str,
        scope: MetricScope,
        *,
        window_seconds: int,
        step_seconds: int | None = None,
        max_series: int = 50,
    ) -> MetricAnswer:
        """Answer guarded PromQL.

        Raises:
            InvalidInput: it does not parse, or the guard refuses it (code in details).
        """
        ...

    async def alerts(self) -> Sequence[type_json]:
        """Return firing and pending alerts."""
        ...


class PolicyEngine(Protocol):
    """Judges plans."""

    async def decide(self, question: PolicyInput) -> Decision:
        """Return the decision. Never raises for what the engine does: an engine that cannot answer denies."""
        ...

    async def info(self) -> PolicyInfo:
        """Return which policies are in force."""
        ...

    async def law(self) -> Mapping[str, str]:
        """Return the policy files by relative path (``deploy_model.rego``, ``data.json``), tests left out."""
        ...

    def explain(self, code: str, details: Mapping[str, Any]) -> tuple[str, str]:
        """Return the sentence and the remedy for a violation code."""
        ...


@dataclass(frozen=True)
class PlatformFacts:
    """What the platform file says and no backend knows."""

    budgets_cents: Mapping[str, int]
    """Monthly budget per team."""
    device_hourly_cents: Mapping[str, int]
    """Fallback price of one device-hour by flavor name or by accelerator name."""
    price_basis: str
    golden_paths: Mapping[str, type_json]
    """Training templates by name: image, command, runtime or workflow, defaults."""
    gitops: type_json | None = None
    scaling: type_json | None = None
    """``prometheus_url``, ``query`` and ``per_replica`` for services that scale from zero; None where nobody said it."""
    routing: type_json | None = None
    """``proxy`` (``config_map``, ``key``, ``deployment``, ``keys``) and ``gateway`` (``name``, ``namespace``, ``domain``,
    ``picker``, ``picker_port``).
    None is the defaults; no ``gateway`` is none."""
    tariff: Tariff = field(default_factory=Tariff)
    """What serving costs, and what is promised."""


@dataclass(frozen=True)
class Readers:
    """Everything a tool or a resource may use. There is no writer among it."""

    clusters: ClusterReader
    inventory: InventoryReader
    registry: RegistryReader
    metrics: MetricsReader
    policy: PolicyEngine
    journal: Journal
    approvals: Approvals
    clock: Clock
    platform: PlatformFacts


@dataclass(frozen=True)
class Writers:
    """What only the executor holds."""

    clusters: ClusterWriter
    registry: RegistryWriter
    git: GitWriter | None
