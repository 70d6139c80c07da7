"""Aggregation operators: group the series once, then reduce every step."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

from ai_platform_mcp.sandbox.prometheus import floats
from ai_platform_mcp.sandbox.prometheus.model import NAME, ExecutionError, LabelSet, keep_only, label_set, without
from ai_platform_mcp.sandbox.prometheus.nodes import Aggregate
from ai_platform_mcp.sandbox.prometheus.ranges import extreme
from ai_platform_mcp.sandbox.prometheus.values import Evaluation, Series, Value, Values, Vector, merge_same

_REDUCE: dict[str, Callable[[list[float]], float]] = {
    "sum": floats.total,
    "avg": floats.mean,
    "min": lambda values: extreme(values, min),
    "max": lambda values: extreme(values, max),
    "count": lambda values: float(len(values)),
    "group": lambda values: 1.0,
    "stddev": lambda values: math.sqrt(floats.variance(values)),
    "stdvar": floats.variance,
}


def aggregate(ev: Evaluation, node: Aggregate) -> Value:
    """Evaluate an aggregation. Raises `ExecutionError` for an operator this store does not have."""
    groups: dict[LabelSet, list[Series]] = defaultdict(list)
    for series in ev.vector(node.expr):
        groups[group_labels(node, series.labels)].append(series)
    if node.op in _REDUCE:
        reduce = _REDUCE[node.op]
        return Vector([Series(labels, _reduced(reduce, members)) for labels, members in groups.items()])
    if node.param is None:
        raise ExecutionError(f"aggregation {node.op} is not supported here")
    if node.op == "quantile":
        quantiles = ev.scalar(node.param)
        return Vector([Series(labels, _quantiles(quantiles, members)) for labels, members in groups.items()])
    if node.op == "count_values":
        return _count_values(ev.text(node.param), groups)
    if node.op in ("topk", "bottomk"):
        return _extremes(node.op, ev.scalar(node.param), list(groups.values()))
    raise ExecutionError(f"aggregation {node.op} is not supported here")


def group_labels(node: Aggregate, labels: LabelSet) -> LabelSet:
    """The labels of the group a series falls into."""
    return without(labels, (*node.labels, NAME)) if node.without else keep_only(labels, node.labels)


def _present(members: list[Series], step: int) -> list[float]:
    return [value for one in members if (value := one.values[step]) is not None]


def _reduced(reduce: Callable[[list[float]], float], members: list[Series]) -> Values:
    columns = (_present(members, step) for step in range(len(members[0].values)))
    return [reduce(column) if column else None for column in columns]


def _quantiles(quantiles: list[float], members: list[Series]) -> Values:
    columns = ((q, _present(members, step)) for step, q in enumerate(quantiles))
    return [floats.quantile(q, column) if column else None for q, column in columns]


def _count_values(label: str, groups: dict[LabelSet, list[Series]]) -> Value:
    result: list[Series] = []
    for labels, members in groups.items():
        steps = len(members[0].values)
        counted: dict[str, Values] = {}
        for step in range(steps):
            for value in _present(members, step):
                row = counted.setdefault(floats.plain_text(value), [None] * steps)
                row[step] = (row[step] or 0.0) + 1
        result.extend(
            Series(label_set((*without(labels, (label,)), (label, text))), row) for text, row in counted.items()
        )
    return Vector(merge_same(result))


def _extremes(op: str, sizes: list[float], groups: list[list[Series]]) -> Value:
    """`topk` and `bottomk` choose anew at every step; at a single step the answer is in order, best first."""
    result: list[Series] = []
    for members in groups:
        kept: dict[int, Values] = {}
        for step, size in enumerate(sizes):
            if math.isnan(size):
                raise ExecutionError("Scalar value NaN overflows int64")
            present = [index for index, one in enumerate(members) if one.values[step] is not None]
            present.sort(key=lambda index: _rank(op, members[index].values[step]))
            for index in present[: max(0, int(min(size, len(present))))]:
                kept.setdefault(index, [None] * len(sizes))[step] = members[index].values[step]
        result.extend(Series(members[index].labels, values) for index, values in kept.items())
    return Vector(result)


def _rank(op: str, value: float | None) -> tuple[bool, float]:
    if value is None or math.isnan(value):
        return True, 0.0
    return False, value if op == "bottomk" else -value
