"""Functions over a range of samples: rates, derivatives and the `*_over_time` family."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

from ai_platform_mcp.sandbox.prometheus import floats
from ai_platform_mcp.sandbox.prometheus.model import Growth
from ai_platform_mcp.sandbox.prometheus.nodes import Node
from ai_platform_mcp.sandbox.prometheus.values import Evaluation, Series, Value, Vector, Window, drop_name, merge_same

RangeFunction: TypeAlias = Callable[[Window], float | None]


def _extrapolated(window: Window, kind: Literal["rate", "increase", "delta"]) -> float | None:
    growth = Growth.of(window.times, window.values)
    if kind == "delta":
        growth = replace(growth, grown=window.values[-1] - window.values[0])
    return _stretched(growth, window.start_ms, window.end_ms, kind)


def _stretched(growth: Growth, start_ms: int, end_ms: int, kind: Literal["rate", "increase", "delta"]) -> float | None:
    """Rate, increase or delta over a whole window, stretched from the samples to its edges.

    The stretch goes all the way to an edge that is nearer than 1.1 sample intervals, otherwise by half an interval;
    a counter is never stretched below zero.
    """
    if growth.count < 2:
        return None
    (first_ms, first), (last_ms, _), change = growth.first, growth.last, growth.grown
    to_start = (first_ms - start_ms) / 1000
    to_end = (end_ms - last_ms) / 1000
    sampled = (last_ms - first_ms) / 1000
    interval = sampled / (growth.count - 1)
    if kind != "delta" and change > 0 and first >= 0:
        to_start = min(to_start, sampled * (first / change))
    near = interval * 1.1
    covered = sampled
    covered += to_start if to_start < near else interval / 2
    covered += to_end if to_end < near else interval / 2
    factor = covered / sampled
    if kind == "rate":
        factor /= (end_ms - start_ms) / 1000
    return change * factor


def _instant(window: Window, *, rate: bool) -> float | None:
    if len(window.times) < 2:
        return None
    before, last = window.values[-2], window.values[-1]
    change = last if rate and last < before else last - before
    seconds = (window.times[-1] - window.times[-2]) / 1000
    return floats.divide(change, seconds) if rate else change


def _regression(window: Window, origin_ms: int) -> tuple[float, float]:
    """Slope per second and value at the origin of the least-squares line."""
    first = window.values[0]
    if all(value == first for value in window.values):
        return (floats.NAN, floats.NAN) if math.isinf(first) else (0.0, first)
    xs = [(moment - origin_ms) / 1000 for moment in window.times]
    n = float(len(xs))
    sum_x, sum_y = floats.total(xs), floats.total(list(window.values))
    sum_xy = floats.total([x * y for x, y in zip(xs, window.values, strict=True)])
    sum_xx = floats.total([x * x for x in xs])
    slope = floats.divide(sum_xy - sum_x * sum_y / n, sum_xx - sum_x * sum_x / n)
    return slope, sum_y / n - slope * sum_x / n


def _deriv(window: Window) -> float | None:
    return None if len(window.times) < 2 else _regression(window, window.times[0])[0]


def _changes(window: Window) -> float:
    pairs = zip(window.values, window.values[1:], strict=False)
    return float(sum(1 for a, b in pairs if a != b and not (math.isnan(a) and math.isnan(b))))


def _resets(window: Window) -> float:
    return float(sum(1 for a, b in zip(window.values, window.values[1:], strict=False) if b < a))


def extreme(values: Sequence[float], pick: Callable[[Sequence[float]], float]) -> float:
    """`min` or `max` that prefers any number over NaN."""
    numbers = [value for value in values if not math.isnan(value)]
    return pick(numbers) if numbers else floats.NAN


RANGE_FUNCTIONS: dict[str, RangeFunction] = {
    "rate": lambda window: _extrapolated(window, "rate"),
    "increase": lambda window: _extrapolated(window, "increase"),
    "delta": lambda window: _extrapolated(window, "delta"),
    "irate": lambda window: _instant(window, rate=True),
    "idelta": lambda window: _instant(window, rate=False),
    "deriv": _deriv,
    "changes": _changes,
    "resets": _resets,
    "avg_over_time": lambda window: floats.mean(list(window.values)),
    "min_over_time": lambda window: extreme(window.values, min),
    "max_over_time": lambda window: extreme(window.values, max),
    "sum_over_time": lambda window: floats.total(list(window.values)),
    "count_over_time": lambda window: float(len(window.values)),
    "stddev_over_time": lambda window: math.sqrt(floats.variance(list(window.values))),
    "stdvar_over_time": lambda window: floats.variance(list(window.values)),
    "last_over_time": lambda window: window.values[-1],
    "present_over_time": lambda window: 1.0,
}
_KEEPS_NAME = frozenset({"last_over_time"})


def range_function(name: str, ev: Evaluation, args: tuple[Node, ...]) -> Value:
    """Apply a function of one range vector."""
    growing = ev.growths(args[0]) if name in ("rate", "increase") else None
    if growing is not None:
        kind: Literal["rate", "increase"] = "rate" if name == "rate" else "increase"
        return Vector(
            merge_same(
                Series(
                    drop_name(labels),
                    [None if grown is None else _stretched(grown, start, end, kind) for start, end, grown in rows],
                )
                for labels, rows in growing
            )
        )
    function = RANGE_FUNCTIONS[name]
    result: list[Series] = []
    for one in ev.windows(args[0]):
        labels = one.labels if name in _KEEPS_NAME else drop_name(one.labels)
        values = [None if window is None else function(window) for window in one.windows]
        result.append(Series(labels, values))
    return Vector(merge_same(result))


def quantile_over_time(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    """The quantile of each window's values."""
    return _with_parameter(ev, args[0], args[1], lambda q, window: floats.quantile(q, list(window.values)))


def predict_linear(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    """Where the window's regression line will be some seconds after the step."""

    def predict(seconds: float, window: Window) -> float | None:
        if len(window.times) < 2:
            return None
        slope, intercept = _regression(window, window.eval_ms)
        return slope * seconds + intercept

    return _with_parameter(ev, args[1], args[0], predict)


def _with_parameter(
    ev: Evaluation, parameter: Node, ranged: Node, function: Callable[[float, Window], float | None]
) -> Value:
    parameters = ev.scalar(parameter)
    result = [
        Series(
            drop_name(one.labels),
            [
                None if window is None else function(value, window)
                for value, window in zip(parameters, one.windows, strict=True)
            ],
        )
        for one in ev.windows(ranged)
    ]
    return Vector(merge_same(result))
