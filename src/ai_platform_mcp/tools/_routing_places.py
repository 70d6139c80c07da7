"""Where a model is served: the sites of the edge that run a release of it, and its services in the cloud, with what they cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import ClusterInfo, DeploymentRow, FlavorRow, Inventory, NodeRow
from ai_platform_mcp.core.tariff import ANY, ModelTariff, PlaceTariff, Tariff
from ai_platform_mcp.domain.objects import rows, section
from ai_platform_mcp.domain.pools import accelerator_matches, price_lists, price_of
from ai_platform_mcp.domain.routing.observed import Observed, Source
from ai_platform_mcp.domain.views import releases
from ai_platform_mcp.manifests import kserve, llm
from ai_platform_mcp.manifests.common import object_name
from ai_platform_mcp.manifests.edge import release_node_label
from ai_platform_mcp.tools._cloud import LiveService
from ai_platform_mcp.tools._language import LiveLanguageService

MOST_SERVICES = 12
"""Services of one model that are read one by one."""
FILE = "platform file, routing.tariff"
_REGION = "topology.kubernetes.io/region"
_NO_REGION = (
    "neither the service nor its cluster says which region it is in: set region of the cluster in the platform file"
)
_VERSIONS = {"InferenceService": (kserve.API,), llm.KIND: llm.APIS}
_OPENAI_PATH = {"InferenceService": "/openai/v1", llm.KIND: "/v1", "EdgeRollout": "/v1"}
"""Where the servers of each kind answer as OpenAI does (KServe's Hugging Face server, vLLM)."""


@dataclass(frozen=True)
class Around:
    """What every place is told with."""

    model: str
    clusters: Mapping[str, ClusterInfo]
    inventories: Sequence[Inventory]
    readers: Readers
    window_seconds: int

    @property
    def tariff(self) -> Tariff:
        """What the platform file says of serving."""
        return self.readers.platform.tariff

    @cached_property
    def mine(self) -> ModelTariff:
        """What it says of this model."""
        return self.tariff.of(self.model)

    @cached_property
    def now(self) -> datetime:
        """When this was asked."""
        return self.readers.clock.now()

    def named(self, cluster: str, name: str) -> str:
        """Return a target's name: its cluster is part of it where there are several."""
        return f"{cluster}/{name}" if len(self.clusters) > 1 else name

    def existed(self, since: datetime | None) -> int:
        """Return for how many seconds of the window something has been there; all of it where that is not known."""
        if since is None:
            return self.window_seconds
        return max(1, min(self.window_seconds, round((self.now - since).total_seconds())))


def speaking(place: Observed) -> Observed:
    """Return the place of a language model: its URL is where its server answers as OpenAI does."""
    url = f"{place.base_url}{_OPENAI_PATH[place.kind]}" if place.base_url else ""
    return place.model_copy(update={"base_url": url})


# --- the edge ------------------------------------------------------------------------------------------------------


async def edge_places(around: Around) -> list[Observed]:
    """Return every site that has a node with a release of the model."""
    label = release_node_label(around.model)
    found: list[Observed] = []
    for inventory in around.inventories:
        sites: dict[str, list[NodeRow]] = {}
        for node in inventory.nodes:
            if node.role == "edge" and node.labels.get(label):
                sites.setdefault(node.site or node.name, []).append(node)
        if not sites:
            continue
        rollouts = [row for row in inventory.deployments if row.kind == "EdgeRollout" and row.model == around.model]
        namespace = next((row.namespace for row in rollouts), "")
        url, source = await _edge_url(around, inventory.cluster, namespace)
        since = min((row.created for row in rollouts if row.created), default=None)
        for site, nodes in sorted(sites.items()):
            found.append(_site(around, inventory, site, nodes, namespace, (url, source), since))
    return found


async def _edge_url(around: Around, cluster: str, namespace: str) -> tuple[str, Source]:
    """Return where a node's own pod answers, by the Service that every node reaches its own through."""
    name = object_name(around.model, "edge", length=63)
    if not namespace:
        return "", Source(why="no EdgeRollout of the model is there, so that its namespace is not known")
    try:
        live = await around.readers.clusters.get(cluster, "v1", "Service", name, namespace)
    except PlatformError as error:
        return "", Source(why=error.message)
    port = next((row.get("port") for row in rows(live, "spec", "ports")), None)
    if live is None or port is None:
        return "", Source(why=f"Service {namespace}/{name} does not exist: nothing names the model's port on a node")
    return f"http://{name}.{namespace}.svc:{port}", Source(where=f"Service {namespace}/{name}")


def _site(
    around: Around,
    inventory: Inventory,
    site: str,
    nodes: Sequence[NodeRow],
    namespace: str,
    url: tuple[str, Source],
    since: datetime | None,
) -> Observed:
    label = release_node_label(around.model)
    mine, first = around.mine.edge, nodes[0]
    cents, source = _edge_cents(around, nodes)
    seen = Source(where=f"inventory {inventory.cluster}", age_seconds=inventory.age_seconds)
    return Observed(
        name=around.named(inventory.cluster, site),
        kind="EdgeRollout",
        tier="edge",
        cluster=inventory.cluster,
        namespace=namespace,
        region=first.region,
        site=site,
        failure_domain=around.named(inventory.cluster, site),
        versions=tuple(sorted({node.labels[label] for node in nodes})),
        units=len(nodes),
        ready=sum(node.ready and node.schedulable for node in nodes),
        measured_seconds=around.existed(since),
        base_url=url[0],
        fixed_cents_per_hour=cents,
        unit_cents_per_hour=None if cents is None else cents / len(nodes),
        devices_per_unit=max(node.accelerators for node in nodes),
        **_said(mine),
        sources={"units": seen, "base_url": url[1], "fixed_cents_per_hour": source, **_where(mine)},
    )


def _edge_cents(around: Around, nodes: Iterable[NodeRow]) -> tuple[float | None, Source]:
    """Return what the nodes cost for an hour, offline ones too; a node that runs several models is shared by them evenly."""
    said = around.mine.edge.unit_hourly_cents
    cents = 0.0
    for node in nodes:
        whole = _node_cents(around.tariff, node)
        if said is None and whole is None:
            why = (
                f"nobody wrote down what a {node.accelerator or 'node'} costs: set edge_node_hourly_cents in the {FILE}"
            )
            return None, Source(why=why)
        cents += said if said is not None else (whole or 0.0) / max(1, len(releases(node)))
    return cents, Source(where=f"{FILE} ({around.tariff.basis})")


def _node_cents(tariff: Tariff, node: NodeRow) -> float | None:
    prices = tariff.edge_node_hourly_cents
    if node.site in prices:
        return prices[node.site]
    named = (cents for name, cents in prices.items() if name != ANY and accelerator_matches(name, node.accelerator))
    return next(named, prices.get(ANY))


# --- the cloud -----------------------------------------------------------------------------------------------------


async def cloud_places(around: Around) -> list[Observed]:
    """Return one target per namespace that serves the model: a service and its canary are measured and paid as one."""
    found: list[Observed] = []
    for inventory in around.inventories:
        served: dict[str, list[DeploymentRow]] = {}
        for row in inventory.deployments:
            if row.model == around.model and row.kind in _VERSIONS:
                served.setdefault(row.namespace, []).append(row)
        for namespace, services in sorted(served.items()):
            if len(found) < MOST_SERVICES:
                found.append(await _service(around, inventory, namespace, services))
    return found


async def _service(around: Around, inventory: Inventory, namespace: str, services: Sequence[DeploymentRow]) -> Observed:
    stable = services[0]
    live = await _live(around.readers, stable)
    kept = LiveLanguageService(stable.name, live) if stable.kind == llm.KIND else LiveService(stable.name, live)
    selector = {str(key): str(value) for key, value in kept.node_selector.items()}
    info, flavor = around.clusters[inventory.cluster], _flavor(inventory, selector)
    region = selector.get(_REGION) or info.region or (flavor.region if flavor else "")
    replicas = sum(row.replicas or 0 for row in services)
    tier: Literal["edge", "cloud"] = stable.target
    mine = around.mine.cloud if tier == "cloud" else around.mine.edge
    unit, source = _replica_cents(around, mine, info, kept.devices, flavor, live)
    # requests with a price of their own pay for the replicas behind them: counting both would count one cost twice
    fixed = None if unit is None or mine.per_request else unit * replicas
    priced = Source(why="requests have a price of their own, which covers the replicas") if mine.per_request else source
    url, where = _cloud_url(live, stable)
    seen = Source(where=f"inventory {inventory.cluster}", age_seconds=inventory.age_seconds)
    said = _said(mine)
    said["slots_per_unit"] = mine.slots or _concurrency(live)
    return Observed(
        name=around.named(inventory.cluster, f"{namespace}/{stable.name}"),
        kind=stable.kind,
        tier=tier,
        cluster=inventory.cluster,
        namespace=namespace,
        region=region,
        failure_domain=around.named(inventory.cluster, region or "cloud"),
        versions=tuple(sorted({row.version for row in services if row.version})),
        units=replicas,
        ready=sum((row.replicas or 0) for row in services if row.ready),
        measured_seconds=around.existed(min((row.created for row in services if row.created), default=None)),
        base_url=url,
        picker=stable.kind == llm.KIND and bool(section(live, "spec", "router", "scheduler")),
        spot=bool(flavor and flavor.spot),
        fixed_cents_per_hour=fixed,
        unit_cents_per_hour=unit,
        devices_per_unit=kept.devices,
        **said,
        sources={
            "units": seen,
            "base_url": where,
            "region": seen if region else Source(why=_NO_REGION),
            "fixed_cents_per_hour": priced,
            "unit_cents_per_hour": source,
            **_where(mine),
        },
    )


async def _live(readers: Readers, row: DeploymentRow) -> type_json | None:
    """Return the live object, None where it is gone or its cluster does not answer: the row is told all the same."""
    try:
        for version in _VERSIONS[row.kind]:
            if await readers.clusters.serves(row.cluster, version, row.kind):
                return await readers.clusters.get(row.cluster, version, row.kind, row.name, row.namespace)
    except PlatformError:
        return None
    return None


def _flavor(inventory: Inventory, selector: Mapping[str, str]) -> FlavorRow | None:
    """Return the flavor whose nodes the service selects: all of a flavor's labels are among those that it asks for."""
    for row in inventory.flavors:
        if row.node_labels and row.node_labels.items() <= selector.items():
            return row
    products = [value for key, value in selector.items() if "product" in key or "accelerator" in key]
    return next((row for row in inventory.flavors if row.accelerator in products), None)


def _replica_cents(
    around: Around,
    mine: PlaceTariff,
    info: ClusterInfo,
    devices: int,
    flavor: FlavorRow | None,
    live: type_json | None,
) -> tuple[float | None, Source]:
    said = around.mine.cloud.unit_hourly_cents
    if said is not None:
        return said, Source(where=f"{FILE} ({around.tariff.basis})")
    set_it = f"set unit_hourly_cents in the {FILE}.models"
    if live is None:
        return None, Source(why="the service could not be read")
    if not devices:
        return None, Source(why=f"its replicas ask for no accelerators, and processors have no price here: {set_it}")
    if flavor is None:
        return None, Source(why=f"the service does not say which pool its accelerators are of: {set_it}")
    cents, basis = price_of(flavor, price_lists(info, around.readers.platform))
    if cents is None:
        return None, Source(why=f"no price is known of {flavor.flavor}: set it under prices in the platform file")
    return float(cents * devices), Source(where=f"{devices} x {flavor.flavor}, {basis}")


def _cloud_url(live: type_json | None, row: DeploymentRow) -> tuple[str, Source]:
    inside = str(section(live, "status", "address").get("url") or "") or row.url
    if not inside:
        return "", Source(why=f"{row.kind} {row.namespace}/{row.name} reports no address: it may not be ready")
    return inside.rstrip("/"), Source(where=f"status of {row.kind} {row.namespace}/{row.name}")


def _concurrency(live: type_json | None) -> int | None:
    """Return how many requests a replica takes at a time, where the service limits it."""
    limit = section(live, "spec", "predictor").get("containerConcurrency")
    return limit if isinstance(limit, int) and limit > 0 else None


# --- what the platform file says -------------------------------------------------------------------------------------


def _said(mine: PlaceTariff) -> dict[str, Any]:
    return {
        "request_cents": mine.request_cents,
        "prompt_cents_per_1k": mine.prompt_cents_per_1k,
        "output_cents_per_1k": mine.output_cents_per_1k,
        "context_tokens": mine.context_tokens,
        "slots_per_unit": mine.slots,
    }


def _where(mine: PlaceTariff) -> dict[str, Source]:
    written = Source(where=FILE)
    unknown = {
        "request_cents": f"no price of a request is written down: set it in the {FILE}.models",
        "slots_per_unit": "how many requests one serves at a time is not written down: one is certain, and what was seen at once",
        "context_tokens": f"nobody wrote down a limit: set context_tokens in the {FILE}.models where there is one",
    }
    said = _said(mine) | {"request_cents": True if mine.per_request else None}
    return {name: written if said[name] is not None else Source(why=why) for name, why in unknown.items()}
