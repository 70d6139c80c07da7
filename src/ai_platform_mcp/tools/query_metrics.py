"""Numbers: named signals that mean the same on every backend, or guarded PromQL."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import anyio
from pydantic import Field, model_validator

from ai_platform_mcp.core.errors import InvalidInput, PlatformError
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import MetricAnswer, MetricScope
from ai_platform_mcp.core.tool import Caller, Params, Result
from ai_platform_mcp.domain.metric_tables import SIDE_BY_SIDE, Silence, split_result
from ai_platform_mcp.domain.metric_views import metric_result
from ai_platform_mcp.domain.text import seconds_of
from ai_platform_mcp.tools._silence import silent_nodes

LONGEST_SECONDS = 7 * 86_400
"""The longest window: what one question may cost the metrics store."""
MOST_POINTS = 1_000
"""Samples per series at most: what a summary needs, far below the 11,000 that Prometheus refuses."""
SPLITS = ("target", "site", "region", "version", "node")
MOST_ROWS = 500
"""Rows of a split answer, worst first: what does not fit the answer's budget is counted, not shown."""
SHOWN_POINTS = 60
"""Samples per series where they are asked for one by one."""


class MetricsParams(Params):
    """What to measure, of what, since when."""

    signal: str = ""
    by: Annotated[str, Field(description="target,site,region,version,node; alone: compare")] = ""
    promql: Annotated[str, Field(description="instead of signal", max_length=2000)] = ""
    model: str = ""
    namespace: str = ""
    version: str = ""
    target: Literal["", "cloud", "edge"] = ""
    site: str = ""
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
        if self.promql and (self.signal or self.by):
            raise ValueError("promql stands alone: it says itself what it measures and how it is split")
        if not (self.signal or self.promql or self.by):
            raise ValueError("pass signal, promql, or by (rps, error_rate, e2e_p50 and e2e_p95 side by side)")
        unknown = sorted(set(self.split) - set(SPLITS))
        if unknown:
            raise ValueError(f"by cannot be {', '.join(unknown)[:60]}; it is one or more of: {', '.join(SPLITS)}")
        if self.by and self.step and not self.signal:
            raise ValueError("over time one signal is split at a time: pass signal, or leave out step")
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

    @property
    def split(self) -> tuple[str, ...]:
        """What the answer is split by."""
        return tuple(dict.fromkeys(name.strip() for name in self.by.split(",") if name.strip()))

    def scope(self, caller: Caller) -> MetricScope:
        """What is asked for, and for whom."""
        who = caller.principal
        named = {name: getattr(self, name) for name in ("model", "namespace", "version", "site", "node", "queue")}
        return MetricScope(team=who.team, roles=who.roles, target=self.target, **named)


class QueryMetrics:
    """Reads the metrics store through its guard."""

    name: ClassVar[str] = "query_metrics"
    title: ClassVar[str] = "Query metrics"
    description: ClassVar[str] = (
        "Measure: signals ttft_p95, itl_p95, e2e_p50, e2e_p95, error_rate, rps, queue_depth, kv_util, gpu_util, "
        "gpu_tensor_active, gpu_mem, gpu_health, queue_wait_p95, evictions, quota_usage, edge_share, edge_latency, spend_rate, "
        "savings, drift_score; or guarded PromQL. Says unit, age, exporter, silent nodes, or why no value."
    )
    params: ClassVar[type[Params]] = MetricsParams

    async def read(self, params: MetricsParams, readers: Readers, caller: Caller) -> Result:
        """Answer one signal, several side by side, or one expression."""
        scope = params.scope(caller)
        window = seconds_of(params.window)
        step = seconds_of(params.step) if params.step else None
        if params.split and step is None:
            return await self._split(params, scope, readers, window)
        if params.signal:
            self._must_know(params.signal, readers)
            answer = await readers.metrics.signal(
                params.signal,
                scope,
                window_seconds=window,
                step_seconds=step,
                max_series=params.max_series,
                by=params.split,
            )
        else:
            answer = await readers.metrics.promql(
                params.promql, scope, window_seconds=window, step_seconds=step, max_series=params.max_series
            )
        return metric_result(answer, window=params.window, over_time=step is not None, points=params.points)

    async def _split(self, params: MetricsParams, scope: MetricScope, readers: Readers, window: int) -> Result:
        names = (params.signal,) if params.signal else SIDE_BY_SIDE
        self._must_know(names[0], readers)
        most = params.max_series if "max_series" in params.model_fields_set else MOST_ROWS
        answers: dict[str, MetricAnswer | PlatformError] = {}
        quiet: list[Silence | None] = []

        async def ask(name: str) -> None:
            try:
                answers[name] = await readers.metrics.signal(
                    name, scope, window_seconds=window, max_series=most, by=params.split
                )
            except PlatformError as error:
                answers[name] = error

        async def listen() -> None:
            quiet.append(await silent_nodes(readers, scope))

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(ask, name)
            if names[0] in SIDE_BY_SIDE:
                group.start_soon(listen)
        told: dict[str, MetricAnswer] = {}
        for name in names:
            answer = answers[name]
            if isinstance(answer, PlatformError):
                raise answer
            told[name] = answer
        return split_result(told, window=params.window, quiet=quiet[0] if quiet else None)

    @staticmethod
    def _must_know(signal: str, readers: Readers) -> None:
        known = readers.metrics.signals()
        if signal not in known:
            raise InvalidInput(
                f"There is no signal {signal!r}.",
                remedy="Signals: " + "; ".join(f"{name} ({meaning})" for name, meaning in sorted(known.items())) + ".",
            )
