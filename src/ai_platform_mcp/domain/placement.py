"""Which pool a request for accelerators should go to, what it costs there, and when it would start.

Hard filters first, each counted by its reason; then what can start now before what must wait before what never can; then
price; then names, so that the same rows always give the same answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.core.wording import dollars
from ai_platform_mcp.domain.cost import price
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
    """A pool that comes into question, with the price of the whole request and when it would start."""

    pool: Pool
    forecast: Forecast
    hourly_cents: int | None
    total_cents: int | None
    why: str
    """One sentence on the forecast."""


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
    candidates: list[Candidate] = []
    for pool in pools:
        code = _rejection(need, pool)
        if code:
            rejected[code] += 1
        else:
            candidates.append(_candidate(need, pool))
    return Placement(ranked=tuple(sorted(candidates, key=_order)), rejected=dict(sorted(rejected.items())))


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


def _candidate(need: Need, pool: Pool) -> Candidate:
    forecast, why = _forecast(need.devices, pool)
    cost = None if pool.device_hourly_cents is None else price(pool.device_hourly_cents, need.devices, need.hours)
    return Candidate(
        pool=pool,
        forecast=forecast,
        hourly_cents=cost.hourly_cents if cost else None,
        total_cents=cost.total_cents if cost else None,
        why=why,
    )


def _forecast(devices: int, pool: Pool) -> tuple[Forecast, str]:
    if devices > pool.ceiling:
        return "never", (
            f"Never admitted on {pool.flavor}: {devices} devices asked for, and {pool.cluster_queue} could use "
            f"{pool.ceiling} at most, borrowing included."
        )
    if devices <= pool.free:
        return "now", f"Admitted now on {pool.flavor}: {pool.free} of {pool.nominal} devices are free."
    others = "1 other workload" if pool.pending == 1 else f"{pool.pending} other workloads"
    behind = f"queued behind {others}" if pool.pending else "first in the queue"
    return "queued", (
        f"On {pool.flavor} it would be {behind}: {devices} devices asked for, {pool.free} of {pool.nominal} are free."
    )


def _order(row: Candidate) -> tuple[int, bool, int, str, str]:
    cents = row.hourly_cents
    return (_RANK[row.forecast], cents is None, cents or 0, row.pool.flavor, row.pool.local_queue)


def explain(placement: Placement, *, alternatives: int = 2) -> tuple[str, ...]:
    """Return the choice in sentences: the pool and its forecast, the runners-up, and what was ruled out and why."""
    chosen = placement.chosen
    lines: list[str] = []
    if chosen is not None:
        lines.append(f"{_where(chosen)} is {_claim(placement)}.")
        lines.append(chosen.why)
        lines += [f"Next best: {_where(row)}. {row.why}" for row in placement.ranked[1 : 1 + alternatives]]
    ruled_out = rejections(placement.rejected)
    return (*lines, f"Ruled out: {ruled_out}.") if ruled_out else tuple(lines)


def rejections(rejected: dict[str, int]) -> str:
    """Return counts by reason in words, such as ``3 pools of another accelerator``; empty where there are none."""
    rows = [f"{count} pool{'' if count == 1 else 's'} {REJECTIONS[code]}" for code, count in rejected.items()]
    return "; ".join(rows)


def _where(row: Candidate) -> str:
    pool = row.pool
    place_name = " ".join(part for part in (pool.cloud, pool.region) if part)
    cost = "no known price" if row.hourly_cents is None else f"{dollars(row.hourly_cents)} per hour"
    return f"{pool.flavor} ({place_name or 'place unknown'}, {'spot' if pool.spot else 'on-demand'}, {cost})"


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
