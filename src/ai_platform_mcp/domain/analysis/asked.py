"""What a rollout asks of its analysis: ``spec.analysis`` of an EdgeRollout or a CanaryRollout, read and written."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from ai_platform_mcp.core.facts import AnalysisFacts
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.domain.analysis.judge import Check, Demand
from ai_platform_mcp.domain.objects import rows, section

CHECKS: tuple[Check, ...] = get_args(Check)
Control = Literal["Nodes", "Cloud", "Both"]
CONTROLS: tuple[Control, ...] = get_args(Control)
ALPHA = 0.05
"""The chance that a wave (or a canary's step) of a release that is no worse is failed, over all checks and looks together."""
TOLERATED: dict[Check, int] = {"errors": 20, "slow": 50, "disagreement": 20}
"""Rise of the bad share that is tolerated where nothing is asked for, in thousandths."""
MIN_SAMPLES = 100
WAIT_SECONDS = 1800


class Asked(Value):
    """One check. ``tolerated_milli`` is the rise of the bad share, new over control, that is no reason to stop: thousandths.

    ``slower_than_ms`` is, for the check ``slow`` alone, from how many milliseconds on a call is slow; None: from the
    control's 95th percentile on.
    """

    check: Check
    tolerated_milli: int = Field(ge=1, le=999)
    slower_than_ms: int | None = Field(default=None, ge=1)


class Analysis(Value):
    """What is compared with what, and how sure one must be. Times are seconds.

    ``control`` is for the edge: online nodes that still run what was before, the model's cloud deployment, or both of them;
    a canary in a cloud is always compared with the version that is stable there. Golden answers (``disagreement``) are given
    by edge nodes only, and are compared with nodes whatever the control. ``min_samples`` are calls per side before anything
    is said; ``wait_seconds`` is how long a verdict may take before it is inconclusive.
    """

    checks: tuple[Asked, ...] = Field(min_length=1)
    control: Control = "Nodes"
    min_samples: int = Field(default=MIN_SAMPLES, ge=1)
    wait_seconds: int = Field(default=WAIT_SECONDS, ge=1)

    def manifest(self, *, edge: bool = True) -> type_json:
        """Return the block as the definitions have it, every field written out; only the edge has a choice of controls."""
        return {
            "checks": [_manifest(row) for row in self.checks],
            **({"control": self.control} if edge else {}),
            "minSamples": self.min_samples,
            "waitSeconds": self.wait_seconds,
        }

    def facts(self) -> AnalysisFacts:
        """Return what policy judges."""
        return AnalysisFacts(
            checks=tuple(row.check for row in self.checks),
            tolerated_milli=max(row.tolerated_milli for row in self.checks),
            min_samples=self.min_samples,
            wait_seconds=self.wait_seconds,
        )

    def demands(self, comparisons: int) -> dict[Check, Demand]:
        """Return what the judge is to ask of each check, where so many comparisons share the chance of a false alarm."""
        return {
            row.check: Demand(
                max_increase=row.tolerated_milli / 1000,
                min_samples=self.min_samples,
                seconds=self.wait_seconds,
                alpha=ALPHA / max(1, comparisons),
            )
            for row in self.checks
        }


def analysis_for(checks: tuple[Check, ...] = ("errors", "slow"), control: Control = "Nodes") -> Analysis:
    """Return an analysis with the usual tolerance of each check."""
    asked = tuple(Asked(check=name, tolerated_milli=TOLERATED[name]) for name in checks)
    return Analysis(checks=asked, control=control)


def analysis_of(spec: type_json) -> Analysis | None:
    """Return what a rollout's ``spec`` asks for, None where it asks for no analysis.

    Lenient where the schema is the judge: a field that is missing has its default.
    """
    block = section(spec, "analysis")
    if not block:
        return None
    asked = {str(row.get("check")): row for row in rows(block, "checks")}
    found = tuple(_asked(name, asked[name]) for name in CHECKS if name in asked)
    control = block.get("control")
    return Analysis(
        checks=found or analysis_for().checks,
        control=control if control in CONTROLS else "Nodes",
        min_samples=int(block.get("minSamples") or MIN_SAMPLES),
        wait_seconds=int(block.get("waitSeconds") or WAIT_SECONDS),
    )


def _asked(name: Check, row: type_json) -> Asked:
    return Asked(
        check=name,
        tolerated_milli=int(row.get("toleratedPerMille") or TOLERATED[name]),
        slower_than_ms=row.get("slowerThanMillis") if name == "slow" else None,
    )


def _manifest(row: Asked) -> type_json:
    slower = {} if row.slower_than_ms is None else {"slowerThanMillis": row.slower_than_ms}
    return {"check": row.check, "toleratedPerMille": row.tolerated_milli, **slower}
