"""What nodes, pools, queues and deployments look like as rows: one function per kind, each pure.

A row is short on purpose; the full story of one thing is asked for by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import DeploymentRow, Inventory, NodeRow, WorkloadRow
from ai_platform_mcp.domain.text import Cell, Listing, age, clip

MESSAGE = 80
"""Characters of a backend's own words in a row."""
RELEASE_LABEL = "edge.aiplatform.dev/release."


class Filters(Value):
    """What a caller narrows a kind by; an empty field narrows nothing."""

    name: str = ""
    namespace: str = ""
    site: str = ""
    region: str = ""
    team: str = ""
    state: str = ""
    contains: str = ""

    def passes(self, **values: str | Iterable[str]) -> bool:
        """Tell whether a row passes: each field that is set equals the row's value; ``contains`` looks into all of them."""
        texts = {key: [value] if isinstance(value, str) else list(value) for key, value in values.items()}
        for key, wanted in self.model_dump().items():
            if not wanted or (key not in texts and key != "contains"):
                continue
            if key == "contains":
                everything = " ".join(text for row in texts.values() for text in row)
                if wanted.lower() not in everything.lower():
                    return False
            elif wanted.lower() not in {text.lower() for text in texts[key]}:
                return False
        return True


def said(text: str) -> str:
    """Return a backend's own words, cut for a row."""
    return clip(untrusted(text, MESSAGE + 40), MESSAGE)


def never_seen(inventory: Inventory) -> bool:
    """Tell whether the cluster has not answered since this server started, so that «none» would be no answer."""
    rows = (inventory.nodes, inventory.flavors, inventory.queues, inventory.workloads, inventory.deployments)
    return inventory.stale and bool(inventory.problem) and not any(rows)


def freshness(inventories: Sequence[Inventory]) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return how old what is told is, as facts, and a sentence for each cluster that is stale or lacks an API."""
    facts: dict[str, object] = {"age_seconds": max((row.age_seconds for row in inventories), default=0)}
    notes: list[str] = []
    for row in inventories:
        if row.stale or row.problem:
            why = f": {said(row.problem)}" if row.problem else ""
            seen = f"was last seen {row.age_seconds} s ago and may have changed"
            notes.append(f"Cluster {row.cluster} {'has not been seen yet' if never_seen(row) else seen}{why}")
        if row.missing:
            notes.append(f"Cluster {row.cluster} does not serve {', '.join(row.missing[:6])}.")
    return facts, tuple(notes)


# --- nodes -----------------------------------------------------------------------------------------------------------


def node_state(node: NodeRow) -> str:
    """Return ``offline``, ``cordoned`` or ``ready``."""
    if not node.ready:
        return "offline"
    return "ready" if node.schedulable else "cordoned"


def releases(node: NodeRow) -> dict[str, str]:
    """Return the model releases that an edge node's labels name."""
    return {
        key.removeprefix(RELEASE_LABEL): value for key, value in node.labels.items() if key.startswith(RELEASE_LABEL)
    }


def nodes(inventories: Sequence[Inventory], filters: Filters, now: datetime) -> Listing:
    """Return nodes, edge first, those in trouble first."""
    found = [
        row
        for inventory in inventories
        for row in inventory.nodes
        if filters.passes(
            name=row.name,
            site=row.site,
            region=row.region,
            state=(node_state(row), row.role),
            more=(row.accelerator, *(f"{key}={value}" for key, value in row.labels.items())),
        )
    ]
    order = ("offline", "cordoned", "ready")
    found.sort(key=lambda row: (row.role != "edge", order.index(node_state(row)), row.cluster, row.name))
    counts = Counter((row.role, node_state(row)) for row in found)
    told = ", ".join(f"{count} {role} {state}" for (role, state), count in sorted(counts.items()))
    facts, notes = freshness(inventories)
    return Listing(
        kind="nodes",
        columns=("node", "state", "site", "region", "accelerator", "releases", "seen", "cluster"),
        rows=tuple(_node(row, now) for row in found),
        empty="No node matches. Filters: site, region, state=ready|offline|cordoned|edge|cloud, contains (labels too).",
        notes=(f"In all: {told}.", *notes) if found else notes,
        facts=facts,
    )


def _node(row: NodeRow, now: datetime) -> tuple[Cell, ...]:
    accelerator = f"{row.accelerators}x {row.accelerator}" if row.accelerators else ""
    told = " ".join(f"{model}={version}" for model, version in sorted(releases(row).items()))
    seen = age(row.last_seen, now) if not row.ready else ""
    return (row.name, node_state(row), row.site, row.region, accelerator, told, seen, row.cluster)


def node_detail(row: NodeRow) -> dict[str, object]:
    """Return one node with its labels, conditions and taints."""
    labels = {key: clip(value, 60) for key, value in sorted(row.labels.items())}
    conditions = {key: said(value) for key, value in row.conditions.items()}
    body = row.model_dump(mode="json", exclude={"labels", "conditions"}, exclude_defaults=True)
    return {**body, "state": node_state(row), "labels": labels, "conditions": conditions}


# --- pools and queues ------------------------------------------------------------------------------------------------


def gpu_pools(inventories: Sequence[Inventory], filters: Filters) -> Listing:
    """Return each flavor of each ClusterQueue: whole devices, and what one costs per hour."""
    rows = [
        (
            row.flavor,
            row.queue,
            row.accelerator or row.resource,
            row.cloud,
            row.region,
            "spot" if row.spot else "on-demand",
            row.nominal,
            row.used,
            max(0, row.nominal - row.used),
            None if row.hourly_cents is None else f"{row.hourly_cents / 100:.2f}",
            row.cohort,
            row.cluster,
        )
        for inventory in inventories
        for row in inventory.flavors
        if filters.passes(
            name=(row.flavor, row.queue),
            region=row.region,
            state=("spot" if row.spot else "on-demand", "free" if row.used < row.nominal else "full"),
            more=(row.accelerator, row.cloud, row.resource, row.cohort),
        )
    ]
    facts, notes = freshness(inventories)
    columns = ("pool", "queue", "accelerator", "cloud", "region", "capacity", "quota", "used", "free", "usd_hour",
               "cohort", "cluster")  # fmt: skip
    return Listing(
        kind="gpu_pools",
        columns=columns,
        rows=tuple(sorted(rows, key=lambda row: (row[1], row[0]))),
        empty="No GPU pool matches. Filters: name (pool or queue), region, state=spot|on-demand|free|full, contains.",
        notes=notes,
        facts=facts,
    )


def queues(inventories: Sequence[Inventory], filters: Filters) -> Listing:
    """Return LocalQueues; those with waiting work first."""
    found = [
        row
        for inventory in inventories
        for row in inventory.queues
        if filters.passes(
            namespace=row.namespace,
            state=("busy" if row.pending else "idle", "active" if row.active else "stopped"),
            more=(row.name, row.cluster_queue),
        )
    ]
    found.sort(key=lambda row: (-row.pending, -row.admitted, row.namespace, row.name))
    facts, notes = freshness(inventories)
    return Listing(
        kind="queues",
        columns=("namespace", "queue", "cluster_queue", "pending", "admitted", "active", "cluster"),
        rows=tuple(
            (row.namespace, row.name, row.cluster_queue, row.pending, row.admitted, row.active, row.cluster)
            for row in found
        ),
        empty="No queue matches. Filters: namespace, state=busy|idle|active|stopped, contains.",
        notes=("The workloads of a queue: kind=queues name=<queue>.", *notes),
        facts=facts,
    )


def workloads(inventories: Sequence[Inventory], filters: Filters, now: datetime) -> Listing:
    """Return the Workloads of the LocalQueue or ClusterQueue that ``filters.name`` names, waiting ones first."""
    leads = {
        (inventory.cluster, row.namespace, row.name)
        for inventory in inventories
        for row in inventory.queues
        if filters.name in (row.name, row.cluster_queue)
    }
    found = [
        row
        for inventory in inventories
        for row in inventory.workloads
        if (row.cluster, row.namespace, row.queue) in leads
        and filters.passes(namespace=row.namespace, state=row.state, more=(row.name, row.owner, row.flavor))
    ]
    found.sort(key=lambda row: (row.state.lower() == "admitted", row.created or now, row.namespace, row.name))
    facts, notes = freshness(inventories)
    return Listing(
        kind="queues",
        columns=("namespace", "workload", "owner", "queue", "state", "devices", "pool", "age", "reason", "cluster"),
        rows=tuple(_workload(row, now) for row in found),
        empty=f"No workload in {filters.name!r} matches." if leads else f"There is no queue {filters.name!r}.",
        notes=notes,
        facts=facts,
    )


def _workload(row: WorkloadRow, now: datetime) -> tuple[Cell, ...]:
    devices = row.accelerator_count or None
    return (row.namespace, row.name, row.owner, row.queue, row.state, devices, row.flavor, age(row.created, now),
            said(row.reason), row.cluster)  # fmt: skip


# --- deployments ------------------------------------------------------------------------------------------


def deployments(inventories: Sequence[Inventory], filters: Filters, now: datetime) -> Listing:
    """Return what serves, unready first."""
    found = [
        row
        for inventory in inventories
        for row in inventory.deployments
        if filters.passes(
            name=(row.name, row.model),
            namespace=row.namespace,
            team=row.team,
            state=("ready" if row.ready else "not-ready", row.environment, row.target),
            more=(row.kind, row.version, row.url),
        )
    ]
    found.sort(key=lambda row: (row.ready, row.model, row.environment, row.namespace, row.name))
    facts, notes = freshness(inventories)
    columns = ("namespace", "name", "kind", "model", "version", "environment", "ready", "canary%", "replicas", "url", "age",
               "message", "cluster")  # fmt: skip
    return Listing(
        kind="deployments",
        columns=columns,
        rows=tuple(_deployment(row, now) for row in found),
        empty="Nothing is deployed that matches. Filters: name (or model), namespace, team, "
        "state=ready|not-ready|dev|staging|production|cloud|edge, contains.",
        notes=notes,
        facts=facts,
    )


def _deployment(row: DeploymentRow, now: datetime) -> tuple[Cell, ...]:
    message = said(row.message)
    if row.progress and not message:
        message = " ".join(f"{key}={value}" for key, value in row.progress.items())
    kind = {"InferenceService": "isvc", "LLMInferenceService": "llmisvc", "EdgeRollout": "edge"}.get(row.kind, row.kind)
    return (row.namespace, row.name, kind, row.model, row.version, row.environment, row.ready, row.canary_percent,
            row.replicas, row.url, age(row.created, now), message, row.cluster)  # fmt: skip
