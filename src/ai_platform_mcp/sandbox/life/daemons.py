"""The DaemonSet controller, and the kubelets of the pods that serve or fetch a model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from ai_platform_mcp.sandbox.kube.clock import parse_stamp
from ai_platform_mcp.sandbox.life import kubelet, nodes
from ai_platform_mcp.sandbox.life.crowd import plant, report, see, together
from ai_platform_mcp.sandbox.life.faults import Fault, Faults
from ai_platform_mcp.sandbox.life.placing import Placement, at_once, pod_of, ready
from ai_platform_mcp.sandbox.life.world import Json, World, condition, holds, labels_of

DAEMON_TOLERATIONS: tuple[Json, ...] = tuple(
    {"key": f"node.kubernetes.io/{name}", "operator": "Exists"}
    for name in ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
)
"""What the DaemonSet controller adds to every pod it makes."""
_OF_THE_LINE = frozenset({"slow-link", "pull-throttled"})
"""Faults that concern fetching; a pod that only fetches knows no others."""


def by_node(pods: Iterable[Json]) -> dict[str, list[Json]]:
    """Return the pods by the node they are on."""
    found: dict[str, list[Json]] = {}
    for pod in pods:
        found.setdefault(pod["spec"].get("nodeName") or "", []).append(pod)
    return found


async def step(world: World, fleet: Sequence[Json], pods: Sequence[Json], faults: Faults) -> None:
    """Give every DaemonSet its pods on the nodes that are there, and let every pod come to where it is by now.

    On a node that is away nothing starts and nothing ends: what is there stays as it was last seen.
    """
    there = {node["metadata"]["name"]: node for node in fleet if ready(node)}
    mine: dict[str, dict[str, Json]] = {}
    for pod in pods:
        for row in pod["metadata"].get("ownerReferences") or []:
            mine.setdefault(row["uid"], {})[pod["spec"].get("nodeName") or ""] = pod
    sets = see(world, "apps/v1", "DaemonSet")
    wanted = {row["metadata"]["uid"]: _targets(row, fleet) for row in sets}
    for row in sets:
        uid = row["metadata"]["uid"]
        await _placed(world, row, wanted[uid], mine.get(uid, {}), there)
    await _kubelets(world, there, faults)
    now = {pod["metadata"]["uid"]: pod for pod in see(world, "v1", "Pod")}
    for row in sets:
        uid = row["metadata"]["uid"]
        own = [now[pod["metadata"]["uid"]] for pod in mine.get(uid, {}).values() if pod["metadata"]["uid"] in now]
        await world.each([row], lambda row, own=own, uid=uid: _counted(world, row, wanted[uid], own))


def _targets(daemon: Json, fleet: Iterable[Json]) -> frozenset[str]:
    placement = Placement(daemon["spec"]["template"], DAEMON_TOLERATIONS)
    return frozenset(node["metadata"]["name"] for node in fleet if placement.fits(node))


async def _placed(
    world: World, daemon: Json, targets: frozenset[str], own: Mapping[str, Json], there: Mapping[str, Json]
) -> None:
    await together(world, [own[name] for name in own if name not in targets and name in there], world.remove)
    template = daemon["spec"]["template"]
    fresh = [
        pod_of(daemon, f"{daemon['metadata']['name'][:54]}-{_mark(daemon, name)}", there[name], template)
        for name in sorted(targets)
        if name in there and name not in own
    ]
    await together(world, [pod for pod in fresh if kubelet.takes_time(pod)], lambda pod: plant(world, pod))
    await together(world, [at_once(world, pod) for pod in fresh if not kubelet.takes_time(pod)], world.make)


def _mark(daemon: Json, node: str) -> str:
    return hashlib.sha256(f"{daemon['metadata']['uid']}/{node}".encode()).hexdigest()[:8]


async def _counted(world: World, daemon: Json, targets: frozenset[str], own: Sequence[Json]) -> None:
    placed = [pod for pod in own if pod["spec"].get("nodeName") in targets]
    live = sum(holds(pod, "Ready") for pod in placed)
    status = {
        "observedGeneration": daemon["metadata"]["generation"],
        "desiredNumberScheduled": len(targets),
        "currentNumberScheduled": len(placed),
        "updatedNumberScheduled": len(placed),
        "numberMisscheduled": len(own) - len(placed),
        "numberReady": live,
        "numberAvailable": live,
        "numberUnavailable": len(targets) - live,
    }
    await world.status(daemon, status)


# ------------------------------------------------------------------------------------------------------ kubelets


async def _kubelets(world: World, there: Mapping[str, Json], faults: Faults) -> None:
    """Let every kubelet that is there look at its pods of models."""
    pods = [pod for pod in see(world, "v1", "Pod") if kubelet.takes_time(pod) and pod["spec"].get("nodeName") in there]
    concerned = {pod["metadata"]["uid"]: _concerning(pod, faults) for pod in pods} if faults else {}
    open_ones = [pod for pod in pods if not kubelet.is_done(pod) or concerned.get(pod["metadata"]["uid"])]
    if not open_ones:
        return
    places = {pod["spec"]["nodeName"] for pod in open_ones}
    held = {
        (pod["spec"]["nodeName"], name)
        for pod in pods
        if pod["spec"]["nodeName"] in places and kubelet.has_pulled(pod)
        for name in kubelet.references(pod["spec"])
    }

    async def looked(pod: Json) -> None:
        node = there[pod["spec"]["nodeName"]]
        place = node["metadata"]["name"]
        circumstances = kubelet.Circumstances(
            faults=concerned.get(pod["metadata"]["uid"], ()),
            since=_since(pod, node),
            present=all((place, name) in held for name in kubelet.references(pod["spec"])),
            now=world.now(),
            speed=world.speed,
        )
        seen = kubelet.look(pod, circumstances)
        if seen.due is not None:
            world.wake(seen.due)
        if await report(world, pod, seen.status) and seen.power_lost is not None:
            await nodes.lose_power(world, node, seen.power_lost)

    await together(world, open_ones, looked)


def _concerning(pod: Json, faults: Faults) -> Sequence[Fault]:
    fetches = labels_of(pod).get(kubelet.COMPONENT) == "prepull"
    return [fault for fault in faults.of(pod) if not fetches or fault.kind in _OF_THE_LINE]


def _since(pod: Json, node: Json) -> datetime:
    """Return from when on the kubelet could work on the pod: it is there, and the node is back."""
    back = (condition(node, "Ready") or {}).get("lastTransitionTime") or node["metadata"]["creationTimestamp"]
    return max(parse_stamp(pod["metadata"]["creationTimestamp"]), parse_stamp(back))
