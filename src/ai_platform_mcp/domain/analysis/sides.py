"""Who is compared with whom, and what was counted of each: the values between a rollout and a metrics store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.analysis.judge import Check
from ai_platform_mcp.domain.analysis.proportions import Sample

SLOWEST = 0.95
"""A call is slow where it takes longer than this share of the control's calls."""


class Span(Value):
    """Calls from a moment on; of these nodes, or of all where none is named."""

    since: datetime
    nodes: tuple[str, ...] = ()


class Side(Value):
    """One side: calls to a model, in these versions (all where none is named), each from its span's moment on.

    ``over`` is a side whose calls have ended, such as a node's before it changed: old samples are all it can have.
    """

    model: str
    target: Literal["edge", "cloud"]
    spans: tuple[Span, ...]
    versions: tuple[str, ...] = ()
    namespace: str = ""
    over: bool = False


class Outcomes(Value):
    """What one exporter counted of a side.

    ``bad`` are the outcomes that count against it. For the check ``slow`` it is left at 0, and ``slower`` says instead, for each
    boundary of the exporter's histogram in seconds, rising, how many calls took longer.
    """

    source: str
    total: float
    bad: float = 0.0
    slower: tuple[tuple[float, float], ...] = ()


class Comparison(Value):
    """A control by a name that people know it by, and what it is compared in. A sentence says why there is no control."""

    against: str
    control: Side | str
    checks: tuple[Check, ...]


def slow_from(new: Outcomes, control: Outcomes, wanted: float | None) -> float | None:
    """Return from how many seconds on a call is slow: a boundary that both histograms have, None where they share none.

    It is the first one at or above what is wanted, or else at or above the control's 95th percentile. Above the last boundary
    nothing is known, so that the last one is the most it can be. The share beyond a boundary is exact, while a
    percentile between two of them is a guess.
    """
    shared = sorted({bound for bound, _ in new.slower} & {bound for bound, _ in control.slower})
    if not shared:
        return None
    beyond = dict(control.slower)
    allowed = (1 - SLOWEST) * control.total
    for bound in shared:
        if bound >= wanted if wanted is not None else beyond[bound] <= allowed:
            return bound
    return shared[-1]


def sample_of(outcomes: Outcomes, slow: float | None) -> Sample:
    """Return the counts as the judge takes them; with ``slow``, calls that took longer than so many seconds are bad."""
    bad = outcomes.bad if slow is None else dict(outcomes.slower).get(slow, 0.0)
    total = max(0.0, outcomes.total)
    return Sample(total=total, bad=min(max(0.0, bad), total))


def comparisons(rows: Sequence[Comparison]) -> int:
    """Return how many single comparisons there are."""
    return sum(len(row.checks) for row in rows)
