"""How long requests took, as the buckets that were measured: they add up over nodes and sites, which percentiles do not."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from ai_platform_mcp.core.model import Value


class Late(Value):
    """The share of requests that took longer than promised: where in its bucket each fell is not measured."""

    share: float
    """As if they were spread evenly over the bucket that the promise falls into."""
    low: float
    high: float


class Latency(Value):
    """Cumulative counts by upper bound in seconds, the last one without a bound: ``inf`` is left out, ``count`` is all."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    count: float

    def quantile(self, share: float) -> float | None:
        """Return the seconds that this share of requests stayed below, None where there were none.

        Within a bucket requests are taken as evenly spread, as Prometheus does; beyond the last bound it is that bound.
        """
        if self.count <= 0 or not self.bounds:
            return None
        rank = share * self.count
        place = bisect_left(self.counts, rank)
        if place == len(self.bounds):
            return self.bounds[-1]
        begin, below = (self.bounds[place - 1], self.counts[place - 1]) if place else (0.0, 0.0)
        inside = self.counts[place] - below
        return self.bounds[place] if inside <= 0 else begin + (self.bounds[place] - begin) * (rank - below) / inside

    def late(self, seconds: float) -> Late | None:
        """Return the share that took longer than ``seconds``, None where there were no requests."""
        if self.count <= 0 or not self.bounds:
            return None
        place = bisect_left(self.bounds, seconds)
        above = self.counts[place] if place < len(self.bounds) else self.count
        below = self.counts[place - 1] if place else 0.0
        exact = place < len(self.bounds) and self.bounds[place] == seconds
        within = above if exact else self.until(seconds)
        return Late(
            share=_share(self.count - within, self.count),
            low=_share(self.count - above, self.count),
            high=_share(self.count - (above if exact else below), self.count),
        )

    def until(self, seconds: float) -> float:
        """Return how many took at most ``seconds``; of those beyond the last bound none did."""
        place = bisect_left(self.bounds, seconds)
        if place == len(self.bounds):
            return self.counts[-1]
        begin, below = (self.bounds[place - 1], self.counts[place - 1]) if place else (0.0, 0.0)
        return below + (self.counts[place] - below) * (seconds - begin) / (self.bounds[place] - begin)

    @classmethod
    def of(cls, buckets: Mapping[float, float]) -> Latency | None:
        """Return what cumulative counts by bound say (``inf`` among them), None where they say nothing.

        Counters are read one after the other, so that a count may lie below the one before it; it is raised to that.
        """
        known = {bound: count for bound, count in buckets.items() if math.isfinite(count)}
        if math.inf not in known:
            return None
        bounds = sorted(bound for bound in known if math.isfinite(bound))
        counts, most = list[float](), 0.0
        for bound in bounds:
            most = max(most, known[bound])
            counts.append(most)
        return cls(bounds=tuple(bounds), counts=tuple(counts), count=max(most, known[math.inf]))


def together(parts: Iterable[Latency | None]) -> Latency | None:
    """Return all of them as one. Where bounds differ, each is read at every bound as :meth:`Latency.late` reads it."""
    known: Sequence[Latency] = [part for part in parts if part is not None and part.bounds]
    if not known:
        return None
    bounds = tuple(sorted({bound for part in known for bound in part.bounds}))
    if all(part.bounds == bounds for part in known):
        counts = tuple(map(sum, zip(*(part.counts for part in known), strict=True)))
    else:
        counts = tuple(sum(part.until(bound) for part in known) for bound in bounds)
    return Latency(bounds=bounds, counts=counts, count=sum(part.count for part in known))


def _share(part: float, whole: float) -> float:
    return min(1.0, max(0.0, part / whole))
