"""The workload controllers, the scheduler and the kubelet at once: pods appear on nodes, and budgets are counted."""

from __future__ import annotations

import hashlib
import itertools

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.life.world import Json, World, holds, labels_of, owned_by, owner, with_condition

APPS = "apps/v1"


async def step(world: World) -> None:
    """Give every Deployment and DaemonSet its pods, and every budget its numbers."""
    nodes = await world.all("v1", "Node")
    pods = await world.all("v1", "Pod")
    for deployment in await world.all(APPS, "Deployment"):
        await _deployment(world, deployment, nodes, pods)
    for daemon in await world.all(APPS, "DaemonSet"):
        await _daemon(world, daemon, nodes, pods)
    pods = await world.all("v1", "Pod")
    for budget in await world.all("policy/v1", "PodDisruptionBudget"):
        await _budget(world, budget, pods)


def ready(node: Json) -> bool:
    """Whether the node's Ready condition is True."""
    return holds(node, "Ready")


def fits(node: Json, template: Json) -> bool:
    """Whether the node meets the pod's node selector and the pod tolerates the node's NoSchedule taints."""
    spec: Json = template.get("spec") or {}
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    taints: list[Json] = node["spec"].get("taints") or []
    tolerations: list[Json] = spec.get("tolerations") or []
    hard = [taint for taint in taints if taint["effect"] in ("NoSchedule", "NoExecute")]
    return all(any(_tolerates(row, taint) for row in tolerations) for taint in hard)


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return (toleration.get("key"), toleration.get("value", "")) == (taint["key"], taint.get("value", ""))


async def _deployment(world: World, deployment: Json, nodes: list[Json], pods: list[Json]) -> None:
    meta, spec = deployment["metadata"], deployment["spec"]
    mark = hashlib.sha256(str(spec["template"]).encode()).hexdigest()[:9]
    name = f"{meta['name']}-{mark}"
    replicas = await world.all(APPS, "ReplicaSet")
    sets = [row for row in replicas if owned_by(row, deployment)]
    current = next((row for row in sets if row["metadata"]["name"] == name), None)
    wanted = int(spec.get("replicas", 1))
    if current is None:
        labels = spec["template"]["metadata"].get("labels") or {}
        body = {"replicas": wanted, "selector": spec["selector"], "template": spec["template"]}
        ref = {"name": name, "namespace": meta["namespace"], "labels": labels, "ownerReferences": [owner(deployment)]}
        await world.make({"apiVersion": APPS, "kind": "ReplicaSet", "metadata": ref, "spec": body})
        return
    for old in sets:
        if old is not current:
            await world.remove(old)
    mine = [pod for pod in pods if owned_by(pod, current)]
    for pod in mine[wanted:]:
        await world.remove(pod)
    places = itertools.cycle(sorted(_room(nodes, spec["template"]), key=lambda node: _load(node, pods)))
    for number in range(wanted - len(mine)):
        node = next(places, None)
        if node is None:
            break
        await world.make(_pod(world, current, f"{name}-{_salt(current, number, len(pods))}", node, spec["template"]))
    live = len(mine[:wanted])
    status = {
        **(deployment.get("status") or {}),
        "observedGeneration": meta["generation"],
        "replicas": live,
        "updatedReplicas": live,
        "readyReplicas": live,
        "availableReplicas": live,
    }
    status = with_condition(status, "Available", live >= wanted, "MinimumReplicasAvailable", "", world.now())
    await world.status(deployment, status)
    await world.status(current, {"replicas": live, "readyReplicas": live, "availableReplicas": live})


def _room(nodes: list[Json], template: Json) -> list[Json]:
    return [node for node in nodes if ready(node) and not node["spec"].get("unschedulable") and fits(node, template)]


def _load(node: Json, pods: list[Json]) -> int:
    return sum(1 for pod in pods if pod["spec"].get("nodeName") == node["metadata"]["name"])


def _salt(parent: Json, number: int, count: int) -> str:
    body = f"{parent['metadata']['uid']}/{parent['metadata']['resourceVersion']}/{number}/{count}"
    return hashlib.sha256(body.encode()).hexdigest()[:5]


async def _daemon(world: World, daemon: Json, nodes: list[Json], pods: list[Json]) -> None:
    template: Json = daemon["spec"]["template"]
    there = {pod["spec"].get("nodeName"): pod for pod in pods if owned_by(pod, daemon)}
    targets = {node["metadata"]["name"]: node for node in nodes if fits(node, template)}
    for name, pod in there.items():
        if name not in targets:
            await world.remove(pod)
    for name, node in targets.items():
        if name not in there and ready(node):
            await world.make(_pod(world, daemon, f"{daemon['metadata']['name']}-{name}"[:63], node, template))
    live = sum(1 for name in there if name in targets and ready(targets[name]))
    status = {
        "observedGeneration": daemon["metadata"]["generation"],
        "desiredNumberScheduled": len(targets),
        "currentNumberScheduled": live,
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


async def _budget(world: World, budget: Json, pods: list[Json]) -> None:
    wanted: dict[str, str] = budget["spec"].get("selector", {}).get("matchLabels") or {}
    mine = [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == budget["metadata"]["namespace"]
        and all(labels_of(pod).get(key) == value for key, value in wanted.items())
    ]
    healthy = sum(1 for pod in mine if holds(pod, "Ready"))
    desired = _desired(budget["spec"], len(mine))
    status = {
        "observedGeneration": budget["metadata"]["generation"],
        "expectedPods": len(mine),
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": max(0, healthy - desired),
    }
    await world.status(budget, {**(budget.get("status") or {}), **status})


def _desired(spec: Json, count: int) -> int:
    if "minAvailable" in spec:
        return _amount(spec["minAvailable"], count)
    return max(0, count - _amount(spec.get("maxUnavailable", 1), count))


def _amount(value: int | str, count: int) -> int:
    text = str(value)
    return -(-count * int(text.removesuffix("%")) // 100) if text.endswith("%") else int(text)
