"""Measured facts about a served model, as whole numbers. What cannot be read is None: never zero, never a failure."""

from __future__ import annotations

from typing import Literal

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import MetricAnswer, MetricScope
from ai_platform_mcp.domain.gates import to_milli
from ai_platform_mcp.domain.retraining import rise

HOUR = 3600
P95_WINDOW = HOUR
DRIFT_WINDOW = 24 * HOUR
PERFORMANCE_WINDOW, PERFORMANCE_STEP = 7 * 24 * HOUR, 6 * HOUR
RECENT_POINTS = 4
"""The last day of the week that is compared with the days before it."""


async def p95_ms(readers: Readers, who: Principal, model: str, target: Literal["cloud", "edge"]) -> int | None:
    """Return the worst p95 over the model's series at a target in the last hour, in milliseconds."""
    scope = _scope(who, model).model_copy(update={"target": target})
    answer = await _ask(readers, "e2e_p95", scope, window=P95_WINDOW)
    worst = max(_latest(answer), default=None)
    return None if worst is None else round(worst * 1000)


async def drift_milli(readers: Readers, who: Principal, model: str) -> int | None:
    """Return the drift of the most drifted feature, in thousandths."""
    answer = await _ask(readers, "drift_score", _scope(who, model), window=DRIFT_WINDOW)
    worst = max(_latest(answer), default=None)
    return None if worst is None else to_milli(worst)


async def performance_drop_milli(readers: Readers, who: Principal, model: str) -> int | None:
    """Return by how much the share of failing requests rose in the last day over the six days before, in thousandths."""
    scope = _scope(who, model)
    answer = await _ask(readers, "error_rate", scope, window=PERFORMANCE_WINDOW, step=PERFORMANCE_STEP)
    rises = [rise([point.value for point in row.points], RECENT_POINTS) for row in (answer.series if answer else ())]
    known = [value for value in rises if value is not None]
    return max(0, to_milli(max(known))) if known else None


def _scope(who: Principal, model: str) -> MetricScope:
    """Return the model as the caller may see it: a platform may bind metrics to the caller's team."""
    return MetricScope(team=who.team, roles=who.roles, model=model)


async def _ask(
    readers: Readers, name: str, scope: MetricScope, *, window: int, step: int | None = None
) -> MetricAnswer | None:
    try:
        return await readers.metrics.signal(name, scope, window_seconds=window, step_seconds=step)
    except PlatformError:
        return None


def _latest(answer: MetricAnswer | None) -> list[float]:
    """Return the last value of each series."""
    newest = [row.points[-1].value for row in (answer.series if answer else ()) if row.points]
    return [value for value in newest if value is not None]
