"""Reads that several tools share. No tool lives in a module whose name begins with an underscore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ai_platform_mcp.core.errors import CapabilityMissing, Forbidden, PlatformError, Rejected, Unavailable
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Evidence, Target
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.records import Operation
from ai_platform_mcp.core.rows import ClusterInfo, Inventory
from ai_platform_mcp.core.tool import PlanContext
from ai_platform_mcp.domain.clusters import resolve_cluster
from ai_platform_mcp.domain.cost import budget_left_cents, committed_cents, month_start
from ai_platform_mcp.domain.namespaces import Environment, NamespaceRow, choose_namespace, read_namespaces
from ai_platform_mcp.domain.objects import rows, section
from ai_platform_mcp.manifests import kueue
from ai_platform_mcp.manifests.common import Capabilities, TrainingOverrides, minor_of
from ai_platform_mcp.manifests.trainer import TRAINJOB_API

PAGE = 500
MOST_OBJECTS = 50_000
"""Objects of one kind that a plan is made from: ten times the nodes that Kubernetes supports. A list is never cut silently."""
MOST_OPERATIONS = 2000
KUEUE_APIS = (kueue.API, kueue.OLD_API)
"""Newest first."""
INFERENCE_SERVICE_CRD = "inferenceservices.serving.kserve.io"
LANGUAGE_MODEL_CRD = "llminferenceservices.serving.kserve.io"
TRAIN_JOB_CRD = "trainjobs.trainer.kubeflow.org"
OVERRIDES: tuple[TrainingOverrides, ...] = ("runtimePatches", "podTemplateOverrides", "podSpecOverrides")
"""Newest first."""


@dataclass(frozen=True)
class Place:
    """Where a plan acts: cluster, namespace, and the team that owns what is made there."""

    cluster: ClusterInfo
    namespace: NamespaceRow
    environment: Environment
    team: str

    def target(self, *, cloud: str = "", region: str = "", site: str = "") -> Target:
        """Return the plan's target here; what is not said is what the cluster's settings say."""
        return Target(
            environment=self.environment,
            cluster=self.cluster.name,
            namespace=self.namespace.name,
            cloud=cloud or self.cluster.cloud,
            region=region or self.cluster.region,
            site=site,
        )


async def find_place(
    readers: Readers,
    context: PlanContext,
    *,
    cluster: str,
    namespace: str,
    environment: Environment,
    role: Literal["cloud", "edge"] | None = None,
) -> Place:
    """Return where a call means to act. A caller who may not list namespaces names one, and that one alone is read.

    Raises:
        InvalidInput, NotFound, Misconfigured: the cluster or namespace is missing, unknown or of another environment.
        Forbidden: the caller may neither list namespaces nor read the named one.
    """
    found = resolve_cluster(await readers.clusters.clusters(), cluster, role)
    objects = await _namespaces(readers, found.name, namespace)
    team = context.caller.principal.team
    row = choose_namespace(read_namespaces(objects, found), team=team, environment=environment, named=namespace)
    return Place(cluster=found, namespace=row, environment=environment, team=row.team or team)


async def _namespaces(readers: Readers, cluster: str, named: str) -> list[type_json]:
    try:
        return await list_all(readers, cluster, "v1", "Namespace")
    except Forbidden as problem:
        if not named:
            raise Forbidden(
                problem.message,
                cause=problem.cause,
                remedy="Pass namespace: then that one alone is read. " + problem.remedy,
                details=problem.details,
            ) from problem
    # A Role in the namespace is enough for this: the server checks it with the namespace's own name.
    only = await readers.clusters.get(cluster, "v1", "Namespace", named)
    return [only] if only else []


async def list_all(
    readers: Readers,
    cluster: str,
    api_version: str,
    kind: str,
    *,
    namespace: str | None = None,
    labels: str = "",
    fields: str = "",
) -> list[type_json]:
    """Return every object of a kind, page by page to the last.

    Raises:
        Rejected: there are more than 50,000: a plan made from a part of them would be wrong without saying so.
    """
    found: list[type_json] = []
    token = ""
    while True:
        page = await readers.clusters.list(
            cluster, api_version, kind, namespace=namespace, labels=labels, fields=fields, limit=PAGE, token=token
        )
        found += page.items
        token = page.token
        if not token:
            return found
        if len(found) >= MOST_OBJECTS:
            raise Rejected(
                f"Cluster {cluster!r} has more than {MOST_OBJECTS:,} objects of kind {kind}.",
                cause="A plan is made from all of them or not at all.",
                remedy="Name a namespace, or delete what is finished.",
            )


async def list_if_served(
    readers: Readers, cluster: str, api_version: str, kind: str, *, namespace: str | None = None, labels: str = ""
) -> list[type_json]:
    """Return every object of a kind, none where the cluster does not serve it."""
    if not await readers.clusters.serves(cluster, api_version, kind):
        return []
    return await list_all(readers, cluster, api_version, kind, namespace=namespace, labels=labels)


async def capabilities(readers: Readers, cluster: str) -> Capabilities:
    """Return what the cluster serves. Where a version says too little, the fields in the schemas of its CRDs do."""
    kinds = await readers.clusters.kinds(cluster)
    version = await readers.clusters.version(cluster)
    standard = "serving.kserve.io/v1beta1/InferenceService" in kinds
    language = any(kind.startswith("serving.kserve.io/") and kind.endswith("/LLMInferenceService") for kind in kinds)
    return Capabilities(
        kinds=kinds,
        kubernetes_minor=minor_of(version),
        standard_canary=standard and await _has_field(readers, cluster, INFERENCE_SERVICE_CRD, "canary"),
        llm_groups=language and await _has_field(readers, cluster, LANGUAGE_MODEL_CRD, "router", "route", "group"),
        training_overrides=await _training_overrides(readers, cluster, served=f"{TRAINJOB_API}/TrainJob" in kinds),
    )


async def _training_overrides(readers: Readers, cluster: str, *, served: bool) -> TrainingOverrides:
    """Return the newest form that the TrainJob's schema has; the newest of all where it cannot be read."""
    crd = await _definition(readers, cluster, TRAIN_JOB_CRD) if served else None
    forms: list[TrainingOverrides] = [form for form in OVERRIDES if _lists(crd, form)]
    return forms[0] if forms else OVERRIDES[0]


async def _has_field(readers: Readers, cluster: str, crd_name: str, *path: str) -> bool:
    """Tell whether some version of a custom resource has this field in its spec; not so where that cannot be read."""
    return _lists(await _definition(readers, cluster, crd_name), *path)


async def _definition(readers: Readers, cluster: str, crd_name: str) -> type_json | None:
    try:
        return await readers.clusters.get(cluster, "apiextensions.k8s.io/v1", "CustomResourceDefinition", crd_name)
    except PlatformError:
        return None


def _lists(crd: type_json | None, *path: str) -> bool:
    schemas = [section(version, "schema", "openAPIV3Schema") for version in rows(crd, "spec", "versions")]
    steps = [step for key in ("spec", *path) for step in ("properties", key)]
    # A definition that lists no fields says nothing either way; the dry run of the plan then decides.
    return any(not section(schema, "properties") or section(schema, *steps) for schema in schemas)


async def read_inventory(readers: Readers, cluster: str) -> Inventory:
    """Return the cached inventory.

    Raises:
        Unavailable: the cluster could not be read at all.
    """
    inventory = await readers.inventory.inventory(cluster)
    if inventory.problem and not inventory.nodes and not inventory.flavors:
        raise Unavailable(
            f"The inventory of {cluster!r} cannot be read.",
            cause=inventory.problem,
            remedy="Run `platform doctor`; nothing was changed.",
        )
    return inventory


def inventory_evidence(inventory: Inventory) -> Evidence:
    """Return how old the inventory was that a plan was made from."""
    return Evidence(source="inventory", subject=inventory.cluster, age_seconds=inventory.age_seconds)


async def budget_left(readers: Readers, team: str, now: datetime) -> int | None:
    """Return what is left of the team's month, in cents, by the rule of ``domain.cost``; None without a budget on file."""
    monthly = readers.platform.budgets_cents.get(team)
    if monthly is None:
        return None
    begin = month_start(now)
    seen: list[Operation] = []
    token = ""
    while len(seen) < MOST_OPERATIONS:
        page = await readers.journal.operations(limit=PAGE, token=token)
        seen += page
        if len(page) < PAGE or page[-1].started_at < begin:
            break
        token = page[-1].id
    return budget_left_cents(monthly, committed_cents(seen, team, now))


async def kueue_api(readers: Readers, cluster: str) -> str:
    """Return the newest version of Kueue's API that the cluster serves.

    What is read of it (names, labels, owners) is the same in v1beta1, which Kueue before 0.15 has alone.

    Raises:
        CapabilityMissing: it serves none.
    """
    for version in KUEUE_APIS:
        if await readers.clusters.serves(cluster, version, "LocalQueue"):
            return version
    raise CapabilityMissing(
        f"The cluster {cluster!r} does not serve Kueue ({KUEUE_APIS[0]}).",
        cause="Accelerators are shared through its queues, and there are none.",
        remedy="Install Kueue 0.15 or later, or choose another cluster.",
    )


async def priority_class(
    readers: Readers, cluster: str, environment: Environment, *, spot: bool
) -> tuple[str | None, str]:
    """Return the WorkloadPriorityClass for the work, and in a sentence why there is none although there may be one.

    Kueue refuses work of a class that does not exist, so that one that cannot be read is not named.
    """
    wanted = "production" if environment == "production" else "preemptible" if spot else "standard"
    version = await kueue_api(readers, cluster)
    if not await readers.clusters.serves(cluster, version, "WorkloadPriorityClass"):
        return None, ""
    try:
        found = await readers.clusters.get(cluster, version, "WorkloadPriorityClass", wanted)
    except Forbidden:
        return None, f"No priority: you may not read whether the WorkloadPriorityClass {wanted!r} exists."
    return (wanted if found else None), ""
