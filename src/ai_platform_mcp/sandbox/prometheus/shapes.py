"""The formulas behind generated series: a smooth load over time and its integral, so that any sample costs O(1).

Load is a daily wave, two faster waves and nothing random, because its integral must be closed and never fall:
counters are integrals of load. Gauges add jitter, a hash of the tick.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

_DAY = 86_400.0
MOST_SWING = 0.95
"""Leaves a load of at least 0.05, far above what rounding could take from a counter between two scrapes."""
_WAVES = ((2 * math.pi / 14_790.0, 0.6), (2 * math.pi / 1_043.0, 0.4))
"""Angular speed per second and share of the noise: about four hours, about seventeen minutes."""

_MASK = (1 << 64) - 1
_NORMAL = NormalDist()

PARAMETERS: dict[str, dict[str, float]] = {
    "counter": {"rate": 0.0, "swing": 0.0, "noise": 0.0, "peak_hour": 14.0},
    "gauge": {
        "level": 0.0,
        "swing": 0.0,
        "noise": 0.0,
        "jitter": 0.0,
        "trend": 0.0,
        "low": -math.inf,
        "high": math.inf,
        "peak_hour": 14.0,
    },
    "histogram": {
        "rate": 0.0,
        "swing": 0.0,
        "noise": 0.0,
        "peak_hour": 14.0,
        "median": 0.1,
        "sigma": 0.5,
        "tail_share": 0.03,
        "tail_factor": 4.0,
    },
}
"""Per metric type, every parameter and its default.

`rate` is events (or units) per second on average, `level` a gauge's average, `swing` the daily amplitude and `noise`
the faster one, both as a share (together at most 0.95), `trend` a gauge's drift per day, `jitter` a share of the level,
`low` and `high` clamp a gauge, `median` and `sigma` describe log-normal latencies in seconds, `tail_share` of which
take `tail_factor` times longer, more so at the daily peak.
"""


def completed(kind: str, given: Mapping[str, float]) -> dict[str, float]:
    """Parameters with their defaults. Raises `ValueError` for an unknown name or a load that could fall below zero."""
    known = PARAMETERS[kind]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"a {kind} has no parameter {', '.join(unknown)}; it has {', '.join(known)}")
    params = {**known, **given}
    if params["swing"] + params["noise"] > MOST_SWING:
        raise ValueError(
            f"swing and noise together must not exceed {MOST_SWING}, or counters would stand still or fall"
        )
    if params.get("rate", 0.0) < 0:
        raise ValueError("a rate cannot be negative")
    return params


def hash64(*parts: object) -> int:
    """A stable 64-bit hash, the same in every process."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def unit_noise(key: int, tick: int) -> float:
    """A number in [-1, 1) that depends on the series and the tick alone (splitmix64)."""
    z = (key + tick * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) / (1 << 52) - 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """A load around 1: `1 + swing·daily + noise·fast`, with a closed integral."""

    swing: float
    noise: float
    peak_hour: float
    phases: tuple[float, float]

    @staticmethod
    def of(params: Mapping[str, float], key: int) -> Load:
        """The load of one series; its phases follow from its key."""
        turn = 2 * math.pi / 65_536
        return Load(
            params["swing"], params["noise"], params["peak_hour"], ((key & 0xFFFF) * turn, (key >> 16 & 0xFFFF) * turn)
        )

    def at(self, seconds: float) -> float:
        """The load at a moment, in seconds since the epoch."""
        value = 1.0
        if self.swing:
            value += self.swing * math.cos(2 * math.pi * (seconds / _DAY - self.peak_hour / 24))
        if self.noise:
            for (speed, share), phase in zip(_WAVES, self.phases, strict=True):
                value += self.noise * share * math.cos(speed * seconds + phase)
        return value

    def wave_integral(self, seconds: float) -> float:
        """An antiderivative of the load less its mean of 1: the integral over an interval is its length plus the
        difference of this at its ends."""
        value = 0.0
        if self.swing:
            value += self.swing * _DAY / (2 * math.pi) * math.sin(2 * math.pi * (seconds / _DAY - self.peak_hour / 24))
        if self.noise:
            for (speed, share), phase in zip(_WAVES, self.phases, strict=True):
                value += self.noise * share / speed * math.sin(speed * seconds + phase)
        return value


def lognormal_share_below(bound: float, median: float, sigma: float) -> float:
    """The share of log-normal observations at or below a bound."""
    if math.isinf(bound):
        return 1.0
    return 0.0 if bound <= 0 else _NORMAL.cdf(math.log(bound / median) / sigma)


def lognormal_mean(median: float, sigma: float) -> float:
    """The mean of a log-normal distribution."""
    return median * math.exp(sigma * sigma / 2)
