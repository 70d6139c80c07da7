"""Names to choose from while somebody types: models, versions, clusters, sites, regions, queues, namespaces, operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import Inventory

MOST = 50


async def complete(argument: str, value: str, known: Mapping[str, str], readers: Readers) -> Sequence[str]:
    """Return at most 50 names for ``argument`` that contain ``value``, those that begin with it first.

    ``known`` holds what was chosen before, such as the model (``name``) whose versions are asked for. An argument without
    names has none.
    """
    provider = _PROVIDERS.get(argument)
    if provider is None:
        return []
    wanted = value.lower()
    names = {name for name in await provider(value, known, readers) if wanted in name.lower()}
    return sorted(names, key=lambda name: (not name.lower().startswith(wanted), name))[:MOST]


async def _models(value: str, known: Mapping[str, str], readers: Readers) -> Iterable[str]:
    page = await readers.registry.models(contains=value, limit=MOST)
    return [row.name for row in page.items]


async def _versions(value: str, known: Mapping[str, str], readers: Readers) -> Iterable[str]:
    model = known.get("name") or known.get("model") or ""
    if not model:
        return []
    page = await readers.registry.versions(model, limit=MOST)
    return [*(row.version for row in page.items), *(f"@{alias}" for row in page.items for alias in row.aliases)]


async def _clusters(value: str, known: Mapping[str, str], readers: Readers) -> Iterable[str]:
    return [row.name for row in await readers.clusters.clusters()]


async def _operations(value: str, known: Mapping[str, str], readers: Readers) -> Iterable[str]:
    return [row.id for row in await readers.journal.operations(limit=MOST)]


async def _files(value: str, known: Mapping[str, str], readers: Readers) -> Iterable[str]:
    return [name.replace("/", ":") for name in await readers.policy.law()]


async def _inventories(known: Mapping[str, str], readers: Readers) -> list[Inventory]:
    named = known.get("cluster", "")
    rows = await readers.clusters.clusters()
    return [await readers.inventory.inventory(row.name) for row in rows if named in ("", row.name)]


def _from_inventory(names: Callable[[Inventory], Iterable[str]]):
    async def provider(value: str, known: Mapping[str, str], readers: Readers) -> Iterable[str]:
        return [name for inventory in await _inventories(known, readers) for name in names(inventory) if name]

    return provider


_PROVIDERS: dict[str, Callable[[str, Mapping[str, str], Readers], Awaitable[Iterable[str]]]] = {
    "name": _models,
    "model": _models,
    "version": _versions,
    "cluster": _clusters,
    "operation_id": _operations,
    "id": _operations,
    "file": _files,
    "site": _from_inventory(lambda inventory: (row.site for row in inventory.nodes)),
    "region": _from_inventory(lambda inventory: (row.region for row in inventory.nodes)),
    "node": _from_inventory(lambda inventory: (row.name for row in inventory.nodes)),
    "queue": _from_inventory(lambda inventory: (row.name for row in inventory.queues)),
    "namespace": _from_inventory(lambda inventory: (row.namespace for row in inventory.queues)),
}
