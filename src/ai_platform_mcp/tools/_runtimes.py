"""Which serving runtime serves a version: the one asked for, or the best that the cluster has for its format."""

from __future__ import annotations

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.objects import metadata_of, section
from ai_platform_mcp.manifests.kserve import RUNTIME_API, choose_runtime
from ai_platform_mcp.tools._models import Chosen
from ai_platform_mcp.tools._reading import Place, list_if_served


async def runtime_of(readers: Readers, where: Place, chosen: Chosen, asked: str, *, edge: bool = False) -> str:
    """Return the name of the runtime. At the edge it is one of the whole cluster: our controller reads no others.

    Raises:
        CapabilityMissing: the cluster has none for the version's format.
        InvalidInput: the runtime asked for is not installed.
    """
    cluster = where.cluster.name
    found = await list_if_served(readers, cluster, RUNTIME_API, "ClusterServingRuntime")
    if not edge:
        found += await list_if_served(readers, cluster, RUNTIME_API, "ServingRuntime", namespace=where.namespace.name)
    enabled = [row for row in found if section(row, "spec").get("disabled") is not True]
    names = {str(metadata_of(row).get("name", "")) for row in enabled}
    if not asked:
        return choose_runtime(chosen.format(), names)
    if asked not in names:
        raise InvalidInput(
            f"The serving runtime {asked!r} is not installed.",
            cause="What names it would be accepted and never start.",
            remedy=f"Leave out runtime, or use one of: {', '.join(sorted(names)) or 'none is installed'}.",
        )
    return asked
