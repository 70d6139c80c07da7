"""A model that 47 edge nodes and one cloud service serve, as it would be observed; each test changes what it is about."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

from ai_platform_mcp.domain.routing.facts import Request, Slo
from ai_platform_mcp.domain.routing.latency import Latency
from ai_platform_mcp.domain.routing.observed import Observed, RoutingFacts, Source

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
HOUR = 3600
QUICK = (0.6, 0.38, 0.02, 0.0, 0.0, 0.0, 0.0, 0.0)
SLOW = (0.0, 0.0, 0.01, 0.15, 0.49, 0.3, 0.04, 0.01)
SITES = {"us-south-1": 5, "us-south-2": 5, "us-east-1": 5, "eu-west-1": 4}


def latency(requests: float, shares: tuple[float, ...]) -> Latency:
    """Requests by the share of them in each bucket."""
    counts = [requests * share for share in accumulate(shares)]
    made = Latency.of({**dict(zip(BOUNDS, counts, strict=True)), math.inf: requests})
    assert made is not None
    return made


def read(age: int = 5) -> dict[str, Source]:
    """Where everything was read."""
    names = ("latency", "failed_share", "waiting", "running", "circuits", "fixed_cents_per_hour", "prompt_tokens")
    return {name: Source(where="http metrics", age_seconds=age) for name in names}


def site(name: str, nodes: int, **fields: Any) -> Observed:
    """A site whose nodes answer 0.7 requests per second each."""
    values: dict[str, Any] = {
        "name": name,
        "kind": "EdgeRollout",
        "tier": "edge",
        "cluster": "c1",
        "namespace": "vision-prod",
        "region": name.rsplit("-", 1)[0],
        "site": name,
        "failure_domain": name,
        "units": nodes,
        "ready": nodes,
        "measured_seconds": HOUR,
        "base_url": "http://vision-edge.vision-prod.svc:8080",
        "fixed_cents_per_hour": 9.0 * nodes,
        "unit_cents_per_hour": 9.0,
        "request_cents": 0.001,
        "latency": latency(0.7 * HOUR * nodes, QUICK),
        "mean_seconds": 0.005,
        "failed_share": 0.004,
        "circuits": nodes,
        "circuits_open": 0,
        "cooldowns": 0.0,
        "sources": read(),
    }
    return Observed.model_validate(values | fields)


def cloud(name: str = "vision-prod/vision", **fields: Any) -> Observed:
    """A hosted service with a price per request."""
    values: dict[str, Any] = {
        "name": name,
        "kind": "InferenceService",
        "tier": "cloud",
        "cluster": "c1",
        "namespace": name.partition("/")[0],
        "region": "us-east-1",
        "failure_domain": "us-east-1",
        "units": 2,
        "ready": 2,
        "measured_seconds": HOUR,
        "base_url": "http://vision.vision-prod.svc",
        "request_cents": 0.006,
        "latency": latency(3 * HOUR, SLOW),
        "mean_seconds": 0.11,
        "failed_share": 0.004,
        "circuits": 1,
        "circuits_open": 0,
        "cooldowns": 0.0,
        "sources": read(),
    }
    return Observed.model_validate(values | fields)


def facts(*observed: Observed, **fields: Any) -> RoutingFacts:
    """All of it; without targets, the whole world."""
    rows = observed or (*(site(name, nodes) for name, nodes in SITES.items()), cloud())
    values: dict[str, Any] = {
        "model": "vision",
        "window_seconds": HOUR,
        "observed": rows,
        "slo": Slo(seconds=0.5),
        "typical": Request(),
        "fallbacks": {"vision-cloud": 210.0},
        "failed_fallbacks": 2.0,
        "sources": {
            "fallbacks": Source(where="litellm metrics", age_seconds=5),
            "slo_violations": Source(
                why="not exported: none of inference_objective_request_slo_violation_total was seen"
            ),
        },
        "basis": "test tariff",
    }
    return RoutingFacts.model_validate(values | fields)
