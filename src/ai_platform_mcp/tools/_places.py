"""Several clusters: which of them a call may choose among, and which of them has the thing that a call names.

A cluster that is down, forbids, or lacks something is passed over with its reason; it never holds up the others. Where a call
names a cluster, or only one comes into question, that one's own trouble is the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import anyio

from ai_platform_mcp.core.errors import Forbidden, NotFound, PlatformError, Unavailable
from ai_platform_mcp.core.inventories import read_inventories
from ai_platform_mcp.core.plan import Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import ClusterInfo, Inventory
from ai_platform_mcp.core.tool import PlanContext
from ai_platform_mcp.domain.clusters import Role, open_to, resolve_cluster, which_cluster, with_role
from ai_platform_mcp.domain.namespaces import Environment
from ai_platform_mcp.domain.text import clip
from ai_platform_mcp.tools._reading import Place, find_place

PLACE_SECONDS = 8.0
"""How long one of several clusters is waited for while planning; half a dozen such waits would use a plan's time up."""
REASON = 160
"""Characters of one cluster's reason."""
T = TypeVar("T")


@dataclass(frozen=True)
class PassedOver:
    """A cluster that does not come into question. ``unseen``: it could not be read, so that nothing is known of it."""

    cluster: str
    why: str
    unseen: bool = False


@dataclass(frozen=True)
class Places:
    """Where a call may act, and which clusters were passed over. ``several``: the call chooses among clusters."""

    found: tuple[Place, ...]
    passed_over: tuple[PassedOver, ...] = ()
    several: bool = False

    def reasons(self) -> tuple[str, ...]:
        """Return why clusters were passed over, as one sentence."""
        if not self.passed_over:
            return ()
        rows = "; ".join(f"{row.cluster} ({row.why})" for row in self.passed_over)
        return (f"Not considered: {rows}.",)

    def unseen_risk(self, what: str) -> tuple[Risk, ...]:
        """Return the warning that ``what`` could be on a cluster that did not answer."""
        names = ", ".join(row.cluster for row in self.passed_over if row.unseen)
        text = f"{what} on {names} would not be seen: nothing can be read there."
        return (Risk(severity="warning", text=text),) if names else ()


async def find_places(
    readers: Readers, context: PlanContext, *, cluster: str, namespace: str, environment: Environment, role: Role
) -> Places:
    """Return every place where the caller's team may do such work: one, where a cluster is named or only one has the role.

    Raises:
        InvalidInput, NotFound, Misconfigured: as ``find_place``, where there is no choice.
        NotFound, Unavailable: no cluster comes into question; each says why.
    """
    configured = await readers.clusters.clusters()
    fitting = with_role(configured, role)

    async def place_in(name: str) -> Place:
        return await find_place(readers, context, cluster=name, namespace=namespace, environment=environment, role=role)

    if cluster or len(fitting) < 2:
        return Places((await place_in(cluster),))
    team = context.caller.principal.team
    closed = tuple(PassedOver(row.name, f"not for team {team}") for row in fitting if not open_to(row, team))
    answers, silent = await _ask([row.name for row in fitting if open_to(row, team)], place_in)
    return _some(Places(tuple(answers.values()), (*closed, *silent), several=True))


async def at_each(places: Places, work: Callable[[Place], Awaitable[T]]) -> tuple[Places, list[T]]:
    """Do ``work`` at every place at once; return the places where it went well, with what came of it in the same order.

    Raises:
        PlatformError: of the only place, or where no place is left.
    """
    if not places.several:
        return places, [await work(place) for place in places.found]
    by_name = {place.cluster.name: place for place in places.found}

    async def at(name: str) -> T:
        return await work(by_name[name])

    answers, failed = await _ask(list(by_name), at)
    left = replace(places, found=tuple(by_name[name] for name in answers), passed_over=(*places.passed_over, *failed))
    return _some(left), list(answers.values())


async def _ask(names: list[str], work: Callable[[str], Awaitable[T]]) -> tuple[dict[str, T], tuple[PassedOver, ...]]:
    answers: dict[str, T] = {}
    failed: dict[str, PassedOver] = {}

    async def ask(name: str) -> None:
        try:
            with anyio.fail_after(PLACE_SECONDS):
                answers[name] = await work(name)
        except TimeoutError:
            failed[name] = PassedOver(name, f"no answer within {PLACE_SECONDS:g} s", unseen=True)
        except PlatformError as error:
            why = clip(" ".join(part for part in (error.message, error.cause) if part), REASON)
            failed[name] = PassedOver(name, why.rstrip("."), unseen=isinstance(error, Unavailable | Forbidden))

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(ask, name)
    return {name: answers[name] for name in names if name in answers}, tuple(
        failed[name] for name in names if name in failed
    )


def _some(places: Places) -> Places:
    if places.found:
        return places
    cause = " ".join(places.reasons())
    if any(row.unseen for row in places.passed_over):
        raise Unavailable(
            "No cluster that could do this can be read.", cause=cause, remedy="Run `platform doctor`, and try again."
        )
    raise NotFound("No cluster can do this.", cause=cause, remedy="Remove one of these obstacles, or pass cluster.")


async def find_cluster(
    readers: Readers, cluster: str, role: Role, what: str, has: Callable[[Inventory], bool]
) -> ClusterInfo:
    """Return the cluster that has the thing a call names: the one it says, the only one of the role, or by looking.

    Args:
        readers: the readers.
        cluster: what the call says; empty where it leaves the cluster out.
        role: what the cluster must be for.
        what: the thing in words, as the beginning of a sentence.
        has: whether a cluster has the thing, by its inventory.

    Raises:
        InvalidInput: several clusters have it; they are listed.
        NotFound: none has it. A cluster that could not be read is named.
    """
    configured = await readers.clusters.clusters()
    fitting = with_role(configured, role)
    if cluster or len(fitting) < 2:
        return resolve_cluster(configured, cluster, role)
    inventories = await read_inventories(readers, [row.name for row in fitting])
    found = [row for row, inventory in zip(fitting, inventories, strict=True) if has(inventory)]
    if len(found) > 1:
        raise which_cluster(found, what)
    if found:
        return found[0]
    silent = [row.cluster for row in inventories if row.stale]
    raise NotFound(
        f"{what} is in none of {', '.join(row.name for row in fitting)}.",
        cause=f"{', '.join(silent)} could not be read or may have changed." if silent else "",
        remedy="inspect_platform shows what there is; or pass cluster.",
    )
