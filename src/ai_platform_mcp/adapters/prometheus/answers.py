"""From Prometheus' result documents to answers that fit a conversation: budgets, honest omissions, no NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ai_platform_mcp.core.errors import Unavailable
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import MetricPoint, MetricSeries

LABEL_CHARACTERS = 200


@dataclass(frozen=True)
class Shown:
    """What of a result is shown, how much is not, and what to know about it."""

    series: tuple[MetricSeries, ...]
    omitted: int
    samples: int
    notes: tuple[str, ...]


def shown(data: Mapping[str, Any], promql: str, max_series: int) -> Shown:
    """Cut a result to its budget. Raises `Unavailable` when the document is not a Prometheus result."""
    try:
        everything = _series(data)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise Unavailable(
            "The metrics store answered a result that cannot be read.",
            cause=f"Its document is malformed ({type(error).__name__}).",
            remedy="Check that prometheus.url names a Prometheus-compatible API.",
        ) from error
    kept = tuple(everything[:max_series])
    omitted = len(everything) - len(kept)
    notes: list[str] = []
    if omitted:
        notes.append(
            f"{omitted} of {len(everything)} series are left out, in label order and not by value; "
            f"for the largest ask: topk({max_series}, {promql})"
        )
    points = [point for one in kept for point in one.points]
    unknown = sum(1 for point in points if point.value is None)
    if unknown:
        notes.append(f"{unknown} of {len(points)} values are not numbers (no traffic in the window): shown as null.")
    if points and all(point.value == 0 for point in points):
        notes.append("Measured zero: the metric is exported and its value is 0.")
    return Shown(kept, omitted, len(points), tuple(notes))


def _series(data: Mapping[str, Any]) -> list[MetricSeries]:
    result = data["result"]
    match data["resultType"]:
        case "scalar":
            return [MetricSeries(labels={}, points=(_point(result),))]
        case "string":
            return [MetricSeries(labels={"value": untrusted(str(result[1]), LABEL_CHARACTERS)}, points=())]
        case "vector":
            rows = [(_labels(row), [row["value"]]) for row in result if "value" in row]
        case "matrix":
            rows = [(_labels(row), row["values"]) for row in result if "values" in row]
        case other:
            raise ValueError(f"unknown result type {str(other)[:40]}")
    # A vector's order carries meaning (topk, sort); a matrix comes sorted by labels.
    return [MetricSeries(labels=labels, points=tuple(_point(pair) for pair in pairs)) for labels, pairs in rows]


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): untrusted(str(value), LABEL_CHARACTERS) for name, value in row["metric"].items()}


def _point(pair: Sequence[Any]) -> MetricPoint:
    value = float(pair[1])
    return MetricPoint(time=datetime.fromtimestamp(float(pair[0]), UTC), value=value if math.isfinite(value) else None)


def single_number(data: Mapping[str, Any]) -> float | None:
    """The one value of a vector or scalar result, None when there is none or it is not a number."""
    found = shown(data, "", 1)
    return found.series[0].points[0].value if found.series and found.series[0].points else None
