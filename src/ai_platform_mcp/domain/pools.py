"""What a namespace can ask Kueue for: one row per LocalQueue and flavor, with what is free now and what could ever be.

Kueue admits a pod set on one flavor: a request fits whole or not at all. A ClusterQueue may use its nominal quota plus what
it may borrow, as long as its cohort as a whole has that much unused.
Source: https://kueue.sigs.k8s.io/docs/concepts/cohort/ and cluster_queue/#borrowinglimit
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.core.ports import PlatformFacts
from ai_platform_mcp.core.rows import ClusterInfo, FlavorRow, Inventory, NodeRow

ALIASES = {"tpu-v5e": ("tpu-v5e", "tpu-v5-lite", "v5litepod", "v5lite")}
"""Names that clouds give the same accelerator."""


FLAVOR_BASIS = "the flavor's own price"


class PriceList(Value):
    """Cents per device-hour by flavor name or accelerator, and where they come from."""

    device_hourly_cents: dict[str, int]
    basis: str


class Pool(Value):
    """A flavor as one namespace reaches it. Counts are whole devices; the price is of one device for an hour, in cents."""

    flavor: str
    resource: str
    local_queue: str
    cluster_queue: str
    accelerator: str
    cloud: str
    region: str
    spot: bool
    device_hourly_cents: int | None
    nominal: int
    used: int
    free: int
    """What a workload could get at this moment, borrowing included."""
    ceiling: int
    """What a workload could get with nothing else running, borrowing included."""
    pending: int
    """Workloads that wait in the ClusterQueue."""
    node_devices: int
    """Devices of the largest node of this pool; 0 where no node is known (a pool that scales from zero)."""
    active: bool = True
    cluster: str = ""
    namespace: str = ""
    order: int = 0
    """Its place in the ClusterQueue, which is the only preference that Kueue has."""
    price_basis: str = ""
    """Where the price comes from."""
    covered: tuple[str, ...] = ()
    """Every resource that its ClusterQueue has quota for."""
    node_labels: dict[str, str] = Field(default_factory=dict)


def accelerator_matches(wanted: str, *names: str) -> bool:
    """Tell whether ``wanted`` (``a100``, ``tpu-v5e``) names one of the products or flavors, whatever the case."""
    spellings = ALIASES.get(wanted.lower(), (wanted.lower(),))
    return any(spelling in name.lower() for name in names for spelling in spellings)


def pools_of(inventory: Inventory, namespace: str, prices: Sequence[PriceList] = ()) -> tuple[Pool, ...]:
    """Return every pool that a LocalQueue of ``namespace`` leads to, by flavor name.

    ``prices`` are for flavors that carry no price themselves; the first list that knows one wins.
    """
    waiting: dict[str, int] = {}
    for queue in inventory.queues:
        waiting[queue.cluster_queue] = waiting.get(queue.cluster_queue, 0) + queue.pending
    largest = _largest_nodes(inventory.flavors, inventory.nodes)
    pools: list[Pool] = []
    for queue in inventory.queues:
        if queue.namespace != namespace:
            continue
        for order, row in enumerate(inventory.flavors):
            if row.queue == queue.cluster_queue:
                free, ceiling = quota(row, inventory.flavors)
                cents, basis = price_of(row, prices)
                pools.append(
                    Pool(
                        flavor=row.flavor,
                        resource=row.resource,
                        local_queue=queue.name,
                        cluster_queue=row.queue,
                        accelerator=row.accelerator or row.flavor,
                        cloud=row.cloud,
                        region=row.region,
                        spot=row.spot,
                        device_hourly_cents=cents,
                        price_basis=basis,
                        nominal=row.nominal,
                        used=_taken(row),
                        free=free,
                        ceiling=ceiling,
                        pending=waiting[queue.cluster_queue],
                        node_devices=largest.get(_labels_of(row), 0),
                        active=queue.active,
                        cluster=inventory.cluster,
                        namespace=namespace,
                        order=order,
                        node_labels=row.node_labels,
                        covered=row.covered,
                    )
                )
    return tuple(sorted(pools, key=lambda pool: (pool.flavor, pool.local_queue)))


def quota(row: FlavorRow, flavors: Sequence[FlavorRow]) -> tuple[int, int]:
    """Return how many devices the ClusterQueue could hand out now, and at most, of this flavor."""
    if not row.cohort:
        return max(0, row.nominal - _taken(row)), row.nominal
    cohort = [other for other in flavors if _lends_to(other, row)]
    whole = sum(other.nominal for other in cohort)
    unused = whole - sum(_taken(other) for other in cohort)
    own = whole if row.borrowing_limit is None else row.nominal + row.borrowing_limit
    ceiling = min(own, whole)
    return max(0, min(ceiling - _taken(row), unused)), ceiling


def price_of(row: FlavorRow, prices: Sequence[PriceList]) -> tuple[int | None, str]:
    """Return the price of one device-hour and its basis: the flavor's own, else of the first list that knows one.

    A list is asked by flavor name first, then by accelerator.
    """
    if row.hourly_cents is not None:
        return row.hourly_cents, FLAVOR_BASIS
    for known in prices:
        cents = known.device_hourly_cents.get(row.flavor)
        if cents is None:
            named = known.device_hourly_cents.items()
            cents = next((cents for name, cents in named if accelerator_matches(name, row.accelerator)), None)
        if cents is not None:
            return cents, known.basis
    return None, ""


def price_lists(cluster: ClusterInfo, platform: PlatformFacts) -> tuple[PriceList, ...]:
    """Return what is asked for prices that a flavor does not carry itself: the cluster's list, then the platform's."""
    own = PriceList(device_hourly_cents=cluster.device_hourly_cents, basis=cluster.price_basis)
    return (own, PriceList(device_hourly_cents=dict(platform.device_hourly_cents), basis=platform.price_basis))


def priced(inventory: Inventory, prices: Sequence[PriceList]) -> Inventory:
    """Return the inventory with a price on every flavor that one is known for."""
    flavors = tuple(
        row if row.hourly_cents is not None else row.model_copy(update={"hourly_cents": price_of(row, prices)[0]})
        for row in inventory.flavors
    )
    return inventory.model_copy(update={"flavors": flavors})


def _lends_to(other: FlavorRow, row: FlavorRow) -> bool:
    return (other.cluster, other.cohort, other.flavor, other.resource) == (
        row.cluster,
        row.cohort,
        row.flavor,
        row.resource,
    )


def _taken(row: FlavorRow) -> int:
    """Quota is gone once it is reserved, before anything runs on it."""
    return max(row.used, row.reserved)


type_labels = frozenset[tuple[str, str]]


def _labels_of(row: FlavorRow) -> type_labels:
    return frozenset(row.node_labels.items())


def _largest_nodes(flavors: Sequence[FlavorRow], nodes: Sequence[NodeRow]) -> dict[type_labels, int]:
    """Return the devices of the largest node by a flavor's labels, in one pass over the nodes.

    Flavors mostly differ in the values of the same few labels, so that a node's values of those find its flavor.
    """
    keys = {tuple(sorted(row.node_labels)) for row in flavors if row.node_labels}
    found: dict[type_labels, int] = {}
    for node in nodes:
        if not node.accelerators:
            continue
        for names in keys:
            if all(name in node.labels for name in names):
                labels = frozenset((name, node.labels[name]) for name in names)
                found[labels] = max(found.get(labels, 0), node.accelerators)
    return found
