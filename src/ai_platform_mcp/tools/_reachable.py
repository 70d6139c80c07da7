"""Which of a model's targets the gateway of one namespace may call, and can."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.inventories import read_inventories
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.objects import section
from ai_platform_mcp.domain.routing.facts import Target
from ai_platform_mcp.domain.routing.observed import Observed, RoutingFacts, by_address
from ai_platform_mcp.tools._reading import Place

_OPENAI_PATH = {"InferenceService": "/openai/v1"}
"""Where servers answer as OpenAI does: KServe's Hugging Face server there, vLLM under ``/v1``."""
_SERVICE = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.[a-z0-9.-]+)?")


@dataclass(frozen=True)
class Reachable:
    """Targets that come into question. ``left_out`` says of each other one why not, ``warnings`` what is doubtful of these."""

    targets: tuple[Target, ...]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]
    names: Mapping[str, str]
    """What a target's server calls the model, where that is not the model's own name."""


def service_of(url: str) -> tuple[str, str] | None:
    """Return name and namespace of the Service that a URL names, None where it names something else."""
    found = _SERVICE.fullmatch(urlsplit(url).hostname or "")
    return (found[1], found[2]) if found else None


async def reachable(readers: Readers, where: Place, facts: RoutingFacts, *, openai: bool) -> Reachable:
    """Return the targets of this environment that can be called from this cluster; those behind one address are one.

    ``openai``: they are called by the OpenAI API, whose path the addresses then have.
    """
    inventories = await read_inventories(readers, sorted({row.cluster for row in facts.observed}))
    meant = {
        (row.cluster, row.namespace): row.environment
        for inventory in inventories
        for row in inventory.deployments
        if row.model == facts.model
    }
    kept: list[Observed] = []
    left_out: list[str] = []
    for row in facts.observed:
        why = _unreachable(row, where, meant.get((row.cluster, row.namespace), ""))
        if why:
            left_out.append(f"{row.name} is left out: {why}.")
        else:
            kept.append(row.model_copy(update={"base_url": _openai(row)}) if openai else row)
    targets = by_address(facts.model_copy(update={"observed": tuple(kept)}))
    # KServe's Hugging Face server answers under the name of its InferenceService
    names = {row.name: row.name.rpartition("/")[2] for row in kept if row.kind == "InferenceService"}
    return Reachable(targets, tuple(left_out), await _warnings(readers, where, targets), names)


def _openai(row: Observed) -> str:
    """Return the base that the OpenAI client adds ``/chat/completions`` to."""
    if urlsplit(row.base_url).path.rstrip("/").endswith("/v1"):
        return row.base_url
    return row.base_url.rstrip("/") + _OPENAI_PATH.get(row.kind, "/v1")


def _unreachable(row: Observed, where: Place, environment: str) -> str:
    if environment not in ("", where.environment):
        return f"it is {environment}"
    if not row.base_url:
        return "nothing says under which address it answers"
    if service_of(row.base_url) and row.cluster != where.cluster.name:
        return f"its address is one inside of {row.cluster}, and the gateway is in {where.cluster.name}"
    if not row.ready:
        return "nothing of it is ready"
    return "" if row.target() else "its latency is not measured"


async def _warnings(readers: Readers, where: Place, targets: tuple[Target, ...]) -> tuple[str, ...]:
    """Return what is doubtful: a Service that answers on its own node only is there for a gateway on that node alone."""
    found: list[str] = []
    for target in targets:
        named = service_of(target.base_url)
        if target.tier != "edge" or named is None:
            continue
        try:
            live = await readers.clusters.get(where.cluster.name, "v1", "Service", *named)
        except PlatformError:
            continue
        if section(live, "spec").get("internalTrafficPolicy") == "Local":
            found.append(
                f"Service {named[1]}/{named[0]} answers on its own node only (internalTrafficPolicy Local): the edge comes first "
                "for gateways that run on edge nodes, and any other spills everything."
            )
    return tuple(found)
