"""Calls that nodes answer, as a metrics store knows them: counters that grow with the clock, over both kinds of store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from ai_platform_mcp.sandbox.prometheus.model import NAME, Family, LabelSet, Matcher, Sample, matches
from prometheus_support import labelled, scraping_prometheus, served

HTTP = "http_server_request_duration_seconds"
STEP = 200
"""Milliseconds between two samples."""


@dataclass(frozen=True)
class Calls:
    """What one node does with the calls of one version: calls a second, and the shares that fail and that are slow."""

    rate: float = 300.0
    bad: float = 0.01
    slow: float = 0.02


USUAL = Calls()


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Traffic:
    """A source of samples that a test can add to while it is read."""

    rows: dict[LabelSet, tuple[float, int]] = field(default_factory=dict[LabelSet, tuple[float, int]])
    """Growth a second, and when it began (Unix milliseconds)."""
    refused: set[str] = field(default_factory=set[str])
    """Questions about these models are answered with 503."""

    def flows(self, namespace: str, model: str, version: str, nodes: Sequence[str], calls: Calls = USUAL) -> None:
        """Have edge nodes answer calls of a version from now on."""
        for node in nodes:
            self._begin(calls, model=model, version=version, namespace=namespace, target="edge", node=node)

    def flows_in_cloud(self, model: str, version: str, calls: Calls = USUAL) -> None:
        """Have the model's cloud deployment answer calls from now on."""
        self._begin(calls, model=model, version=version, namespace="elsewhere", target="cloud")

    def _begin(self, calls: Calls, **labels: str) -> None:
        began = int(time.time() * 1000)
        for code, share in (("200", 1 - calls.bad), ("500", calls.bad)):
            told = {**labels, "http_response_status_code": code}
            self.rows[labelled(f"{HTTP}_count", **told)] = calls.rate * share, began
            for le, upto in (("0.1", 1 - calls.slow), ("+Inf", 1.0)):
                self.rows[labelled(f"{HTTP}_bucket", le=le, **told)] = calls.rate * share * upto, began

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[LabelSet]:
        rows = list(self.rows.items())
        return [labels for labels, (_, began) in rows if began <= end_ms and matches(matchers, labels)]

    def samples(self, labels: LabelSet, start_ms: int, end_ms: int) -> list[Sample]:
        rate, began = self.rows[labels]
        first = max(start_ms, began)
        return [(at, rate * (at - began) / 1000) for at in range(first + -first % STEP, end_ms + 1, STEP)]

    def latest(self, labels: LabelSet, moments: Sequence[int], lookback_ms: int) -> list[Sample | None]:
        found: list[Sample | None] = []
        for moment in moments:
            samples = self.samples(labels, moment - STEP, moment)
            found.append(samples[-1] if samples else None)
        return found

    def families(self) -> list[Family]:
        return [Family(HTTP, "histogram", "Duration of requests")]

    def exposition(self) -> str:
        """The counters now, as an exporter says them."""
        now = int(time.time() * 1000)
        lines = [
            f"{dict(labels)[NAME]}{{{','.join(f'{key}={chr(34)}{value}{chr(34)}' for key, value in labels if key != NAME)}}}"
            f" {rate * (now - began) / 1000!r}\n"
            for labels, (rate, began) in list(self.rows.items())
        ]
        return "".join(sorted(lines))


@contextlib.contextmanager
def store(traffic: Traffic, folder: Path, *, real: bool) -> Iterator[str]:
    """Start a metrics store over the traffic, the sandbox's or a real Prometheus that scrapes it; yields its URL.

    A gate stands before it, which is down for the models that the traffic refuses.
    """
    exporter = Starlette(routes=[Route("/metrics", lambda _request: PlainTextResponse(traffic.exposition()))])
    with contextlib.ExitStack() as stack:
        if real:
            address = stack.enter_context(served(exporter)).removeprefix("http://")
            behind = stack.enter_context(scraping_prometheus(folder, address, 200))
        else:
            behind = stack.enter_context(served(build_prometheus_app(traffic, Now())))

        client = httpx.AsyncClient(timeout=20)

        async def gate(request: Request) -> Response:
            body = await request.body()
            if any(model.encode() in body for model in traffic.refused):
                return PlainTextResponse("down for a test", 503)
            kind = {"Content-Type": request.headers["Content-Type"]}
            answer = await client.post(behind + request.url.path, content=body, headers=kind)
            return Response(answer.content, answer.status_code, media_type="application/json")

        yield stack.enter_context(served(Starlette(routes=[Route("/api/v1/query", gate, methods=["POST"])])))
