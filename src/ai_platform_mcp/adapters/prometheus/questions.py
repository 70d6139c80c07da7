"""One question to the metrics store as PromQL: a signal of a scope, split so, over that window, inside its tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ai_platform_mcp.adapters.prometheus.backends import Backend, Signal
from ai_platform_mcp.adapters.prometheus.promql import Printer, duration_text, parse
from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.rows import MetricScope

_LEAST_RANGE_SECONDS = 300
"""Rates need a few scrapes: five minutes hold five of the slowest usual interval."""
_RARE_RANGE_SECONDS = 3600
"""Signals of rare events (admissions, evictions) have nothing to say about five minutes."""

LONGEST_AGE = 3600
"""Seconds back in which the newest sample of a row is looked for."""


@dataclass(frozen=True)
class Grid:
    """For when, how finely and how much: no step means one value now."""

    window_seconds: int
    step_seconds: int | None
    max_series: int


@dataclass(frozen=True)
class Question:
    """One signal of one scope, split so, on that grid; ``narrowed`` to one target without ceasing to name it in its rows."""

    signal: Signal
    scope: MetricScope
    by: tuple[str, ...]
    grid: Grid
    narrowed: Literal["", "cloud", "edge"] = ""

    @property
    def range_seconds(self) -> int:
        """How far rates look back. For one value over the window, but at most an hour unless the signal counts over the whole
        of it; in a range over a step, but at least over as much as the signal needs to have something to say."""
        least = _RARE_RANGE_SECONDS if self.signal.whole_window else _LEAST_RANGE_SECONDS
        if self.grid.step_seconds is not None:
            return max(least, self.grid.step_seconds)
        if self.signal.whole_window:
            return max(_LEAST_RANGE_SECONDS, self.grid.window_seconds)
        return min(3600, max(least, self.grid.window_seconds))

    def expression(self, backend: Backend, tenant: Mapping[str, str]) -> str:
        """The backend's expression with scope and tenant."""
        window = duration_text(timedelta(seconds=self.range_seconds))
        text = backend.promql(self._asked, window, backend.grouping(self.scope, self.by))
        return Printer(tenant).text(parse(text))

    def ages(self, backend: Backend, tenant: Mapping[str, str]) -> str:
        """An expression for the age of the newest sample of every row of the answer."""
        selector = selector_of(backend, self._asked, tenant)
        back = min(LONGEST_AGE, max(self.range_seconds, self.grid.window_seconds))
        return age_by(selector, backend.grouping(self.scope, self.by), back, backend.labelled)

    @property
    def _asked(self) -> MetricScope:
        return self.scope.model_copy(update={"target": self.narrowed}) if self.narrowed else self.scope


def unanswerable(signal: Signal, by: Sequence[str]) -> InvalidInput:
    """The refusal of a question that no exporter of the signal carries the labels for."""
    split = [one for one in signal.backends if "$by" in one.expression]
    known = sorted({name for backend in (split if by else signal.backends) for name in backend.labels})
    return InvalidInput(
        f"{signal.name} cannot be {'split' if by else 'narrowed'} as asked.",
        cause="No exporter of this signal carries all labels that the question names."
        if known
        else "It is one figure of a model, made of both targets.",
        remedy=f"Narrow or split it by: {', '.join(known)}." if known else "Ask without `by`, or split rps.",
        details={"code": "scope_not_supported"},
    )


def selector_of(backend: Backend, scope: MetricScope, tenant: Mapping[str, str]) -> str:
    """The backend's metric with scope and tenant."""
    return Printer(tenant).text(parse(f"{backend.metric}{{{backend.selector(scope)}}}"))


def age_by(selector: str, labels: str, seconds: int, labelled: Callable[[str], str] = str) -> str:
    """PromQL for how old the newest sample of each group is, in seconds; a group without one in that time has no row.

    A selector alone loses a series five minutes after its last sample, and those are the very ones that are asked about: a
    subquery finds them. Its steps of five minutes therefore miss none; but they lie on the clock's fives and not at the present.
    ``labelled`` gives the series labels that they do not carry.
    """
    window = duration_text(timedelta(seconds=seconds))
    newest = f"timestamp({selector})"
    found = labelled(f"({newest} or max_over_time({newest}[{window}:5m]))")
    return f"time() - max by ({labels}) ({found})"
