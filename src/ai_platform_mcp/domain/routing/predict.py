"""Whether a target could serve a request at all, and when it would have answered."""

from __future__ import annotations

from ai_platform_mcp.domain.routing.facts import Load, Request, Target

REFUSALS = {
    "residency": "is outside of the regions where the data may be processed",
    "region": "is in no region that anybody named, and the data may be processed in some regions only",
    "context": "cannot hold the prompt and the answer",
    "model_size": "has too little memory for the model",
    "operation": "does not offer the operation",
    "modality": "does not take every modality of the request",
    "asynchronous": "answers later, and someone is waiting",
    "spot": "may be taken away at any moment, and the request is critical",
    "circuit_open": "has an open circuit: it failed lately",
    "probing": "is being tried again after failures, not with a critical request",
    "away": "has nothing that answers now",
}
"""Why a target does not come into question, by code."""


def refusal(target: Target, request: Request) -> str:
    """Return why the target can never serve the request, as a code; empty where it can. Load plays no part."""
    if request.regions and target.region not in request.regions:
        return "residency" if target.region else "region"
    if target.context_tokens is not None and request.prompt_tokens + request.output_tokens > target.context_tokens:
        return "context"
    if target.model_billions is not None and request.model_billions > target.model_billions:
        return "model_size"
    if request.operation not in target.operations:
        return "operation"
    if not request.modalities <= target.modalities:
        return "modality"
    if target.asynchronous and not request.batch:
        return "asynchronous"
    return "spot" if target.spot and request.critical else ""


def unavailable(load: Load, request: Request) -> str:
    """Return why a target that could serve the request cannot now, as a code; empty where it can.

    A half-open circuit lets requests through to learn whether the target is back; a critical one is not risked for that.
    """
    if load.circuit == "open":
        return "circuit_open"
    if load.circuit == "half_open" and request.critical:
        return "probing"
    return "away" if load.slots == 0 else ""


def wait_seconds(target: Target, load: Load, service_seconds: float) -> float:
    """Return how long a new request would wait for a slot.

    Without the queue's own word: nothing while a slot is free; else those before it leave at the rate of all slots together,
    each taken to need as long as this request.
    """
    if load.wait_seconds is not None:
        return load.wait_seconds
    slots = target.slots if load.slots is None else min(load.slots, target.slots)
    before = load.running + load.waiting - slots + 1
    return before * service_seconds / slots if before > 0 and slots else 0.0


def completion_seconds(target: Target, load: Load, request: Request, *, cautious: bool = False) -> float:
    """Return the predicted time from arrival to the last token: waiting and service.

    ``cautious`` takes the service time at its measured 95th percentile.
    """
    typical = target.service.typical(request.prompt_tokens, request.output_tokens)
    served = typical * target.service.spread if cautious else typical
    return wait_seconds(target, load, typical) + served
