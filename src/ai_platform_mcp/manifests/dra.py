"""Dynamic resource allocation: claims for devices.

Speaks ``resource.k8s.io/v1`` (GA in Kubernetes 1.34, KEP-4381). The beta versions are no longer served by default, and differ:
a request's fields were flat there and are under ``exactly`` or ``firstAvailable`` now; flat ones are unknown fields.
"""

from __future__ import annotations

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.common import Capabilities, Origin, compact, manifest

API = "resource.k8s.io/v1"
REQUEST_NAME = "accelerator"


class DeviceChoice(Value):
    """One way to meet a request: a number of devices of a class, narrowed by CEL expressions over their attributes."""

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)
    device_class: str
    count: int = Field(default=1, ge=1, le=32)
    """At most 32: the API allows no claim more devices."""
    selectors: tuple[str, ...] = ()

    def manifest(self) -> type_json:
        """Return the fields that ``exactly`` and an entry of ``firstAvailable`` share."""
        return compact(
            {
                "deviceClassName": self.device_class,
                "allocationMode": "ExactCount",
                "count": self.count,
                "selectors": [{"cel": {"expression": expression}} for expression in self.selectors],
            }
        )


def product_selector(driver: str, pattern: str) -> str:
    """Return a CEL expression on the product name. Attributes are qualified by the driver's domain."""
    return f"device.attributes['{driver}'].productName.lowerAscii().matches('{pattern.lower()}')"


def memory_selector(driver: str, at_least: str) -> str:
    """Return a CEL expression on device memory; ``at_least`` is a quantity such as ``80Gi``."""
    return f"device.capacity['{driver}'].memory.compareTo(quantity('{at_least}')) >= 0"


def claim_template(
    name: str,
    namespace: str,
    choices: tuple[DeviceChoice, ...],
    origin: Origin,
    capabilities: Capabilities,
    *,
    queued: bool,
) -> type_json:
    """Return a ResourceClaimTemplate: each pod that names it gets a claim of its own.

    Several choices are alternatives in order of preference (``firstAvailable``, KEP-4816). ``queued`` says that Kueue counts
    the workload: it reads requests under ``exactly`` only, so that alternatives would pass its quota uncounted.

    Raises:
        CapabilityMissing: ``resource.k8s.io/v1`` is not served (Kubernetes before 1.34).
        InvalidInput: no choice, more than 8 (the API's limit), or alternatives in a queue.
    """
    capabilities.require(API, "ResourceClaimTemplate", remedy="ask for the device plugin's resource instead")
    if not 1 <= len(choices) <= 8:
        raise InvalidInput("a claim has 1 to 8 alternatives", remedy="drop the least wanted ones")
    if queued and len(choices) > 1:
        raise InvalidInput(
            "Kueue cannot count alternatives inside one claim",
            cause="it reads requests under exactly, not under firstAvailable",
            remedy="make one claim template per pool and let the ClusterQueue's flavors choose",
        )
    request: type_json = {"name": REQUEST_NAME}
    if len(choices) == 1:
        request["exactly"] = choices[0].manifest()
    else:
        request["firstAvailable"] = [{"name": choice.name, **choice.manifest()} for choice in choices]
    body = {"spec": {"spec": {"devices": {"requests": [request]}}}}
    return manifest(API, "ResourceClaimTemplate", name, namespace, origin, body, component="devices")
