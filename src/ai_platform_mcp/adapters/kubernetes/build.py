"""The pieces of the adapter, put together once for all configured clusters.

Two transports over the same connections: one for callers, who are whom the cluster's ``access`` says, and one for what is
shared between callers (discovery, the watches of the cache), which is the service identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig, Connections
from ai_platform_mcp.adapters.kubernetes.discovery import Discovery
from ai_platform_mcp.adapters.kubernetes.inventory import InventoryCache
from ai_platform_mcp.adapters.kubernetes.reader import KubernetesReader
from ai_platform_mcp.adapters.kubernetes.transport import Transport
from ai_platform_mcp.adapters.kubernetes.visible import VisibleInventory
from ai_platform_mcp.adapters.kubernetes.writer import KubernetesWriter
from ai_platform_mcp.core.ports import Clock


@dataclass(frozen=True)
class Kubernetes:
    """Reader, writer and inventory over the same connections. Hand the writer to the executor and to nobody else."""

    reader: KubernetesReader
    writer: KubernetesWriter
    inventory: VisibleInventory
    transport: Transport

    async def aclose(self) -> None:
        """Stop the watches and close every connection."""
        await self.inventory.aclose()
        await self.transport.connections.aclose()


def kubernetes_adapter(configs: Sequence[ClusterConfig], clock: Clock) -> Kubernetes:
    """Build the adapter. No file is read, nothing is imported and no cluster is contacted before the first call.

    Raises:
        Misconfigured: two clusters share a name, or one is reached by neither or both of kubeconfig and in_cluster.
    """
    connections = Connections(configs)
    ours, callers = Transport(connections, as_service=True), Transport(connections)
    # What a cluster serves is told to everybody who is let in; what it holds is gated for each caller.
    discovery = Discovery(ours)
    callers.when_missing = ours.when_missing
    reader = KubernetesReader(callers, discovery)
    cache = InventoryCache(ours, discovery, clock)
    return Kubernetes(
        reader=reader,
        writer=KubernetesWriter(callers, discovery, reader),
        inventory=VisibleInventory(cache, callers, reader, discovery),
        transport=callers,
    )
