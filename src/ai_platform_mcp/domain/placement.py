"""Which pool a request for accelerators should go to, what it costs there, and when it would start.

Hard filters first, each counted by its reason. What remains of a queue is grouped: Kueue chooses the flavor, so a candidate is
every flavor that may admit the request. Then what can start now before what must wait before what never can; then price: where
it starts now, that of the flavor that Kueue would take, else the dearest; then names, so that the same rows, of however many
clusters and in whatever order, always give the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.core.wording import dollars
from ai_platform_mcp.domain.cost import price
from ai_platform_mcp.domain.groups import Group, group_of
from ai_platform_mcp.domain.pools import Pool, accelerator_matches

Forecast = Literal["now", "queued", "never"]
_RANK: dict[str, int] = {"now": 0, "queued": 1, "never": 2}

REJECTIONS = {
    "accelerator": "of another accelerator",
    "queue": "behind another queue than asked for",
    "stopped": "behind a stopped queue",
    "on_demand_only": "on-demand where spot was asked for",
    "spot_not_wanted": "spot where on-demand was asked for",
    "spot_without_checkpoint": "spot, and nothing is checkpointed",
    "spot_for_service": "spot, and this must keep answering",
    "region": "outside of the regions asked for",
    "node_size": "on nodes with fewer devices than asked for per node",
    "price": "over the price limit",
    "unpriced": "without a known price under a price limit",
    "inseparable": "whose node labels do not keep out one that is ruled out",
}
"""Why a pool does not come into question, by code."""


class Need(Value):
    """What is asked for. ``count`` is devices per node; ``accelerator`` empty means any."""

    purpose: Literal["train", "batch", "serve", "dev"]
    accelerator: str
    count: int
    nodes: int = 1
    hours: int | None = None
    capacity: Literal["auto", "on_demand", "spot"] = "auto"
    checkpoint: bool = False
    regions: tuple[str, ...] = ()
    queue: str = ""
    max_hourly_cents: int | None = None

    @property
    def devices(self) -> int:
        """Devices in all."""
        return self.count * self.nodes


class Candidate(Value):
    """Flavors of one queue that come into question together, with the price of the whole request and when it would start."""

    pool: Pool
    """The flavor that Kueue would take now; where it must wait, the first that could ever hold it."""
    pools: tuple[Pool, ...]
    """All that may admit the request, in the queue's order."""
    selector: dict[str, str]
    """The node labels that rule out every other flavor."""
    forecast: Forecast
    expected_cents: int | None
    """Per hour on the flavor that Kueue would take now, else as ``hourly_cents``."""
    hourly_cents: int | None
    """Per hour at most: on the dearest flavor that may admit the request. None where a price is not known."""
    total_cents: int | None
    why: str
    """One or two sentences on the forecast."""

    @property
    def at_most(self) -> bool:
        """Whether the price is a bound, since a cheaper flavor may admit the request."""
        return len({row.device_hourly_cents for row in self.pools}) > 1

    def pinned(self, need: Need) -> Candidate:
        """Return the candidate for pods among whose flavors nobody chooses: they get this one."""
        return _candidate(need, Group(pools=(self.pool,), selector=self.pool.node_labels))


class Placement(Value):
    """The ranked answer. ``ranked`` is empty where every pool was rejected."""

    ranked: tuple[Candidate, ...]
    rejected: dict[str, int]

    @property
    def chosen(self) -> Candidate | None:
        """The first of the ranking."""
        return self.ranked[0] if self.ranked else None


def place(need: Need, pools: Sequence[Pool]) -> Placement:
    """Rank the pools for a request.

    What can start now is never more than what is free; spot is only ever offered to checkpointed training or batch work.
    """
    rejected: Counter[str] = Counter()
    queues: dict[tuple[str, ...], list[Pool]] = {}
    for pool in pools:
        queues.setdefault((pool.cluster, pool.namespace, pool.local_queue, pool.resource), []).append(pool)
    candidates: list[Candidate] = []
    for queue in queues.values():
        codes = [_rejection(need, pool) for pool in queue]
        rejected.update(code for code in codes if code)
        fitting = [pool for pool, code in zip(queue, codes, strict=True) if not code]
        groups = [group_of(pool, queue, fitting) for pool in fitting]
        rejected.update({"inseparable": groups.count(None)})
        distinct = {tuple(row.flavor for row in group.pools): group for group in groups if group is not None}
        candidates += [_candidate(need, group) for group in distinct.values()]
    return Placement(ranked=tuple(sorted(candidates, key=_order)), rejected=dict(sorted((+rejected).items())))


def _rejection(need: Need, pool: Pool) -> str:
    """Return the code of the first filter that the pool does not pass, or an empty string."""
    if need.accelerator and not accelerator_matches(need.accelerator, pool.accelerator, pool.flavor):
        return "accelerator"
    if need.queue and need.queue != pool.local_queue:
        return "queue"
    if not pool.active:
        return "stopped"
    return _spot_rejection(need, pool) or _fit_rejection(need, pool)


def _spot_rejection(need: Need, pool: Pool) -> str:
    if not pool.spot:
        return "on_demand_only" if need.capacity == "spot" else ""
    if need.capacity == "on_demand":
        return "spot_not_wanted"
    if need.purpose in ("serve", "dev"):
        return "spot_for_service"
    return "" if need.checkpoint else "spot_without_checkpoint"


def _fit_rejection(need: Need, pool: Pool) -> str:
    if need.regions and not any(pool.region.startswith(region) for region in need.regions):
        return "region"
    if pool.node_devices and need.count > pool.node_devices:
        return "node_size"
    if need.max_hourly_cents is None:
        return ""
    if pool.device_hourly_cents is None:
        return "unpriced"
    return "price" if pool.device_hourly_cents * need.devices > need.max_hourly_cents else ""


def _candidate(need: Need, group: Group) -> Candidate:
    pool, forecast, why = _forecast(need.devices, group)
    # A flavor that could never hold the request will not admit it either, so that its price says nothing.
    pools = tuple(row for row in group.pools if need.devices <= row.ceiling) or group.pools
    cents = [row.device_hourly_cents for row in pools]
    known = [row for row in cents if row is not None]
    most = price(max(known), need.devices, need.hours) if len(known) == len(cents) else None
    soon = pool.device_hourly_cents if forecast == "now" else None
    return Candidate(
        pool=pool,
        pools=pools,
        selector=group.selector,
        forecast=forecast,
        expected_cents=most.hourly_cents if most and soon is None else soon and soon * need.devices,
        hourly_cents=most.hourly_cents if most else None,
        total_cents=most.total_cents if most else None,
        why=why,
    )


def _forecast(devices: int, group: Group) -> tuple[Pool, Forecast, str]:
    """Return the flavor that the request would get, when, and why. It fits a flavor whole or not at all."""
    possible = [row for row in group.pools if devices <= row.ceiling]
    if not possible:
        largest = max(group.pools, key=lambda row: row.ceiling)
        return (
            largest,
            "never",
            (
                f"Never admitted on {_flavors(group.pools)}: {devices} devices asked for, and {largest.cluster_queue} could use "
                f"{largest.ceiling} at most{' of one flavor' if len(group.pools) > 1 else ''}, borrowing included."
            ),
        )
    pool = next((row for row in possible if devices <= row.free), None)
    if pool is not None:
        rest = [row for row in possible if row is not pool]
        spill = f" If that is taken by then: {_flavors(rest)}." if rest else ""
        return pool, "now", f"Admitted now on {pool.flavor}: {pool.free} of {pool.nominal} devices are free.{spill}"
    pending = group.pools[0].pending
    others = "1 other workload" if pending == 1 else f"{pending} other workloads"
    behind = f"queued behind {others}" if pending else "first in the queue"
    free = ", ".join(f"{row.free} of {row.nominal}" for row in possible)
    return (
        possible[0],
        "queued",
        (f"On {_flavors(possible)} it would be {behind}: {devices} devices asked for, {free} are free."),
    )


def _flavors(pools: Sequence[Pool]) -> str:
    return " or ".join(row.flavor for row in pools)


def _order(row: Candidate) -> tuple[int, bool, int, int, str, str, str]:
    expected, most, pool = row.expected_cents, row.hourly_cents, row.pool
    return (
        _RANK[row.forecast],
        expected is None,
        expected or 0,
        most or 0,
        pool.flavor,
        pool.local_queue,
        f"{pool.cluster}/{pool.namespace}",
    )


def explain(placement: Placement, *, alternatives: int = 2, clusters: bool = False) -> tuple[str, ...]:
    """Return the choice in sentences: the pool and its forecast, the runners-up, and what was ruled out and why.

    ``clusters``: name the cluster of each pool.
    """
    chosen = placement.chosen
    lines: list[str] = []
    if chosen is not None:
        lines.append(f"{_where(chosen, clusters)} is {_claim(placement)}.")
        lines.append(chosen.why)
        others = [row for row in placement.ranked[1:] if any(pool not in chosen.pools for pool in row.pools)]
        lines += [f"Next best: {_where(row, clusters)}. {row.why}" for row in others[:alternatives]]
    ruled_out = rejections(placement.rejected)
    return (*lines, f"Ruled out: {ruled_out}.") if ruled_out else tuple(lines)


def rejections(rejected: dict[str, int]) -> str:
    """Return counts by reason in words, such as ``3 pools of another accelerator``; empty where there are none."""
    rows = [f"{count} pool{'' if count == 1 else 's'} {REJECTIONS[code]}" for code, count in rejected.items()]
    return "; ".join(rows)


def _where(row: Candidate, clusters: bool) -> str:
    names = list(dict.fromkeys(" ".join(part for part in (pool.cloud, pool.region) if part) for pool in row.pools))
    place_name = ", ".join(name for name in names if name) or "place unknown"
    most = "at most " if row.at_most else ""
    cost = "no known price" if row.hourly_cents is None else f"{most}{dollars(row.hourly_cents)} per hour"
    cluster = f" in cluster {row.pool.cluster}" if clusters else ""
    return f"{_flavors(row.pools)}{cluster} ({place_name}, {'spot' if row.pool.spot else 'on-demand'}, {cost})"


def _claim(placement: Placement) -> str:
    peers = [row for row in placement.ranked if row.forecast == placement.ranked[0].forecast]
    if len(peers) == 1:
        return {
            "now": "the only fitting pool that can start now",
            "queued": "the only pool with room for this in time",
        }.get(peers[0].forecast, "the closest fit, and too small")
    return {"now": "the cheapest that can start now", "queued": "the cheapest to wait for"}.get(
        peers[0].forecast, "the cheapest of those that are all too small"
    )
