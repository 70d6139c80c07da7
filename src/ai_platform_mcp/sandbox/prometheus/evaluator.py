"""Walks an expression tree over a `SampleSource`, for all steps of a query at once.

Semantics are those of Prometheus 2.42: ranges and the five-minute lookback include their far end.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ai_platform_mcp.sandbox.prometheus.aggregations import aggregate
from ai_platform_mcp.sandbox.prometheus.binary import binary
from ai_platform_mcp.sandbox.prometheus.functions import call
from ai_platform_mcp.sandbox.prometheus.model import (
    BadData,
    ExecutionError,
    KnowsGrowth,
    LabelSet,
    Sample,
    SampleSource,
)
from ai_platform_mcp.sandbox.prometheus.nodes import (
    Aggregate,
    At,
    Binary,
    Call,
    Negate,
    Node,
    Number,
    Range,
    Selector,
    Subquery,
    Text,
)
from ai_platform_mcp.sandbox.prometheus.values import (
    Budget,
    GrowingSeries,
    Matrix,
    Scalar,
    Series,
    String,
    Value,
    Values,
    Vector,
    Window,
    WindowedSeries,
    drop_name,
    merge_same,
)

LOOKBACK_MS = 5 * 60 * 1000
DEFAULT_SUBQUERY_STEP_MS = 60 * 1000
"""Prometheus takes its global evaluation interval, one minute by default."""


@dataclass(frozen=True, slots=True)
class Query:
    """One evaluation: the source, the ends of the query (what `@ start()` and `@ end()` mean) and what it may cost."""

    source: SampleSource
    start_ms: int
    end_ms: int
    budget: Budget


def evaluate(
    node: Node, source: SampleSource, steps: Sequence[int], budget: Budget, end_ms: int | None = None
) -> Value:
    """The value of an expression at the steps, in ascending milliseconds.

    `end_ms` is the end that the query named, where it lies after the last step.
    Raises `BadData` for a range selector over several steps, `ExecutionError` when matching fails, `QueryTimeout`.
    """
    evaluator = Evaluator(Query(source, steps[0], steps[-1] if end_ms is None else end_ms, budget), steps)
    if isinstance(node, Range | Subquery):
        if len(steps) != 1:
            raise BadData(
                'invalid parameter "query": invalid expression type "range vector" for range query, '
                "must be Scalar or instant Vector"
            )
        return evaluator.matrix(node)
    return evaluator.value(node)


class Evaluator:
    """One query over one grid of steps; a subquery makes another one over its own grid."""

    def __init__(self, query: Query, steps: Sequence[int]) -> None:
        self._query = query
        self.steps = steps

    def value(self, node: Node) -> Value:
        """The value of any node."""
        match node:
            case Number(value):
                return Scalar([value] * len(self.steps))
            case Text(value):
                return String(value)
            case Selector():
                return Vector([Series(labels, values) for labels, values, _ in self._selected(node)])
            case Negate(expr):
                return self._negated(expr)
            case Call():
                return call(self, node)
            case Aggregate():
                return aggregate(self, node)
            case Binary():
                return binary(self, node)
            case Range() | Subquery():
                raise ExecutionError("a range vector is not a value here")

    def vector(self, node: Node) -> list[Series]:
        """The value of a node that must be an instant vector."""
        value = self.value(node)
        if not isinstance(value, Vector):
            raise ExecutionError("expected an instant vector")
        return value.series

    def scalar(self, node: Node) -> list[float]:
        """The value of a node that must be a scalar."""
        value = self.value(node)
        if not isinstance(value, Scalar):
            raise ExecutionError("expected a scalar")
        return value.values

    def text(self, node: Node) -> str:
        """The value of a node that must be a string literal."""
        if not isinstance(node, Text):
            raise ExecutionError("expected a string literal")
        return node.value

    def sample_times(self, node: Node) -> list[Series]:
        """For an instant selector: the time in seconds of the sample each step takes."""
        if not isinstance(node, Selector):
            raise ExecutionError("expected an instant vector selector")
        return [Series(labels, times) for labels, _, times in self._selected(node)]

    def windows(self, node: Node) -> Iterator[WindowedSeries]:
        """The windows of a range selector or subquery."""
        if isinstance(node, Range):
            references = self._references(node.selector.offset_ms, node.selector.at)
            samples = self._fetch(node.selector, min(references) - node.range_ms, max(references))
        elif isinstance(node, Subquery):
            references = self._references(node.offset_ms, node.at)
            samples = self._subquery(node, references)
        else:
            raise ExecutionError("expected a range vector")
        for labels, points in samples:
            yield WindowedSeries(labels, self._cut(points, references, node.range_ms))

    def growths(self, node: Node) -> Iterator[GrowingSeries] | None:
        """Of a range selector: each series with its growth in every range; None where the source cannot tell it."""
        source = self._query.source
        if not isinstance(node, Range) or not isinstance(source, KnowsGrowth):
            return None
        selector, length = node.selector, node.range_ms
        references = self._references(selector.offset_ms, selector.at)
        ranges = [(reference - length, reference) for reference in references]

        def each(known: KnowsGrowth) -> Iterator[GrowingSeries]:
            for labels in source.series(selector.matchers, min(references) - length, max(references)):
                self._query.budget.spend(2 * len(ranges))
                rows = [(start, end, known.growth(labels, start, end)) for start, end in ranges]
                if any(grown is not None for _, _, grown in rows):
                    yield labels, rows

        return each(source)

    def matrix(self, node: Range | Subquery) -> Matrix:
        """The raw samples of a range selector, for an instant query whose whole expression it is."""
        found: list[tuple[LabelSet, list[Sample]]] = []
        for one in self.windows(node):
            window = one.windows[0]
            if window is not None:
                found.append((one.labels, list(zip(window.times, window.values, strict=True))))
        return Matrix(found)

    def _references(self, offset_ms: int, at: At) -> list[int]:
        if at is None:
            return [step - offset_ms for step in self.steps]
        fixed = {"start": self._query.start_ms, "end": self._query.end_ms}.get(at) if isinstance(at, str) else at
        return [(fixed or 0) - offset_ms] * len(self.steps)

    def _fetch(self, selector: Selector, start_ms: int, end_ms: int) -> Iterator[tuple[LabelSet, list[Sample]]]:
        for labels in self._query.source.series(selector.matchers, start_ms, end_ms):
            points = self._query.source.samples(labels, start_ms, end_ms)
            self._query.budget.spend(len(points))
            if points:
                yield labels, points

    def _selected(self, selector: Selector) -> Iterator[tuple[LabelSet, Values, Values]]:
        """Labels, values and sample times in seconds of an instant selector: the newest sample within the lookback."""
        references = self._references(selector.offset_ms, selector.at)
        source = self._query.source
        for labels in source.series(selector.matchers, min(references) - LOOKBACK_MS, max(references)):
            found = source.latest(labels, references, LOOKBACK_MS)
            self._query.budget.spend(len(found))
            if any(sample is not None for sample in found):
                values: Values = [None if sample is None else sample[1] for sample in found]
                times: Values = [None if sample is None else sample[0] / 1000 for sample in found]
                yield labels, values, times

    def _cut(self, points: list[Sample], references: list[int], range_ms: int) -> list[Window | None]:
        moments = [moment for moment, _ in points]
        values = [value for _, value in points]
        windows: list[Window | None] = []
        for step, reference in zip(self.steps, references, strict=True):
            first = bisect_left(moments, reference - range_ms)
            last = bisect_right(moments, reference)
            if first == last:
                windows.append(None)
                continue
            windows.append(Window(moments[first:last], values[first:last], reference - range_ms, reference, step))
        return windows

    def _subquery(self, node: Subquery, references: list[int]) -> Iterator[tuple[LabelSet, list[Sample]]]:
        """Samples of a subquery; its grid is aligned to multiples of its step, whatever the query's start."""
        step = node.step_ms or DEFAULT_SUBQUERY_STEP_MS
        first = -(-(min(references) - node.range_ms) // step) * step
        grid = range(first, max(references) + 1, step)
        if not grid:
            return
        self._query.budget.spend(len(grid))
        value = Evaluator(self._query, grid).value(node.expr)
        if isinstance(value, Scalar):
            yield (), list(zip(grid, value.values, strict=True))
        elif isinstance(value, Vector):
            for one in value.series:
                points = [(moment, v) for moment, v in zip(grid, one.values, strict=True) if v is not None]
                self._query.budget.spend(len(points))
                if points:
                    yield one.labels, points

    def _negated(self, expr: Node) -> Value:
        value = self.value(expr)
        if isinstance(value, Scalar):
            return Scalar([-number for number in value.values])
        if isinstance(value, Vector):
            return Vector(
                merge_same(
                    Series(drop_name(one.labels), [None if v is None else -v for v in one.values])
                    for one in value.series
                )
            )
        raise ExecutionError("unary minus needs a scalar or an instant vector")
