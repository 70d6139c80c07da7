"""Arrivals to size by, from rates measured in steps: the level of every step is kept, what happened within one is not known."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value


class Arriving(Value):
    """Arrival times in seconds, sorted, within ``hours``; and what of the measured time they stand for."""

    times: tuple[float, ...]
    hours: float
    steps: int
    """Steps that something was measured in."""
    step_seconds: int
    kept_share: float
    """The share of each step that is played through: all of it, unless there are more arrivals than can be."""
    peak_per_second: float
    """The busiest step's rate."""


def arriving(rates: Sequence[float | None], step_seconds: int, most: int, seed: int = 0) -> Arriving:
    """Return arrivals at these rates per second: within a step as chance has it (Poisson), from step to step as measured.

    More than ``most`` arrivals are cut by playing only the beginning of each step, which keeps every rate as it was. Steps
    without a value are left out. The same arguments give the same times.

    Raises:
        InvalidInput: nothing arrived, or nothing was measured.
    """
    known = [rate for rate in rates if rate is not None and rate >= 0]
    expected = sum(known) * step_seconds
    if expected < 1:
        raise InvalidInput("nothing arrived in the measured time", remedy="size by a longer window")
    kept = min(1.0, most / expected)
    length = step_seconds * kept
    chance = random.Random(seed)  # noqa: S311  # a repeatable sample, no secret
    times: list[float] = []
    for place, rate in enumerate(known):
        at = place * length
        while rate > 0 and (at := at + chance.expovariate(rate)) < (place + 1) * length:
            times.append(at)
    if not times:
        raise InvalidInput("next to nothing arrived in the measured time", remedy="size by a longer window")
    return Arriving(
        times=tuple(times),
        hours=length * len(known) / 3600,
        steps=len(known),
        step_seconds=step_seconds,
        kept_share=kept,
        peak_per_second=max(known),
    )
