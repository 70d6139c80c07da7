"""Counts of good and bad outcomes for analysis: for each check, exporters in order; the first that saw calls wins.

Every exporter is asked for counts since a moment (``increase``, which knows counters that begin again at zero) and never for a
rate or a percentile: the test behind a verdict takes shares of calls. Scrape configuration gives serving metrics the labels
model, version, namespace and target, and at the edge node, site and region.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.guard import MAX_RANGE_SECONDS
from ai_platform_mcp.adapters.prometheus.promql import label_name, quoted
from ai_platform_mcp.core.errors import Unavailable
from ai_platform_mcp.core.ports import Clock
from ai_platform_mcp.domain.analysis.judge import Check
from ai_platform_mcp.domain.analysis.sides import Outcomes, Side, Span
from ai_platform_mcp.manifests.common import label_value

FRESH_SECONDS = 300
"""A side whose newest sample is older than this is not measured: its exporter is gone, or its line is."""
NODES_AT_ONCE = 200
"""Nodes named by one selector; more of them are asked for by several selectors of one question."""
_SERVING = frozenset({"namespace", "target"})


@dataclass(frozen=True)
class Counted:
    """One exporter's counters for a check.

    ``total`` and ``bad`` are metric and matchers of the counters; their increases are added up. For ``slow`` there is one
    ``total``, a histogram's buckets, and ``unit`` is how many seconds its boundaries count. ``carries`` are the labels beside
    model, version and node that it has.
    """

    name: str
    total: tuple[tuple[str, str], ...]
    bad: tuple[tuple[str, str], ...] = ()
    unit: float = 1.0
    carries: frozenset[str] = _SERVING
    nodes: bool = True
    """Whether its series say on which node they were counted."""


def _by_code(name: str, metric: str, code: str, failed: str = "5..") -> Counted:
    return Counted(name, ((metric, ""),), ((metric, f"{label_name(code)}=~{quoted(failed)},"),))


def _buckets(name: str, metric: str, unit: float = 1.0, *, nodes: bool = True) -> Counted:
    return Counted(name, ((f"{metric}_bucket", ""),), unit=unit, nodes=nodes)


_GOLDEN = "aiplatform_golden_answers_total"
_TRITON = ("nv_inference_request_success", ""), ("nv_inference_request_failure", "")
_EPP = "inference_objective_request"
_UPSTREAM = "envoy_cluster_upstream_rq"

SOURCES: Mapping[Check, tuple[Counted, ...]] = {
    "errors": (
        _by_code("http", "http_server_request_duration_seconds_count", "http_response_status_code"),
        _by_code("knative", "kn_serving_invocation_duration_seconds_count", "http_response_status_code"),
        _by_code("istio", "istio_requests_total", "response_code"),
        Counted("envoy", ((f"{_UPSTREAM}_completed", ""),), ((f"{_UPSTREAM}_xx", 'envoy_response_code_class="5",'),)),
        _by_code("vllm", "http_requests_total", "status", "5.*"),
        Counted("triton", _TRITON, _TRITON[1:]),
        Counted("epp", ((f"{_EPP}_total", ""),), ((f"{_EPP}_error_total", ""),), nodes=False),
    ),
    "slow": (
        _buckets("vllm", "vllm:e2e_request_latency_seconds"),
        _buckets("http", "http_server_request_duration_seconds"),
        _buckets("knative", "kn_serving_invocation_duration_seconds"),
        _buckets("kserve", "request_predict_seconds"),
        _buckets("istio", "istio_request_duration_milliseconds", 0.001),
        _buckets("envoy", f"{_UPSTREAM}_time", 0.001),
        _buckets("epp", f"{_EPP}_duration_seconds", nodes=False),
    ),
    "disagreement": (
        Counted(
            "golden",
            ((_GOLDEN, 'result=~"agree|differ",'),),
            ((_GOLDEN, 'result="differ",'),),
            carries=frozenset(),
        ),
    ),
}
"""By check, in order. ``http`` is what a pod's HTTP server says in OpenTelemetry's names
(https://opentelemetry.io/docs/specs/semconv/http/http-metrics/). vLLM's own HTTP server says ``5xx`` where others say the code;
Envoy and Istio count time in milliseconds."""


class PrometheusCounts:
    """Counts of one server."""

    def __init__(self, client: PrometheusClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def outcomes(self, check: Check, side: Side, source: str = "") -> Outcomes | None:
        """Return what was counted of a side, None where nothing was, or where its newest sample is too old.

        Raises:
            Unavailable, DeadlineExceeded, Forbidden, InvalidInput, RateLimited, Misconfigured: as the client does.
        """
        if not side.spans:
            return None
        seen: Outcomes | None = None
        for row in SOURCES[check]:
            if (source and row.name != source) or (not row.nodes and any(span.nodes for span in side.spans)):
                continue
            found = await self._counted(row, side, slow=check == "slow")
            if found is not None and found.total > 0:
                return found
            seen = seen or found
        return seen

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _counted(self, row: Counted, side: Side, *, slow: bool) -> Outcomes | None:
        """Ask for everything at once: a side's calls, the bad ones among them, and whether a sample of them is new."""
        now, matchers = self._clock.now(), self._matchers(row, side)
        if slow:
            promql = f"sum by (le) ({_increases(row.total, matchers, side, now)})"
        else:
            total, bad = (f"sum({_increases(rows, matchers, side, now)})" for rows in (row.total, row.bad))
            promql = f'{total} or label_replace({bad}, "le", "bad", "", "")'
        found = await self._ask(promql if side.over else f"({promql}) and on () ({_fresh(row, matchers, side)})", now)
        if slow:
            return _histogram(row, found)
        if "" not in found:
            return None
        # A counter of failures that is not there has not failed yet: the calls themselves were counted.
        return Outcomes(source=row.name, total=found[""], bad=found.get("bad", 0.0))

    def _matchers(self, row: Counted, side: Side) -> str:
        carried = {"namespace": side.namespace, "target": side.target}
        named = {name: value for name, value in carried.items() if name in row.carries and value}
        text = "".join(f"{label_name(name)}={quoted(value)}," for name, value in named.items())
        return f"{_one_of('model', _said((side.model,)))}{text}{_one_of('version', _said(side.versions))}"

    async def _ask(self, promql: str, now: datetime) -> dict[str, float]:
        """Return values by their label ``le``; what is no number is left out."""
        data = await self._client.instant(promql, now.timestamp())
        try:
            rows = [(str(row["metric"].get("le", "")), float(row["value"][1])) for row in data["result"]]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise Unavailable(
                "The metrics store answered counts that cannot be read.",
                cause=f"Its document is malformed ({type(error).__name__}).",
                remedy="Check that the URL names a Prometheus-compatible API.",
            ) from error
        return {bound: value for bound, value in rows if math.isfinite(value)}


def _increases(counters: Sequence[tuple[str, str]], matchers: str, side: Side, now: datetime) -> str:
    """Return the increases of all counters, each span from its own moment; their nodes, and so their series, differ."""
    parts = [
        _told_apart(f"increase({metric}{{{extra}{matchers}{nodes}}}[{_seconds(span, now)}s])", place)
        for place, (metric, extra) in enumerate(counters)
        for span in side.spans
        for nodes in _nodes(span)
    ]
    return " or ".join(parts)


def _fresh(row: Counted, matchers: str, side: Side) -> str:
    """Return what is there only while the newest sample is new enough; a server may be set to look back further than we do."""
    parts = [
        f"timestamp({metric}{{{extra}{matchers}{nodes}}})"
        for metric, extra in row.total
        for span in side.spans
        for nodes in _nodes(span)
    ]
    return f"time() - max({' or '.join(parts)}) <= {FRESH_SECONDS}"


def _told_apart(expression: str, place: int) -> str:
    """Return the expression with a label of its counter, from the second on: ``or`` drops series whose labels are the same."""
    return f'label_replace({expression}, "counter", "{place}", "", "")' if place else expression


def _seconds(span: Span, now: datetime) -> int:
    return min(MAX_RANGE_SECONDS, max(1, round((now - span.since).total_seconds())))


def _nodes(span: Span) -> list[str]:
    rows = [span.nodes[place : place + NODES_AT_ONCE] for place in range(0, len(span.nodes), NODES_AT_ONCE)]
    return [_one_of("node", row) for row in rows] or [""]


def _said(names: Sequence[str]) -> list[str]:
    """Return names as registered and as pods carry them: scrape configuration takes them from either."""
    return sorted({text for name in names for text in (name, label_value(name))})


def _one_of(label: str, values: Sequence[str]) -> str:
    """Return a matcher for any of the values, each taken literally, empty for none."""
    return f"{label}=~{quoted('|'.join(re.escape(value) for value in values))}," if values else ""


def _histogram(row: Counted, found: Mapping[str, float]) -> Outcomes | None:
    """Return how many calls took longer than each boundary. Without the bucket of all calls nothing can be said."""
    upto = {_bound(text): value for text, value in found.items()}
    total = upto.pop(math.inf, None)
    if total is None:
        return None
    slower = tuple((round(bound * row.unit, 9), max(0.0, total - upto[bound])) for bound in sorted(upto) if bound >= 0)
    return Outcomes(source=row.name, total=total, slower=slower)


def _bound(text: str) -> float:
    try:
        return math.inf if text == "+Inf" else float(text)
    except ValueError:
        return -1.0
