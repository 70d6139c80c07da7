"""What the edge answers: every node whose pod of a release is ready, as faults make it. Rollouts are their controller's."""

from __future__ import annotations

from ai_platform_mcp.sandbox.life.conduct import conduct_of
from ai_platform_mcp.sandbox.life.crowd import see
from ai_platform_mcp.sandbox.life.faults import faults_of
from ai_platform_mcp.sandbox.life.kubelet import COMPONENT, GOLDEN
from ai_platform_mcp.sandbox.life.placing import ready
from ai_platform_mcp.sandbox.life.release import MODEL, VERSION
from ai_platform_mcp.sandbox.life.world import Json, Place, World, holds, labels_of


async def step(world: World) -> None:
    """Say which nodes are there, and what each of them answers."""
    fleet = see(world, "v1", "Node")
    there = {node["metadata"]["name"] for node in fleet if ready(node)}
    for node in fleet:
        name = node["metadata"]["name"]
        world.signals.node(name, name in there)
    faults = await faults_of(world, fleet)
    for pod in see(world, "v1", "Pod"):
        labels, node = labels_of(pod), pod["spec"].get("nodeName")
        if labels.get(COMPONENT) != "edge" or MODEL not in labels or node not in there or not holds(pod, "Ready"):
            continue
        version = labels.get(VERSION, "")
        conduct = conduct_of(faults.of(pod) if faults else (), golden=_asks_golden(pod))
        place = Place(labels[MODEL], pod["metadata"]["namespace"], "edge", node)
        world.signals.serves(place, {version: 1.0}, {version: conduct})


def _asks_golden(pod: Json) -> bool:
    rows = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    return any(row["name"] == GOLDEN for row in rows)
