"""`MetricsReader` over one Prometheus: named signals from the first exporter that has data, and guarded PromQL."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import anyio

from ai_platform_mcp.adapters.prometheus.answers import Shown, shown, single_number
from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.guard import Guarded, GuardRules, allowed_for, guard, query_points
from ai_platform_mcp.adapters.prometheus.promql import Printer, duration_text, parse
from ai_platform_mcp.adapters.prometheus.routing_signals import ROUTING_SIGNALS
from ai_platform_mcp.adapters.prometheus.signals import SIGNALS, Backend, Signal
from ai_platform_mcp.core.errors import DeadlineExceeded, InvalidInput
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.ports import Clock
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import MetricAnswer, MetricScope

_KNOWN_FOR_SECONDS = 7 * 86_400
_LEAST_RANGE_SECONDS = 300
"""Rates need a few scrapes: five minutes hold five of the slowest usual interval."""
_RARE_RANGE_SECONDS = 3600
"""Signals of rare events (admissions, evictions) have nothing to say about five minutes."""

_T = TypeVar("_T")
_Visible: TypeAlias = Sequence[tuple[Backend, dict[str, str]]]
"""Exporters that may be asked, each with the tenant matchers it gets."""


@dataclass(frozen=True)
class _Grid:
    """For when, how finely and how much: no step means one value now."""

    window_seconds: int
    step_seconds: int | None
    max_series: int


TEAM = "{team}"
"""As the value of a tenant matcher: the caller's own team."""


class PrometheusMetrics:
    """Named signals and guarded PromQL of one server.

    `tenant` matchers hold for every caller, beside those of a call's scope; the value `{team}` stands for the caller's
    team. `allowed` are patterns of metric names for free PromQL by role (empty: every metric for everyone; see
    `guard.allowed_for`). `seconds` bounds a whole question, however many requests it takes.
    """

    def __init__(
        self,
        client: PrometheusClient,
        clock: Clock,
        *,
        tenant: Mapping[str, str] | None = None,
        allowed: Mapping[str, tuple[str, ...]] | None = None,
        seconds: float = 10.0,
    ) -> None:
        self._client = client
        self._clock = clock
        self._tenant = dict(tenant or {})
        self._allowed = dict(allowed or {})
        self._seconds = seconds

    def signals(self) -> Mapping[str, str]:
        """Each signal that people ask for, with one line of meaning, unit and direction; those of routing are its own."""
        return {name: signal.line for name, signal in SIGNALS.items()}

    async def signal(
        self,
        name: str,
        scope: MetricScope,
        *,
        window_seconds: int,
        step_seconds: int | None = None,
        max_series: int = 50,
    ) -> MetricAnswer:
        """Answer a named signal from the first exporter with data. Raises `InvalidInput` and the client's errors."""
        signal = _known(name)
        query_points(window_seconds, step_seconds)
        tenant = self._tenant_of(scope)
        asked = [one for one in signal.backends if one.serves(scope)]
        if not asked:
            raise _unanswerable(signal, scope)
        visible = [(one, matchers) for one in asked if (matchers := one.tenant_matchers(tenant)) is not None]
        grid = _Grid(window_seconds, step_seconds, max_series)
        return await self._within(self._first_with_data(signal, scope, visible, tenant, grid))

    async def _first_with_data(
        self, signal: Signal, scope: MetricScope, visible: _Visible, tenant: Mapping[str, str], grid: _Grid
    ) -> MetricAnswer:
        promql = ""
        for backend, matchers in visible:
            promql = _expression(signal, backend, scope, matchers, grid)
            found = shown(await self._ask(promql, grid), promql, grid.max_series)
            if found.samples:
                age = await self._age([_selector(backend, scope, matchers)])
                notes = (*found.notes, *_notes(backend, tenant, matchers))
                return _answer(signal.name, signal.unit, promql, backend.name, found, age, notes)
        absence = await self._absence(visible, scope)
        return _answer(signal.name, signal.unit, promql, "", Shown((), 0, 0, ()), None, (), absence)

    async def promql(
        self,
        query: str,
        scope: MetricScope,
        *,
        window_seconds: int,
        step_seconds: int | None = None,
        max_series: int = 50,
    ) -> MetricAnswer:
        """Answer guarded PromQL. Raises `InvalidInput` with the guard's code in its details, and the client's errors.

        Of the scope only the tenant counts: an expression says itself which model, node or queue it means.
        """
        names = allowed_for(scope.roles, self._allowed) if self._allowed else ()
        rules = GuardRules(self._tenant_of(scope), names)
        guarded = guard(query, rules, window_seconds=window_seconds, step_seconds=step_seconds)
        grid = _Grid(window_seconds, step_seconds, max_series)
        return await self._within(self._guarded(query, guarded, grid))

    async def _guarded(self, query: str, guarded: Guarded, grid: _Grid) -> MetricAnswer:
        found = shown(await self._ask(guarded.promql, grid), guarded.promql, grid.max_series)
        notes = (*found.notes, *guarded.notes)
        if found.series or not guarded.selectors:
            age = await self._age(guarded.selectors) if guarded.selectors else None
            return _answer(query, "", guarded.promql, "", found, age, notes)
        known = await self._known_names(guarded.named)
        missing = [name for name in guarded.metrics if name not in known]
        absence = (
            f"not exported (or not for your tenant): {', '.join(missing)} was not seen in the last 7 days"
            if missing
            else "no samples: the metrics are exported, and the expression matches nothing of them in the window"
        )
        return _answer(query, "", guarded.promql, "", found, None, notes, absence)

    async def alerts(self) -> Sequence[type_json]:
        """Firing and pending alerts of the tenant; texts are cut and untrusted."""
        alerts = await self._within(self._client.alerts())
        tenant = self._tenant
        return [
            one
            for alert in alerts
            if (one := _alert(alert)) and all(one["labels"].get(k) in (None, v) for k, v in tenant.items() if v != TEAM)
        ]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _tenant_of(self, scope: MetricScope) -> dict[str, str]:
        """The caller's tenant and the platform's. Raises `InvalidInput` where they contradict each other."""
        bound = {name: self._bound(value, scope) for name, value in self._tenant.items()}
        for name, value in scope.tenant.items():
            if bound.get(name, value) != value:
                raise InvalidInput(
                    f"The scope asks for {name}={value}, and this server is bound to another {name}.",
                    remedy="Ask the server that is configured for that tenant.",
                    details={"code": "tenant_mismatch"},
                )
        return {**scope.tenant, **bound}

    def _bound(self, value: str, scope: MetricScope) -> str:
        if value != TEAM:
            return value
        if not scope.team:
            raise InvalidInput(
                "Metrics are bound to the caller's team here, and this caller has none.",
                remedy="Set identity.team, or ask with a token that names a team.",
                details={"code": "tenant_unknown"},
            )
        return scope.team

    async def _within(self, work: Coroutine[Any, Any, _T]) -> _T:
        """A bound on a whole question, however many requests it takes."""
        try:
            with anyio.fail_after(self._seconds):
                return await work
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"The metrics store did not answer the whole question within {self._seconds:g} s.",
                cause="Each of its answers takes long, or the question needs several.",
                remedy="Ask for a shorter window, or for one model instead of all.",
            ) from error

    async def _ask(self, promql: str, grid: _Grid) -> Mapping[str, Any]:
        step = grid.step_seconds
        if step is None:
            return await self._client.instant(promql)
        # Aligned, so that asking again a second later gives the same points.
        end = self._clock.now().timestamp() // step * step
        return await self._client.range(promql, end - grid.window_seconds // step * step, end, step)

    async def _age(self, selectors: Sequence[str]) -> int | None:
        """Seconds since the newest sample under any of these selectors, by the server's own clock."""
        stamps = " or ".join(f"timestamp({one})" for one in selectors[:4])
        age = single_number(await self._client.instant(f"time() - max({stamps})"))
        return None if age is None else max(0, round(age))

    async def _known_names(self, selectors: Sequence[str]) -> frozenset[str]:
        now = self._clock.now().timestamp()
        return await self._client.names(selectors, now - _KNOWN_FOR_SECONDS, now)

    async def _absence(self, asked: _Visible, scope: MetricScope) -> str:
        """Why no exporter had data: not exported at all, nothing for this scope, or nothing in the window."""
        if not asked:
            return "not visible: no exporter of this signal carries your tenant's labels"
        names = sorted({backend.metric for backend, _ in asked})
        everywhere = [_selector(backend, MetricScope(), matchers) for backend, matchers in asked]
        known = await self._known_names(everywhere)
        if not known:
            return f"not exported: none of {', '.join(names)} was seen in the last 7 days"
        here = await self._known_names([_selector(backend, scope, matchers) for backend, matchers in asked])
        if not here:
            return f"nothing for this scope: {', '.join(sorted(known))} is exported, but no series matches the scope"
        return f"no samples in the window: {', '.join(sorted(here))} was seen in the last 7 days, not now"


def _known(name: str) -> Signal:
    signal = SIGNALS.get(name) or ROUTING_SIGNALS.get(name)
    if signal is None:
        raise InvalidInput(
            f"There is no signal {name[:60]!r}.",
            remedy="Use one of: " + ", ".join(SIGNALS) + "; or ask PromQL.",
            details={"code": "unknown_signal"},
        )
    return signal


def _unanswerable(signal: Signal, scope: MetricScope) -> InvalidInput:
    known = sorted({name for backend in signal.backends for name in backend.labels})
    return InvalidInput(
        f"{signal.name} cannot be narrowed as asked.",
        cause="No exporter of this signal carries all labels that the scope names.",
        remedy=f"Narrow it by: {', '.join(known)}.",
        details={"code": "scope_not_supported"},
    )


def _expression(signal: Signal, backend: Backend, scope: MetricScope, tenant: Mapping[str, str], grid: _Grid) -> str:
    """The backend's expression with scope and tenant. Rates of one value look back over the window, but at most an hour
    unless the signal counts over the whole of it; rates of a range look back over a step, but at least over as much as
    the signal needs to have something to say."""
    least = _RARE_RANGE_SECONDS if signal.whole_window else _LEAST_RANGE_SECONDS
    if grid.step_seconds is not None:
        seconds = max(least, grid.step_seconds)
    elif signal.whole_window:
        seconds = max(_LEAST_RANGE_SECONDS, grid.window_seconds)
    else:
        seconds = min(3600, max(least, grid.window_seconds))
    text = backend.promql(scope, duration_text(timedelta(seconds=seconds)))
    return Printer(tenant).text(parse(text))


def _selector(backend: Backend, scope: MetricScope, tenant: Mapping[str, str]) -> str:
    return Printer(tenant).text(parse(f"{backend.metric}{{{backend.selector(scope)}}}"))


def _notes(backend: Backend, tenant: Mapping[str, str], matchers: Mapping[str, str]) -> list[str]:
    notes = [backend.note] if backend.note else []
    if tenant and not matchers:
        notes.append("Platform-wide figures: this metric carries no tenant labels.")
    return notes


def _answer(
    question: str,
    unit: str,
    promql: str,
    backend: str,
    found: Shown,
    age: int | None,
    notes: tuple[str, ...],
    absence: str = "",
) -> MetricAnswer:
    return MetricAnswer(
        question=question,
        unit=unit,
        promql=promql,
        backend=backend,
        series=found.series,
        omitted_series=found.omitted,
        sample_count=found.samples,
        freshness_seconds=age,
        absence=absence,
        notes=notes,
    )


def _alert(alert: Mapping[str, Any]) -> type_json:
    def texts(part: Any) -> dict[str, str]:
        return {str(k): untrusted(str(v), 300) for k, v in part.items()} if isinstance(part, dict) else {}

    return {
        "name": untrusted(str(texts(alert.get("labels")).get("alertname", "")), 120),
        "state": untrusted(str(alert.get("state", "")), 20),
        "since": untrusted(str(alert.get("activeAt", "")), 40),
        "value": untrusted(str(alert.get("value", "")), 40),
        "labels": texts(alert.get("labels")),
        "annotations": texts(alert.get("annotations")),
    }
