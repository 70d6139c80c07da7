"""Readers over a world in memory, so that a tool's plan takes milliseconds: for properties over a tool's parameters.

The objects are those that the sandbox is seeded with, and what a cluster serves is chosen freely. Nothing here answers what
only a server can: the dry run, access, admission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from ai_platform_mcp.adapters.kubernetes import mapping
from ai_platform_mcp.core.ports import PlatformFacts, Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import (
    ClusterInfo,
    Inventory,
    MetricAnswer,
    MetricScope,
    ModelRow,
    Page,
    RunRow,
    VersionRow,
)
from ai_platform_mcp.core.tool import Caller, PlanContext
from ai_platform_mcp.domain.language import TASK
from ai_platform_mcp.domain.versions import FORMAT, SIZE_MIB
from ai_platform_mcp.manifests.common import Capabilities
from ai_platform_mcp.sandbox import seed
from ai_platform_mcp.sandbox.kube.clock import stamp

Json = dict[str, Any]
NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
CLUSTER = ClusterInfo(name="c1", sandbox=True)
DIGEST = "sha256:" + "5c" * 32
CRD = "CustomResourceDefinition"


def seeded() -> list[Json]:
    now = stamp(NOW)
    makers = (seed.namespaces(), seed.queues(), seed.nodes(now, now), seed.runtimes(), seed.services())
    return [obj for maker in makers for obj in maker]


SEEDED = seeded()


def _key(obj: Json) -> tuple[str, str, str | None, str]:
    meta = obj["metadata"]
    return (obj["apiVersion"].rpartition("/")[0], obj["kind"], meta.get("namespace"), meta["name"])


@dataclass
class Clusters:
    """One cluster. An object is found in whatever version of its group is asked for, if the kind is served in it."""

    can: Capabilities
    objects: Sequence[Json]
    info: ClusterInfo = CLUSTER

    async def clusters(self) -> Sequence[ClusterInfo]:
        return (self.info,)

    async def kinds(self, _cluster: str) -> frozenset[str]:
        return self.can.kinds

    async def serves(self, _cluster: str, api_version: str, kind: str) -> bool:
        return self.can.serves(api_version, kind)

    async def version(self, _cluster: str) -> str:
        return f"v1.{self.can.kubernetes_minor}.0"

    async def get(
        self, _cluster: str, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> Json | None:
        if kind == CRD:
            return self._definition(name)
        wanted = (api_version.rpartition("/")[0], kind, namespace, name)
        return next((self._live(obj, api_version) for obj in self.objects if _key(obj) == wanted), None)

    async def list(
        self,
        _cluster: str,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        labels: str = "",
        **_more: Any,
    ) -> Page:
        group = api_version.rpartition("/")[0]
        found = [
            self._live(obj, api_version)
            for obj in self.objects
            if _key(obj)[:2] == (group, kind)
            and namespace in (None, obj["metadata"].get("namespace"))
            and has_labels(obj, labels)
        ]
        return Page(items=tuple(found))

    def _live(self, obj: Json, api_version: str) -> Json:
        return {**obj, "apiVersion": api_version, "metadata": {**obj["metadata"], "uid": "u-1", "resourceVersion": "1"}}

    def _definition(self, name: str) -> Json:
        fields: Json = {"other": {}}
        if name.startswith("inferenceservices") and self.can.standard_canary:
            fields = {"canary": {"type": "array"}}
        if name.startswith("trainjobs"):
            fields = {self.can.training_overrides: {"type": "array"}}
        if name.startswith("llminferenceservices") and self.can.llm_groups:
            fields = {"router": {"properties": {"route": {"properties": {"group": {"type": "string"}}}}}}
        schema = {"openAPIV3Schema": {"properties": {"spec": {"properties": fields}}}}
        return {"spec": {"versions": [{"name": "v1", "schema": schema}]}}


def has_labels(obj: Json, selector: str) -> bool:
    said = obj["metadata"].get("labels") or {}
    return all(said.get(key) == value for key, _, value in (row.partition("=") for row in selector.split(",") if row))


@dataclass
class Inventories:
    clusters: Clusters

    async def inventory(self, cluster: str) -> Inventory:
        rows: dict[str, list[Json]] = {}
        for obj in self.clusters.objects:
            rows.setdefault(obj["kind"], []).append(obj)
        flavors = {row["metadata"]["name"]: row for row in rows.get("ResourceFlavor", ())}
        return Inventory(
            cluster=cluster,
            as_of=NOW,
            age_seconds=0,
            stale=False,
            nodes=tuple(mapping.node_row(CLUSTER, row) for row in rows.get("Node", ())),
            flavors=tuple(
                flavor for row in rows.get("ClusterQueue", ()) for flavor in mapping.flavor_rows(CLUSTER, row, flavors)
            ),
            queues=tuple(mapping.queue_row(CLUSTER, row) for row in rows.get("LocalQueue", ())),
        )


@dataclass
class Registry:
    """Models by name, one version each unless a test adds one."""

    rows: Mapping[str, Sequence[VersionRow]]
    tracked: Sequence[RunRow] = ()

    async def model(self, name: str) -> ModelRow | None:
        versions = self.rows.get(name)
        if not versions:
            return None
        aliases = {alias: row.version for row in versions for alias in row.aliases}
        return ModelRow(name=name, tags={"aiplatform.team": "vision"}, latest=versions[-1].version, aliases=aliases)

    async def version(self, name: str, version: str) -> VersionRow | None:
        wanted = version.removeprefix("@")
        rows = self.rows.get(name, ())
        return next((row for row in rows if wanted == row.version or wanted in row.aliases), None)

    async def run(self, _run_id: str) -> RunRow | None:
        return None

    async def runs(self, **_asked: Any) -> Sequence[RunRow]:
        return self.tracked


class Nothing:
    """A metrics store without samples and a journal without operations."""

    async def signal(self, name: str, _scope: MetricScope, **_more: Any) -> MetricAnswer:
        return MetricAnswer(question=name, unit="", promql="", backend="", series=(), absence="no samples")

    async def operations(self, **_asked: Any) -> Sequence[Any]:
        return ()


@dataclass
class Now:
    moment: datetime = field(default=NOW)

    def now(self) -> datetime:
        return self.moment


def version_row(name: str, number: str, **more: Any) -> VersionRow:
    """A version with evidence; ``format``, ``task``, ``size_mib``, ``source`` and further ``tags`` as a test says."""
    tags = {"aiplatform.digest": DIGEST, FORMAT: more.get("format", "onnx")}
    tags |= {TASK: more["task"]} if more.get("task") else {}
    tags |= {SIZE_MIB: str(more["size_mib"])} if more.get("size_mib") else {}
    tags |= more.get("tags", {})
    source = more.get("source", f"oci://registry.local/{name}@{DIGEST}")
    return VersionRow(
        model=name, version=number, created=NOW, source=source, run_id=None, status="READY", tags=tags,
        aliases=("champion",),
    )  # fmt: skip


def readers(
    can: Capabilities,
    versions: Sequence[VersionRow] = (),
    *,
    objects: Sequence[Json] | None = None,
    golden_paths: Mapping[str, Json] | None = None,
    scaling: Json | None = None,
    cluster: ClusterInfo = CLUSTER,
) -> Readers:
    """Readers over one cluster that serves ``can`` and has the seeded objects of those kinds, and ``objects`` beside them."""
    served = {(kind.rpartition("/")[0].rpartition("/")[0], kind.rpartition("/")[2]) for kind in can.kinds}
    everything = [*SEEDED, *(objects or ())]
    clusters = Clusters(can, [obj for obj in everything if _key(obj)[:2] in served], cluster)
    by_name: dict[str, list[VersionRow]] = {}
    for row in versions:
        by_name.setdefault(row.model, []).append(row)
    facts = PlatformFacts(
        budgets_cents={"vision": 20_000_000},
        device_hourly_cents={"a100": 400, "h100": 900, "tpu": 120},
        price_basis="test",
        golden_paths=golden_paths or {},
        scaling=scaling,
    )
    nothing = cast("Any", Nothing())
    return Readers(
        clusters=cast("Any", clusters),
        inventory=cast("Any", Inventories(clusters)),
        registry=cast("Any", Registry(by_name)),
        metrics=nothing,
        policy=nothing,
        journal=nothing,
        approvals=nothing,
        clock=Now(),
        platform=facts,
    )


def context() -> PlanContext:
    who = Principal(id="local:ada", kind="agent", team="vision", roles=("developer",))
    return PlanContext(caller=Caller(principal=who, request_id="r"), operation_id="op-0123456789abcdef", now=NOW)
