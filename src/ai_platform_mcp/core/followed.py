"""The objects that an operation's long work goes on in, as they are now."""

from __future__ import annotations

from dataclasses import dataclass

import anyio

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Follow
from ai_platform_mcp.core.ports import ClusterReader
from ai_platform_mcp.core.records import Operation


@dataclass(frozen=True)
class Followed:
    """One followed object. ``live`` is None where it is not there, or could not be read: then ``problem`` says why."""

    follow: Follow
    live: type_json | None
    problem: str = ""


async def followed(operation: Operation, clusters: ClusterReader) -> tuple[Followed, ...]:
    """Read every followed object at once. A cluster that does not answer is told, not raised."""
    found: dict[int, Followed] = {}

    async def read(place: int, follow: Follow) -> None:
        ref = follow.ref
        try:
            live = await clusters.get(follow.cluster, ref.api_version, ref.kind, ref.name, ref.namespace)
            found[place] = Followed(follow, live)
        except PlatformError as error:
            found[place] = Followed(follow, None, error.message)

    async with anyio.create_task_group() as group:
        for place, follow in enumerate(operation.plan.follow):
            group.start_soon(read, place, follow)
    return tuple(found[place] for place in sorted(found))
