"""One generated series over its life: where its parameters change, and its sample at any tick."""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ai_platform_mcp.sandbox.prometheus.model import NAME, LabelSet, MetricType, Sample, label_set
from ai_platform_mcp.sandbox.prometheus.shapes import (
    MOST_SWING,
    Load,
    completed,
    hash64,
    lognormal_mean,
    lognormal_share_below,
    unit_noise,
)

LATENCY_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; the Prometheus client library's default."""

_LAST = threading.local()
"""Per thread, the observations of the histogram that was asked for last."""


@dataclass(frozen=True)
class SeriesSpec:
    """One series (for a histogram: one set of `_bucket`, `_sum` and `_count`) as it is registered.

    `interval_s` is the scrape interval, `integral` makes a counter count whole events. A name is the base name for a
    histogram and the full name (with `_total`) for a counter.
    """

    name: str
    type: MetricType
    labels: Mapping[str, str]
    params: Mapping[str, float]
    start_ms: int
    interval_s: int = 15
    help: str = ""
    unit: str = ""
    integral: bool = True
    buckets: tuple[float, ...] = LATENCY_BUCKETS

    @cached_property
    def key(self) -> str:
        """The name and the labels, as one text: what `change` and `stop` take."""
        inner = ",".join(f'{name}="{value}"' for name, value in label_set(self.labels))
        return f"{self.name}{{{inner}}}"


def bound_text(bound: float) -> str:
    """A bucket bound as client libraries write it into `le`."""
    return "+Inf" if math.isinf(bound) else repr(bound)


@dataclass(frozen=True, slots=True)
class Part:
    """What one exposed series is of its track: the value itself, or a histogram's bucket, sum or count."""

    kind: str
    bound: float = math.inf


@dataclass(slots=True)
class _Segment:
    start_s: float
    params: dict[str, float]
    load: Load
    tail: Load
    main_before: float = 0.0
    tail_before: float = 0.0
    main_wave: float = field(init=False)
    tail_wave: float = field(init=False)
    main_rate: float = field(init=False)
    tail_rate: float = field(init=False)

    def __post_init__(self) -> None:
        self.main_wave = self.load.wave_integral(self.start_s)
        self.tail_wave = self.tail.wave_integral(self.start_s)
        rate, share = self.params.get("rate", 0.0), self.params.get("tail_share", 0.0)
        self.main_rate, self.tail_rate = rate * (1 - share), rate * share

    def main_at(self, seconds: float) -> float:
        """Ordinary events since the series began."""
        passed = seconds - self.start_s + self.load.wave_integral(seconds) - self.main_wave
        return self.main_before + self.main_rate * passed

    def tail_at(self, seconds: float) -> float:
        """Slow events since the series began."""
        passed = seconds - self.start_s + self.tail.wave_integral(seconds) - self.tail_wave
        return self.tail_before + self.tail_rate * passed


@dataclass
class Life:
    """A series from its registration until it is stopped; registered again, it lives anew and counters restart."""

    spec: SeriesSpec
    seed: int
    end_ms: int | None = None
    segments: list[_Segment] = field(default_factory=list["_Segment"])
    _starts: list[float] = field(default_factory=list[float])
    _key: int = 0

    def __post_init__(self) -> None:
        self._key = hash64(self.seed, self.spec.key)
        self.change(self.spec.start_ms, self.spec.params)

    @property
    def offset_ms(self) -> int:
        """When inside the interval the scrape falls: the same for all series of one target."""
        labels = self.spec.labels
        target = labels.get("pod") or labels.get("instance") or labels.get("node") or labels.get("namespace", "")
        return hash64(self.seed, "scrape", target) % (self.spec.interval_s * 1000)

    def change(self, at_ms: int, params: Mapping[str, float]) -> None:
        """Continue with other parameters from a moment on; those not named stay.

        Raises:
            ValueError: an unknown parameter, or a moment before the last change (answered history would change).
        """
        at = at_ms / 1000
        before = self.segments[-1] if self.segments else None
        if before is not None and at < before.start_s:
            raise ValueError(f"{self.spec.key} changed later than that already")
        merged = completed(self.spec.type, {**before.params, **params} if before else params)
        # The slow requests follow the daily wave more closely than all requests do: that is what a busy hour is.
        tail = {**merged, "swing": min(MOST_SWING, merged["swing"] * 1.8), "noise": 0.0}
        segment = _Segment(at, merged, Load.of(merged, self._key), Load.of(tail, self._key))
        if before is not None:
            segment.main_before, segment.tail_before = before.main_at(at), before.tail_at(at)
        self.segments.append(segment)
        self._starts.append(at)

    def ticks(self, start_ms: int, end_ms: int) -> range:
        """The scrape times inside a closed interval and inside this life."""
        step = self.spec.interval_s * 1000
        first = max(start_ms, self.spec.start_ms)
        last = end_ms if self.end_ms is None else min(end_ms, self.end_ms - 1)
        offset = self.offset_ms
        return range(-(-(first - offset) // step) * step + offset, last + 1, step)

    def newest(self, moments: Sequence[int], lookback_ms: int) -> list[int | None]:
        """For each moment, the last scrape time not after it and not older than the lookback."""
        step, offset = self.spec.interval_s * 1000, self.offset_ms
        found: list[int | None] = []
        for moment in moments:
            reached = moment if self.end_ms is None else min(moment, self.end_ms - 1)
            tick = (reached - offset) // step * step + offset
            found.append(tick if tick >= self.spec.start_ms and tick >= moment - lookback_ms else None)
        return found

    def samples(self, part: Part, ticks: Sequence[int]) -> list[Sample]:
        """The samples of one exposed series at these ticks."""
        if self.spec.type == "gauge":
            return [(tick, self._gauge(tick)) for tick in ticks]
        if self.spec.type == "counter":
            return [(tick, self._counter(tick)) for tick in ticks]
        return self._histogram(part, ticks)

    def _segment(self, seconds: float) -> tuple[int, _Segment]:
        index = bisect_right(self._starts, seconds) - 1
        return index, self.segments[index]

    def _gauge(self, tick: int) -> float:
        seconds = tick / 1000
        _, segment = self._segment(seconds)
        params = segment.params
        value = params["level"] * segment.load.at(seconds)
        if params["jitter"]:
            value += params["level"] * params["jitter"] * unit_noise(self._key, tick)
        if params["trend"]:
            value += params["trend"] * (seconds - segment.start_s) / 86_400
        value = min(params["high"], max(params["low"], value))
        return float(round(value)) if self.spec.integral else value

    def _counter(self, tick: int) -> float:
        seconds = tick / 1000
        value = self._segment(seconds)[1].main_at(seconds)
        return float(math.floor(value)) if self.spec.integral else value

    def _histogram(self, part: Part, ticks: Sequence[int]) -> list[Sample]:
        """Every segment adds its observations with its own distribution; sums of monotone terms stay monotone."""
        weights = [_weights(segment.params, part) for segment in self.segments]
        terms = [(before, *both) for before, both in zip(self._closed(weights), weights, strict=True)]
        rows = zip(ticks, self._observations(ticks), strict=True)
        if part.kind == "sum":
            return [(tick, (t := terms[i])[0] + t[1] * main + t[2] * tail) for tick, (i, main, tail) in rows]
        floor = math.floor
        return [(tick, float(floor((t := terms[i])[0] + t[1] * main + t[2] * tail))) for tick, (i, main, tail) in rows]

    def _observations(self, ticks: Sequence[int]) -> list[tuple[int, float, float]]:
        """Per tick: its segment, and the ordinary and slow observations since that began.

        The buckets of one histogram are asked for one after the other over the same ticks: the last answer is kept.
        """
        asked = (self.spec.key, id(self), ticks if isinstance(ticks, range) else tuple(ticks), len(self.segments))
        kept: tuple[object, list[tuple[int, float, float]]] | None = getattr(_LAST, "observations", None)
        if kept is not None and kept[0] == asked:
            return kept[1]
        rows: list[tuple[int, float, float]] = []
        for tick in ticks:
            seconds = tick / 1000
            index, segment = self._segment(seconds)
            main = segment.main_at(seconds) - segment.main_before
            rows.append((index, main, segment.tail_at(seconds) - segment.tail_before))
        _LAST.observations = (asked, rows)
        return rows

    def _closed(self, weights: list[tuple[float, float]]) -> list[float]:
        """Per segment, what all segments before it added to this exposed series."""
        sums = [0.0]
        for (main, tail), here, after in zip(weights, self.segments, self.segments[1:], strict=False):
            added = main * (after.main_before - here.main_before) + tail * (after.tail_before - here.tail_before)
            sums.append(sums[-1] + added)
        return sums


def _weights(params: Mapping[str, float], part: Part) -> tuple[float, float]:
    """What one ordinary and one slow observation add to a bucket, the sum or the count."""
    median, sigma = params["median"], params["sigma"]
    slow = median * params["tail_factor"]
    if part.kind == "sum":
        return lognormal_mean(median, sigma), lognormal_mean(slow, sigma)
    if part.kind == "count":
        return 1.0, 1.0
    return lognormal_share_below(part.bound, median, sigma), lognormal_share_below(part.bound, slow, sigma)


def exposed(spec: SeriesSpec) -> list[tuple[LabelSet, Part]]:
    """The series a scrape would show for one registered series."""
    base = dict(spec.labels)
    if spec.type != "histogram":
        return [(label_set({**base, NAME: spec.name}), Part("value"))]
    rows = [
        (label_set({**base, NAME: f"{spec.name}_bucket", "le": bound_text(bound)}), Part("bucket", bound))
        for bound in (*spec.buckets, math.inf)
    ]
    rows.append((label_set({**base, NAME: f"{spec.name}_sum"}), Part("sum")))
    rows.append((label_set({**base, NAME: f"{spec.name}_count"}), Part("count")))
    return rows
