"""Alerting rules, evaluated when they are asked for: what fires now, and since when."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ai_platform_mcp.sandbox.prometheus.evaluator import evaluate
from ai_platform_mcp.sandbox.prometheus.floats import api_text
from ai_platform_mcp.sandbox.prometheus.model import NAME, SampleSource
from ai_platform_mcp.sandbox.prometheus.parse import parse
from ai_platform_mcp.sandbox.prometheus.values import Budget, Series, Vector

INTERVAL_MS = 60_000
"""How often a real Prometheus would have evaluated the rules."""


@dataclass(frozen=True)
class AlertRule:
    """One alerting rule: it is pending once its expression has samples, firing once it has had them for `for_s`."""

    name: str
    expr: str
    for_s: int
    labels: dict[str, str] = field(default_factory=dict[str, str])
    annotations: dict[str, str] = field(default_factory=dict[str, str])


def active_alerts(rule: AlertRule, source: SampleSource, now_ms: int) -> list[dict[str, Any]]:
    """The rule's active alerts, as `/api/v1/alerts` shows them."""
    back = -(-rule.for_s * 1000 // INTERVAL_MS)
    steps = [now_ms - index * INTERVAL_MS for index in range(back, -1, -1)]
    value = evaluate(parse(rule.expr), source, steps, Budget(time.monotonic() + 30))
    series = value.series if isinstance(value, Vector) else []
    return [_alert(rule, one, steps) for one in series if one.values[-1] is not None]


def _alert(rule: AlertRule, series: Series, steps: Sequence[int]) -> dict[str, Any]:
    since = len(steps) - 1
    while since > 0 and series.values[since - 1] is not None:
        since -= 1
    labels = {name: value for name, value in series.labels if name != NAME}
    return {
        "labels": {**labels, **rule.labels, "alertname": rule.name},
        "annotations": rule.annotations,
        "state": "firing" if steps[-1] - steps[since] >= rule.for_s * 1000 else "pending",
        "activeAt": rfc3339(steps[since]),
        "value": api_text(series.values[-1] or 0.0),
    }


def rule_document(rule: AlertRule, source: SampleSource, now_ms: int) -> dict[str, Any]:
    """The rule as `/api/v1/rules` shows it."""
    began = time.perf_counter()
    alerts = active_alerts(rule, source, now_ms)
    states = {alert["state"] for alert in alerts}
    return {
        "state": "firing" if "firing" in states else "pending" if states else "inactive",
        "name": rule.name,
        "query": rule.expr,
        "duration": rule.for_s,
        "keepFiringFor": 0,
        "labels": rule.labels,
        "annotations": rule.annotations,
        "alerts": alerts,
        "health": "ok",
        "evaluationTime": time.perf_counter() - began,
        "lastEvaluation": rfc3339(now_ms),
        "type": "alerting",
    }


def rfc3339(moment_ms: int) -> str:
    """A moment as the API spells it."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
