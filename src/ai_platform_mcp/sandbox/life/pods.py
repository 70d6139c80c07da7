"""The workload controllers, the scheduler and the kubelet at once: pods appear on nodes, and budgets are counted."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.kube.disruption import budget_status
from ai_platform_mcp.sandbox.life.world import (
    Json,
    World,
    condition,
    holds,
    labels_of,
    owned_by,
    owner,
    with_condition,
)

APPS = "apps/v1"
DAEMON_TOLERATIONS: tuple[Json, ...] = tuple(
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists"}
    for name in ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
)
"""What the DaemonSet controller adds to every pod it makes."""


async def step(world: World) -> None:
    """Give every Deployment and DaemonSet its pods, and every budget its numbers."""
    nodes = await world.all("v1", "Node")
    by_name = {node["metadata"]["name"]: node for node in nodes}
    await world.each(await world.all("v1", "Pod"), lambda pod: _keep(world, pod, by_name))
    pods = await world.all("v1", "Pod")
    sets = await world.all(APPS, "ReplicaSet")
    await world.each(await world.all(APPS, "Deployment"), lambda row: _deployment(world, row, sets, nodes, pods))
    await world.each(await world.all(APPS, "DaemonSet"), lambda row: _daemon(world, row, nodes, pods))
    await world.each(await world.all("policy/v1", "PodDisruptionBudget"), lambda row: _budget(world, row))


def ready(node: Json) -> bool:
    """Whether the node's Ready condition is True."""
    return holds(node, "Ready")


def fits(node: Json, template: Json, tolerations: Sequence[Json] = ()) -> bool:
    """Whether the node meets the pod's node selector and the pod, or who made it, tolerates the node's hard taints."""
    spec: Json = template.get("spec") or {}
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    taints: list[Json] = (node.get("spec") or {}).get("taints") or []
    tolerations = [*tolerations, *(spec.get("tolerations") or [])]
    hard = [taint for taint in taints if taint["effect"] in ("NoSchedule", "NoExecute")]
    return all(any(_tolerates(row, taint) for row in tolerations) for taint in hard)


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


async def _keep(world: World, pod: Json, nodes: dict[str, Json]) -> None:
    """Show a pod as ready exactly while its node is; a pod whose node is gone goes too. Loose pods are left alone."""
    place = pod["spec"].get("nodeName")
    if not place or not pod["metadata"].get("ownerReferences"):
        return
    if place not in nodes:
        await world.remove(pod)
        return
    well = ready(nodes[place])
    if condition(pod, "Ready") is not None and holds(pod, "Ready") != well:
        reason = "" if well else "NodeNotReady"
        await world.status(pod, with_condition(pod["status"], "Ready", well, reason, "", world.now()))


async def _deployment(world: World, deployment: Json, sets: list[Json], nodes: list[Json], pods: list[Json]) -> None:
    meta, spec = deployment["metadata"], deployment["spec"]
    mark = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:9]
    name = f"{meta['name']}-{mark}"
    wanted = int(spec.get("replicas", 1))
    mine = [row for row in sets if owned_by(row, deployment)]
    current = next((row for row in mine if row["metadata"]["name"] == name), None)
    if current is None:
        labels = spec["template"]["metadata"].get("labels") or {}
        body = {"replicas": wanted, "selector": spec["selector"], "template": spec["template"]}
        ref = {"name": name, "namespace": meta["namespace"], "labels": labels, "ownerReferences": [owner(deployment)]}
        await world.make({"apiVersion": APPS, "kind": "ReplicaSet", "metadata": ref, "spec": body})
        return
    for old in mine:
        if old is not current:
            await world.remove(old)
    if current["spec"].get("replicas") != wanted:
        await world.patch(current, {"spec": {"replicas": wanted}})
    there = await _scaled(world, current, wanted, nodes, pods)
    live = sum(1 for pod in there if holds(pod, "Ready"))
    counts = {"replicas": len(there), "readyReplicas": live, "availableReplicas": live}
    status = {**(deployment.get("status") or {}), "observedGeneration": meta["generation"], **counts}
    status |= {"updatedReplicas": len(there), "unavailableReplicas": max(0, wanted - live)}
    reason = "MinimumReplicasAvailable" if live >= wanted else "MinimumReplicasUnavailable"
    await world.status(deployment, with_condition(status, "Available", live >= wanted, reason, "", world.now()))
    await world.status(current, {**counts, "observedGeneration": current["metadata"]["generation"]})


async def _scaled(world: World, parent: Json, wanted: int, nodes: list[Json], pods: list[Json]) -> list[Json]:
    """Bring the pods of a ReplicaSet to the number wanted; return those that were there and stay."""
    mine = [pod for pod in pods if owned_by(pod, parent)]
    for pod in mine[wanted:]:
        await world.remove(pod)
    template = parent["spec"]["template"]
    places = itertools.cycle(sorted(_room(nodes, template), key=lambda node: _load(node, pods)))
    for number in range(wanted - len(mine)):
        if (node := next(places, None)) is None:
            break
        name = f"{parent['metadata']['name']}-{_salt(parent, number, len(pods))}"
        await world.make(_pod(world, parent, name, node, template))
    return mine[:wanted]


def _room(nodes: list[Json], template: Json) -> list[Json]:
    return [
        node
        for node in nodes
        if ready(node) and not (node.get("spec") or {}).get("unschedulable") and fits(node, template)
    ]


def _load(node: Json, pods: list[Json]) -> int:
    return sum(1 for pod in pods if pod["spec"].get("nodeName") == node["metadata"]["name"])


def _salt(parent: Json, number: int, count: int) -> str:
    body = f"{parent['metadata']['uid']}/{parent['metadata']['resourceVersion']}/{number}/{count}"
    return hashlib.sha256(body.encode()).hexdigest()[:5]


async def _daemon(world: World, daemon: Json, nodes: list[Json], pods: list[Json]) -> None:
    template: Json = daemon["spec"]["template"]
    there = {pod["spec"].get("nodeName"): pod for pod in pods if owned_by(pod, daemon)}
    targets = {node["metadata"]["name"]: node for node in nodes if fits(node, template, DAEMON_TOLERATIONS)}
    for name, pod in there.items():
        if name not in targets:
            await world.remove(pod)
    for name, node in targets.items():
        if name not in there and ready(node):
            mark = hashlib.sha256(f"{daemon['metadata']['uid']}/{name}".encode()).hexdigest()[:8]
            await world.make(_pod(world, daemon, f"{daemon['metadata']['name'][:54]}-{mark}", node, template))
    live = sum(1 for name, pod in there.items() if name in targets and holds(pod, "Ready"))
    status = {
        "observedGeneration": daemon["metadata"]["generation"],
        "desiredNumberScheduled": len(targets),
        "currentNumberScheduled": sum(1 for name in there if name in targets),
        "updatedNumberScheduled": live,
        "numberMisscheduled": 0,
        "numberReady": live,
        "numberAvailable": live,
        "numberUnavailable": len(targets) - live,
    }
    await world.status(daemon, status)


def _pod(world: World, parent: Json, name: str, node: Json, template: Json) -> Json:
    now = stamp(world.now())
    statuses = [
        {
            "name": row["name"],
            "image": row.get("image", ""),
            "imageID": "",
            "ready": True,
            "restartCount": 0,
            "started": True,
            "state": {"running": {"startedAt": now}},
        }
        for row in template["spec"]["containers"]
    ]
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": now}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **{
                key: value
                for key, value in (template.get("metadata") or {}).items()
                if key in ("labels", "annotations")
            },
            "name": name,
            "namespace": parent["metadata"]["namespace"],
            "ownerReferences": [owner(parent)],
        },
        "spec": {**template["spec"], "nodeName": node["metadata"]["name"]},
        "status": {"phase": "Running", "startTime": now, "conditions": conditions, "containerStatuses": statuses},
    }


async def _budget(world: World, budget: Json) -> None:
    status = budget_status(world.store.storage, budget)
    await world.status(budget, {**(budget.get("status") or {}), **status})
