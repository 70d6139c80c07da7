"""The cheapest way to serve measured arrivals: scale to zero, always on, or at the edge.

Each way is played through with the very arrivals, so bursts and cold starts count as they fall. A request misses its SLO when
waiting, a cold start and serving together take longer than promised.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.routing.status_text import money

Kind = Literal["serverless", "always_on", "edge"]
MOST_UNITS = 1000
"""More replicas than this are not tried: the SLO is then out of reach by service time, not by number."""
SAMPLE = 2000
"""The break-even is sought with so many of the first arrivals, at the rate of all of them."""


class Option(Value):
    """One way to serve. A unit is a replica or a node; every unit serves ``slots`` requests at a time."""

    name: str
    kind: Kind
    service_seconds: float = Field(gt=0, allow_inf_nan=False)
    slots: int = Field(default=1, ge=1)
    unit_cents_per_hour: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Always on and edge: paid all the time. Serverless: paid while a unit is up, the time until it is taken away included."""
    request_cents: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    cold_start_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Serverless only: until a unit that was not there serves."""
    keep_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Serverless only: how long an idle unit stays."""
    most_units: int = Field(default=MOST_UNITS, ge=1, le=MOST_UNITS)


class Sized(Value):
    """How one option served the arrivals."""

    option: str
    units: int
    """Always on and edge: as many as the SLO needs. Serverless: the most that were up at once."""
    cents_per_hour: float
    missed_share: float
    cold_starts: int
    keeps_slo: bool


class Sizing(Value):
    """The answer: every option, the cheapest that keeps the SLO, and where another one becomes cheaper."""

    choice: str
    rate_per_hour: float
    options: tuple[Sized, ...]
    break_even_per_hour: dict[str, float]
    """The rate at which each other option costs the same as the choice, its arrivals being the same but closer or wider."""
    reasons: tuple[str, ...]


def arrivals(rate_per_hour: float, hours: float, burstiness: float = 1.0, seed: int = 0) -> tuple[float, ...]:
    """Return arrival times in seconds. ``burstiness`` is the squared coefficient of variation of the gaps: 1 is Poisson, more
    comes in bursts. The same arguments give the same times.

    Raises:
        InvalidInput: a rate, time or burstiness that is not above zero.
    """
    if rate_per_hour <= 0 or hours <= 0 or burstiness <= 0:
        raise InvalidInput("rate, hours and burstiness must be above zero", remedy="give what was measured")
    chance = random.Random(seed)  # noqa: S311  # a repeatable sample, no secret
    now, times = 0.0, list[float]()
    while (now := now + chance.gammavariate(1 / burstiness, 3600 * burstiness / rate_per_hour)) < 3600 * hours:
        times.append(now)
    return tuple(times)


def right_size(
    times: Sequence[float],
    hours: float,
    options: Sequence[Option],
    slo_seconds: float,
    allowed_misses: float = 0.01,
    settle_seconds: float = 0.0,
) -> Sizing:
    """Return how each option serves ``times`` (seconds, sorted), and the cheapest that misses the SLO at most that often.

    Where none keeps the SLO, the one that misses least. Arrivals of the first ``settle_seconds`` are served and paid, and
    neither late nor a cold start: where the times are a part cut out of a longer day, what began before them was up already.

    Raises:
        InvalidInput: no arrivals, no options, times that are not sorted or do not fit into the hours.
    """
    if not times or not options:
        raise InvalidInput("nothing to size", remedy="give arrivals and options")
    if any(later < earlier for earlier, later in pairwise(times)) or not 0 <= times[0] <= times[-1] <= 3600 * hours:
        raise InvalidInput(
            "arrivals must be sorted and within the hours", remedy="give seconds since the first hour began"
        )
    sized = {row.name: _size(row, times, hours, slo_seconds, allowed_misses, settle_seconds) for row in options}
    best = min(sized.values(), key=_rank)
    chosen = next(row for row in options if row.name == best.option)
    rate = len(times) / hours
    sample = times[:SAMPLE]
    even: dict[str, float] = {}
    for row in options:
        if row.name != chosen.name:
            found = _break_even(chosen, row, sample, rate, slo_seconds, allowed_misses)
            if found is not None:
                even[row.name] = found
    return Sizing(
        choice=best.option,
        rate_per_hour=rate,
        options=tuple(sorted(sized.values(), key=_rank)),
        break_even_per_hour=even,
        reasons=_told(best, sized, even, rate, slo_seconds),
    )


def _rank(row: Sized) -> tuple[bool, float, float, str]:
    return (
        not row.keeps_slo,
        row.cents_per_hour if row.keeps_slo else row.missed_share,
        row.cents_per_hour,
        row.option,
    )


def _size(
    option: Option, times: Sequence[float], hours: float, slo: float, allowed: float, settle: float = 0.0
) -> Sized:
    if option.kind == "serverless":
        return _scaled(option, times, hours, slo, allowed, settle)
    low, high = 1, 1
    while _missed(option, times, high, slo) > allowed and high < option.most_units:
        low, high = high + 1, min(option.most_units, 2 * high)
    while low < high:
        middle = (low + high) // 2
        if _missed(option, times, middle, slo) <= allowed:
            high = middle
        else:
            low = middle + 1
    missed = _missed(option, times, high, slo)
    paid = high * option.unit_cents_per_hour + option.request_cents * len(times) / hours
    return Sized(
        option=option.name,
        units=high,
        cents_per_hour=paid,
        missed_share=missed,
        cold_starts=0,
        keeps_slo=missed <= allowed,
    )


def _missed(option: Option, times: Sequence[float], units: int, slo: float) -> float:
    """Serve first come first served on all slots, and return the share that was late."""
    free = [0.0] * (units * option.slots)
    late = 0
    for now in times:
        done = max(now, free[0]) + option.service_seconds
        heapq.heapreplace(free, done)
        late += done - now > slo
    return late / len(times)


class _Unit:
    """One serverless unit: since when it is paid, when each of its slots is free, and when it last finishes."""

    def __init__(self, began: float, ready: float, slots: int) -> None:
        self.began = began
        self.free = [ready] * slots
        self.last = ready

    def serve(self, now: float, seconds: float) -> float:
        done = max(now, self.free[0]) + seconds
        heapq.heapreplace(self.free, done)
        self.last = max(self.last, done)
        return done


def _scaled(option: Option, times: Sequence[float], hours: float, slo: float, allowed: float, settle: float) -> Sized:
    """Serve each request on the unit with a free slot that was used last, so that the others may go; else where it begins
    soonest, which is a new unit if that is quicker than waiting for one that is up or starting. What is up at the end is paid
    until then: the time after belongs to what comes after.
    """
    end = 3600 * hours
    units: list[_Unit] = []
    paid, late, cold, most = 0.0, 0, 0, 0
    for now in times:
        if any(unit.last + option.keep_seconds <= now for unit in units):
            gone = [unit for unit in units if unit.last + option.keep_seconds <= now]
            paid += sum(unit.last + option.keep_seconds - unit.began for unit in gone)
            units = [unit for unit in units if unit.last + option.keep_seconds > now]
        unit = _pick(units, now)
        ready = now + option.cold_start_seconds
        if unit is None or (unit.free[0] > ready and len(units) < option.most_units):
            unit = _Unit(now, ready, option.slots)
            units.append(unit)
            cold += now >= settle
        late += unit.serve(now, option.service_seconds) - now > slo and now >= settle
        most = max(most, len(units))
    paid += sum(max(unit.last, min(unit.last + option.keep_seconds, end)) - unit.began for unit in units)
    cents = paid / 3600 * option.unit_cents_per_hour + option.request_cents * len(times)
    missed = late / len(times)
    return Sized(
        option=option.name,
        units=most,
        cents_per_hour=cents / hours,
        missed_share=missed,
        cold_starts=cold,
        keeps_slo=missed <= allowed,
    )


def _pick(units: Sequence[_Unit], now: float) -> _Unit | None:
    free = [unit for unit in units if unit.free[0] <= now]
    if free:
        return max(free, key=lambda unit: unit.last)
    return min(units, key=lambda unit: unit.free[0], default=None)


def _break_even(
    chosen: Option, other: Option, times: Sequence[float], rate: float, slo: float, allowed: float
) -> float | None:
    """Return the rate at which the other option becomes as cheap, between a thousandth and ten times the measured one."""
    hours = len(times) / rate
    first_at = times[0]

    def dearer(factor: float) -> bool:
        moved = [(now - first_at) / factor for now in times]
        first, second = (_size(row, moved, hours / factor, slo, allowed) for row in (chosen, other))
        return second.cents_per_hour > first.cents_per_hour

    now_dearer = dearer(1.0)
    for edge in (10.0, 0.001):
        if dearer(edge) == now_dearer:
            continue
        near, far = 1.0, edge
        for _ in range(14):
            middle = (near * far) ** 0.5
            near, far = (middle, far) if dearer(middle) == now_dearer else (near, middle)
        return rate * far
    return None


def _told(best: Sized, sized: dict[str, Sized], even: dict[str, float], rate: float, slo: float) -> tuple[str, ...]:
    told = [
        f"{best.option} costs {money(best.cents_per_hour)} per hour at {rate:,.0f} requests per hour, and "
        f"{100 * best.missed_share:.2f} % are later than {slo:g} s"
    ]
    for row in sized.values():
        if row.option == best.option:
            continue
        why = f"{row.option}: {money(row.cents_per_hour)} per hour"
        if not row.keeps_slo:
            why += f", but {100 * row.missed_share:.2f} % are late"
            why += f" ({row.cold_starts} cold starts)" if row.cold_starts else ""
        if row.option in even:
            why += f"; break-even at {even[row.option]:,.0f} requests per hour"
        told.append(why)
    return tuple(told)
