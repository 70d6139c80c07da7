"""The workload controllers of Deployments, what becomes of pods whose node goes, and budgets. DaemonSets: ``daemons``."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter

from ai_platform_mcp.sandbox.kube.disruption import budget_status
from ai_platform_mcp.sandbox.life import daemons, nodes
from ai_platform_mcp.sandbox.life.crowd import report, see, together
from ai_platform_mcp.sandbox.life.faults import faults_of
from ai_platform_mcp.sandbox.life.kubelet import takes_time
from ai_platform_mcp.sandbox.life.placing import Placement, at_once, pod_of, ready
from ai_platform_mcp.sandbox.life.world import Json, World, condition, holds, owned_by, owner, with_condition

APPS = "apps/v1"


async def step(world: World) -> None:
    """Move nodes and their pods on, give every Deployment and DaemonSet its pods, and every budget its numbers."""
    fleet = see(world, "v1", "Node")
    if await nodes.step(world, fleet, daemons.by_node(see(world, "v1", "Pod"))):
        fleet = see(world, "v1", "Node")
    by_name = {node["metadata"]["name"]: node for node in fleet}
    changed = [pod for pod in see(world, "v1", "Pod") if _is_stale(pod, by_name)]
    await together(world, changed, lambda pod: _keep(world, pod, by_name))
    pods = see(world, "v1", "Pod")
    sets = await world.all(APPS, "ReplicaSet")
    await world.each(await world.all(APPS, "Deployment"), lambda row: _deployment(world, row, sets, fleet, pods))
    await daemons.step(world, fleet, see(world, "v1", "Pod"), await faults_of(world, fleet))
    await world.each(await world.all("policy/v1", "PodDisruptionBudget"), lambda row: _budget(world, row))


def _is_stale(pod: Json, nodes: dict[str, Json]) -> bool:
    """Whether the pod says something of its node that is not so. Loose pods are left alone."""
    place = pod["spec"].get("nodeName")
    if not place or not pod["metadata"].get("ownerReferences"):
        return False
    if place not in nodes:
        return True
    well = ready(nodes[place])
    if well and takes_time(pod):
        return False  # its kubelet says so itself
    return condition(pod, "Ready") is not None and holds(pod, "Ready") != well


async def _keep(world: World, pod: Json, nodes: dict[str, Json]) -> None:
    """Show a pod as not ready while its node is gone, and as last seen otherwise; a pod whose node is deleted goes too."""
    place = pod["spec"]["nodeName"]
    if place not in nodes:
        await world.remove(pod)
        return
    well = ready(nodes[place])
    reason = "" if well else "NodeNotReady"
    await report(world, pod, with_condition(pod["status"], "Ready", well, reason, "", world.now()))


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
    if len(mine) >= wanted:
        return mine[:wanted]
    template, load = parent["spec"]["template"], Counter(pod["spec"].get("nodeName") for pod in pods)
    room = sorted(_room(nodes, template), key=lambda node: load[node["metadata"]["name"]])
    places = itertools.cycle(room)
    for number in range(wanted - len(mine)):
        if (node := next(places, None)) is None:
            break
        name = f"{parent['metadata']['name']}-{_salt(parent, number, len(pods))}"
        await world.make(at_once(world, pod_of(parent, name, node, template)))
    return mine


def _room(nodes: list[Json], template: Json) -> list[Json]:
    placement = Placement(template)
    return [
        node
        for node in nodes
        if ready(node) and not (node.get("spec") or {}).get("unschedulable") and placement.fits(node)
    ]


def _salt(parent: Json, number: int, count: int) -> str:
    body = f"{parent['metadata']['uid']}/{parent['metadata']['resourceVersion']}/{number}/{count}"
    return hashlib.sha256(body.encode()).hexdigest()[:5]


async def _budget(world: World, budget: Json) -> None:
    status = budget_status(world.store.storage, budget)
    await world.status(budget, {**(budget.get("status") or {}), **status})
