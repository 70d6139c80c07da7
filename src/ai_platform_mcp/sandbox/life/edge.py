"""What the edge answers: every node whose pod of a release is ready, as faults make it. Rollouts are their controller's."""

from __future__ import annotations

from collections.abc import Sequence

from ai_platform_mcp.sandbox.life.crowd import see
from ai_platform_mcp.sandbox.life.faults import Fault, faults_of, first
from ai_platform_mcp.sandbox.life.kubelet import COMPONENT, GOLDEN
from ai_platform_mcp.sandbox.life.placing import ready
from ai_platform_mcp.sandbox.life.release import MODEL, VERSION
from ai_platform_mcp.sandbox.life.world import USUAL, Conduct, Json, Place, World, holds, labels_of


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


def conduct_of(faults: Sequence[Fault], *, golden: bool = False) -> Conduct:
    """Return how a release answers under these faults."""
    errors, slow, differs = (first(faults, kind) for kind in ("errors", "slow", "golden-differs"))
    return Conduct(
        error_share=None if errors is None else 0.2 if errors.share is None else errors.share,
        slower=1.0 if slow is None else slow.factor or 4.0,
        golden=golden,
        differs=USUAL.differs if differs is None else 0.5 if differs.share is None else differs.share,
    )


def _asks_golden(pod: Json) -> bool:
    rows = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    return any(row["name"] == GOLDEN for row in rows)
