"""Functions of instant vectors and scalars, and the table of every function this store has."""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

from ai_platform_mcp.sandbox.prometheus import floats
from ai_platform_mcp.sandbox.prometheus.histogram import histogram_quantile
from ai_platform_mcp.sandbox.prometheus.model import NAME, ExecutionError, LabelSet, Matcher, label_set, without
from ai_platform_mcp.sandbox.prometheus.nodes import Call, Node, Range, Selector
from ai_platform_mcp.sandbox.prometheus.ranges import (
    RANGE_FUNCTIONS,
    predict_linear,
    quantile_over_time,
    range_function,
)
from ai_platform_mcp.sandbox.prometheus.values import (
    Evaluation,
    Scalar,
    Series,
    Value,
    Vector,
    drop_name,
    merge_same,
)

Function: TypeAlias = Callable[[Evaluation, tuple[Node, ...]], Value]


def call(ev: Evaluation, node: Call) -> Value:
    """Evaluate a function call. Raises `ExecutionError` for a function this store does not have."""
    if node.name in RANGE_FUNCTIONS:
        return range_function(node.name, ev, node.args)
    function = _FUNCTIONS.get(node.name)
    if function is None:
        raise ExecutionError(f"function {node.name} is not supported here")
    return function(ev, node.args)


def _mapped(function: Callable[[float], float]) -> Function:
    def apply(ev: Evaluation, args: tuple[Node, ...]) -> Value:
        return _map(ev.vector(args[0]), lambda value, step: function(value))

    return apply


def _map(vector: list[Series], function: Callable[[float, int], float]) -> Vector:
    return Vector(
        merge_same(
            Series(
                drop_name(one.labels),
                [None if value is None else function(value, step) for step, value in enumerate(one.values)],
            )
            for one in vector
        )
    )


def _clamp(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    low, high = ev.scalar(args[1]), ev.scalar(args[2])
    vector = [
        Series(one.labels, [None if low[step] > high[step] else value for step, value in enumerate(one.values)])
        for one in ev.vector(args[0])
    ]
    return _map(vector, lambda value, step: _larger(low[step], _smaller(high[step], value)))


def _larger(a: float, b: float) -> float:
    return floats.NAN if math.isnan(a) or math.isnan(b) else max(a, b)


def _smaller(a: float, b: float) -> float:
    return floats.NAN if math.isnan(a) or math.isnan(b) else min(a, b)


def _bounded(choose: Callable[[float, float], float]) -> Function:
    def apply(ev: Evaluation, args: tuple[Node, ...]) -> Value:
        limit = ev.scalar(args[1])
        return _map(ev.vector(args[0]), lambda value, step: choose(limit[step], value))

    return apply


def _round(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    vector = ev.vector(args[0])
    nearest = ev.scalar(args[1]) if len(args) > 1 else [1.0] * len(ev.steps)
    inverse = [floats.divide(1.0, value) for value in nearest]
    floor = floats.whole(math.floor)
    return _map(vector, lambda value, step: floats.divide(floor(value * inverse[step] + 0.5), inverse[step]))


def _sign(value: float) -> float:
    return value if value == 0 or math.isnan(value) else math.copysign(1.0, value)


def _scalar(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    vector = ev.vector(args[0])
    columns = ([one.values[step] for one in vector] for step in range(len(ev.steps)))
    return Scalar([_only([value for value in column if value is not None]) for column in columns])


def _only(values: list[float]) -> float:
    if len(values) != 1:
        return floats.NAN
    return values[0]


def _vector(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    return Vector([Series((), list(ev.scalar(args[0])))])


def _time(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    return Scalar([moment / 1000 for moment in ev.steps])


def _timestamp(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    if isinstance(args[0], Selector):
        return _map(ev.sample_times(args[0]), lambda value, step: value)
    return _map(ev.vector(args[0]), lambda value, step: ev.steps[step] / 1000)


def _absent(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    node = args[0]
    vector = ev.vector(node)
    found = [any(one.values[step] is not None for one in vector) for step in range(len(ev.steps))]
    return _where_missing(node.matchers if isinstance(node, Selector) else (), found)


def _absent_over_time(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    node = args[0]
    found = [False] * len(ev.steps)
    for one in ev.windows(node):
        found = [had or window is not None for had, window in zip(found, one.windows, strict=True)]
    matchers = node.selector.matchers if isinstance(node, Range) else ()
    return _where_missing(matchers, found)


def _where_missing(matchers: tuple[Matcher, ...], found: list[bool]) -> Value:
    """One where nothing was found, with the labels that the selector fixes."""
    fixed: dict[str, str] = {}
    unclear: set[str] = set()
    for matcher in matchers:
        if matcher.name == NAME:
            continue
        if matcher.op == "=" and matcher.name not in fixed:
            fixed[matcher.name] = matcher.value
        else:
            unclear.add(matcher.name)
    labels = label_set({name: value for name, value in fixed.items() if name not in unclear})
    return Vector([Series(labels, [None if had else 1.0 for had in found])])


def _sorted(*, descending: bool) -> Function:
    def apply(ev: Evaluation, args: tuple[Node, ...]) -> Value:
        vector = ev.vector(args[0])
        if len(ev.steps) != 1:  # a range query answers in label order anyway
            return Vector(vector)
        present = [one for one in vector if one.values[0] is not None]
        return Vector(sorted(present, key=lambda one: _order(one.values[0], descending)))

    return apply


def _order(value: float | None, descending: bool) -> tuple[bool, float]:
    if value is None or math.isnan(value):
        return True, 0.0
    return False, -value if descending else value


_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)\}|\$)", re.ASCII)


def _label_replace(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    target, template, source, expression = (ev.text(arg) for arg in args[1:5])
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise ExecutionError(f"invalid regular expression in label_replace(): {expression}") from error
    _check_label_name(target, "label_replace")

    def relabel(labels: LabelSet) -> LabelSet:
        match = pattern.fullmatch(dict(labels).get(source, ""))
        if match is None:
            return labels
        return label_set((*without(labels, (target,)), (target, _expand(template, match))))

    return _relabelled(ev.vector(args[0]), relabel, "label_replace")


def _expand(template: str, match: re.Match[str]) -> str:
    """Fill `$1`, `${1}`, `$name` the way Go's regexp does: a group that is not there is empty."""

    def fill(reference: re.Match[str]) -> str:
        name = reference.group(1) or reference.group(2)
        if name is None:
            return "$"
        if name.isdecimal():
            return (match.group(int(name)) or "") if int(name) <= (match.re.groups) else ""
        return match.groupdict().get(name) or ""

    return _REFERENCE.sub(fill, template)


def _label_join(ev: Evaluation, args: tuple[Node, ...]) -> Value:
    target, separator, *sources = (ev.text(arg) for arg in args[1:])
    _check_label_name(target, "label_join")

    def relabel(labels: LabelSet) -> LabelSet:
        found = dict(labels)
        joined = separator.join(found.get(source, "") for source in sources)
        return label_set((*without(labels, (target,)), (target, joined)))

    return _relabelled(ev.vector(args[0]), relabel, "label_join")


def _check_label_name(name: str, function: str) -> None:
    if not _LABEL_NAME.fullmatch(name):
        raise ExecutionError(f"invalid destination label name in {function}(): {name}")


def _relabelled(vector: list[Series], relabel: Callable[[LabelSet], LabelSet], function: str) -> Value:
    renamed = [Series(relabel(one.labels), one.values) for one in vector]
    return Vector(merge_same(renamed, f"duplicated labelset in output of {function}()"))


def _calendar(part: Callable[[datetime], float]) -> Function:
    def apply(ev: Evaluation, args: tuple[Node, ...]) -> Value:
        vector = ev.vector(args[0]) if args else [Series((), [moment / 1000 for moment in ev.steps])]
        return _map(vector, lambda value, step: _part_of(value, part))

    return apply


def _part_of(seconds: float, part: Callable[[datetime], float]) -> float:
    try:
        return float(part(datetime.fromtimestamp(int(seconds), UTC)))
    except (ValueError, OverflowError, OSError):
        return floats.NAN


_FUNCTIONS: dict[str, Function] = {
    "quantile_over_time": quantile_over_time,
    "predict_linear": predict_linear,
    "histogram_quantile": histogram_quantile,
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "abs": _mapped(abs),
    "ceil": _mapped(floats.whole(math.ceil)),
    "floor": _mapped(floats.whole(math.floor)),
    "round": _round,
    "sgn": _mapped(_sign),
    "ln": _mapped(lambda value: floats.logarithm(value, math.log)),
    "log2": _mapped(lambda value: floats.logarithm(value, math.log2)),
    "log10": _mapped(lambda value: floats.logarithm(value, math.log10)),
    "exp": _mapped(floats.guarded(math.exp)),
    "sqrt": _mapped(floats.guarded(math.sqrt)),
    "clamp": _clamp,
    "clamp_min": _bounded(_larger),
    "clamp_max": _bounded(_smaller),
    "scalar": _scalar,
    "vector": _vector,
    "time": _time,
    "timestamp": _timestamp,
    "pi": lambda ev, args: Scalar([math.pi] * len(ev.steps)),
    "sort": _sorted(descending=False),
    "sort_desc": _sorted(descending=True),
    "label_replace": _label_replace,
    "label_join": _label_join,
    "hour": _calendar(lambda moment: moment.hour),
    "minute": _calendar(lambda moment: moment.minute),
    "day_of_month": _calendar(lambda moment: moment.day),
    "day_of_week": _calendar(lambda moment: moment.isoweekday() % 7),
    "day_of_year": _calendar(lambda moment: moment.timetuple().tm_yday),
    "days_in_month": _calendar(lambda moment: calendar.monthrange(moment.year, moment.month)[1]),
    "month": _calendar(lambda moment: moment.month),
    "year": _calendar(lambda moment: moment.year),
}
