"""The pieces of the adapter, put together once for all configured clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig, Connections
from ai_platform_mcp.adapters.kubernetes.discovery import Discovery
from ai_platform_mcp.adapters.kubernetes.inventory import InventoryCache
from ai_platform_mcp.adapters.kubernetes.reader import KubernetesReader
from ai_platform_mcp.adapters.kubernetes.transport import Transport
from ai_platform_mcp.adapters.kubernetes.writer import KubernetesWriter
from ai_platform_mcp.core.ports import Clock


@dataclass(frozen=True)
class Kubernetes:
    """Reader, writer and inventory over the same connections. Hand the writer to the executor and to nobody else."""

    reader: KubernetesReader
    writer: KubernetesWriter
    inventory: InventoryCache
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
    transport = Transport(Connections(configs))
    discovery = Discovery(transport)
    reader = KubernetesReader(transport, discovery)
    return Kubernetes(
        reader=reader,
        writer=KubernetesWriter(transport, discovery, reader),
        inventory=InventoryCache(transport, discovery, clock),
        transport=transport,
    )
