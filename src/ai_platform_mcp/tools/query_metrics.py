"""Numbers: named signals that mean the same on every backend, or guarded PromQL."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import MetricScope
from ai_platform_mcp.core.tool import Caller, Params, Result
from ai_platform_mcp.domain.metric_views import metric_result
from ai_platform_mcp.domain.text import seconds_of

LONGEST_SECONDS = 7 * 86_400
"""The longest window: what one question may cost the metrics store."""
MOST_POINTS = 1_000
"""Samples per series at most: what a summary needs, far below the 11,000 that Prometheus refuses."""
SHOWN_POINTS = 60
"""Samples per series where they are asked for one by one."""


class MetricsParams(Params):
    """What to measure, of what, since when."""

    signal: str = ""
    promql: Annotated[str, Field(description="instead of signal", max_length=2000)] = ""
    model: str = ""
    namespace: str = ""
    target: Literal["", "cloud", "edge"] = ""
    node: str = ""
    queue: str = ""
    window: Annotated[str, Field(description="30m, 6h … 7d", max_length=12)] = "1h"
    step: Annotated[
        str, Field(description="5m: min/avg/max/trend over the window instead of one value", max_length=12)
    ] = ""
    points: Annotated[bool, Field(description="with step: every sample")] = False
    max_series: Annotated[int, Field(ge=1, le=50)] = 10

    @model_validator(mode="after")
    def _one_question(self) -> MetricsParams:
        if bool(self.signal) == bool(self.promql):
            raise ValueError("pass either signal or promql")
        if self.points and not self.step:
            raise ValueError("points needs step")
        window = seconds_of(self.window)
        if window > LONGEST_SECONDS:
            raise ValueError("window is at most 7d")
        if self.step:
            most = SHOWN_POINTS if self.points else MOST_POINTS
            if window // seconds_of(self.step) > most:
                raise ValueError(f"step gives more than {most} samples; take a longer one")
        return self


class QueryMetrics:
    """Reads the metrics store through its guard."""

    name: ClassVar[str] = "query_metrics"
    title: ClassVar[str] = "Query metrics"
    description: ClassVar[str] = (
        "Measure: signals ttft_p95, itl_p95, e2e_p95, error_rate, rps, queue_depth, kv_util, gpu_util, gpu_tensor_active, "
        "gpu_mem, gpu_health, queue_wait_p95, evictions, quota_usage, edge_share, edge_latency, spend_rate, savings, "
        "drift_score; or guarded PromQL. Says unit, freshness, which exporter answered, and why where there is no value."
    )
    params: ClassVar[type[Params]] = MetricsParams

    async def read(self, params: MetricsParams, readers: Readers, caller: Caller) -> Result:
        """Answer one signal or one expression."""
        scope = MetricScope(
            team=caller.principal.team,
            roles=caller.principal.roles,
            model=params.model,
            namespace=params.namespace,
            target=params.target,
            node=params.node,
            queue=params.queue,
        )
        window = seconds_of(params.window)
        step = seconds_of(params.step) if params.step else None
        if params.signal:
            known = readers.metrics.signals()
            if params.signal not in known:
                raise InvalidInput(
                    f"There is no signal {params.signal!r}.",
                    remedy="Signals: "
                    + "; ".join(f"{name} ({meaning})" for name, meaning in sorted(known.items()))
                    + ".",
                )
            answer = await readers.metrics.signal(
                params.signal, scope, window_seconds=window, step_seconds=step, max_series=params.max_series
            )
        else:
            answer = await readers.metrics.promql(
                params.promql, scope, window_seconds=window, step_seconds=step, max_series=params.max_series
            )
        return metric_result(answer, window=params.window, over_time=step is not None, points=params.points)
