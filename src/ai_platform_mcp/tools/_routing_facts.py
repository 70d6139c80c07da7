"""From the readers to what routing of one model is judged by: where it is served, what that costs, and what is measured there.

A backend that is down costs its own facts only: they are None, and say why. All of it stays below a read's deadline of 20 s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio

from ai_platform_mcp.core.errors import NotFound, PlatformError, Unavailable
from ai_platform_mcp.core.inventories import read_inventories
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import Inventory, MetricScope, ModelRow, VersionRow
from ai_platform_mcp.domain.evidence import model_facts
from ai_platform_mcp.domain.language import is_language_model, task_of
from ai_platform_mcp.domain.routing.facts import Request, Slo
from ai_platform_mcp.domain.routing.observed import Observed, RoutingFacts, Source
from ai_platform_mcp.domain.targets import allowed_region
from ai_platform_mcp.domain.versions import format_of
from ai_platform_mcp.domain.views import never_seen, said
from ai_platform_mcp.manifests import llm
from ai_platform_mcp.tools._routing_places import FILE, Around, cloud_places, edge_places, speaking
from ai_platform_mcp.tools._routing_signals import Asked, measure, of_model

PART_SECONDS = 8.0
"""How long one backend is waited for; an answer without it is told in time."""
REGISTRY_SECONDS = 12.0
"""The registry is read beside the metrics store, and its client takes a while to load."""
PLACES_SECONDS = 2.0
"""How long the services of one tier are read one by one, beyond what the inventory says of them."""
LEAST_WINDOW = 300
"""Rates need a few scrapes: less of a window than this says nothing."""


async def read_routing_facts(
    readers: Readers,
    principal: Principal,
    model: str,
    *,
    window_seconds: int = 3600,
    slo_seconds: float | None = None,
    cluster: str = "",
    namespace: str = "",
) -> RoutingFacts:
    """Return what is known of routing the model's requests.

    Args:
        readers: the readers.
        principal: who asks; a metrics store may be bound to teams.
        model: the registered model's name, without alias or version.
        window_seconds: how far back is measured; at least five minutes.
        slo_seconds: what is promised, where the call says it; else the platform file does.
        cluster: only what this cluster serves.
        namespace: only what is served in this namespace.

    Raises:
        NotFound: no cluster serves the model, and the registry has none of this name.
        Unavailable: no cluster has ever answered.
    """
    configured = await readers.clusters.clusters()
    names = [row.name for row in configured if cluster in ("", row.name)]
    problems: dict[str, str] = {}
    inventories = tuple(await read_inventories(readers, names))
    if inventories and all(never_seen(row) for row in inventories):
        raise Unavailable(
            f"No cluster has answered yet, so that nobody knows what serves {model}.",
            cause=said(inventories[0].problem),
            remedy="Try again, and check the clusters with `platform doctor`.",
        )
    around = Around(
        model, {row.name: row for row in configured}, inventories, readers, max(LEAST_WINDOW, window_seconds)
    )
    asked = Asked(
        readers.metrics,
        MetricScope(team=principal.team, roles=principal.roles, model=model, namespace=namespace),
        around.window_seconds,
        PART_SECONDS,
    )
    registered = Registered()
    observed: list[Observed] = []
    async with anyio.create_task_group() as group:
        group.start_soon(_registered, readers, model, _versions(inventories, model), registered, problems)
        places = [*await _places(problems, edge_places, around), *await _places(problems, cloud_places, around)]
        places = [place for place in places if namespace in ("", place.namespace)]
        observed = await measure(asked, places)
    if not observed and registered.model is None and "registry" not in problems:
        raise NotFound(
            f"There is no model {model!r}: no cluster serves it, and the registry has none of this name.",
            remedy="kind=models lists what is registered, kind=deployments what is served.",
        )
    facts = RoutingFacts(
        model=model,
        window_seconds=around.window_seconds,
        observed=tuple(speaking(row) if registered.speaks or row.kind == llm.KIND else row for row in observed),
        basis=around.tariff.basis,
        language=registered.speaks or any(row.kind == llm.KIND for row in observed),
        **of_model(asked),
    )
    facts = _resident(_promised(facts, around, slo_seconds), around, registered, problems)
    return facts.model_copy(update={"notes": (*_waiting(facts, inventories), *_stale(inventories), *_told(problems))})


@dataclass
class Registered:
    """What the registry says of a model: filled in while the metrics store is asked."""

    model: ModelRow | None = None
    versions: tuple[VersionRow, ...] = ()

    @property
    def speaks(self) -> bool:
        """Whether servers of the model answer through the OpenAI API: language models do."""
        task = [(format_of(row, self.model, None), task_of(row, self.model, None)) for row in self.versions]
        return any(is_language_model(*row) for row in task)


async def _registered(
    readers: Readers, model: str, versions: Sequence[str], found: Registered, problems: dict[str, str]
) -> None:
    """Read the model and the versions that serve; the newest where none does."""
    try:
        with anyio.fail_after(REGISTRY_SECONDS):
            found.model = await readers.registry.model(model)
            wanted = versions or ((found.model.latest,) if found.model and found.model.latest else ())
            rows = [await readers.registry.version(model, version) for version in wanted]
            found.versions = tuple(row for row in rows if row is not None)
    except TimeoutError:
        problems["registry"] = f"no answer within {REGISTRY_SECONDS:g} s"
    except PlatformError as error:
        problems["registry"] = error.message


def _versions(inventories: Sequence[Inventory], model: str) -> tuple[str, ...]:
    """Return the versions that are deployed; the newest few say enough."""
    found = {row.version for inventory in inventories for row in inventory.deployments if row.model == model}
    return tuple(sorted(version for version in found if version))[-4:]


async def _places(
    problems: dict[str, str], read: Callable[[Around], Awaitable[Sequence[Observed]]], around: Around
) -> Sequence[Observed]:
    try:
        with anyio.fail_after(PLACES_SECONDS):
            return await read(around)
    except TimeoutError:
        problems["clusters"] = f"no answer within {PLACES_SECONDS:g} s"
    return ()


def _told(problems: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"The {name} could not be read: {why}" for name, why in problems.items())


def _waiting(facts: RoutingFacts, inventories: Sequence[Inventory]) -> tuple[str, ...]:
    """Return which rollouts have not reached a node: the edge is not in the picture, and it is meant to be."""
    reached = {row.cluster for row in facts.of("edge")}
    return tuple(
        f"EdgeRollout {row.namespace}/{row.name} has not reached a node yet: {said(row.message) or 'it has said nothing'}"
        for inventory in inventories
        for row in inventory.deployments
        if row.kind == "EdgeRollout" and row.model == facts.model and row.cluster not in reached
    )


def _stale(inventories: Sequence[Inventory]) -> tuple[str, ...]:
    return tuple(
        f"Cluster {row.cluster} is {row.age_seconds} s old"
        + (f" and may have changed: {row.problem}" if row.problem else ".")
        for row in inventories
        if row.stale
    )


def _promised(facts: RoutingFacts, around: Around, slo_seconds: float | None) -> RoutingFacts:
    """Fill in what is promised: the call's word before the platform file's."""
    written = around.mine.slo_seconds
    seconds = slo_seconds or written
    if seconds is None:
        why = f"nobody wrote it down: set slo_seconds in the {FILE}.models"
        return facts.model_copy(update={"sources": {**facts.sources, "slo": Source(why=why)}})
    source = Source(where="the call" if slo_seconds else FILE)
    return facts.model_copy(update={"slo": Slo(seconds=seconds), "sources": {**facts.sources, "slo": source}})


def _resident(facts: RoutingFacts, around: Around, registered: Registered, problems: Mapping[str, str]) -> RoutingFacts:
    """Fill in where requests may be processed: where the registry (of every version that serves) and the platform file agree."""
    said = [model_facts(version, registered.model, around.now).residency for version in registered.versions]
    said.append(around.mine.regions)
    rules = [prefixes for prefixes in dict.fromkeys(said) if prefixes]
    sources = {**facts.sources, "residency": Source(where=f"registry tags and {FILE}")}
    if "registry" in problems:
        sources["residency"] = Source(why=f"the registry could not be read: {problems['registry']}")
    if not rules:
        return facts.model_copy(update={"typical": _typical(facts, frozenset()), "sources": sources})
    regions = {row.region for row in facts.observed}
    allowed = {region for region in regions if region and all(allowed_region(region, rule) for rule in rules)}
    prefixes = tuple(sorted({prefix for rule in rules for prefix in rule}))
    # where no target may, the prefixes themselves stand for regions that none of them is in
    typical = _typical(facts, frozenset(allowed or prefixes))
    return facts.model_copy(update={"residency": prefixes, "typical": typical, "sources": sources})


def _typical(facts: RoutingFacts, regions: frozenset[str]) -> Request:
    """Return the mean request of the window; lengths only where they are measured."""
    counted = [row for row in facts.observed if row.requests and row.prompt_tokens is not None]
    requests = sum(row.requests or 0.0 for row in counted)
    if not requests:
        return Request(regions=regions)
    prompt = sum(row.prompt_tokens or 0.0 for row in counted)
    output = sum(row.output_tokens or 0.0 for row in counted)
    return Request(prompt_tokens=round(prompt / requests), output_tokens=round(output / requests), regions=regions)
