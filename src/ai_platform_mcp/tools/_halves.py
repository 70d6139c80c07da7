"""The two halves of a deployment, each with its cluster: often the same one, else a cloud cluster and an edge cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio

from ai_platform_mcp.core.errors import PlatformError, Unavailable
from ai_platform_mcp.core.inventories import read_inventories
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import ClusterInfo, Inventory
from ai_platform_mcp.core.tool import PlanContext
from ai_platform_mcp.domain.clusters import Role, open_to, which_cluster, with_role
from ai_platform_mcp.domain.namespaces import Environment
from ai_platform_mcp.manifests.common import Capabilities
from ai_platform_mcp.tools._places import PLACE_SECONDS
from ai_platform_mcp.tools._reading import Place, capabilities, find_place, read_inventory


@dataclass(frozen=True)
class Half:
    """Where one half would be, and what was read there. With ``problem`` it cannot be used, and the rest is the other's."""

    where: Place
    inventory: Inventory
    can: Capabilities
    problem: str = ""

    def obstacle(self, role: Role) -> str:
        """Return why this half cannot be used at all, as a sentence; empty where it can."""
        cluster = self.where.cluster
        if self.problem or cluster.role in (role, "both"):
            return self.problem
        return f"The cluster {cluster.name} is for the {cluster.role} only."


@dataclass(frozen=True)
class Wish:
    """What a call says of the place."""

    model: str
    roles: tuple[Role, ...]
    environment: Environment
    cluster: str
    namespace: str


async def read_halves(readers: Readers, context: PlanContext, wish: Wish) -> tuple[Half, Half]:
    """Return the cloud half and the edge half.

    A named cluster is both. Otherwise each half is where the model serves already, or in the only cluster of its role that is
    open to the caller's team. Where both halves are wished for, one that does not answer is a problem of its own half only.

    Raises:
        InvalidInput: several clusters would do; they are listed.
        PlatformError: of the only cluster that there is for it.
    """
    configured = await readers.clusters.clusters()
    if wish.cluster or len(configured) < 2:
        role = wish.roles[0] if len(wish.roles) == 1 else None
        half = await _read(readers, context, wish, wish.cluster, role)
        return half, half
    team = context.caller.principal.team
    found: dict[Role, Half | PlatformError | str] = {}

    async def read(role: Role, cluster: ClusterInfo) -> None:
        try:
            with anyio.fail_after(PLACE_SECONDS):
                found[role] = await _read(readers, context, wish, cluster.name, role)
        except TimeoutError:
            found[role] = f"The cluster {cluster.name} did not answer within {PLACE_SECONDS:g} s."
        except PlatformError as error:
            found[role] = error

    chosen: dict[Role, ClusterInfo | None] = {
        role: await _choose(readers, wish, role, with_role(configured, role), team) for role in wish.roles
    }
    async with anyio.create_task_group() as group:
        for role, cluster in chosen.items():
            if cluster is not None:
                group.start_soon(read, role, cluster)
    return _both(found, wish.roles)


async def _read(readers: Readers, context: PlanContext, wish: Wish, cluster: str, role: Role | None) -> Half:
    where = await find_place(
        readers, context, cluster=cluster, namespace=wish.namespace, environment=wish.environment, role=role
    )
    name = where.cluster.name
    return Half(where, await read_inventory(readers, name), await capabilities(readers, name))


async def _choose(
    readers: Readers, wish: Wish, role: Role, fitting: Sequence[ClusterInfo], team: str
) -> ClusterInfo | None:
    """Return the cluster for one half, None where none has the role."""
    usable = [row for row in fitting if open_to(row, team)] or list(fitting)
    if len(usable) < 2:
        return usable[0] if usable else None
    inventories = await read_inventories(readers, [row.name for row in usable])
    serving = [row for row, inventory in zip(usable, inventories, strict=True) if _serves(inventory, wish, role)]
    if len(serving) == 1:
        return serving[0]
    raise which_cluster(serving or usable, f"At the {role}, {wish.model}" if serving else "")


def _serves(inventory: Inventory, wish: Wish, role: Role) -> bool:
    return any(
        row.model == wish.model and row.target == role and row.environment == wish.environment
        for row in inventory.deployments
    )


def _both(found: dict[Role, Half | PlatformError | str], roles: tuple[Role, ...]) -> tuple[Half, Half]:
    whole = {role: half for role, half in found.items() if isinstance(half, Half)}
    if not whole:
        first = next((row for row in found.values() if isinstance(row, PlatformError)), None)
        raise first or _silent(found, roles)
    stand_in = next(iter(whole.values()))

    def half(role: Role) -> Half:
        if role in whole:
            return whole[role]
        said = found.get(role, f"No cluster has the role {role}." if role in roles else f"Not the {role}.")
        text = (
            " ".join(part for part in (said.message, said.cause) if part) if isinstance(said, PlatformError) else said
        )
        return replace(stand_in, problem=text)

    return half("cloud"), half("edge")


def _silent(found: dict[Role, Half | PlatformError | str], roles: tuple[Role, ...]) -> PlatformError:
    said = " ".join(str(row) for row in found.values()) or f"No cluster has the role {' or '.join(roles)}."
    return Unavailable(
        "The cluster for this does not answer." if found else "There is no cluster for this.",
        cause=said,
        remedy="Run `platform doctor`; nothing was changed.",
    )
