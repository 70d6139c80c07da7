"""The cloud half of a deployment: where it may be, how large it is, and the part of the plan that serves it there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.plan import Target
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.tool import PlanContext
from ai_platform_mcp.domain.objects import ref_of, section
from ai_platform_mcp.domain.targets import allowed_region
from ai_platform_mcp.manifests import kserve
from ai_platform_mcp.manifests.common import Compute, Origin
from ai_platform_mcp.tools._accelerators import Placed, find_pool
from ai_platform_mcp.tools._cloud import CloudPart, LiveService, Size, Wanted
from ai_platform_mcp.tools._halves import Half
from ai_platform_mcp.tools._language import LiveLanguageService, language_part, read_service
from ai_platform_mcp.tools._models import Chosen
from ai_platform_mcp.tools._reading import Place
from ai_platform_mcp.tools._serverless import (
    CLOUDS,
    DEFAULT_INSTANCES,
    LiveServerless,
    read_serverless,
    serverless_part,
)
from ai_platform_mcp.tools._serving import cloud_part
from ai_platform_mcp.tools._sizing import need_of, replicas_of

FIRST_STEP_PERCENT = {"dev": 0, "staging": 20, "production": 10}
"""Share of the cloud traffic that a new version gets first where the call does not say; 0 is all at once."""
REGION_LABEL = "topology.kubernetes.io/region"


@dataclass(frozen=True)
class Asked:
    """What a call says of the cloud half."""

    regions: tuple[str, ...]
    accelerator: str
    runtime: str
    strategy: Wanted
    canary_percent: int | None
    min_replicas: int | None
    max_replicas: int | None
    force: bool
    serverless: bool


@dataclass(frozen=True)
class CloudHalf:
    """What is asked for, what was read, and where it would be."""

    asked: Asked
    half: Half
    chosen: Chosen
    service: LiveService
    origin: Origin

    @property
    def where(self) -> Place:
        """Its cluster and namespace."""
        return self.half.where

    @property
    def place(self) -> str:
        """What people call it."""
        return self.service.title if isinstance(self.service, LiveServerless) else "cloud"

    def obstacle(self) -> str:
        """Return why the cloud cannot be used at all, as a sentence; empty where it can."""
        problem, cluster = self.half.obstacle("cloud"), self.where.cluster
        own_kind = isinstance(self.service, LiveLanguageService | LiveServerless)
        if not problem and not (own_kind or self.half.can.serves(kserve.API, "InferenceService")):
            problem = f"The cluster {cluster.name} does not serve KServe's InferenceService."
        if not problem and self.asked.regions and not self.regions():
            wanted = ", ".join(self.asked.regions)
            problem = f"No cloud node of {cluster.name} is in {wanted}."
            if isinstance(self.service, LiveServerless):
                problem = f"{self.service.title} would be in {self.service.location}, not in {wanted}."
        return problem

    def regions(self) -> tuple[str, ...]:
        """Return the regions where it could be, narrowed to those asked for: of the cluster's cloud nodes, or its own."""
        if isinstance(self.service, LiveServerless):
            found = {self.service.location}
        else:
            nodes = self.half.inventory.nodes
            found = {node.region for node in nodes if node.role == "cloud" and node.ready and node.region}
            found |= {self.where.cluster.region} - {""}
        asked = self.asked.regions
        return tuple(sorted(region for region in found if not asked or region.startswith(asked)))

    def replicas(self) -> tuple[int, int]:
        """Return the least and the most replicas: as asked for, else as it has them, else by what it is."""
        low, high, service = self.asked.min_replicas, self.asked.max_replicas, self.service
        beside = isinstance(service, LiveServerless)
        if low is None and self.asked.serverless and not (beside and service.live):
            low = 0
        if high is None and beside and not service.replicas("maxReplicas"):
            high = max(DEFAULT_INSTANCES, low or 0)
        return replicas_of(service, low, high)

    def percent(self) -> int:
        """Return the share of the traffic that a new version gets first."""
        asked = self.asked.canary_percent
        return FIRST_STEP_PERCENT[self.where.environment] if asked is None else asked

    async def pool(self, readers: Readers, context: PlanContext) -> tuple[Placed | None, str]:
        """Return the pool for the replicas' accelerators and why so many, None where the model serves on processors."""
        if isinstance(self.service, LiveServerless):
            return None, ""
        residency = self.chosen.facts.residency
        regions = tuple(row for row in self.regions() if allowed_region(row, residency))
        need, why = need_of(
            self.chosen,
            self.service,
            self.half.inventory,
            accelerator=self.asked.accelerator,
            nodes=self.replicas()[1],
            regions=regions if self.asked.regions or residency else (),
        )
        if need is None:
            return None, ""
        return (await find_pool(readers, self.where, need, context)).outside_of_queues(), why

    async def part(self, readers: Readers, placed: Placed | None, why: str) -> CloudPart:
        """Return what it contributes to the draft. ``why`` says how many accelerators, where any are taken."""
        asked, service, can, origin = self.asked, self.service, self.half.can, self.origin
        wanted, percent, force = asked.strategy, self.percent(), asked.force
        low, high = self.replicas()
        if isinstance(service, LiveServerless):
            return serverless_part(
                self.where, self.chosen, service, (low, high), wanted=wanted, percent=percent,
                said=asked.canary_percent is not None, force=force, can=can, origin=origin,
            )  # fmt: skip
        compute = placed.compute() if placed else Compute(node_selector=self._region_pin())
        size = Size(min_replicas=low, max_replicas=high, compute=compute)
        if isinstance(service, LiveLanguageService):
            part = language_part(
                self.where, self.chosen, service, size, wanted=wanted, percent=percent, force=force, can=can,
                origin=origin,
            )  # fmt: skip
            return replace(part, reasons=(*part.reasons, why))
        return await cloud_part(
            readers, self.where, self.chosen, service, size, wanted=wanted, percent=percent, runtime=asked.runtime,
            force=force, can=can, origin=origin,
        )  # fmt: skip

    def _region_pin(self) -> dict[str, str]:
        """Pin the pods to one region where the call or the model's residency leaves no other choice; else let them be."""
        residency = self.chosen.facts.residency
        if not self.asked.regions and not residency:
            return {}
        allowed = [region for region in self.regions() if allowed_region(region, residency)]
        nodes = [
            node.region
            for node in self.half.inventory.nodes
            if node.role == "cloud" and node.ready and node.schedulable
        ]
        best = max(allowed, key=lambda region: (nodes.count(region), region), default="")
        return {REGION_LABEL: best} if best else {}

    def target(self, part: CloudPart, placed: Placed | None) -> Target:
        """Return where the part takes effect, for policy to judge."""
        if isinstance(self.service, LiveServerless):
            return self.where.target(region=self.service.location, cloud=CLOUDS[self.service.kind])
        if placed is not None:
            return placed.target()
        pinned = section(part.step.manifest, "spec", "predictor", "nodeSelector").get(REGION_LABEL, "")
        rows = [node for node in self.half.inventory.nodes if pinned and node.region == pinned]
        return self.where.target(region=str(pinned), cloud=rows[0].cloud if rows else "")


async def read_cloud_half(readers: Readers, half: Half, chosen: Chosen, origin: Origin, asked: Asked) -> CloudHalf:
    """Return the cloud half with what serves the model there now.

    Raises:
        PlatformError: what is asked for cannot be, or cannot be found out.
    """
    service = await read_service(readers, half.where, chosen, half.can, asked.runtime)
    if asked.serverless and not half.problem:
        service = await _scaled_to_zero(readers, half, chosen, asked, service)
    return CloudHalf(asked=asked, half=half, chosen=chosen, service=service, origin=origin)


async def _scaled_to_zero(
    readers: Readers, half: Half, chosen: Chosen, asked: Asked, service: LiveService
) -> LiveService:
    if isinstance(service, LiveLanguageService):
        live = service.live or service.canary
        if live is not None:
            raise InvalidInput(
                f"{ref_of(live)} serves {chosen.name}, and it keeps its replicas.", remedy="Use target=cloud."
            )
        service = LiveService(kserve.endpoint_name(chosen.name), None)
    in_cluster = "it takes accelerators" if asked.accelerator or chosen.accelerators or chosen.speaks else ""
    in_cluster = in_cluster or ("a serving runtime is named" if asked.runtime else "")
    return await read_serverless(readers, half.where, chosen, half.can, in_cluster=in_cluster, plain=service)
