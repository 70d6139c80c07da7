"""From evaluated values to the `data` document of a query answer: numbers as strings, times in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ai_platform_mcp.sandbox.prometheus.floats import api_text
from ai_platform_mcp.sandbox.prometheus.model import ExecutionError, LabelSet
from ai_platform_mcp.sandbox.prometheus.values import Matrix, Scalar, Series, String, Value


def result_document(value: Value, steps: Sequence[int], *, instant: bool) -> dict[str, Any]:
    """The `resultType` and `result` of an instant or range query."""
    if isinstance(value, String):
        if not instant:
            raise ExecutionError("a string is not a range of samples")
        return {"resultType": "string", "result": [_seconds(steps[0]), value.text]}
    if isinstance(value, Matrix):
        rows = [(labels, [_pair(moment, number) for moment, number in points]) for labels, points in value.series]
        return _matrix(rows)
    if isinstance(value, Scalar):
        if instant:
            return {"resultType": "scalar", "result": _pair(steps[0], value.values[0])}
        return _matrix([((), [_pair(moment, v) for moment, v in zip(steps, value.values, strict=True)])])
    if instant:
        return {"resultType": "vector", "result": [row for one in value.series for row in _instant(one, steps[0])]}
    return _matrix([(one.labels, _points(one, steps)) for one in value.series])


def _matrix(rows: list[tuple[LabelSet, list[list[Any]]]]) -> dict[str, Any]:
    result = [{"metric": dict(labels), "values": points} for labels, points in sorted(rows) if points]
    return {"resultType": "matrix", "result": result}


def _instant(series: Series, moment: int) -> list[dict[str, Any]]:
    value = series.values[0]
    return [] if value is None else [{"metric": dict(series.labels), "value": _pair(moment, value)}]


def _points(series: Series, steps: Sequence[int]) -> list[list[Any]]:
    return [_pair(moment, value) for moment, value in zip(steps, series.values, strict=True) if value is not None]


def _pair(moment_ms: int, value: float) -> list[Any]:
    return [_seconds(moment_ms), api_text(value)]


def _seconds(moment_ms: int) -> float | int:
    return moment_ms // 1000 if moment_ms % 1000 == 0 else moment_ms / 1000
