"""Device claims as part of a plan: which DeviceClasses there are, and the template that a job's pods claim by."""

from __future__ import annotations

from dataclasses import dataclass

from ai_platform_mcp.core.errors import Forbidden
from ai_platform_mcp.core.plan import Apply
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.tool import PlanContext
from ai_platform_mcp.domain.devices import Classes, device_classes
from ai_platform_mcp.domain.objects import preconditions
from ai_platform_mcp.domain.placement import Need
from ai_platform_mcp.domain.pools import Pool
from ai_platform_mcp.manifests import dra
from ai_platform_mcp.manifests.common import Capabilities, Origin, object_name
from ai_platform_mcp.tools._reading import Place, capabilities, list_if_served


@dataclass(frozen=True)
class Claim:
    """What each pod claims: ``count`` devices of a DeviceClass."""

    device_class: str
    count: int
    can: Capabilities
    operation: str
    """The operation that the template is made for. Empty for pods that outlive it: all that claim the same then share one
    template, so that the next deployment does not replace every pod for a template of another name."""

    @property
    def name(self) -> str:
        """The template's name."""
        return object_name("claim", self.device_class, str(self.count), seed=self.operation)

    def step(self, where: Place, origin: Origin) -> Apply:
        """Return the step that makes the template. Its spec cannot be changed, and its name says all that is in it.

        Raises:
            InvalidInput: more devices than one claim may have.
        """
        shared = Origin(team=origin.team, environment=origin.environment)
        made = dra.claim_template(
            self.name,
            where.namespace.name,
            self.device_class,
            self.count,
            origin if self.operation else shared,
            self.can,
        )
        title = f"Create ResourceClaimTemplate {self.name}: {self.count} of {self.device_class} per pod"
        step = Apply(title=title, cluster=where.cluster.name, manifest=made)
        return step if not self.operation else step.model_copy(update={"preconditions": preconditions(step, None)})


async def classes_of(readers: Readers, cluster: str) -> Classes:
    """Return the cluster's DeviceClasses; none where claims are not served, or where the caller may not read classes."""
    if not await readers.clusters.serves(cluster, dra.API, "ResourceClaimTemplate"):
        return {}
    try:
        return device_classes(await list_if_served(readers, cluster, dra.API, "DeviceClass"))
    except Forbidden:
        return {}  # a class that cannot be seen is not claimed: the device plugin's resource is asked for


async def claim_for(readers: Readers, cluster: str, pool: Pool, need: Need, context: PlanContext) -> Claim:
    """Return the claim for what each pod of a request needs."""
    can = await capabilities(readers, cluster)
    return Claim(device_class=pool.resource, count=need.count, can=can, operation=context.operation_id)
