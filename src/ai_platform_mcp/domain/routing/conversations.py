"""How a conversation stays with the endpoint that holds its prefix, target by target, and what becomes of it when that is lost.

A chat request carries its whole history, so that losing an endpoint loses no word: what is lost is the cached prefix, which
the next endpoint computes again. Names: llm-d's endpoint picker plugins; LiteLLM 1.106 (``optional_pre_call_checks``).
"""

from __future__ import annotations

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.routing.observed import Observed, RoutingFacts

LITELLM_HEADER = "x-litellm-session-id"
LITELLM_CHECK = "session_affinity"


class Stay(Value):
    """The hint for one target."""

    target: str
    by: str
    """Who keeps the conversation there: ``endpoint picker``, ``node``, ``single replica``, or ``hash``."""
    hint: str
    lost: str
    """What happens when the endpoint goes away in the middle of a conversation."""


def stays(facts: RoutingFacts) -> tuple[Stay, ...]:
    """Return the hints; none for a model that keeps nothing between requests."""
    if not facts.language:
        return ()
    edge, cloud = facts.of("edge"), facts.of("cloud")
    found = [_edge(edge[0].kind, [row.name for row in cloud])] if edge else []
    return (*found, *(_cloud(row, [other.name for other in cloud if other.name != row.name]) for row in cloud))


def between(facts: RoutingFacts) -> str:
    """Return how a gateway before several targets keeps a conversation with one of them; empty where there is no choice."""
    if not facts.language or len(facts.observed) < 2:
        return ""
    return (
        f"between targets: send {LITELLM_HEADER}: <conversation> to LiteLLM; {LITELLM_CHECK}, which route_model sets where a "
        "group has several members, pins it to one of them for an hour; elsewhere hash the "
        "conversation's id over the targets (a consistent hash: only a lost target's conversations move)"
    )


def _edge(kind: str, behind: list[str]) -> Stay:
    own = "a client reaches the pod on its own node" if kind == "EdgeRollout" else "a client reaches its own site"
    return Stay(
        target="edge",
        by="node",
        hint=f"{own}: the conversation stays while the client does",
        lost=_falls(behind, "the call fails at once there"),
    )


def _cloud(row: Observed, others: list[str]) -> Stay:
    if row.picker:
        return Stay(
            target=row.name,
            by="endpoint picker",
            hint="its endpoint picker scores prefixes that are really cached: send nothing, and do not hash before it",
            lost="the picker leaves the pod out; the next request computes the prefix on another one",
        )
    if row.units <= 1:
        return Stay(
            target=row.name,
            by="single replica",
            hint="one replica answers everything: there is nothing to keep",
            lost=_falls(others, "nothing answers until it is back"),
        )
    return Stay(
        target=row.name,
        by="hash",
        hint=f"its Service spreads requests over {row.units} replicas: hash a header or cookie with the conversation's id at the "
        "gateway (Envoy Gateway: BackendTrafficPolicy consistentHash; Istio: DestinationRule consistentHash)",
        lost="its conversations, and only those, go to the next replica on the ring, which computes each prefix again once",
    )


def _falls(others: list[str], first: str) -> str:
    if not others:
        return f"{first}, and nothing is behind it"
    return f"{first}, the gateway falls back to {others[0]}, and the prefix is computed again there"
