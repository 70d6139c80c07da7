"""Dynamic resource allocation: claims for devices.

Speaks ``resource.k8s.io/v1`` (GA in Kubernetes 1.34, KEP-4381). The beta versions are no longer served by default, and differ:
a request's fields were flat there and are under ``exactly`` or ``firstAvailable`` now; flat ones are unknown fields.
"""

from __future__ import annotations

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.manifests.common import Capabilities, Origin, manifest

API = "resource.k8s.io/v1"
REQUEST_NAME = "accelerator"
MOST_DEVICES = 32
"""Devices of one claim, by the API."""


def claim_template(
    name: str, namespace: str, device_class: str, count: int, origin: Origin, capabilities: Capabilities
) -> type_json:
    """Return a ResourceClaimTemplate: each pod that names it gets a claim of its own for ``count`` devices of a class.

    One request under ``exactly``: Kueue reads no other, so that alternatives (``firstAvailable``, KEP-4816) would pass its
    quota uncounted. Which product it is, the node labels of the flavor say.

    Raises:
        CapabilityMissing: ``resource.k8s.io/v1`` is not served (Kubernetes before 1.34).
        InvalidInput: no device, or more than the API allows a claim.
    """
    capabilities.require(API, "ResourceClaimTemplate", remedy="ask for the device plugin's resource instead")
    if not 1 <= count <= MOST_DEVICES:
        raise InvalidInput(
            f"{count} devices per node: one claim has 1 to {MOST_DEVICES}.", remedy="Ask for more nodes instead."
        )
    exactly = {"deviceClassName": device_class, "allocationMode": "ExactCount", "count": count}
    body = {"spec": {"spec": {"devices": {"requests": [{"name": REQUEST_NAME, "exactly": exactly}]}}}}
    return manifest(API, "ResourceClaimTemplate", name, namespace, origin, body, component="devices")
