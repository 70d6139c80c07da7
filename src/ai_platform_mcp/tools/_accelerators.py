"""From a need for accelerators to a pool, with its price and its facts: shared by every tool that takes devices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ai_platform_mcp.core.errors import InvalidInput, NotFound
from ai_platform_mcp.core.facts import ComputeFacts, QuotaFacts
from ai_platform_mcp.core.plan import Cost, Evidence, Risk, Target
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import Inventory
from ai_platform_mcp.core.wording import dollars
from ai_platform_mcp.domain.placement import Candidate, Need, explain, place, rejections
from ai_platform_mcp.domain.pools import Pool, pools_of
from ai_platform_mcp.manifests.common import Compute
from ai_platform_mcp.manifests.kueue import Queueing
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

    def outside_of_queues(self) -> Placed:
        """Return the same place for pods that Kueue does not see, so that nothing is promised of a queue.

        An InferenceService's pods carry no queue label: Kueue would hold them back only with its pod integration switched on
        for their namespace, and then by labels that its administrators choose. They start where a node has free devices.
        """
        pool = self.pool
        text = (
            f"Kueue neither admits nor counts these pods: they start when nodes of {pool.flavor} have "
            f"{self.need.count} free devices each, whatever is left of its quota ({pool.free} of {pool.nominal} now)."
        )
        cost = "no known price" if self.chosen.hourly_cents is None else f"{dollars(self.chosen.hourly_cents)} per hour"
        place_name = " ".join(part for part in (pool.cloud, pool.region) if part) or "place unknown"
        return replace(
            self,
            queued=False,
            reasons=(f"{pool.flavor} ({place_name}, {cost}) is the best fit of the on-demand pools.", text),
        )

    @property
    def pool(self) -> Pool:
        """The pool that was chosen."""
        return self.chosen.pool

    def compute(self) -> Compute:
        """Return what one pod takes. The flavor's node labels pin the pool: Kueue assigns no flavor they contradict."""
        return Compute(
            cpu=str(POD_CPU_PER_DEVICE * self.need.count),
            memory=f"{POD_MEMORY_GIB_PER_DEVICE * self.need.count}Gi",
            accelerators=self.need.count,
            accelerator_resource=self.pool.resource,
            node_selector=self.pool.node_labels,
        )

    def compute_facts(self) -> ComputeFacts:
        """Return what policy is told of the devices."""
        need = self.need
        return ComputeFacts(
            purpose=need.purpose,
            accelerator=self.pool.accelerator,
            count=need.devices,
            hours=need.hours,
            spot=self.pool.spot,
            checkpoint=need.checkpoint,
            deadline_seconds=None if need.hours is None else need.hours * 3600,
        )

    def quota_facts(self) -> QuotaFacts | None:
        """Return what policy is told of the queue, None where no queue is concerned."""
        if not self.queued:
            return None
        return QuotaFacts(
            queue=self.pool.local_queue,
            flavor=self.pool.flavor,
            nominal=self.pool.nominal,
            used=self.pool.used,
            requested=self.need.devices,
            forecast=self.chosen.forecast,
        )

    def target(self) -> Target:
        """Return where the work would run."""
        return self.where.target(cloud=self.pool.cloud, region=self.pool.region)

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


async def find_pool(readers: Readers, where: Place, need: Need, now: datetime) -> Placed:
    """Place a need among the pools that the namespace's LocalQueues lead to.

    Raises:
        CapabilityMissing: the cluster has no Kueue.
        NotFound: the namespace has no LocalQueue.
        InvalidInput: every pool is ruled out; the reasons are counted.
    """
    await kueue_api(readers, where.cluster.name)
    inventory = await read_inventory(readers, where.cluster.name)
    pools = pools_of(inventory, where.namespace.name, readers.platform.device_hourly_cents)
    if not pools:
        raise NotFound(
            f"The namespace {where.namespace.name!r} has no LocalQueue that leads to accelerators.",
            remedy="Ask the platform's administrators for a LocalQueue, or pass another namespace.",
        )
    placement = place(need, pools)
    chosen = placement.chosen
    if chosen is None:
        raise _ruled_out(placement.rejected, pools)
    return Placed(
        need=need,
        chosen=chosen,
        inventory=inventory,
        reasons=explain(placement),
        cost=await _cost(readers, where, chosen, now),
        queueing=Queueing(
            queue=chosen.pool.local_queue,
            priority_class=await priority_class(readers, where.cluster.name, where.environment, spot=chosen.pool.spot),
        ),
        where=where,
    )


async def _cost(readers: Readers, where: Place, chosen: Candidate, now: datetime) -> Cost | None:
    if chosen.hourly_cents is None:
        return None
    return Cost(
        hourly_cents=chosen.hourly_cents,
        total_cents=chosen.total_cents,
        budget_left_cents=await budget_left(readers, where.team, now),
        basis=readers.platform.price_basis,
    )


def _ruled_out(rejected: dict[str, int], pools: tuple[Pool, ...]) -> InvalidInput:
    remedies = [_REMEDIES[code] for code in rejected if code in _REMEDIES]
    offered = ", ".join(sorted({pool.accelerator for pool in pools}))
    if set(rejected) == {"accelerator"}:
        remedies = [f"accelerators here: {offered}"]
    remedy = "; or ".join(remedies) or f"accelerators here: {offered}"
    return InvalidInput(
        "No pool comes into question.",
        cause=f"Ruled out: {rejections(rejected)}.",
        remedy=f"{remedy[0].upper()}{remedy[1:]}.",
        details={"rejected": rejected, "accelerators": offered.split(", ")},
    )
