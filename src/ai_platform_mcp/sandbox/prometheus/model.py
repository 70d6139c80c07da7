"""What the evaluator and the world say to each other: label sets, matchers, samples, families."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias, runtime_checkable

NAME = "__name__"
LabelSet: TypeAlias = tuple[tuple[str, str], ...]
"""Labels sorted by name, the metric name among them as `__name__`; empty values are never kept."""

Sample: TypeAlias = tuple[int, float]
"""Milliseconds since the epoch, and the value."""

MetricType = Literal["counter", "gauge", "histogram"]


def label_set(labels: Mapping[str, str] | Iterable[tuple[str, str]]) -> LabelSet:
    """The canonical form of some labels: sorted, without the empty ones (Prometheus treats those as absent)."""
    return tuple(sorted((name, value) for name, value in dict(labels).items() if value != ""))


def without(labels: LabelSet, names: Iterable[str]) -> LabelSet:
    """The label set less some names."""
    gone = frozenset(names)
    return tuple(pair for pair in labels if pair[0] not in gone)


def keep_only(labels: LabelSet, names: Iterable[str]) -> LabelSet:
    """The label set with only some names."""
    kept = frozenset(names)
    return tuple(pair for pair in labels if pair[0] in kept)


def metric_text(labels: LabelSet) -> str:
    """A label set as Prometheus prints it in its error messages: `name{a="b"}`."""
    name = dict(labels).get(NAME, "")
    inner = ", ".join(f'{key}="{value}"' for key, value in labels if key != NAME)
    return name if name and not inner else f"{name}{{{inner}}}"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a label that is not there counts as the empty string.

    Regular expressions are anchored at both ends, as in Prometheus.
    """

    name: str
    op: Literal["=", "!=", "=~", "!~"]
    value: str
    pattern: re.Pattern[str] | None = field(default=None, compare=False)

    @staticmethod
    def of(name: str, op: Literal["=", "!=", "=~", "!~"], value: str) -> Matcher:
        """Build a matcher, compiling its expression. Raises `re.error` when the expression is wrong."""
        return Matcher(name, op, value, re.compile(value) if op in ("=~", "!~") else None)

    def accepts(self, value: str) -> bool:
        """Whether a label value passes."""
        if self.pattern is None:
            return (value == self.value) == (self.op == "=")
        return (self.pattern.fullmatch(value) is not None) == (self.op == "=~")


def matches(matchers: Sequence[Matcher], labels: LabelSet) -> bool:
    """Whether a label set passes every matcher."""
    found = dict(labels)
    return all(matcher.accepts(found.get(matcher.name, "")) for matcher in matchers)


@dataclass(frozen=True, slots=True)
class Family:
    """What the metadata endpoint says about one metric name."""

    name: str
    type: MetricType
    help: str
    unit: str = ""


class Clock(Protocol):
    """Where the time comes from, so that tests and demonstrations can drive it."""

    def now(self) -> datetime:
        """The present moment, with a time zone."""
        ...


@dataclass(frozen=True, slots=True)
class Growth:
    """What a rate needs to know of the samples of one counter in one range: the first, the last, how many, and by how much the
    counter grew between them, resets made good."""

    first: Sample
    last: Sample
    count: int
    grown: float

    @staticmethod
    def of(times: Sequence[int], values: Sequence[float]) -> Growth:
        """The growth that samples show; there is at least one."""
        grown, last = values[-1] - values[0], 0.0
        for value in values:
            if value < last:
                grown += last
            last = value
        return Growth((times[0], values[0]), (times[-1], values[-1]), len(times), grown)


@runtime_checkable
class KnowsGrowth(Protocol):
    """A source that can tell growth without making every sample."""

    def growth(self, labels: LabelSet, start_ms: int, end_ms: int) -> Growth | None:
        """The growth of one series in the closed interval, None without samples."""
        ...


class SampleSource(Protocol):
    """Where samples come from: the generated world, or a list in a test."""

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[LabelSet]:
        """Label sets that pass every matcher and may have a sample in the closed interval."""
        ...

    def samples(self, labels: LabelSet, start_ms: int, end_ms: int) -> list[Sample]:
        """The samples of one series in the closed interval, oldest first."""
        ...

    def latest(self, labels: LabelSet, moments: Sequence[int], lookback_ms: int) -> list[Sample | None]:
        """For each moment, the newest sample of one series not after it and not older than the lookback."""
        ...

    def families(self) -> list[Family]:
        """Name, type and help of every family."""
        ...


class QueryError(Exception):
    """An answer with an error document; `kind` is Prometheus' errorType, `status` the HTTP status it goes with."""

    kind = "internal"
    status = 500


class BadData(QueryError):
    """The request itself is wrong (400)."""

    kind = "bad_data"
    status = 400


class ExecutionError(QueryError):
    """The expression is well formed and cannot be evaluated over these samples (422)."""

    kind = "execution"
    status = 422


class QueryTimeout(QueryError):
    """The evaluation ran past its deadline (503)."""

    kind = "timeout"
    status = 503
