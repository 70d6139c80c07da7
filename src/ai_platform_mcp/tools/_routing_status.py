"""One model's routing as it is told: the facts read once, and everything that follows from them."""

from __future__ import annotations

from typing import Any

import anyio

from ai_platform_mcp.core.errors import InvalidInput, PlatformError
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import MetricScope
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.domain.routing.observed import RoutingFacts
from ai_platform_mcp.domain.routing.status import status
from ai_platform_mcp.domain.versions import check_name
from ai_platform_mcp.tools._routing_facts import LEAST_WINDOW, PART_SECONDS, read_routing_facts
from ai_platform_mcp.tools._routing_sizing import SIZING_SECONDS, Rates, read_rates, size

ROUTING_WINDOW = 3600
LONGEST_WINDOW = 7 * 86_400
"""The longest window: what one question may cost the metrics store."""
ALL_SECONDS = 18.0
"""Below a read's deadline: what has not come by then is left out, and the rest is told."""


async def routing_status(
    readers: Readers, caller: Caller, model: str, window_seconds: int, *, cluster: str = "", namespace: str = ""
) -> dict[str, Any]:
    """Return the data that ``domain.routing.status_text`` tells.

    Raises:
        InvalidInput: the window is longer than a week, or the name is none.
        NotFound: nobody knows the model.
        Unavailable: no cluster has ever answered.
    """
    check_name(model)
    if window_seconds > LONGEST_WINDOW:
        raise InvalidInput("window is at most 7d.", remedy="Pass a shorter one, such as 1h.")
    began = anyio.current_time()
    facts, rates = await _read(readers, caller, model, window_seconds, cluster, namespace)
    body = status(facts)
    if facts.observed:
        left = ALL_SECONDS - (anyio.current_time() - began)
        body["sizing"] = await size(readers, facts, rates, min(SIZING_SECONDS, max(0.5, left)))
    if window_seconds < LEAST_WINDOW:
        body["notes"].append(f"Measured over {LEAST_WINDOW} s: rates need a few scrapes.")
    return body


async def _read(
    readers: Readers, caller: Caller, model: str, window: int, cluster: str, namespace: str
) -> tuple[RoutingFacts, Rates]:
    """Return the facts, and what arrived; both are read at once."""
    who = caller.principal
    scope = MetricScope(team=who.team, roles=who.roles, model=model, namespace=namespace)
    found: list[RoutingFacts] = []
    rates: list[Rates] = []
    failed: list[PlatformError] = []

    async def arrivals() -> None:
        rates.append(await read_rates(readers.metrics, scope, window, PART_SECONDS))

    async with anyio.create_task_group() as group:
        group.start_soon(arrivals)
        try:
            found.append(
                await read_routing_facts(
                    readers, who, model, window_seconds=window, cluster=cluster, namespace=namespace
                )
            )
        except PlatformError as problem:  # raised after the group, which would wrap it
            failed.append(problem)
            group.cancel_scope.cancel()
    if failed:
        raise failed[0]
    return found[0], rates[0]
