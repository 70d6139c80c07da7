"""Error rate, latency and agreement of a new release against a control, as one verdict with its reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.analysis.proportions import Difference, Sample, difference

Verdict = Literal["pending", "pass", "fail", "inconclusive"]
Check = Literal["errors", "slow", "disagreement"]
"""Each is a share of bad outcomes, so that one test judges all of them; a percentile itself has no such test."""

MEANING: dict[Check, str] = {
    "errors": "share of calls that fail",
    "slow": "share of calls that are slow",
    "disagreement": "share of golden answers that differ",
}


class Demand(Value):
    """What is asked of a comparison.

    ``max_increase`` is the rise of the bad share that is still tolerated (0.01: one call in a hundred); a difference below it is
    no reason to stop. ``min_samples`` are calls per side before anything is said. ``seconds`` is the longest wait.
    """

    max_increase: float = Field(default=0.01, gt=0, lt=1)
    min_samples: int = Field(default=100, ge=1)
    seconds: int = Field(default=1800, ge=0)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)


class Compared(Value):
    """One comparison: both sides and what follows."""

    check: Check
    verdict: Verdict
    new: Sample
    old: Sample
    difference: Difference
    against: str = "control"
    """Who the control is, in a word or two."""

    def sentence(self) -> str:
        """Return the comparison in one line, with effect and interval in percentage points."""
        rows = (self.difference.estimate, self.difference.low, self.difference.high)
        points, low, high = (f"{value * 100:+.2f}" for value in rows)
        return (
            f"{self.check} {self.verdict}: {MEANING[self.check]} {self.new.share:.2%} of {self.new.total:.0f}, "
            f"{self.against} {self.old.share:.2%} of {self.old.total:.0f}; {points} points [{low}, {high}]"
        )


class Judgement(Value):
    """The verdict over all comparisons."""

    verdict: Verdict
    compared: tuple[Compared, ...] = ()
    missing: tuple[str, ...] = ()
    """Checks that were asked for and are not measured, each with why: what is not measured never passes."""

    def sentence(self) -> str:
        """Return the comparisons, the worst first, and what is missing."""
        order: tuple[Verdict, ...] = ("fail", "inconclusive", "pending", "pass")
        told = [row.sentence() for row in sorted(self.compared, key=lambda row: order.index(row.verdict))]
        told += self.missing
        return "; ".join(told) or "nothing was compared"


def compare(
    check: Check, new: Sample, old: Sample, demand: Demand, waited: float, against: str = "control"
) -> Compared:
    """Return one comparison after ``waited`` seconds.

    Pass: the interval lies below the tolerated increase. Fail: it lies above zero and the estimate above what is tolerated, that
    is surely worse and by enough to matter. Neither, with enough samples and no time left: inconclusive.
    """
    found = difference(new, old, demand.alpha)
    verdict: Verdict = "pending" if waited < demand.seconds else "inconclusive"
    if min(new.total, old.total) >= demand.min_samples:
        if found.low > 0 and found.estimate > demand.max_increase:
            verdict = "fail"
        elif found.high < demand.max_increase:
            verdict = "pass"
    return Compared(check=check, verdict=verdict, new=new, old=old, difference=found, against=against)


def judge(
    checks: Mapping[Check, tuple[Sample, Sample] | str],
    demands: Mapping[Check, Demand],
    waited: float,
    against: str = "control",
) -> Judgement:
    """Return the verdict over all checks: one that fails decides, then one that cannot tell, then one that is not done.

    Args:
        checks: new and control sides per check; a sentence says why nothing is measured.
        demands: what is asked per check; a check that is not in here has the defaults.
        waited: seconds since the release began to serve.
        against: who the control is.
    """
    compared: list[Compared] = []
    missing: list[str] = []
    late = False
    for name, sides in checks.items():
        demand = demands.get(name, Demand())
        if isinstance(sides, str):
            missing.append(f"{name}: {sides}")
            late = late or waited >= demand.seconds
        else:
            compared.append(compare(name, *sides, demand, waited, against))
    return Judgement(verdict=_overall(compared, missing, late=late), compared=tuple(compared), missing=tuple(missing))


def together(judgements: Sequence[Judgement]) -> Judgement:
    """Return one judgement over several controls: a release has to hold against each of them."""
    order: tuple[Verdict, ...] = ("fail", "inconclusive", "pending", "pass")
    verdicts = [row.verdict for row in judgements] or ["pending"]
    return Judgement(
        verdict=next(verdict for verdict in order if verdict in verdicts),
        compared=tuple(row for part in judgements for row in part.compared),
        missing=tuple(row for part in judgements for row in part.missing),
    )


def _overall(compared: list[Compared], missing: list[str], *, late: bool) -> Verdict:
    verdicts = [row.verdict for row in compared]
    if "fail" in verdicts:
        return "fail"
    if "inconclusive" in verdicts or (missing and late):
        return "inconclusive"
    if "pending" in verdicts or missing or not compared:
        return "pending"
    return "pass"
