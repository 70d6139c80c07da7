"""The HTTP face: Prometheus' routes, documents and status codes over any `SampleSource`."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ai_platform_mcp.sandbox.prometheus.documents import result_document
from ai_platform_mcp.sandbox.prometheus.evaluator import evaluate
from ai_platform_mcp.sandbox.prometheus.model import (
    BadData,
    Clock,
    ExecutionError,
    LabelSet,
    QueryError,
    SampleSource,
)
from ai_platform_mcp.sandbox.prometheus.params import EARLIEST_MS, LATEST_MS, Params, duration_ms
from ai_platform_mcp.sandbox.prometheus.parse import parse, parse_selector
from ai_platform_mcp.sandbox.prometheus.rules import AlertRule, active_alerts, rfc3339, rule_document
from ai_platform_mcp.sandbox.prometheus.values import MOST_SAMPLES, Budget

_LOG = logging.getLogger(__name__)
DEFAULT_TIMEOUT_MS = 120_000
VERSION = "2.42.0"
"""Whose semantics this store speaks."""

_Handler = Callable[[Params, Request], Any]


def build_prometheus_app(
    source: SampleSource, clock: Clock, rules: Sequence[AlertRule] = (), max_samples: int = MOST_SAMPLES
) -> Starlette:
    """An ASGI application that answers Prometheus' HTTP API from the source. Queries run in worker threads.

    `max_samples` is what one query may load (`--query.max-samples` of the real one); more is a 422.
    """
    return _Api(source, clock, rules, max_samples).app()


class _Api:
    def __init__(self, source: SampleSource, clock: Clock, rules: Sequence[AlertRule], max_samples: int) -> None:
        self._max_samples = max_samples
        self._source = source
        self._clock = clock
        self._rules = rules
        self._limiter: CapacityLimiter | None = None

    def app(self) -> Starlette:
        form = ["GET", "POST"]
        return Starlette(
            routes=[
                Route("/-/ready", _says("Prometheus Server is Ready.\n")),
                Route("/-/healthy", _says("Prometheus Server is Healthy.\n")),
                Route("/api/v1/query", self._answer(self._query), methods=form),
                Route("/api/v1/query_range", self._answer(self._query_range), methods=form),
                Route("/api/v1/series", self._answer(self._series), methods=form),
                Route("/api/v1/labels", self._answer(self._labels), methods=form),
                Route("/api/v1/label/{name}/values", self._answer(self._label_values)),
                Route("/api/v1/metadata", self._answer(self._metadata)),
                Route("/api/v1/alerts", self._answer(self._alerts)),
                Route("/api/v1/rules", self._answer(self._rule_groups)),
                Route("/api/v1/targets", self._answer(self._targets)),
                Route("/api/v1/status/buildinfo", self._answer(_buildinfo)),
            ]
        )

    def _answer(self, handler: _Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            params = await Params.of(request)
            if self._limiter is None:  # belongs to the running event loop
                self._limiter = CapacityLimiter(4)
            try:
                data = await anyio.to_thread.run_sync(
                    handler, params, request, limiter=self._limiter, abandon_on_cancel=True
                )
            except QueryError as error:
                return _error(error.kind, str(error), error.status)
            except RecursionError:
                return _error(ExecutionError.kind, "expression is nested too deeply", ExecutionError.status)
            except Exception as error:
                _LOG.exception("query failed")
                return _error("internal", f"unexpected {type(error).__name__}", 500)
            return JSONResponse({"status": "success", "data": data})

        return endpoint

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)

    def _budget(self, params: Params) -> Budget:
        text = params.get("timeout")
        timeout = duration_ms(text) if text else DEFAULT_TIMEOUT_MS
        if timeout is None:
            raise BadData(f'invalid parameter "timeout": cannot parse "{text}" to a valid duration')
        return Budget(time.monotonic() + min(timeout, DEFAULT_TIMEOUT_MS) / 1000, self._max_samples)

    def _query(self, params: Params, request: Request) -> Any:
        moment = params.time("time", self._now_ms())
        budget = self._budget(params)
        node = parse(_required(params))
        return result_document(evaluate(node, self._source, [moment], budget), [moment], instant=True)

    def _query_range(self, params: Params, request: Request) -> Any:
        steps = params.steps()
        budget = self._budget(params)
        node = parse(_required(params))
        return result_document(evaluate(node, self._source, steps, budget, params.time("end")), steps, instant=False)

    def _selected(self, params: Params) -> list[LabelSet]:
        start, end = params.time("start", EARLIEST_MS), params.time("end", LATEST_MS)
        if end < start:
            raise BadData('invalid parameter "end": end timestamp must not be before start time')
        found: dict[LabelSet, None] = {}
        for text in params.all("match[]"):
            found.update(dict.fromkeys(self._source.series(parse_selector(text).matchers, start, end)))
        if not params.all("match[]"):
            found.update(dict.fromkeys(self._source.series((), start, end)))
        return sorted(found)

    def _series(self, params: Params, request: Request) -> Any:
        if not params.all("match[]"):
            raise BadData("no match[] parameter provided")
        return [dict(labels) for labels in self._selected(params)]

    def _labels(self, params: Params, request: Request) -> Any:
        return sorted({name for labels in self._selected(params) for name, _ in labels})

    def _label_values(self, params: Params, request: Request) -> Any:
        wanted = request.path_params["name"]
        if not wanted.replace("_", "a").isalnum() or wanted[0].isdigit():
            raise BadData(f'invalid label name: "{wanted}"')
        return sorted({value for labels in self._selected(params) for name, value in labels if name == wanted})

    def _metadata(self, params: Params, request: Request) -> Any:
        wanted, limit = params.get("metric"), params.get("limit")
        if limit and not limit.lstrip("-").isdecimal():
            raise BadData("limit must be a number")
        most = int(limit) if limit and int(limit) >= 0 else None
        families = [family for family in self._source.families() if wanted in ("", family.name)]
        return {
            family.name: [{"type": family.type, "help": family.help, "unit": family.unit}] for family in families[:most]
        }

    def _alerts(self, params: Params, request: Request) -> Any:
        now = self._now_ms()
        return {"alerts": [alert for rule in self._rules for alert in active_alerts(rule, self._source, now)]}

    def _rule_groups(self, params: Params, request: Request) -> Any:
        now = self._now_ms()
        if not self._rules or params.get("type") == "record":
            return {"groups": []}
        documents = [rule_document(rule, self._source, now) for rule in self._rules]
        group = {"name": "platform", "file": "platform.rules.yml", "interval": 60, "limit": 0, "rules": documents}
        return {"groups": [{**group, "evaluationTime": 0.0, "lastEvaluation": rfc3339(now)}]}

    def _targets(self, params: Params, request: Request) -> Any:
        now = self._now_ms()
        seen: dict[tuple[str, str], None] = {}
        for labels in self._source.series((), now - DEFAULT_TIMEOUT_MS, now):
            found = dict(labels)
            seen[found.get("job", ""), found.get("instance", "")] = None
        active = [
            {
                "discoveredLabels": {"__address__": instance, "job": job},
                "labels": {"instance": instance, "job": job},
                "scrapePool": job,
                "scrapeUrl": f"http://{instance}/metrics",
                "globalUrl": f"http://{instance}/metrics",
                "lastError": "",
                "lastScrape": rfc3339(now),
                "lastScrapeDuration": 0.0,
                "health": "up",
                "scrapeInterval": "15s",
                "scrapeTimeout": "10s",
            }
            for job, instance in sorted(seen)
            if job
        ]
        return {"activeTargets": active, "droppedTargets": []}


def _required(params: Params) -> str:
    text = params.get("query")
    if not text.strip():
        raise BadData('invalid parameter "query": unknown position: parse error: no expression found in input')
    return text


def _error(kind: str, message: str, status: int) -> Response:
    return JSONResponse({"status": "error", "errorType": kind, "error": message}, status_code=status)


def _buildinfo(params: Params, request: Request) -> Any:
    return {
        "version": VERSION,
        "revision": "sandbox",
        "branch": "sandbox",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }


def _says(text: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return PlainTextResponse(text)

    return endpoint
