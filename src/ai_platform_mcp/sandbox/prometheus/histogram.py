"""`histogram_quantile` over classic buckets."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict

from ai_platform_mcp.sandbox.prometheus import floats
from ai_platform_mcp.sandbox.prometheus.model import NAME, LabelSet, without
from ai_platform_mcp.sandbox.prometheus.nodes import Node
from ai_platform_mcp.sandbox.prometheus.values import Evaluation, Series, Value, Values, Vector

Bucket = tuple[float, float]
"""Upper bound, cumulative count."""


def bucket_quantile(q: float, buckets: list[Bucket]) -> float:
    """The quantile, interpolated inside its bucket; NaN without a +Inf bucket or without observations."""
    if math.isnan(q):
        return floats.NAN
    if q < 0:
        return -floats.INF
    if q > 1:
        return floats.INF
    bounds, counts = _clean(buckets)
    if not bounds or bounds[-1] != floats.INF or len(bounds) < 2 or counts[-1] == 0:
        return floats.NAN
    if math.isnan(counts[-1]):
        return floats.NAN
    rank = q * counts[-1]
    index = bisect_left(counts, rank, 0, len(counts) - 1)
    if index == len(counts) - 1:
        return bounds[-2]
    if index == 0 and bounds[0] <= 0:
        return bounds[0]
    start, below = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    return start + (bounds[index] - start) * floats.divide(rank - below, counts[index] - below)


def _clean(buckets: list[Bucket]) -> tuple[list[float], list[float]]:
    """Bounds ascending, equal bounds added up, counts made monotone (scrapes may catch a histogram half written)."""
    sums: dict[float, float] = defaultdict(float)
    for bound, count in buckets:
        sums[bound] += count
    bounds = sorted(sums)
    counts: list[float] = []
    highest = -floats.INF
    for bound in bounds:
        highest = max(highest, sums[bound]) if not math.isnan(sums[bound]) else sums[bound]
        counts.append(highest)
    return bounds, counts


def histogram_quantile(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    """The function itself: one result per label set without `le`."""
    quantiles = ev.scalar(args[0])
    groups: dict[LabelSet, list[tuple[float, Values]]] = defaultdict(list)
    for series in ev.vector(args[1]):
        bound = _upper_bound(series.labels)
        if bound is not None:
            groups[without(series.labels, ("le", NAME))].append((bound, series.values))
    result: list[Series] = []
    for labels, members in groups.items():
        values: Values = []
        for step, q in enumerate(quantiles):
            buckets = [(bound, value) for bound, counts in members if (value := counts[step]) is not None]
            values.append(bucket_quantile(q, buckets) if buckets else None)
        result.append(Series(labels, values))
    return Vector(result)


def _upper_bound(labels: LabelSet) -> float | None:
    try:
        return float(dict(labels).get("le", ""))
    except ValueError:
        return None
