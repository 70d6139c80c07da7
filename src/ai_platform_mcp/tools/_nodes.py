"""Changes of edge nodes as plan steps: labels, cordon, uncordon, drain by eviction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import anyio

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.facts import FleetFacts
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import ClusterStep, Patch, Risk, Submit
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import Inventory, NodeRow
from ai_platform_mcp.domain.fleet import SITES_CONFIG_MAP, SITES_NAMESPACE, fleet_facts, members_of, site_rules
from ai_platform_mcp.domain.fleet_text import radius
from ai_platform_mcp.domain.objects import (
    annotations_of,
    labels_of,
    metadata_of,
    preconditions,
    ref_of,
    rows,
    section,
    whole,
)
from ai_platform_mcp.domain.spill import spill_hints
from ai_platform_mcp.manifests.edge import cordon_patch, eviction, label_patch
from ai_platform_mcp.tools._reading import list_all

EDGE_LABEL = "node-role.kubernetes.io/edge"
MIRROR = "kubernetes.io/config.mirror"
AT_ONCE = 8
"""Pod lists read from the API server at the same time."""


@dataclass(frozen=True)
class NodeChange:
    """What a change of nodes contributes to the draft."""

    steps: tuple[ClusterStep, ...]
    facts: FleetFacts
    reasons: tuple[str, ...]
    risks: tuple[Risk, ...]


async def change_nodes(
    readers: Readers,
    cluster: str,
    inventory: Inventory,
    chosen: Sequence[NodeRow],
    action: Literal["label", "cordon", "uncordon", "drain"],
    *,
    labels: tuple[dict[str, str], tuple[str, ...]] = ({}, ()),
    grace_seconds: int | None = None,
) -> NodeChange:
    """Return the steps and the blast radius.

    Raises:
        Conflict: nothing is left to do.
        InvalidInput: a label is reserved.
    """
    live = await live_nodes(readers, cluster, chosen)
    nodes = [live[row.name] for row in chosen if row.name in live]
    steps: list[ClusterStep] = []
    for node in nodes:
        change = _patch(node, action, labels)
        if change is not None:
            title, body = change
            step = Patch(title=title, cluster=cluster, ref=ref_of(node), patch=body)
            steps.append(step.model_copy(update={"preconditions": preconditions(step, node)}))
    pods: list[type_json] = []
    risks: list[Risk] = []
    if action == "drain":
        pods = await _evictable(readers, cluster, [str(metadata_of(node)["name"]) for node in nodes])
        steps += [_eviction(pod, cluster, grace_seconds) for pod in pods]
        risks += await _budget_risks(readers, cluster, pods)
    if not steps:
        done = {"label": "labelled so", "cordon": "cordoned", "uncordon": "schedulable", "drain": "drained"}[action]
        raise Conflict(f"These nodes are {done} already: {_names(chosen)}.", remedy="Nothing needs to be done.")
    facts = await _blast_radius(readers, cluster, inventory, chosen, action, pods)
    hints, alone = spill_hints(inventory, chosen) if action == "drain" else ((), ())
    risks += [Risk(severity="danger", text=text) for text in alone]
    return NodeChange(tuple(steps), facts, (*_reasons(facts, pods), *hints), (*risks, *_site_risks(facts, action)))


async def live_nodes(readers: Readers, cluster: str, chosen: Sequence[NodeRow]) -> dict[str, type_json]:
    """Return the live Nodes by name. Only where another label than the role makes one an edge node, all are read."""
    labels = EDGE_LABEL if all(EDGE_LABEL in row.labels for row in chosen) else ""
    return {
        str(metadata_of(node)["name"]): node for node in await list_all(readers, cluster, "v1", "Node", labels=labels)
    }


def _patch(
    node: type_json, action: str, labels: tuple[dict[str, str], tuple[str, ...]]
) -> tuple[str, type_json] | None:
    """Return title and merge patch for one node, None where it is that way already."""
    name, cordoned = metadata_of(node)["name"], section(node, "spec").get("unschedulable") is True
    if action == "label":
        wanted, gone = labels
        has = labels_of(node)
        if all(has.get(key) == value for key, value in wanted.items()) and not set(gone) & set(has):
            return None
        return f"Label node {name}", label_patch(wanted, gone)
    if action == "uncordon":
        return (f"Uncordon node {name}", cordon_patch(unschedulable=False)) if cordoned else None
    return None if cordoned else (f"Cordon node {name}", cordon_patch(unschedulable=True))


# --- drain -----------------------------------------------------------------------------------------------------------


async def _evictable(readers: Readers, cluster: str, nodes: Sequence[str]) -> list[type_json]:
    """Return the pods a drain evicts: not those of DaemonSets (they come back), no mirrors of static pods, none that ended."""
    found: dict[str, list[type_json]] = {}
    limiter = anyio.CapacityLimiter(AT_ONCE)

    async def read(node: str) -> None:
        async with limiter:
            pods = await list_all(readers, cluster, "v1", "Pod", fields=f"spec.nodeName={node}")
        found[node] = [pod for pod in pods if _goes(pod)]

    async with anyio.create_task_group() as group:
        for node in nodes:
            group.start_soon(read, node)
    return [pod for node in nodes for pod in sorted(found[node], key=lambda row: str(metadata_of(row)["name"]))]


def _goes(pod: type_json) -> bool:
    owned = any(
        row.get("controller") and row.get("kind") == "DaemonSet" for row in rows(pod, "metadata", "ownerReferences")
    )
    over = section(pod, "status").get("phase") in ("Succeeded", "Failed")
    return not (owned or over or MIRROR in annotations_of(pod) or metadata_of(pod).get("deletionTimestamp"))


def _eviction(pod: type_json, cluster: str, grace_seconds: int | None) -> Submit:
    meta = metadata_of(pod)
    name, namespace = str(meta["name"]), str(meta["namespace"])
    ref = ref_of({**pod, "apiVersion": "v1", "kind": "Pod"})
    step = Submit(
        title=f"Evict pod {namespace}/{name} from {section(pod, 'spec').get('nodeName')}",
        cluster=cluster,
        manifest=eviction(name, namespace, str(meta.get("uid", "")), grace_seconds),
        parent=ref,
        subresource="eviction",
    )
    return step.model_copy(update={"preconditions": preconditions(step, pod)})


async def _budget_risks(readers: Readers, cluster: str, pods: Sequence[type_json]) -> list[Risk]:
    """Say where budgets allow fewer evictions than the drain makes: each alone may pass the dry run and the last ones not."""
    risks: list[Risk] = []
    for namespace in sorted({str(metadata_of(pod)["namespace"]) for pod in pods}):
        own = [pod for pod in pods if metadata_of(pod)["namespace"] == namespace]
        for budget in await list_all(readers, cluster, "policy/v1", "PodDisruptionBudget", namespace=namespace):
            wanted = section(budget, "spec", "selector", "matchLabels")
            covered = [pod for pod in own if wanted and wanted.items() <= labels_of(pod).items()]
            allowed = whole(section(budget, "status").get("disruptionsAllowed"))
            if len(covered) > allowed:
                name = f"{namespace}/{metadata_of(budget)['name']}"
                told = f"{name} lets {allowed} of {len(covered)} pods go now"
                text = f"PodDisruptionBudget {told}: the drain stops there; repeat it later."
                risks.append(Risk(severity="danger", text=text))
    return risks


# --- blast radius ----------------------------------------------------------------------------------------------------


async def _blast_radius(
    readers: Readers,
    cluster: str,
    inventory: Inventory,
    chosen: Sequence[NodeRow],
    action: str,
    pods: Sequence[type_json],
) -> FleetFacts:
    config = await readers.clusters.get(cluster, "v1", "ConfigMap", SITES_CONFIG_MAP, SITES_NAMESPACE)
    site_of = {row.name: row.site for row in chosen}
    evicted: Mapping[str, int] = Counter(site_of[str(section(pod, "spec").get("nodeName"))] for pod in pods)
    names = [row.name for row in chosen]
    away = names if action in ("cordon", "drain") else ()
    back = [row.name for row in chosen if row.ready] if action == "uncordon" else ()
    return fleet_facts(
        members_of(inventory), names, site_rules(config), taken_away=away, brought_back=back, evicted=evicted
    )


def _reasons(facts: FleetFacts, pods: Sequence[type_json]) -> tuple[str, ...]:
    told = [radius(facts)]
    if pods:
        count = "1 pod is" if len(pods) == 1 else f"{len(pods)} pods are"
        told.append(f"{count} evicted through the Eviction API; DaemonSet and static pods stay.")
    return tuple(told)


def _site_risks(facts: FleetFacts, action: str) -> tuple[Risk, ...]:
    risks: list[Risk] = []
    below = [row.site for row in facts.sites if row.healthy_after < row.minimum_healthy]
    if below and action in ("cordon", "drain"):
        risks.append(
            Risk(severity="danger", text=f"Below the minimum of healthy nodes afterwards: {', '.join(below[:8])}.")
        )
    if facts.offline and action in ("drain", "label"):
        what = "their pods end when they return" if action == "drain" else "their kubelets see it when they return"
        risks.append(Risk(severity="info", text=f"{facts.offline} of the nodes are offline or cordoned: {what}."))
    return tuple(risks)


def _names(chosen: Sequence[NodeRow]) -> str:
    more = f" and {len(chosen) - 5} more" if len(chosen) > 5 else ""
    return ", ".join(row.name for row in chosen[:5]) + more
