"""What several clusters have, asked at once: one that is slow, dead or broken costs its own answer and nobody else's."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import Inventory

log = logging.getLogger(__name__)

CLUSTER_SECONDS = 6.0
"""The last bound on one cluster, above the deadlines that the cache keeps itself, and below that of a read as a whole."""


async def read_inventories(readers: Readers, clusters: Sequence[str]) -> tuple[Inventory, ...]:
    """Return the inventory of each cluster, in this order. A cluster that gives none is stale, with its problem said."""
    found: dict[str, Inventory] = {}

    async def read(name: str) -> None:
        try:
            with anyio.fail_after(CLUSTER_SECONDS):
                found[name] = await readers.inventory.inventory(name)
        except TimeoutError:
            found[name] = _absent(name, f"Cluster {name!r} did not answer within {CLUSTER_SECONDS:g} s.", readers)
        except PlatformError as error:
            found[name] = _absent(name, error.message, readers)

    async with anyio.create_task_group() as group:
        for name in dict.fromkeys(clusters):
            group.start_soon(read, name)
    return tuple(found[name] for name in dict.fromkeys(clusters))


def _absent(name: str, problem: str, readers: Readers) -> Inventory:
    log.info("No inventory of %s: %s", name, problem)
    return Inventory(cluster=name, as_of=readers.clock.now(), age_seconds=0, stale=True, problem=problem)
