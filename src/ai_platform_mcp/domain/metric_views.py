"""Metric answers in few tokens: one line per series, with the numbers that a decision needs. Pure."""

from __future__ import annotations

from typing import Any

from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import MetricAnswer, MetricSeries
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.domain.text import DEFAULT_BUDGET, clip, fit, json_tokens, number, sparkline, tokens

LABELS = 5
"""Labels that are shown of one series."""


def metric_result(answer: MetricAnswer, *, window: str, over_time: bool, points: bool) -> Result:
    """Return the answer with as many series as the budget of 2,000 tokens allows; the rest is counted.

    Without samples the answer says why there are none: a metric that is not exported is not a zero.
    """

    def page(count: int) -> Result:
        return _page(answer, count, window, over_time=over_time, points=points)

    def cost(count: int) -> int:
        result = page(count)
        return max(tokens(result.text), json_tokens(result.data))

    return page(fit(len(answer.series), DEFAULT_BUDGET - 100, cost))


def _page(answer: MetricAnswer, count: int, window: str, *, over_time: bool, points: bool) -> Result:
    rows = [_series(row, over_time=over_time, points=points) for row in answer.series[:count]]
    data: dict[str, Any] = {
        "question": answer.question,
        "unit": answer.unit,
        "window": window,
        "series": rows,
        "samples": answer.sample_count,
        "promql": answer.promql,
    }
    if answer.backend:
        data["backend"] = answer.backend
    if answer.freshness_seconds is not None:
        data["freshness_seconds"] = answer.freshness_seconds
    if answer.absence:
        data["absence"] = answer.absence
    omitted = answer.omitted_series + len(answer.series) - count
    notes = list(answer.notes)
    if omitted:
        data["omitted_series"] = omitted
        notes.append(
            f"{omitted} more series are left out: narrow the scope (model, namespace, node, queue) or aggregate."
        )
    if notes:
        data["notes"] = notes
    return Result(text="\n".join(_lines(data, over_time=over_time)), data=data)


def _series(row: MetricSeries, *, over_time: bool, points: bool) -> dict[str, Any]:
    values = [point.value for point in row.points]
    known = [value for value in values if value is not None]
    last = next((value for value in reversed(values) if value is not None), None)
    body: dict[str, Any] = {"labels": _labels(row)}
    if row.age_seconds is not None:
        body["age_seconds"] = row.age_seconds
    if not over_time:
        body["value"] = _short(last)
        return body
    body["last"] = _short(last)
    if known:
        body |= {"min": _short(min(known)), "avg": _short(sum(known) / len(known)), "max": _short(max(known))}
        body["trend"] = sparkline(values)
    gaps = len(values) - len(known)
    if gaps:
        body["without_value"] = gaps
    if points:
        body["points"] = [[int(point.time.timestamp()), _short(point.value)] for point in row.points]
    return body


def _labels(row: MetricSeries) -> dict[str, str]:
    kept = [(key, value) for key, value in sorted(row.labels.items()) if key != "__name__"]
    return {key: clip(untrusted(value, 100), 60) for key, value in kept[:LABELS]}


def _short(value: float | None) -> float | int | None:
    """Return a number with four significant digits: more is noise to whoever decides."""
    if value is None:
        return None
    rounded = float(f"{value:.4g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded


def _lines(data: dict[str, Any], *, over_time: bool) -> list[str]:
    unit = f" {data['unit']}" if data["unit"] else ""
    fresh = f", newest sample {data['freshness_seconds']} s old" if "freshness_seconds" in data else ""
    source = f", from {data['backend']}" if "backend" in data else ""
    lines = [f"{data['question']} over {data['window']}{source}{fresh}"]
    if not data["series"]:
        lines.append(f"No value: {data.get('absence') or 'nothing matches'}.")
    for row in data["series"]:
        name = " ".join(f"{key}={value}" for key, value in row["labels"].items()) or "all"
        if not over_time:
            lines.append(f"{name}: {number(row['value'])}{unit if row['value'] is not None else ''}")
            continue
        told = " ".join(f"{key} {number(row[key])}" for key in ("last", "min", "avg", "max") if key in row)
        lines.append(f"{name}: {told}{unit} {row.get('trend', '')}".rstrip())
        lines += [f"  {moment} {number(value)}" for moment, value in row.get("points", [])]
    return [*lines, f"promql: {data['promql']}", *data.get("notes", [])]
