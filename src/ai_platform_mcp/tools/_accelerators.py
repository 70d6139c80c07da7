"""From a need for accelerators to a pool, with its price and its facts: shared by every tool that takes devices."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ai_platform_mcp.core.errors import InvalidInput, NotFound, Unavailable
from ai_platform_mcp.core.facts import ComputeFacts, QuotaFacts
from ai_platform_mcp.core.plan import Apply, Cost, Evidence, Risk, Target
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import Inventory
from ai_platform_mcp.core.tool import PlanContext
from ai_platform_mcp.core.wording import dollars
from ai_platform_mcp.domain.devices import Classes, is_class_name, reachable, why_so
from ai_platform_mcp.domain.placement import Candidate, Need, explain, place, rejections
from ai_platform_mcp.domain.pools import Pool, pools_of, price_lists
from ai_platform_mcp.manifests.common import Compute, Origin
from ai_platform_mcp.manifests.kueue import Queueing
from ai_platform_mcp.tools._claims import Claim, claim_for, classes_of
from ai_platform_mcp.tools._places import Places, at_each
from ai_platform_mcp.tools._reading import (
    Place,
    budget_left,
    inventory_evidence,
    kueue_api,
    priority_class,
    read_inventory,
)

POD_CPU_PER_DEVICE = 8
POD_MEMORY_GIB_PER_DEVICE = 64
"""What a pod gets beside each accelerator: below the share of one device on the eight-device nodes that clouds rent out."""

_REMEDIES = {
    "spot_without_checkpoint": "pass checkpoint (where the work saves its state)",
    "on_demand_only": "pass capacity=auto",
    "spot_not_wanted": "pass capacity=auto",
    "spot_for_service": "pass capacity=on_demand",
    "region": "widen regions",
    "node_size": "ask for fewer devices per node and more nodes",
    "price": "raise max_hourly_dollars",
    "queue": "leave out queue",
    "inseparable": "have an administrator give the queue's flavors node labels of their own",
}


@dataclass(frozen=True)
class Placed:
    """A need that found its pool, with everything a draft says about it."""

    need: Need
    chosen: Candidate
    inventory: Inventory
    reasons: tuple[str, ...]
    cost: Cost | None
    queueing: Queueing
    where: Place
    queued: bool = True
    """Whether Kueue admits the work."""
    across: bool = False
    """Whether it was chosen among several clusters."""
    claim: Claim | None = None
    """How each pod claims its devices, None where they are a device plugin's resource."""
    asked: str = ""
    """Why they are asked for that way, in a sentence; empty where the cluster leaves no choice."""

    def outside_of_queues(self) -> Placed:
        """Return the same place for pods that Kueue does not see, so that nothing is promised of a queue.

        An InferenceService's pods carry no queue label: Kueue would hold them back only with its pod integration switched on
        for their namespace, and then by labels that its administrators choose. They start where a node has free devices.
        """
        pool, chosen = self.pool, self.chosen.pinned(self.need)
        text = (
            f"Kueue neither admits nor counts these pods: they start when nodes of {pool.flavor} have "
            f"{self.need.count} free devices each, whatever is left of its quota ({pool.free} of {pool.nominal} now)."
        )
        cost = "no known price" if chosen.hourly_cents is None else f"{dollars(chosen.hourly_cents)} per hour"
        place_name = " ".join(part for part in (pool.cloud, pool.region) if part) or "place unknown"
        return replace(
            self,
            queued=False,
            chosen=chosen,
            claim=self.claim and replace(self.claim, operation=""),
            cost=_cost(chosen, self.cost.budget_left_cents if self.cost else None),
            reasons=(
                f"{pool.flavor} ({place_name}, {cost}) is the best fit of the on-demand pools.",
                text,
                *([self.asked] if self.asked else []),
            ),
        )

    @property
    def pool(self) -> Pool:
        """The pool that would be used now."""
        return self.chosen.pool

    @property
    def flavors(self) -> str:
        """Every flavor that may admit the work, in Kueue's order."""
        return " or ".join(row.flavor for row in self.chosen.pools)

    def compute(self) -> Compute:
        """Return what one pod takes. Its node labels rule out every flavor that must not admit the work, and no other."""
        return Compute(
            cpu=str(POD_CPU_PER_DEVICE * self.need.count),
            memory=f"{POD_MEMORY_GIB_PER_DEVICE * self.need.count}Gi",
            accelerators=self.need.count,
            accelerator_resource=self.pool.resource,
            claim_template=self.claim.name if self.claim else None,
            node_selector=self.chosen.selector,
        )

    def claim_steps(self, origin: Origin) -> tuple[Apply, ...]:
        """Return what must be there before the work is: its claim template, none where a device plugin serves."""
        return (self.claim.step(self.where, origin),) if self.claim else ()

    def compute_facts(self, *, ends: bool = True) -> ComputeFacts:
        """Return what policy is told of the devices. ``ends``: the cluster stops the work after its hours."""
        need = self.need
        return ComputeFacts(
            purpose=need.purpose,
            accelerator=self.pool.accelerator,
            count=need.devices,
            hours=need.hours,
            spot=self.pool.spot,
            checkpoint=need.checkpoint,
            deadline_seconds=need.hours * 3600 if need.hours is not None and ends else None,
        )

    def quota_facts(self) -> QuotaFacts | None:
        """Return what policy is told of the queue, None where no queue is concerned."""
        if not self.queued:
            return None
        return QuotaFacts(
            queue=self.pool.local_queue,
            flavor=self.flavors,
            nominal=sum(row.nominal for row in self.chosen.pools),
            used=sum(row.used for row in self.chosen.pools),
            requested=self.need.devices,
            forecast=self.chosen.forecast,
        )

    @property
    def place_name(self) -> str:
        """Return the namespace, with its cluster where that was a choice."""
        name = self.where.namespace.name
        return f"{name} of cluster {self.where.cluster.name}" if self.across else name

    def target(self) -> Target:
        """Return where the work would run now."""
        return self.where.target(cloud=self.pool.cloud, region=self.pool.region)

    def targets(self) -> tuple[Target, ...]:
        """Return everywhere the work may run, one target per cloud and region."""
        found = dict.fromkeys((row.cloud, row.region) for row in self.chosen.pools)
        return tuple(self.where.target(cloud=cloud, region=region) for cloud, region in found)

    def risks(self) -> tuple[Risk, ...]:
        """Return what a person should weigh."""
        found: list[Risk] = []
        if self.pool.spot:
            found.append(
                Risk(
                    severity="warning",
                    text="Spot nodes can be taken away at any time; work resumes from its checkpoint.",
                )
            )
        if not self.queued:
            text = f"The pods wait as Pending where no node of {self.pool.flavor} has room: no queue holds a place."
            found.append(Risk(severity="info", text=text))
        elif uncovered := [name for name in ("cpu", "memory") if name not in self.pool.covered]:
            found.append(Risk(severity="danger", text=_not_covered(self.pool, uncovered)))
        elif self.chosen.forecast == "queued":
            found.append(Risk(severity="info", text=self.chosen.why))
        elif self.chosen.forecast == "never":
            found.append(Risk(severity="danger", text=self.chosen.why))
        if self.inventory.stale:
            text = f"The inventory is {self.inventory.age_seconds} s old; the forecast may be out of date."
            found.append(Risk(severity="warning", text=text))
        return tuple(found)

    def evidence(self) -> Evidence:
        """Return how old the rows were that the choice was made from."""
        return inventory_evidence(self.inventory)


@dataclass(frozen=True)
class _Offer:
    """The pools of one place."""

    where: Place
    inventory: Inventory
    pools: tuple[Pool, ...]
    classes: Classes


async def find_pool(readers: Readers, where: Place | Places, need: Need, context: PlanContext) -> Placed:
    """Place a need among the pools that the namespaces' LocalQueues lead to, in one cluster or over several.

    Of several clusters, one that does not answer, or only from memory, is passed over.

    Raises:
        CapabilityMissing: the cluster has no Kueue.
        NotFound: the namespace has no LocalQueue.
        InvalidInput: every pool is ruled out; the reasons are counted.
        NotFound, Unavailable: no cluster comes into question; each says why.
    """
    places = where if isinstance(where, Places) else Places((where,))

    async def offer(place: Place) -> _Offer:
        return await _offer(readers, place, current=places.several)

    places, offers = await at_each(places, offer)
    pools = tuple(pool for row in offers for pool in row.pools)
    placement = place(need, pools)
    chosen = placement.chosen
    if chosen is None:
        raise _ruled_out(placement.rejected, pools, places)
    found = next(row for row in offers if row.where.cluster.name == chosen.pool.cluster)
    at = found.where
    why = why_so(chosen.pool, found.classes)
    priority, unread = await priority_class(readers, at.cluster.name, at.environment, spot=chosen.pool.spot)
    further = tuple(text for text in (why, unread) if text)
    return Placed(
        need=need,
        chosen=chosen,
        inventory=found.inventory,
        reasons=(*explain(placement, clusters=places.several), *further, *places.reasons()),
        cost=_cost(chosen, await budget_left(readers, at.team, context.now)),
        queueing=Queueing(
            queue=chosen.pool.local_queue,
            priority_class=priority,
        ),
        where=at,
        across=places.several,
        claim=await claim_for(readers, at.cluster.name, chosen.pool, need, context)
        if is_class_name(chosen.pool.resource)
        else None,
        asked=why,
    )


async def _offer(readers: Readers, where: Place, *, current: bool) -> _Offer:
    """Return what a place has. ``current``: what is only remembered of its cluster does not count."""
    cluster = where.cluster
    await kueue_api(readers, cluster.name)
    inventory = await read_inventory(readers, cluster.name)
    if current and inventory.stale:
        raise Unavailable(f"last seen {inventory.age_seconds} s ago.", cause=inventory.problem)
    classes = await classes_of(readers, cluster.name)
    pools = reachable(pools_of(inventory, where.namespace.name, price_lists(cluster, readers.platform)), classes)
    if not pools:
        raise NotFound(
            f"The namespace {where.namespace.name!r} has no LocalQueue that leads to accelerators.",
            cause=inventory.problem,
            remedy="Ask the platform's administrators for a LocalQueue, or pass another namespace.",
        )
    return _Offer(where, inventory, pools, classes)


def _not_covered(pool: Pool, resources: list[str]) -> str:
    """Say what keeps work out for ever (seen with Kueue 0.19.2: «resource cpu unavailable in ClusterQueue»)."""
    return (
        f"ClusterQueue {pool.cluster_queue} has no quota for {' and '.join(resources)}, which the pods request: Kueue admits "
        "nothing that requests what its queue does not cover, unless its configuration leaves these out "
        "(resources.excludeResourcePrefixes). Have quota added, or choose another queue."
    )


def _cost(chosen: Candidate, budget_left_cents: int | None) -> Cost | None:
    if chosen.hourly_cents is None:
        return None
    return Cost(
        hourly_cents=chosen.hourly_cents,
        total_cents=chosen.total_cents,
        budget_left_cents=budget_left_cents,
        basis="; ".join(dict.fromkeys(row.price_basis for row in chosen.pools)),
        at_most=chosen.at_most,
    )


def _ruled_out(rejected: dict[str, int], pools: tuple[Pool, ...], places: Places) -> InvalidInput:
    remedies = [_REMEDIES[code] for code in rejected if code in _REMEDIES]
    offered = ", ".join(sorted({pool.accelerator for pool in pools}))
    if set(rejected) == {"accelerator"}:
        remedies = [f"accelerators here: {offered}"]
    remedy = "; or ".join(remedies) or f"accelerators here: {offered}"
    return InvalidInput(
        "No pool comes into question.",
        cause=" ".join((f"Ruled out: {rejections(rejected)}.", *places.reasons())),
        remedy=f"{remedy[0].upper()}{remedy[1:]}.",
        details={"rejected": rejected, "accelerators": offered.split(", ")},
    )
