"""Which rollout of a model a node belongs to: generations, and who takes over from whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.domain.objects import metadata_of, section, whole
from ai_platform_mcp.domain.rollout.state import PASSED, Mark


class Rival(Value):
    """Another rollout of the same model."""

    generation: int
    phase: str
    nodes: frozenset[str]


def generation_of(live: type_json) -> int:
    """Return the release counter that the status gave the rollout, 0 while it has none."""
    return whole(section(live, "status").get("generation"))


def next_generation(live: type_json, others: Iterable[type_json], marks: Iterable[Mark]) -> int:
    """Return the release counter for a rollout that has none yet.

    ``spec.generationOf`` where it is given and free. Else one above everything that rollouts and nodes know: two rollouts with
    one counter would take each other's marks for their own, and a rollback is a new generation.
    """
    asked = whole(section(live, "spec").get("generationOf"))
    taken = {generation_of(row) for row in others} - {0}
    if asked and asked not in taken:
        return asked
    return 1 + max([asked, *taken, *(mark.generation for mark in marks)], default=0)


def order_of(live: type_json) -> tuple[int, str, str]:
    """Return the place of a rollout among those of its model: a higher generation is newer, then the later object."""
    meta = metadata_of(live)
    asked = whole(section(live, "spec").get("generationOf"))
    return generation_of(live) or asked, str(meta.get("creationTimestamp") or ""), str(meta.get("name") or "")


def mine(phase: str, generation: int, nodes: frozenset[str], rivals: Sequence[Rival]) -> tuple[frozenset[str], bool]:
    """Return the nodes that are the rollout's to move, and whether newer ones have taken over all of them.

    A newer rollout takes its nodes from an unfinished older one at once. One whose waves have passed goes on serving nodes that
    return late until the newer one has passed too (a mark on the node ends it earlier, which the rules see). One that was
    stopped or rolled back takes nothing, and a rollback under way keeps the nodes that it has to bring back.
    """
    if phase in ("RollingBack", "RolledBack"):
        return nodes, False
    taken: set[str] = set()
    for rival in rivals:
        if rival.generation <= generation or rival.phase in ("Stopped", "RollingBack", "RolledBack"):
            continue
        if phase not in PASSED or rival.phase in PASSED:
            taken |= rival.nodes & nodes
    left = nodes - taken
    return left, bool(nodes) and not left
