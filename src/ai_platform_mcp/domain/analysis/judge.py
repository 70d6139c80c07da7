"""Error rate, latency and agreement of a new release against a control, as one verdict with its reasons."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.analysis.proportions import Difference, Sample, difference

Verdict = Literal["pending", "pass", "fail", "inconclusive"]
Check = Literal["error_rate", "p95", "agreement"]

MEANING: dict[Check, str] = {
    "error_rate": "share of calls that fail",
    "p95": "share of calls slower than the control's p95",
    "agreement": "share of answers that differ from the expected ones",
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

    def sentence(self) -> str:
        """Return the comparison in one line, with effect and interval in percentage points."""
        rows = (self.difference.estimate, self.difference.low, self.difference.high)
        points, low, high = (f"{value * 100:+.2f}" for value in rows)
        return (
            f"{self.check} {self.verdict}: {MEANING[self.check]} {self.new.share:.2%} of {self.new.total:g}, "
            f"control {self.old.share:.2%} of {self.old.total:g}; {points} points [{low}, {high}]"
        )


class Judgement(Value):
    """The verdict over all comparisons."""

    verdict: Verdict
    compared: tuple[Compared, ...] = ()
    missing: tuple[str, ...] = ()
    """Checks that were asked for and have no data: what is not measured never passes."""

    def sentence(self) -> str:
        """Return the comparisons, the worst first, and what is missing."""
        order: tuple[Verdict, ...] = ("fail", "inconclusive", "pending", "pass")
        told = [row.sentence() for row in sorted(self.compared, key=lambda row: order.index(row.verdict))]
        told += [f"{name}: no data" for name in self.missing]
        return "; ".join(told) or "nothing was compared"


def compare(check: Check, new: Sample, old: Sample, demand: Demand, waited: float) -> Compared:
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
    return Compared(check=check, verdict=verdict, new=new, old=old, difference=found)


def judge(checks: dict[Check, tuple[Sample, Sample] | None], demands: dict[Check, Demand], waited: float) -> Judgement:
    """Return the verdict over all checks: one that fails decides, then one that cannot tell, then one that is not done.

    Args:
        checks: new and control sides per check; None where nothing is measured.
        demands: what is asked per check; a check that is not in here has the defaults.
        waited: seconds since the release began to serve.
    """
    compared: list[Compared] = []
    missing: list[Check] = []
    late = False
    for name, sides in checks.items():
        demand = demands.get(name, Demand())
        if sides is None:
            missing.append(name)
            late = late or waited >= demand.seconds
        else:
            compared.append(compare(name, *sides, demand, waited))
    return Judgement(verdict=_overall(compared, missing, late=late), compared=tuple(compared), missing=tuple(missing))


def _overall(compared: list[Compared], missing: list[Check], *, late: bool) -> Verdict:
    verdicts = [row.verdict for row in compared]
    if "fail" in verdicts:
        return "fail"
    if "inconclusive" in verdicts or (missing and late):
        return "inconclusive"
    if "pending" in verdicts or missing or not compared:
        return "pending"
    return "pass"
