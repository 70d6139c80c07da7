"""The node lifecycle controller, and the faults that take a node away: offline, and a loss of power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from ai_platform_mcp.sandbox.kube.clock import parse_stamp, stamp
from ai_platform_mcp.sandbox.life.crowd import report, together
from ai_platform_mcp.sandbox.life.faults import FAULTS, Fault, of_node, written
from ai_platform_mcp.sandbox.life.kubelet import restarted
from ai_platform_mcp.sandbox.life.world import Json, World, annotations_of, holds, with_condition

AWAY = "sandbox.aiplatform.dev/away"
"""Annotation of a node that a fault has taken away, so that it is known whose task it is to bring it back."""
UNREACHABLE = "node.kubernetes.io/unreachable"
POWER_LOSS_SECONDS = 600.0
GONE = ("NodeStatusUnknown", "Kubelet stopped posting node status.")
BACK = ("KubeletReady", "kubelet is posting ready status")


async def step(world: World, nodes: Sequence[Json], pods: dict[str, list[Json]]) -> bool:
    """Take nodes away and bring them back as their faults say; return whether a node came or went."""
    concerned = [node for node in nodes if annotations_of(node).keys() & {FAULTS, AWAY}]
    before = world.store.storage.version
    await together(world, concerned, lambda node: _move(world, node, pods.get(node["metadata"]["name"], [])))
    return world.store.storage.version != before


async def _move(world: World, node: Json, pods: Sequence[Json]) -> None:
    found = of_node(node)
    kept = [dated for fault in found if (dated := _dated(world, fault)) is not None]
    if kept != list(found):
        await world.patch(node, {"metadata": {"annotations": {FAULTS: written(kept)}}})
    away = any(fault.kind == "offline" for fault in kept)
    if away and holds(node, "Ready"):
        await _take_away(world, node)
    elif not away and AWAY in annotations_of(node):
        rebooted = any(fault.reboot for fault in found)
        await _bring_back(world, node, pods if rebooted else [])


def _dated(world: World, fault: Fault) -> Fault | None:
    """Return the fault with the moment at which it ends, None once that has come. Only an absence ends by itself."""
    if fault.kind != "offline" or (fault.seconds is None and not fault.until):
        return fault
    if not fault.until:
        end = world.now() + timedelta(seconds=(fault.seconds or 0.0) / world.speed + 1)  # a stamp has whole seconds
        fault = replace(fault, seconds=None, until=stamp(end))
    if world.now() >= parse_stamp(fault.until):
        return None
    world.wake(parse_stamp(fault.until))
    return fault


async def lose_power(world: World, node: Json, fault: Fault) -> None:
    """Turn a loss of power that was to come into an absence that has begun."""
    seconds = POWER_LOSS_SECONDS if fault.seconds is None else fault.seconds
    gone = Fault("offline", seconds=seconds, reboot=True)
    left = [row for row in of_node(node) if row != fault]
    await world.patch(node, {"metadata": {"annotations": {FAULTS: written([*left, gone])}}})
    world.wake(world.now())


async def _take_away(world: World, node: Json) -> None:
    taints = [row for row in _taints(node) if row["key"] != UNREACHABLE]
    taint = {"key": UNREACHABLE, "effect": "NoSchedule", "timeAdded": stamp(world.now())}
    note = {"annotations": {AWAY: stamp(world.now())}}
    await world.patch(node, {"metadata": note, "spec": {"taints": [*taints, taint]}})
    await _say(world, node["metadata"]["name"], None, GONE)


async def _bring_back(world: World, node: Json, pods: Sequence[Json]) -> None:
    await together(world, pods, lambda pod: report(world, pod, restarted(pod, world.now())))
    await _say(world, node["metadata"]["name"], True, BACK)
    taints = [row for row in _taints(node) if row["key"] != UNREACHABLE]
    await world.patch(node, {"metadata": {"annotations": {AWAY: None}}, "spec": {"taints": taints or None}})


def _taints(node: Json) -> list[Json]:
    return (node.get("spec") or {}).get("taints") or []


async def _say(world: World, name: str, value: bool | None, words: tuple[str, str]) -> None:
    """Write the Ready condition of a node as it is by now: its metadata has just been changed."""
    node = await world.store.get("v1", "Node", name)
    rows: list[Json] = with_condition(node.get("status") or {}, "Ready", value, *words, world.now())["conditions"]
    if value:
        beat = stamp(world.now())
        rows = [{**row, "lastHeartbeatTime": beat} if row["type"] == "Ready" else row for row in rows]
    await world.store.patch("v1", "Node", name, {"status": {"conditions": rows}}, subresource="status")
