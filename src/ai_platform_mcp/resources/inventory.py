"""``cluster://inventory{/cluster}``: what each cluster has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ai_platform_mcp.core.inventories import read_inventories
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import ClusterInfo, Inventory
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.domain import views
from ai_platform_mcp.domain.answer import first_rows, listing_result
from ai_platform_mcp.domain.overview import Seen, overview
from ai_platform_mcp.domain.pools import price_lists, priced
from ai_platform_mcp.domain.text import Listing, json_tokens
from ai_platform_mcp.domain.views import Filters
from ai_platform_mcp.resources.resource import as_text, nothing

SECTION_ROWS = 40
"""Rows of each section; the tool ``inspect_platform`` pages through all of them."""
BUDGET = 9_500


class InventoryResource:
    """The watch-fed inventory, with its age."""

    template: ClassVar[str] = "cluster://inventory{/cluster}"
    name: ClassVar[str] = "cluster-inventory"
    title: ClassVar[str] = "Cluster inventory"
    description: ClassVar[str] = "GPU pools, queues, deployments and nodes of a cluster; without cluster: all in short."
    mime_type: ClassVar[str] = "application/json"

    async def read(self, variables: Mapping[str, str], readers: Readers, caller: Caller) -> str:
        """Return one cluster's inventory, or every cluster in short."""
        configured = await readers.clusters.clusters()
        name = variables.get("cluster", "")
        if not name:
            inventories = await read_inventories(readers, [row.name for row in configured])
            page = overview(Seen(inventories=inventories))
            page = page.model_copy(update={"facts": {"clusters": [_cluster(row) for row in configured], **page.facts}})
            return as_text(listing_result(page, verbose=False, limit=200).data)
        if name not in {row.name for row in configured}:
            names = ", ".join(row.name for row in configured) or "none"
            raise nothing(f"cluster://inventory/{name}", f"Configured clusters: {names}.")
        (inventory,) = await read_inventories(readers, [name])
        (info,) = [row for row in configured if row.name == name]
        return as_text(_document(priced(inventory, price_lists(info, readers.platform)), readers))


def _cluster(info: ClusterInfo) -> dict[str, Any]:
    return info.model_dump(mode="json", exclude_defaults=True, exclude={"device_hourly_cents", "price_basis"})


def _document(inventory: Inventory, readers: Readers) -> dict[str, Any]:
    """Return every section, each shortened alike until all fit the budget."""
    now, all_of = readers.clock.now(), Filters()
    facts, notes = views.freshness([inventory])
    listings = {
        "gpu_pools": views.gpu_pools([inventory], all_of),
        "queues": views.queues([inventory], all_of),
        "deployments": views.deployments([inventory], all_of, now),
        "nodes": views.nodes([inventory], all_of, now),
    }
    head: dict[str, Any] = {
        "cluster": inventory.cluster,
        **facts,
        "as_of": inventory.as_of.isoformat(timespec="seconds"),
    }
    if notes:
        head["notes"] = list(notes)
    rows = SECTION_ROWS
    document = {**head, **{name: _section(listing, rows) for name, listing in listings.items()}}
    while json_tokens(document) > BUDGET and rows > 1:
        rows //= 2
        document = {**head, **{name: _section(listing, rows) for name, listing in listings.items()}}
    return document


def _section(listing: Listing, most: int) -> dict[str, Any]:
    rows, total = first_rows(listing, most)
    body: dict[str, Any] = {"columns": list(listing.columns), "rows": [list(row) for row in rows]}
    if total > most:
        body |= {"left_out": total - most, "how": f"inspect_platform kind={listing.kind}"}
    return body
