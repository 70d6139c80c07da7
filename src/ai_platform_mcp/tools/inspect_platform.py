"""The one tool that looks: what is there, what runs, what waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import anyio
from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput, NotFound, PlatformError, Unavailable
from ai_platform_mcp.core.followed import Followed, followed
from ai_platform_mcp.core.inventories import read_inventories
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.records import Operation
from ai_platform_mcp.core.rows import DeploymentRow, Inventory
from ai_platform_mcp.core.tool import Caller, Params, Result
from ai_platform_mcp.domain import model_views, record_views, views
from ai_platform_mcp.domain.answer import Cursor, detail_result, listing_result
from ai_platform_mcp.domain.clusters import resolve_cluster
from ai_platform_mcp.domain.overview import Seen, overview
from ai_platform_mcp.domain.pools import price_lists, priced
from ai_platform_mcp.domain.progress import progress_of
from ai_platform_mcp.domain.routing import status_text
from ai_platform_mcp.domain.text import Listing, seconds_of
from ai_platform_mcp.domain.views import Filters
from ai_platform_mcp.manifests import edge, kserve, llm, serverless
from ai_platform_mcp.tools._routing_status import ROUTING_WINDOW, routing_status

PART_SECONDS = 8.0
"""How long the overview waits for one backend before it goes on without it."""

Kind = Literal[
    "overview",
    "models",
    "versions",
    "deployments",
    "routing",
    "gpu_pools",
    "queues",
    "nodes",
    "operations",
    "approvals",
]
_FILTERS: dict[str, frozenset[str]] = {
    "overview": frozenset({"cluster"}),
    "models": frozenset({"name", "contains"}),
    "versions": frozenset({"name"}),
    "deployments": frozenset({"name", "cluster", "namespace", "team", "state", "contains"}),
    "routing": frozenset({"name", "cluster", "namespace", "window"}),
    "gpu_pools": frozenset({"name", "cluster", "region", "state", "contains"}),
    "queues": frozenset({"name", "cluster", "namespace", "state", "contains"}),
    "nodes": frozenset({"name", "cluster", "site", "region", "state", "contains"}),
    "operations": frozenset({"name", "team", "state", "contains"}),
    "approvals": frozenset({"name", "state", "contains"}),
}


class InspectParams(Params):
    """What to look at."""

    kind: Kind = "overview"
    name: Annotated[str, Field(description="one thing in full; queue: its workloads", max_length=253)] = ""
    cluster: str = ""
    namespace: str = ""
    site: str = ""
    region: str = ""
    team: str = ""
    state: Annotated[str, Field(description="e.g. offline, cordoned, free, not-ready, running, pending")] = ""
    contains: Annotated[str, Field(description="text anywhere in a row", max_length=100)] = ""
    window: Annotated[str, Field(description="routing: 6h")] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    token: Annotated[str, Field(description="next page", max_length=400)] = ""
    verbose: Annotated[bool, Field(description="up to 10,000 tokens instead of 2,000")] = False


class InspectPlatform:
    """Reads inventories, the registry and the journal."""

    name: ClassVar[str] = "inspect_platform"
    title: ClassVar[str] = "Inspect the platform"
    description: ClassVar[str] = (
        "Look at the platform: models, versions and evidence, deployments, routing with savings, GPU pools and prices, queues, "
        "nodes and edge sites, operations with live progress, approvals. Answers say their age and how to get what they left out."
    )
    params: ClassVar[type[Params]] = InspectParams

    async def read(self, params: InspectParams, readers: Readers, caller: Caller) -> Result:
        """Answer one kind, narrowed and paged."""
        _check_filters(params)
        look: dict[str, Callable[[InspectParams, Readers], Awaitable[Result]]] = {
            "overview": _overview,
            "models": _models,
            "versions": _versions,
            "routing": partial(_routing, caller=caller),
            "operations": _operations,
            "approvals": _approvals,
        }
        return await look.get(params.kind, _inventory)(params, readers)


def _check_filters(params: InspectParams) -> None:
    """Refuse a filter that the kind does not have: dropping it silently would answer another question."""
    known = _FILTERS[params.kind]
    names = ("name", "cluster", "namespace", "site", "region", "team", "state", "contains", "window")
    wrong = [name for name in names if getattr(params, name) and name not in known]
    if wrong:
        raise InvalidInput(
            f"kind={params.kind} has no filter {', '.join(wrong)}.", remedy=f"Its filters: {', '.join(sorted(known))}."
        )


def _filters(params: InspectParams) -> Filters:
    return Filters.model_validate({name: getattr(params, name) for name in Filters.model_fields})


def _listed(listing: Listing, params: InspectParams, more: str | None = None) -> Result:
    cursor = Cursor.read(params.token)
    return listing_result(listing, verbose=params.verbose, limit=params.limit, cursor=cursor, more=more)


# --- clusters --------------------------------------------------------------------------------------------------------


async def _inventories(params: InspectParams, readers: Readers) -> tuple[Inventory, ...]:
    """Return what the named cluster has, or every cluster's: looking has no silent default to fear."""
    configured = await readers.clusters.clusters()
    names = [resolve_cluster(configured, params.cluster).name] if params.cluster else [row.name for row in configured]
    return await read_inventories(readers, names)


async def _inventory(params: InspectParams, readers: Readers) -> Result:
    inventories = await _inventories(params, readers)
    if inventories and all(views.never_seen(row) for row in inventories):
        raise Unavailable(
            f"No cluster has answered yet: {', '.join(row.cluster for row in inventories)}.",
            cause=views.said(inventories[0].problem),
            remedy="Try again, and check the clusters with `platform doctor`.",
        )
    filters, now = _filters(params), readers.clock.now()
    if params.kind == "nodes":
        name = params.name
        named = [(each, row) for each in inventories for row in each.nodes if row.name == name] if name else []
        if len(named) == 1:
            [(inventory, row)] = named
            body = {**_freshness(inventory), **views.node_detail(row, inventory.node_use.get(row.name))}
            return detail_result("node", params.name, body, verbose=params.verbose)
        return _listed(views.nodes(inventories, filters, now), params)
    if params.kind == "gpu_pools":
        return _listed(views.gpu_pools(await _priced(inventories, readers), filters), params)
    if params.kind == "queues":
        listing = views.workloads(inventories, filters, now) if params.name else views.queues(inventories, filters)
        return _listed(listing, params)
    return await _deployments(params, readers, inventories, filters)


def _freshness(inventory: Inventory) -> dict[str, object]:
    """Return how old one thing is that is told in full, and what is wrong with its cluster."""
    facts, notes = views.freshness([inventory])
    return {**facts, "notes": list(notes)} if notes else facts


async def _priced(inventories: Sequence[Inventory], readers: Readers) -> tuple[Inventory, ...]:
    configured = {row.name: row for row in await readers.clusters.clusters()}
    return tuple(priced(row, price_lists(configured[row.cluster], readers.platform)) for row in inventories)


async def _deployments(
    params: InspectParams, readers: Readers, inventories: Sequence[Inventory], filters: Filters
) -> Result:
    named = [
        (inventory, row)
        for inventory in inventories
        for row in inventory.deployments
        if params.name == row.name and params.namespace in ("", row.namespace)
    ]
    if len(named) == 1:
        [(inventory, row)] = named
        body = {**_freshness(inventory), **row.model_dump(mode="json", exclude_defaults=True)}
        body["message"] = views.said(row.message)
        live = await _object(row, readers)
        body["progress"] = progress_of(live).model_dump(exclude_defaults=True)
        body |= views.held_elsewhere(live)
        return detail_result(
            "deployment", row.name, {k: v for k, v in body.items() if k != "name"}, verbose=params.verbose
        )
    return _listed(views.deployments(inventories, filters, readers.clock.now()), params)


_VERSIONS = {
    "InferenceService": (kserve.API,),
    llm.KIND: llm.APIS,
    "EdgeRollout": (edge.API,),
    serverless.RUN_KIND: (serverless.RUN_API,),
    serverless.LAMBDA_KIND: (serverless.LAMBDA_API,),
}
"""Newest first."""


async def _object(row: DeploymentRow, readers: Readers) -> type_json | None:
    """Return the live object, None where it is gone or its cluster does not answer: the row is told all the same."""
    with suppress(PlatformError):
        for version in _VERSIONS[row.kind]:
            if await readers.clusters.serves(row.cluster, version, row.kind):
                return await readers.clusters.get(row.cluster, version, row.kind, row.name, row.namespace)
    return None


# --- registry --------------------------------------------------------------------------------------------------------


async def _models(params: InspectParams, readers: Readers) -> Result:
    if params.name:
        return await _versions(params, readers)
    cursor = Cursor.read(params.token)
    page = await readers.registry.models(contains=params.contains, limit=50, token=cursor.backend)
    return _listed(model_views.models(page.items, readers.clock.now()), params, more=page.token)


async def _versions(params: InspectParams, readers: Readers) -> Result:
    if not params.name:
        raise InvalidInput("Versions of which model?", remedy="Pass name=<model>; kind=models lists them.")
    now = readers.clock.now()
    model = await readers.registry.model(params.name)
    runs = await readers.registry.runs(experiment=params.name, limit=10)
    if model is None:
        finished = model_views.unregistered(runs, (), now)
        if not finished:
            raise NotFound(f"There is no model {params.name!r}.", remedy="kind=models lists what is registered.")
        empty = Listing(
            kind="versions", columns=("version",), rows=(), empty=f"{params.name} is not registered.", notes=finished
        )
        return _listed(empty, params)
    cursor = Cursor.read(params.token)
    page = await readers.registry.versions(params.name, limit=20, token=cursor.backend)
    return _listed(model_views.versions(model, page.items, runs, now), params, more=page.token)


# --- routing ---------------------------------------------------------------------------------------------------------


async def _routing(params: InspectParams, readers: Readers, caller: Caller) -> Result:
    if not params.name:
        raise InvalidInput(
            "Routing of which model?", remedy="Pass name=<model>; kind=deployments lists what is served."
        )
    try:
        window = seconds_of(params.window) if params.window else ROUTING_WINDOW
    except ValueError as error:
        raise InvalidInput(f"window: {error}.", remedy="Pass a span such as 15m, 1h or 1d.") from None
    body = await routing_status(
        readers, caller, params.name, window, cluster=params.cluster, namespace=params.namespace
    )
    return detail_result("routing", params.name, body, verbose=params.verbose, lines=status_text.lines(body))


# --- journal ---------------------------------------------------------------------------------------------------------


async def _operations(params: InspectParams, readers: Readers) -> Result:
    if params.name:
        operation = await readers.journal.operation(params.name)
        if operation is None:
            raise NotFound(f"There is no operation {params.name!r}.", remedy="kind=operations lists them.")
        document = record_views.operation_document(operation, await followed(operation, readers.clusters))
        lines = record_views.operation_lines(document)
        return detail_result("operation", params.name, document, verbose=params.verbose, lines=lines)
    cursor, size = Cursor.read(params.token), min(params.limit, 25)
    page = await readers.journal.operations(limit=size, token=cursor.backend)
    rows = await _with_objects(page, readers)
    wanted = [(operation, objects) for operation, objects in rows if _wanted(operation, objects, params)]
    more = page[-1].id if len(page) == size else ""
    return _listed(record_views.operations(wanted, readers.clock.now()), params, more=more)


async def _with_objects(page: Sequence[Operation], readers: Readers) -> list[tuple[Operation, tuple[Followed, ...]]]:
    found: dict[str, tuple[Followed, ...]] = {}

    async def read(operation: Operation) -> None:
        found[operation.id] = await followed(operation, readers.clusters)

    async with anyio.create_task_group() as group:
        for operation in page:
            group.start_soon(read, operation)
    return [(operation, found[operation.id]) for operation in page]


def _wanted(operation: Operation, objects: Sequence[Followed], params: InspectParams) -> bool:
    parts = record_views.progress_parts(objects)
    return _filters(params).passes(
        state=(operation.state, record_views.operation_state(operation, parts)),
        team=operation.principal.team,
        more=(operation.id, operation.plan.tool, operation.plan.summary, operation.principal.id),
    )


async def _approvals(params: InspectParams, readers: Readers) -> Result:
    now = readers.clock.now()
    if params.name:
        record = await readers.approvals.approval(params.name)
        if record is None:
            raise NotFound(f"There is no approval {params.name!r}.", remedy="kind=approvals lists them.")
        body = record.model_dump(mode="json", exclude={"id"})
        return detail_result("approval", record.id, body, verbose=params.verbose)
    records = await readers.approvals.approvals(state=params.state, limit=200)
    filters = _filters(params)
    wanted = [
        row for row in records if filters.passes(state=row.state, more=(row.id, row.tool, row.summary, row.requester))
    ]
    return _listed(record_views.approvals(wanted, now), params)


# --- overview --------------------------------------------------------------------------------------------------------


async def _overview(params: InspectParams, readers: Readers) -> Result:
    """Ask every backend at once; one that is slow or down is named and left out."""
    seen: dict[str, Any] = {"inventories": ()}
    problems: dict[str, str] = {}

    async def part(name: str, read: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        try:
            with anyio.fail_after(PART_SECONDS):
                seen.update(await read())
        except TimeoutError:
            problems[name] = f"no answer within {PART_SECONDS:g} s"
        except PlatformError as error:
            problems[name] = error.message

    async def clusters() -> dict[str, Any]:
        return {"inventories": await _inventories(params, readers)}

    async def registry() -> dict[str, Any]:
        page = await readers.registry.models(limit=200)
        return {"models": len(page.items), "more_models": bool(page.token)}

    async def journal() -> dict[str, Any]:
        rows = await readers.journal.operations(state="running", limit=50)
        return {"running": tuple(row.id for row in rows)}

    async def approvals() -> dict[str, Any]:
        rows = await readers.approvals.approvals(state="pending", limit=50)
        return {"pending_approvals": tuple(row.id for row in rows)}

    async def alerts() -> dict[str, Any]:
        return {"alerts": tuple(await readers.metrics.alerts())}

    reads = {"clusters": clusters, "registry": registry, "journal": journal, "approvals": approvals, "metrics": alerts}
    async with anyio.create_task_group() as group:
        for name, read in reads.items():
            group.start_soon(part, name, read)
    return _listed(overview(Seen.model_validate({**seen, "problems": problems})), params)
