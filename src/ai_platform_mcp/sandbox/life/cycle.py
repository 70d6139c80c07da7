"""One step of life, and the loop that takes steps for as long as the sandbox runs."""

from __future__ import annotations

import logging

import anyio

from ai_platform_mcp.sandbox.kube.status import ApiError
from ai_platform_mcp.sandbox.life import edge, pods, queueing, serving, training
from ai_platform_mcp.sandbox.life.world import World

log = logging.getLogger(__name__)

STEPS = (queueing.step, training.step, serving.step, pods.step, edge.step)
PAUSE_SECONDS = 0.4


async def step(world: World) -> None:
    """Let every controller look once. One that stumbles over an object does not stop the others."""
    for move in STEPS:
        try:
            await move(world)
        except (ApiError, KeyError, ValueError, TypeError):
            log.exception("%s stumbled; it looks again at the next step", move.__module__)


async def live(world: World) -> None:
    """Take steps until cancelled; when nothing changes a step is only reading."""
    while True:
        await step(world)
        await anyio.sleep(PAUSE_SECONDS)
