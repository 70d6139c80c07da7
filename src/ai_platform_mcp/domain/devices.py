"""How a pool's devices are asked for: as a device plugin's resource, or by claims that dynamic resource allocation (DRA) fills.

Kueue counts claims under the name that its configuration's ``deviceClassMappings`` gives their DeviceClass, and that name is
then what a ClusterQueue covers. The configuration itself cannot be read by a caller, so that only two signs count: a covered
resource that is the name of a DeviceClass, and a DeviceClass whose ``extendedResourceName`` is covered. In the second case the
scheduler makes the claim of its own accord, and the plain resource is what to ask for.
Source: https://kueue.sigs.k8s.io/docs/concepts/dynamic_resource_allocation/ and KEP-5004 (DRA extended resources)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.objects import metadata_of, section
from ai_platform_mcp.domain.pools import Pool

_NO_WHOLE_DEVICE = ("mig.", "vfio.", "compute-domain")
"""Classes of NVIDIA's driver that hand out a slice, a device for virtual machines, or a channel between nodes."""

Classes = Mapping[str, str]
"""Extended resource name (empty for most) by name of the DeviceClass."""


def device_classes(objects: Sequence[type_json]) -> Classes:
    """Return the DeviceClasses that stand for whole devices."""
    found = {
        str(metadata_of(row).get("name", "")): str(section(row, "spec").get("extendedResourceName") or "")
        for row in objects
    }
    return {name: resource for name, resource in found.items() if name and not name.startswith(_NO_WHOLE_DEVICE)}


def is_class_name(resource: str) -> bool:
    """Tell whether a covered resource can only be a DeviceClass's name: an extended resource always has a ``/``."""
    return "/" not in resource


def reachable(pools: Sequence[Pool], classes: Classes) -> tuple[Pool, ...]:
    """Return the pools that a pod can ask for devices of.

    A queue that covers a DeviceClass which is not served counts what nobody can ask for. One that covers both ways to the same
    devices is asked by the plugin's resource where nodes offer it (or a DeviceClass stands in for it), else by claims.
    """
    served = [pool for pool in pools if not is_class_name(pool.resource) or pool.resource in classes]
    ways = {(pool.local_queue, pool.flavor, pool.resource): pool for pool in served}

    def other_way(pool: Pool) -> Pool | None:
        return ways.get((pool.local_queue, pool.flavor, _other_name(pool.resource)))

    return tuple(
        pool
        for pool in served
        if other_way(pool) is None or is_class_name(pool.resource) is not _by_plugin(pool, classes)
    )


def why_so(pool: Pool, classes: Classes) -> str:
    """Return in a sentence how the devices are asked for and why, empty where the cluster leaves no choice."""
    if is_class_name(pool.resource):
        return f"Devices by claim: {pool.cluster_queue} counts DeviceClass {pool.resource}."
    stands_in = next((name for name, resource in sorted(classes.items()) if resource == pool.resource), "")
    if stands_in:
        return f"Devices as {pool.resource}: DeviceClass {stands_in} provides that extended resource."
    if _other_name(pool.resource) not in classes:
        return ""
    if pool.node_devices:
        return f"Devices as {pool.resource}: nodes of {pool.flavor} offer it through a device plugin."
    return f"Devices as {pool.resource}: {pool.cluster_queue} counts that, and no DeviceClass."


def _by_plugin(pool: Pool, classes: Classes) -> bool:
    plugin = _other_name(pool.resource) if is_class_name(pool.resource) else pool.resource
    return pool.node_devices > 0 or plugin in classes.values()


def _other_name(resource: str) -> str:
    """Return how drivers name the same devices the other way: ``gpu.nvidia.com`` for ``nvidia.com/gpu``, and back."""
    if is_class_name(resource):
        device, _, domain = resource.partition(".")
        return f"{domain}/{device}"
    domain, _, device = resource.partition("/")
    return f"{device}.{domain}"
