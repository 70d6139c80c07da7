"""Values while an expression is evaluated: every node answers for all steps of the query at once.

A series is one label set and one value per step, `None` where it has no sample. An instant query has one step.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from ai_platform_mcp.sandbox.prometheus.model import (
    NAME,
    ExecutionError,
    Growth,
    LabelSet,
    QueryTimeout,
    Sample,
    without,
)
from ai_platform_mcp.sandbox.prometheus.nodes import Node

Values: TypeAlias = list[float | None]

MOST_SAMPLES = 4_000_000
"""A real Prometheus allows 50 million; computing that many here would take minutes."""


@dataclass(slots=True)
class Series:
    """One label set and its value at every step."""

    labels: LabelSet
    values: Values


@dataclass(slots=True)
class Scalar:
    """A number at every step."""

    values: list[float]


@dataclass(slots=True)
class Vector:
    """An instant vector at every step."""

    series: list[Series]


@dataclass(slots=True)
class String:
    """A string."""

    text: str


@dataclass(slots=True)
class Matrix:
    """Raw samples: only a top-level range selector of an instant query answers this."""

    series: list[tuple[LabelSet, list[Sample]]]


Value: TypeAlias = Scalar | Vector | String | Matrix


@dataclass(slots=True)
class Window:
    """The samples of one series inside one range, never empty. `eval_ms` is the step the window belongs to."""

    times: Sequence[int]
    values: Sequence[float]
    start_ms: int
    end_ms: int
    eval_ms: int


@dataclass(slots=True)
class WindowedSeries:
    """One series and its window at every step, `None` where the window is empty."""

    labels: LabelSet
    windows: list[Window | None]


@dataclass(slots=True)
class Budget:
    """What one query may cost: a deadline on the monotonic clock, and samples loaded."""

    deadline: float
    samples_left: int = MOST_SAMPLES

    def spend(self, samples: int) -> None:
        """Account for samples. Raises `QueryTimeout` past the deadline, `ExecutionError` over the limit."""
        self.samples_left -= samples
        if self.samples_left < 0:
            raise ExecutionError("query processing would load too many samples into memory in query execution")
        if time.monotonic() > self.deadline:
            raise QueryTimeout("query timed out in expression evaluation")


GrowingSeries: TypeAlias = tuple[LabelSet, list[tuple[int, int, Growth | None]]]
"""One series, and per step the range's start and end and what grew in it."""


class Evaluation(Protocol):
    """What functions, aggregations and operators may ask of the evaluator."""

    @property
    def steps(self) -> Sequence[int]:
        """Evaluation times in milliseconds."""
        ...

    def value(self, node: Node) -> Value:
        """The value of any node."""
        ...

    def vector(self, node: Node) -> list[Series]:
        """The value of a node that must be an instant vector."""
        ...

    def scalar(self, node: Node) -> list[float]:
        """The value of a node that must be a scalar."""
        ...

    def text(self, node: Node) -> str:
        """The value of a node that must be a string literal."""
        ...

    def windows(self, node: Node) -> Iterator[WindowedSeries]:
        """The windows of a range selector or subquery."""
        ...

    def growths(self, node: Node) -> Iterator[GrowingSeries] | None:
        """Of a range selector: each series with its growth in every range; None where the source cannot tell it."""
        ...

    def sample_times(self, node: Node) -> list[Series]:
        """For an instant selector: the time in seconds of the sample each step takes."""
        ...


@dataclass(slots=True)
class _Merged:
    series: Series
    owned: bool = field(default=False)


def drop_name(labels: LabelSet) -> LabelSet:
    """The label set without its metric name."""
    return without(labels, (NAME,))


def merge_same(
    series: Iterable[Series], message: str = "vector cannot contain metrics with the same labelset"
) -> list[Series]:
    """Join series whose label sets became equal. Raises `ExecutionError` where two have a value at one step."""
    merged: dict[LabelSet, _Merged] = {}
    for one in series:
        found = merged.get(one.labels)
        if found is None:
            merged[one.labels] = _Merged(one)
            continue
        if not found.owned:
            found.series = Series(one.labels, list(found.series.values))
            found.owned = True
        values = found.series.values
        for index, value in enumerate(one.values):
            if value is None:
                continue
            if values[index] is not None:
                raise ExecutionError(message)
            values[index] = value
    return [found.series for found in merged.values()]
