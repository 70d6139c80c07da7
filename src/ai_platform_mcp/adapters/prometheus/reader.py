"""`MetricsReader` over one Prometheus: named signals from the first exporter that has data, and guarded PromQL."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias, TypeVar

import anyio

from ai_platform_mcp.adapters.prometheus.answers import Shown, shown, single_number
from ai_platform_mcp.adapters.prometheus.backends import Backend, Signal
from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.guard import Guarded, GuardRules, allowed_for, guard, query_points
from ai_platform_mcp.adapters.prometheus.questions import (
    LONGEST_AGE,
    Grid,
    Question,
    age_by,
    selector_of,
    unanswerable,
)
from ai_platform_mcp.adapters.prometheus.routing_signals import ROUTING_SIGNALS
from ai_platform_mcp.adapters.prometheus.signals import SIGNALS
from ai_platform_mcp.core.errors import DeadlineExceeded, InvalidInput
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.ports import Clock
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import MetricAnswer, MetricScope, MetricSeries, Reporting

_KNOWN_FOR_SECONDS = 7 * 86_400
_MOST_ROWS = 10_000
_NAMES_SECONDS, _MOST_NAMES = 20.0, 256
"""For how long, and of how many questions, it is remembered which metrics exist: about as long as the next scrape takes."""

_T = TypeVar("_T")
_Visible: TypeAlias = Sequence[tuple[Backend, dict[str, str]]]
"""Exporters that may be asked, each with the tenant matchers it gets."""


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
        self._names: dict[tuple[tuple[str, ...], int], tuple[float, frozenset[str]]] = {}

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
        by: Sequence[str] = (),
    ) -> MetricAnswer:
        """Answer a named signal from the first exporter with data. Raises `InvalidInput` and the client's errors."""
        signal = _known(name)
        query_points(window_seconds, step_seconds)
        tenant = self._tenant_of(scope)
        asked = [one for one in signal.backends if one.serves(scope, by)]
        if not asked:
            raise unanswerable(signal, by)
        visible = [(one, matchers) for one in asked if (matchers := one.tenant_matchers(tenant)) is not None]
        question = Question(signal, scope, tuple(by), Grid(window_seconds, step_seconds, max_series))
        return await self._within(self._first_with_data(question, visible, tenant))

    async def _first_with_data(self, question: Question, visible: _Visible, tenant: Mapping[str, str]) -> MetricAnswer:
        """Ask one exporter after the other; where the first with data knows only the cloud or only the edge, another that
        knows the other is asked too, for an answer that leaves one of them out would pass for the whole."""
        promql, scope = "", question.scope
        for place, (backend, matchers) in enumerate(visible):
            promql = question.expression(backend, matchers)
            found = await self._found(question, promql, backend, matchers)
            if not found.samples:
                continue
            age = await self._age([selector_of(backend, scope, matchers)])
            notes = (*found.notes, *_notes(backend, tenant, matchers))
            answer = _answer(question.signal.name, question.signal.unit, promql, backend.name, found, age, notes)
            if not backend.both_targets(scope, question.by):
                return answer
            return await self._with_the_other_target(answer, question, backend, visible[place + 1 :])
        absence = await self._absence(visible, scope)
        return _answer(question.signal.name, question.signal.unit, promql, "", Shown((), 0, 0, ()), None, (), absence)

    async def _found(self, question: Question, promql: str, backend: Backend, matchers: Mapping[str, str]) -> Shown:
        grid = question.grid
        found = shown(await self._ask(promql, grid), promql, grid.max_series)
        if not question.by or not found.samples:
            return found
        data = await self._client.instant(question.ages(backend, matchers))
        ages = {_key(row.labels): row.points[0].value for row in shown(data, "", _MOST_ROWS).series}
        return replace(found, series=tuple(_aged(row, ages.get(_key(row.labels))) for row in found.series))

    async def _with_the_other_target(
        self, answer: MetricAnswer, question: Question, first: Backend, others: _Visible
    ) -> MetricAnswer:
        seen = {row.labels.get("target") for row in answer.series}
        if answer.omitted_series or len(seen & {"cloud", "edge"}) != 1 or not others:
            return answer
        target: Literal["cloud", "edge"] = "cloud" if "edge" in seen else "edge"
        scope = question.scope.model_copy(update={"target": target})
        narrowed = [(one, matchers) for one, matchers in others if one.both_targets(question.scope, question.by)]
        selectors = [selector_of(one, scope, matchers) for one, matchers in narrowed]
        known = await self._known_names(selectors, question.range_seconds) if selectors else frozenset[str]()
        for backend, matchers in narrowed:
            if backend.metric not in known:
                continue
            other = replace(question, narrowed=target)
            found = await self._found(other, other.expression(backend, matchers), backend, matchers)
            if found.samples:
                return _joined(answer, found, f"{backend.name} ({target}: another exporter than {first.name})", backend)
        return answer

    async def reporting(self, scope: MetricScope) -> Reporting:
        """Which edge nodes report about the scope's model; the router's figures about a node do not count as its own."""
        tenant = self._tenant_of(scope)
        at_edge = scope.model_copy(update={"target": "edge"})
        backends = [one for one in SIGNALS["rps"].backends if one.serves(at_edge, ["node"]) and one.name != "litellm"]
        visible = [(one, matchers) for one in backends if (matchers := one.tenant_matchers(tenant)) is not None]
        return await self._within(self._reporting(at_edge, visible))

    async def _reporting(self, scope: MetricScope, visible: _Visible) -> Reporting:
        selectors = [selector_of(backend, scope, matchers) for backend, matchers in visible]
        if not selectors or not await self._known_names(selectors):
            return Reporting(known=False)
        newest: dict[str, int] = {}
        for selector in selectors:
            data = await self._client.instant(age_by(selector, "node", LONGEST_AGE))
            for row in shown(data, "", _MOST_ROWS).series:
                node, age = row.labels.get("node", ""), row.points[0].value
                if node and age is not None:
                    newest[node] = min(max(0, round(age)), newest.get(node, LONGEST_AGE))
        return Reporting(known=True, ages=newest)

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
        grid = Grid(window_seconds, step_seconds, max_series)
        return await self._within(self._guarded(query, guarded, grid))

    async def _guarded(self, query: str, guarded: Guarded, grid: Grid) -> MetricAnswer:
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

    async def _ask(self, promql: str, grid: Grid) -> Mapping[str, Any]:
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

    async def _known_names(self, selectors: Sequence[str], seconds: int = _KNOWN_FOR_SECONDS) -> frozenset[str]:
        """The metrics that had samples under these selectors; remembered for a short while, since asking costs the store."""
        now, key = self._clock.now().timestamp(), (tuple(selectors), seconds)
        kept = self._names.get(key)
        if kept is not None and 0 <= now - kept[0] < _NAMES_SECONDS:
            return kept[1]
        found = await self._client.names(selectors, now - seconds, now)
        if len(self._names) >= _MOST_NAMES:
            self._names.clear()
        self._names[key] = (now, found)
        return found

    async def _absence(self, asked: _Visible, scope: MetricScope) -> str:
        """Why no exporter had data: not exported at all, nothing for this scope, or nothing in the window."""
        if not asked:
            return "not visible: no exporter of this signal carries your tenant's labels"
        names = sorted({backend.metric for backend, _ in asked})
        everywhere = [selector_of(backend, MetricScope(), matchers) for backend, matchers in asked]
        known = await self._known_names(everywhere)
        if not known:
            return f"not exported: none of {', '.join(names)} was seen in the last 7 days"
        here = await self._known_names([selector_of(backend, scope, matchers) for backend, matchers in asked])
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


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in labels.items() if name != "le"))


def _aged(row: MetricSeries, age: float | None) -> MetricSeries:
    return row if age is None else row.model_copy(update={"age_seconds": max(0, round(age))})


def _joined(answer: MetricAnswer, found: Shown, said: str, backend: Backend) -> MetricAnswer:
    notes = [f"Cloud and edge are measured by different exporters: {answer.backend}, {said}."]
    return answer.model_copy(
        update={
            "series": (*answer.series, *found.series),
            "omitted_series": answer.omitted_series + found.omitted,
            "sample_count": answer.sample_count + found.samples,
            "backend": f"{answer.backend}, {backend.name}",
            "notes": (*answer.notes, *found.notes, *([backend.note] if backend.note else []), *notes),
        }
    )


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
