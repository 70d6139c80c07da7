"""Whether measured values pass declared thresholds. A metric that was not measured does not pass."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value

_THRESHOLD = re.compile(r"^\s*([A-Za-z][\w.\-/ ]*?)\s*(>=|<=)\s*(-?\d+(?:\.\d+)?)\s*$")


class Threshold(Value):
    """A declared demand on one metric, in thousandths of its unit."""

    metric: str
    direction: Literal[">=", "<="]
    milli: int


class GateResult(Value):
    """One metric held against its threshold. ``value_milli`` is None where it was not measured."""

    threshold: Threshold
    value_milli: int | None
    passed: bool

    def sentence(self) -> str:
        """Say the result, such as ``accuracy 0.942 >= 0.92: pass``."""
        declared = self.threshold
        shown = "not measured" if self.value_milli is None else f"{self.value_milli / 1000:g}"
        verdict = "pass" if self.passed else "fail"
        return f"{declared.metric} {shown} {declared.direction} {declared.milli / 1000:g}: {verdict}"


def to_milli(value: float) -> int:
    """Return a value in thousandths, rounded half up.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return math.floor(value * 1000 + 0.5)


def parse_threshold(text: str) -> Threshold:
    """Read ``accuracy>=0.92``.

    Raises:
        InvalidInput: it is written another way.
    """
    found = _THRESHOLD.match(text)
    if found is None:
        raise InvalidInput(f"{text[:60]!r} is no threshold.", remedy="Write metric>=value or metric<=value.")
    direction: Literal[">=", "<="] = ">=" if found[2] == ">=" else "<="
    return Threshold(metric=found[1], direction=direction, milli=to_milli(float(found[3])))


def judge_gates(thresholds: tuple[Threshold, ...], metrics: Mapping[str, float]) -> tuple[GateResult, ...]:
    """Hold metrics against thresholds; NaN and infinities count as not measured."""
    return tuple(_judge(row, metrics.get(row.metric)) for row in thresholds)


def _judge(threshold: Threshold, value: float | None) -> GateResult:
    if value is None or not math.isfinite(value):
        return GateResult(threshold=threshold, value_milli=None, passed=False)
    milli = to_milli(value)
    passed = milli >= threshold.milli if threshold.direction == ">=" else milli <= threshold.milli
    return GateResult(threshold=threshold, value_milli=milli, passed=passed)


def all_passed(results: tuple[GateResult, ...]) -> bool:
    """Tell whether there was at least one gate and none failed: no gates is not a pass."""
    return bool(results) and all(row.passed for row in results)
