"""Binary operators between scalars and vectors, and the matching of two vectors."""

from __future__ import annotations

import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterator

from ai_platform_mcp.sandbox.prometheus import floats
from ai_platform_mcp.sandbox.prometheus.model import NAME, ExecutionError, LabelSet, keep_only, label_set, without
from ai_platform_mcp.sandbox.prometheus.nodes import Binary, Matching
from ai_platform_mcp.sandbox.prometheus.values import (
    Evaluation,
    Scalar,
    Series,
    Value,
    Values,
    Vector,
    drop_name,
    merge_same,
)

_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": floats.divide,
    "%": floats.modulo,
    "^": floats.power,
    "atan2": math.atan2,
}
_COMPARISON: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_SETS = frozenset({"and", "or", "unless"})


def binary(ev: Evaluation, node: Binary) -> Value:
    """Evaluate a binary operation. Raises `ExecutionError` when the sides do not match one to one as asked."""
    lhs, rhs = ev.value(node.lhs), ev.value(node.rhs)
    if isinstance(lhs, Vector) and isinstance(rhs, Vector):
        if node.op in _SETS:
            return _set_operation(node, lhs.series, rhs.series)
        return _matched(node, lhs.series, rhs.series, len(ev.steps))
    if isinstance(lhs, Scalar) and isinstance(rhs, Scalar):
        combine = _ARITHMETIC.get(node.op) or _as_number(_COMPARISON[node.op])
        return Scalar([combine(a, b) for a, b in zip(lhs.values, rhs.values, strict=True)])
    if isinstance(lhs, Vector) and isinstance(rhs, Scalar):
        return _with_scalar(node, lhs.series, rhs.values, swapped=False)
    if isinstance(lhs, Scalar) and isinstance(rhs, Vector):
        return _with_scalar(node, rhs.series, lhs.values, swapped=True)
    raise ExecutionError(f"binary operation {node.op} is not defined between these types")


def _as_number(compare: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    return lambda a, b: 1.0 if compare(a, b) else 0.0


def _element(node: Binary) -> Callable[[float, float], float | None]:
    """The operation on two samples; a comparison without `bool` answers the left one, or nothing."""
    if node.op in _ARITHMETIC:
        return _ARITHMETIC[node.op]
    compare = _COMPARISON[node.op]
    return _as_number(compare) if node.as_bool else lambda a, b: a if compare(a, b) else None


def _drops_name(node: Binary) -> bool:
    """Arithmetic changes what a series means; `atan2` keeps the name in Prometheus 2.42 all the same."""
    return (node.op in _ARITHMETIC and node.op != "atan2") or node.as_bool


def _with_scalar(node: Binary, vector: list[Series], scalars: list[float], *, swapped: bool) -> Value:
    element = _element(node)
    filtering = node.op in _COMPARISON and not node.as_bool
    result: list[Series] = []
    for one in vector:
        values: Values = []
        for value, number in zip(one.values, scalars, strict=True):
            if value is None:
                values.append(None)
                continue
            answer = element(number, value) if swapped else element(value, number)
            # A filter keeps the vector's own value, on whichever side it stands.
            values.append(value if filtering and answer is not None else answer)
        result.append(Series(drop_name(one.labels) if _drops_name(node) else one.labels, values))
    return Vector(merge_same(result))


def _signature(matching: Matching) -> Callable[[LabelSet], LabelSet]:
    if matching.on:
        return lambda labels: keep_only(labels, matching.labels)
    ignored = (*matching.labels, NAME)
    return lambda labels: without(labels, ignored)


def _by_signature(matching: Matching, vector: list[Series]) -> dict[LabelSet, list[Series]]:
    signature = _signature(matching)
    groups: dict[LabelSet, list[Series]] = defaultdict(list)
    for series in vector:
        groups[signature(series.labels)].append(series)
    return groups


def _set_operation(node: Binary, lhs: list[Series], rhs: list[Series]) -> Value:
    signature = _signature(node.matching)
    if node.op == "or":
        left = _by_signature(node.matching, lhs)
        extra = [_masked(one, left.get(signature(one.labels), []), keep_if_present=False) for one in rhs]
        return Vector(merge_same([*lhs, *extra]))
    right = _by_signature(node.matching, rhs)
    keep = node.op == "and"
    return Vector([_masked(one, right.get(signature(one.labels), []), keep_if_present=keep) for one in lhs])


def _masked(one: Series, others: list[Series], *, keep_if_present: bool) -> Series:
    values = [
        value if any(other.values[step] is not None for other in others) == keep_if_present else None
        for step, value in enumerate(one.values)
    ]
    return Series(one.labels, values)


def _any_at(vector: list[Series], steps: int) -> list[bool]:
    return [any(one.values[step] is not None for one in vector) for step in range(steps)]


def _matched(node: Binary, lhs: list[Series], rhs: list[Series], steps: int) -> Value:
    matching = node.matching
    many, one_side = (rhs, lhs) if matching.group == "right" else (lhs, rhs)
    ones = _by_signature(matching, one_side)
    if any(len(group) > 1 for group in ones.values()):
        _refuse_many_to_many(ones, _any_at(many, steps), "left" if matching.group == "right" else "right")
    signature = _signature(matching)
    by_signature: dict[LabelSet, list[Series]] = defaultdict(list)
    for series in many:
        key = signature(series.labels)
        by_signature[key].extend(_paired(node, series, ones.get(key, [])))
    if not matching.group:
        for results in by_signature.values():
            _refuse_many_to_one(results, steps)
    message = "multiple matches for labels: grouping labels must ensure unique matches"
    return Vector(merge_same((one for results in by_signature.values() for one in results), message))


def _paired(node: Binary, series: Series, partners: list[Series]) -> Iterator[Series]:
    element = _element(node)
    swapped = node.matching.group == "right"
    for partner in partners:
        values: Values = []
        for mine, theirs in zip(series.values, partner.values, strict=True):
            if mine is None or theirs is None:
                values.append(None)
            else:
                values.append(element(theirs, mine) if swapped else element(mine, theirs))
        yield Series(_result_labels(node, series.labels, partner.labels), values)


def _result_labels(node: Binary, labels: LabelSet, partner: LabelSet) -> LabelSet:
    matching = node.matching
    kept = drop_name(labels) if _drops_name(node) else labels
    if not matching.group:
        return keep_only(kept, matching.labels) if matching.on else without(kept, matching.labels)
    if not matching.include:
        return kept
    brought = keep_only(partner, matching.include)
    return label_set((*without(kept, matching.include), *brought))


def _refuse_many_to_many(ones: dict[LabelSet, list[Series]], other_present: list[bool], side: str) -> None:
    for group in ones.values():
        for step, present in enumerate(other_present):
            if present and sum(1 for one in group if one.values[step] is not None) > 1:
                raise ExecutionError(
                    f"found duplicate series for the match group on the {side} hand-side of the operation;"
                    "many-to-many matching not allowed: matching labels must be unique on one side"
                )


def _refuse_many_to_one(results: list[Series], steps: int) -> None:
    if len(results) < 2:
        return
    for step in range(steps):
        if sum(1 for one in results if one.values[step] is not None) > 1:
            raise ExecutionError(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
            )
