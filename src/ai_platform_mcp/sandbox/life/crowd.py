"""Many objects at once: read without copying, moved side by side. A fleet has thousands of pods, and a step must stay cheap."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio

from ai_platform_mcp.sandbox.kube.engine import Write
from ai_platform_mcp.sandbox.kube.status import ApiError
from ai_platform_mcp.sandbox.life.world import Json, World

log = logging.getLogger(__name__)
OURS = Write(manager="kubelet", trusted=True)
AT_ONCE = 64
"""Objects moved side by side: their writes share a transaction, and between two such groups others have their turn."""


def see(world: World, api_version: str, kind: str) -> list[Json]:
    """Return every object of a kind as it is stored: shared, and not to be changed."""
    resource = world.store.registry.kind(api_version, kind)
    return list(world.store.storage.bucket(resource.bucket).objects.values())


async def together(world: World, objects: Sequence[Json], move: Callable[[Json], Awaitable[object]]) -> None:
    """Move every object on; one that cannot be dealt with does not stop the others."""

    async def one(obj: Json) -> None:
        try:
            await move(obj)
        except Exception:
            log.exception("%s %s is left as it is", obj.get("kind"), obj["metadata"]["name"])
            world.stumble()

    for start in range(0, len(objects), AT_ONCE):
        async with anyio.create_task_group() as group:
            for obj in objects[start : start + AT_ONCE]:
                group.start_soon(one, obj)


async def plant(world: World, obj: Json) -> None:
    """Create an object unless it is there already."""
    try:
        await world.store.create(obj, OURS)
    except ApiError as problem:
        log.debug("%s %s not created: %s", obj["kind"], obj["metadata"]["name"], problem)


async def report(world: World, obj: Json, status: Json) -> bool:
    """Write an object's status if it differs, and tell whether it is so now; a conflict means that someone was quicker."""
    if obj.get("status") == status:
        return True
    try:
        await world.store.update_status({**obj, "status": status}, OURS)
    except ApiError as problem:
        log.debug("status of %s not written: %s", obj["metadata"]["name"], problem)
        return False
    return True
