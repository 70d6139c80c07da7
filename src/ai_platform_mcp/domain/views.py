"""What nodes, pools, queues and deployments look like as rows: one function per kind, each pure.

A row is short on purpose; the full story of one thing is asked for by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from operator import attrgetter

from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import DeploymentRow, Inventory, NodeRow, NodeUse, WorkloadRow
from ai_platform_mcp.domain.field_owners import drift
from ai_platform_mcp.domain.gitops_owner import GITOPS_MANAGERS, recognise
from ai_platform_mcp.domain.gitops_verdict import titled
from ai_platform_mcp.domain.text import Cell, Found, Listing, age, clip

MESSAGE = 80
"""Characters of a backend's own words in a row."""
HOLDERS = 6
"""Holders of devices that are named beside the pools."""
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

    @cached_property
    def _wanted(self) -> tuple[tuple[str, str], ...]:
        set_ones = ((name, getattr(self, name)) for name in Filters.model_fields)
        return tuple((name, wanted.lower()) for name, wanted in set_ones if wanted)

    @property
    def narrow(self) -> bool:
        """Whether any field is set."""
        return bool(self._wanted)

    def passes(self, **values: str | Iterable[str]) -> bool:
        """Tell whether a row passes: each field that is set equals the row's value; ``contains`` looks into all of them."""
        for key, wanted in self._wanted:
            if key == "contains":
                everything = (text for row in values.values() for text in ((row,) if isinstance(row, str) else row))
                if not any(wanted in text.lower() for text in everything):
                    return False
            elif (told := values.get(key)) is not None:
                texts = (told,) if isinstance(told, str) else told
                if all(wanted != text.lower() for text in texts):
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
    """Return how old what is told is, as facts, and a sentence for each cluster that is stale or lacks an API.

    The age is that of the clusters that answer; one that does not has its own, None where it has never been seen.
    """
    stale = [row for row in inventories if row.stale]
    told = [row for row in inventories if not row.stale] or inventories
    facts: dict[str, object] = {"age_seconds": max((row.age_seconds for row in told), default=0)}
    if stale and len(inventories) > 1:
        facts["stale_seconds"] = {row.cluster: None if never_seen(row) else row.age_seconds for row in stale}
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
    use = {row.cluster: row.node_use for row in inventories}
    found = [row for inventory in _by_cluster(inventories) for row in inventory.nodes]
    if filters.narrow:
        found = list(filter(_NodeFilter(filters).passes, found))
    order = ("offline", "cordoned", "ready")
    facts, notes = freshness(inventories)
    return Listing(
        kind="nodes",
        columns=("node", "state", "site", "region", "accelerator", "in_use", "pods", "releases", "seen", "cluster"),
        found=Found(
            items=found,
            key=lambda row: (row.cluster, row.name),
            cells=lambda row: _node(row, use[row.cluster], now),
            urgency=lambda row: (row.role != "edge", order.index(node_state(row)), row.cluster, row.name),
            urgent=lambda: [row for row in found if not row.ready],
            label=lambda row: row.name,
        ),
        empty=_no_node(inventories) if not found else "",
        notes=(f"In all: {counted(found)}.", *notes) if found else notes,
        facts=facts,
    )


def _no_node(inventories: Sequence[Inventory]) -> str:
    """Say that nothing matches, and what could: the regions and sites that nodes are in."""
    text = "No node matches. Filters: site, region, state=ready|offline|cordoned|edge|cloud, contains (labels too)."
    rows = [row for inventory in inventories for row in inventory.nodes]
    for what, names in (("Regions", {row.region for row in rows}), ("Sites", {row.site for row in rows})):
        known = sorted(names - {""})
        more = f" and {len(known) - 20} more" if len(known) > 20 else ""
        text += f" {what}: {', '.join(known[:20])}{more}." if known else ""
    return text


_STATE = attrgetter("role", "ready", "schedulable")


def counted(found: Iterable[NodeRow]) -> str:
    """Return how many nodes there are of each role and state."""
    counts: Counter[tuple[str, str]] = Counter()
    for (role, ready, schedulable), count in Counter(map(_STATE, found)).items():
        counts[role, "offline" if not ready else "ready" if schedulable else "cordoned"] += count
    return ", ".join(f"{count} {role} {state}" for (role, state), count in sorted(counts.items()))


class _NodeFilter:
    """``Filters`` over nodes, of which there may be very many; ``contains`` looks into their labels too."""

    def __init__(self, filters: Filters):
        self._name, self._site, self._region = filters.name.lower(), filters.site.lower(), filters.region.lower()
        self._state, self._contains = filters.state.lower(), filters.contains.lower()

    def passes(self, row: NodeRow) -> bool:
        """Tell whether a node passes."""
        return (
            (not self._state or self._state in (node_state(row), row.role))
            and (not self._contains or self._contains in row.text)
            and (not self._site or self._site == row.site.lower())
            and (not self._region or self._region == row.region.lower())
            and (not self._name or self._name == row.name.lower())
        )


def _by_cluster(inventories: Sequence[Inventory]) -> list[Inventory]:
    return sorted(inventories, key=lambda row: row.cluster)


def _node(row: NodeRow, use: Mapping[str, NodeUse], now: datetime) -> tuple[Cell, ...]:
    accelerator = f"{row.accelerators}x {row.accelerator}" if row.accelerators else ""
    told = " ".join(f"{model}={version}" for model, version in sorted(releases(row).items()))
    seen = age(row.last_seen, now) if not row.ready else ""
    runs = use.get(row.name, NodeUse(0, 0)) if use else None
    devices, pods = (runs.devices if row.accelerators else None, runs.pods) if runs else (None, None)
    return (row.name, node_state(row), row.site, row.region, accelerator, devices, pods, told, seen, row.cluster)


def node_detail(row: NodeRow, use: NodeUse | None = None) -> dict[str, object]:
    """Return one node with its labels, conditions and taints, and what runs on it."""
    labels = {key: clip(value, 60) for key, value in sorted(row.labels.items())}
    conditions = {key: said(value) for key, value in row.conditions.items()}
    body = row.model_dump(mode="json", exclude={"labels", "conditions"}, exclude_defaults=True)
    runs = {"pods": use.pods, "devices_in_use": use.devices} if use else {}
    return {**body, "state": node_state(row), **runs, "labels": labels, "conditions": conditions}


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
        notes=(*_holders(inventories), *notes),
        facts=facts,
    )


def _holders(inventories: Sequence[Inventory]) -> tuple[str, ...]:
    """Return who holds devices with running pods: a line, those with most first."""
    rows = sorted((row for each in inventories for row in each.holders), key=lambda row: -row.devices)
    if not rows:
        return ()
    told = ", ".join(f"{row.namespace}{f' {row.model}' if row.model else ''} {row.devices}" for row in rows[:HOLDERS])
    more = sum(row.devices for row in rows[HOLDERS:])
    return (f"Devices held by running pods: {told}{f', others {more}' if more else ''}.",)


def queues(inventories: Sequence[Inventory], filters: Filters) -> Listing:
    """Return LocalQueues; those with waiting work first."""
    found = [
        row
        for inventory in _by_cluster(inventories)
        for row in inventory.queues
        if filters.passes(
            namespace=row.namespace,
            state=("busy" if row.pending else "idle", "active" if row.active else "stopped"),
            more=(row.name, row.cluster_queue),
        )
    ]
    facts, notes = freshness(inventories)
    return Listing(
        kind="queues",
        columns=("namespace", "queue", "cluster_queue", "pending", "admitted", "active", "cluster"),
        found=Found(
            items=found,
            key=lambda row: (row.cluster, row.namespace, row.name),
            cells=lambda row: (row.namespace, row.name, row.cluster_queue, row.pending, row.admitted, row.active,
                               row.cluster),
            urgency=lambda row: (-row.pending, -row.admitted, row.namespace, row.name),
            urgent=lambda: [row for row in found if row.pending],
            label=lambda row: f"{row.namespace}/{row.name} {row.pending} pending",
        ),
        empty="No queue matches. Filters: namespace, state=busy|idle|active|stopped, contains.",
        notes=("The workloads of a queue: kind=queues name=<queue>.", *notes),
        facts=facts,
    )  # fmt: skip


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
        for inventory in _by_cluster(inventories)
        for row in inventory.workloads
        if (row.cluster, row.namespace, row.queue) in leads
        and filters.passes(namespace=row.namespace, state=row.state, more=(row.name, row.owner, row.flavor))
    ]
    facts, notes = freshness(inventories)
    return Listing(
        kind="queues",
        columns=("namespace", "workload", "owner", "queue", "state", "devices", "pool", "age", "reason", "cluster"),
        found=Found(
            items=found,
            key=lambda row: (row.cluster, row.namespace, row.name),
            cells=lambda row: _workload(row, now),
            urgency=lambda row: (row.state.lower() == "admitted", row.created or now, row.namespace, row.name),
        ),
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
        for inventory in _by_cluster(inventories)
        for row in inventory.deployments
        if filters.passes(
            name=(row.name, row.model),
            namespace=row.namespace,
            team=row.team,
            state=("ready" if row.ready else "not-ready", row.environment, row.target),
            more=(row.kind, row.version, row.url),
        )
    ]
    facts, notes = freshness(inventories)
    columns = ("namespace", "name", "kind", "model", "version", "environment", "ready", "canary%", "replicas", "url", "age",
               "message", "cluster")  # fmt: skip
    return Listing(
        kind="deployments",
        columns=columns,
        found=Found(
            items=found,
            key=lambda row: (row.cluster, row.namespace, row.name, row.kind),
            cells=lambda row: _deployment(row, now),
            urgency=lambda row: (row.ready, row.model, row.environment, row.namespace, row.name),
            urgent=lambda: [row for row in found if not row.ready],
            label=lambda row: f"{row.namespace}/{row.name}",
        ),
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


def held_elsewhere(live: type_json | None) -> dict[str, object]:
    """Return which GitOps tool keeps an object, and what others changed in it since we applied it; empty where nothing."""
    if live is None:
        return {}
    mark = recognise(live)
    told: dict[str, object] = {} if mark is None else {"kept_by": f"{titled(mark.tool)}: {mark.title}"}
    drifted = [f"{row.field} by {row.manager}, {row.since}" for row in drift(live, GITOPS_MANAGERS)]
    return {**told, "drift": drifted} if drifted else told
