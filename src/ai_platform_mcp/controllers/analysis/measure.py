"""One measurement: both sides of every comparison are asked for, the judge judges, and the verdict gets its form."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import anyio
from pydantic import Field

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.analysis.asked import Analysis
from ai_platform_mcp.domain.analysis.judge import Check, Judgement, judge, together
from ai_platform_mcp.domain.analysis.proportions import Sample
from ai_platform_mcp.domain.analysis.sides import Comparison, Outcomes, Side, comparisons, sample_of, slow_from

_log = logging.getLogger(__name__)
DEADLINE = 30.0
"""Seconds for a whole measurement; what is not answered by then is not measured."""


class Counts(Protocol):
    """A metrics store that counts outcomes."""

    async def outcomes(self, check: Check, side: Side, source: str = "") -> Outcomes | None:
        """Return what was counted of a side, None where nothing was, or where the newest sample is too old.

        Args:
            check: which outcomes.
            side: of whom, and since when.
            source: only of this exporter; else of the first one with data.

        Raises:
            PlatformError: the store did not answer, or not with counts.
        """
        ...


class Question(Value):
    """What to measure.

    ``waited`` are seconds since the release could first prove itself. ``slow`` is from how many seconds on a call is slow, per
    control, as an earlier measurement fixed it: a threshold that moves with the data is no proportion.
    """

    asked: Analysis
    new: Side
    comparisons: tuple[Comparison, ...]
    waited: float
    slow: dict[str, float] = Field(default_factory=dict[str, float])


class Measured(Value):
    """The judgement, when it was made, and the thresholds to keep."""

    judgement: Judgement
    at: datetime
    slow: dict[str, float] = Field(default_factory=dict[str, float])


async def measure(counts: Counts | None, question: Question, now: datetime) -> Measured:
    """Measure once. Whatever cannot be measured is a sentence in the judgement and never a pass; nothing is raised.

    Args:
        counts: the metrics store, None where the controller was given none.
        question: what to measure.
        now: the moment that the measurement is for.
    """
    slow = dict(question.slow)
    found: dict[tuple[str, Check], tuple[Sample, Sample] | str] = {}
    with anyio.move_on_after(DEADLINE):
        for row in question.comparisons:
            for check in row.checks:
                found[row.against, check] = await _sides(counts, question, row, check, slow)
    return Measured(judgement=_judged(question, found), at=now, slow=slow)


def _judged(question: Question, found: Mapping[tuple[str, Check], tuple[Sample, Sample] | str]) -> Judgement:
    late = f"the metrics store did not answer everything within {DEADLINE:g} s"
    demands = question.asked.demands(comparisons(question.comparisons))
    parts = [
        judge(
            {name: found.get((row.against, name), late) for name in row.checks}, demands, question.waited, row.against
        )
        for row in question.comparisons
    ]
    return together(parts)


async def _sides(
    counts: Counts | None, question: Question, row: Comparison, check: Check, slow: dict[str, float]
) -> tuple[Sample, Sample] | str:
    if counts is None:
        return "the controller has no metrics store (start it with --prometheus)"
    if isinstance(row.control, str):
        return row.control
    try:
        new = await counts.outcomes(check, question.new)
        if new is None:
            return "no fresh samples of the release"
        old = await counts.outcomes(check, row.control, new.source)
        if old is None and row.control.target != question.new.target:
            old = await counts.outcomes(check, row.control)
    except PlatformError as problem:
        return _one_line(problem)
    except Exception as defect:  # one of ours: it must neither end the controller nor pass for an answer
        _log.exception("measuring %s failed", check)
        return f"defect of the controller, see its log ({type(defect).__name__})"
    if old is None:
        return f"no fresh samples of the {row.against}"
    if check != "slow":
        return sample_of(new, None), sample_of(old, None)
    bound = slow.get(row.against)
    if bound is None or bound not in dict(new.slower) or bound not in dict(old.slower):
        bound = slow_from(new, old, _wanted(question.asked))
    if bound is None:
        return f"the histograms of {new.source} and {old.source} share no boundary"
    if old.total > 0:
        slow[row.against] = bound
    return sample_of(new, bound), sample_of(old, bound)


def _wanted(asked: Analysis) -> float | None:
    found = next((row.slower_than_ms for row in asked.checks if row.check == "slow"), None)
    return None if found is None else found / 1000


def _one_line(problem: PlatformError) -> str:
    return f"{problem.message} {problem.cause}".strip()[:300]


def slow_texts(slow: Mapping[str, float]) -> Sequence[str]:
    """Return the thresholds as a person reads them."""
    return [f"slow is above {bound:g} s ({against})" for against, bound in sorted(slow.items())]
