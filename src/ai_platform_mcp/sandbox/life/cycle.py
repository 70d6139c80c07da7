"""One step of life, and the loop that takes steps for as long as the sandbox runs."""

from __future__ import annotations

import logging

import anyio
from anyio.abc import TaskStatus

from ai_platform_mcp.sandbox.life import edge, pods, queueing, serving, training
from ai_platform_mcp.sandbox.life.world import World

log = logging.getLogger(__name__)

STEPS = (queueing.step, training.step, serving.step, pods.step, edge.step)
PAUSE_SECONDS = 0.2
SETTLING_STEPS = 20
"""Steps taken without a pause before the world counts as standing: a fast one may have work due at every moment."""


async def step(world: World) -> None:
    """Let every controller look once. One that stumbles does not stop the others; what is measured then stays as it was."""
    world.begin()
    for move in STEPS:
        try:
            await move(world)
        except Exception:
            log.exception("%s stumbled; it looks again in a while", move.__module__)
            world.stumble()
    if not world.stumbled:
        await world.signals.settle()


def quiet(world: World, seen: int) -> bool:
    """Whether a step would find nothing to do: no object changed since version ``seen``, and no work is due."""
    return world.store.storage.version == seen and (world.due is None or world.now() < world.due)


async def live(world: World, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
    """Take steps until cancelled, each as soon as something changed or is due.

    Started once the world stands: each Deployment has its pods, each queue its status.
    """
    seen = -1
    for _ in range(SETTLING_STEPS):
        if quiet(world, seen):
            break
        seen = await _look(world)
    task_status.started()
    while True:
        if not quiet(world, seen):
            seen = await _look(world)
        await anyio.sleep(PAUSE_SECONDS)


async def _look(world: World) -> int:
    """Take a step; return the version before it: what it changes itself is looked at once more."""
    seen = world.store.storage.version
    await step(world)
    return seen
