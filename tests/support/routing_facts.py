"""Measured facts of a model's targets, as a day of metrics would give them."""

from __future__ import annotations

from typing import Any

from ai_platform_mcp.domain.routing.facts import Request, Slo
from ai_platform_mcp.domain.routing.latency import Latency
from ai_platform_mcp.domain.routing.observed import Observed, RoutingFacts, Source


def took(seconds: float) -> Latency:
    """A thousand requests, spread evenly below twice this."""
    return Latency(bounds=(2 * seconds,), counts=(1000.0,), count=1000.0)


def observed(name: str, tier: str, seconds: float, **fields: Any) -> Observed:
    usual: dict[str, Any] = {
        "kind": "EdgeRollout" if tier == "edge" else "LLMInferenceService",
        "cluster": "sandbox",
        "namespace": "vision-dev",
        "region": "us-east",
        "failure_domain": name,
        "units": 2,
        "ready": 2,
        "measured_seconds": 3600,
        "base_url": f"http://{name}.vision-dev.svc:8080/v1",
        "latency": took(seconds),
        "request_cents": 0.001 if tier == "edge" else 0.006,
        "sources": {"latency": Source(where="prometheus", age_seconds=12)},
    }
    return Observed.model_validate({"name": name, "tier": tier, **usual, **fields})


def routing_facts(
    model: str, *rows: Observed, slo: float | None = 0.5, regions: frozenset[str] = frozenset()
) -> RoutingFacts:
    return RoutingFacts(
        model=model,
        window_seconds=3600,
        observed=rows,
        slo=Slo(seconds=slo) if slo else None,
        typical=Request(prompt_tokens=200, output_tokens=50, regions=regions),
    )
