"""One model's routing as it is told: the facts read once, and everything that follows from them."""

from __future__ import annotations

from typing import Any

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.domain.routing.status import status
from ai_platform_mcp.domain.versions import check_name
from ai_platform_mcp.tools._routing_facts import LEAST_WINDOW, read_routing_facts

ROUTING_WINDOW = 3600
LONGEST_WINDOW = 7 * 86_400
"""The longest window: what one question may cost the metrics store."""


async def routing_status(
    readers: Readers, caller: Caller, model: str, window_seconds: int, *, cluster: str = "", namespace: str = ""
) -> dict[str, Any]:
    """Return the data that ``domain.routing.status_text`` tells.

    Raises:
        InvalidInput: the window is longer than a week, or the name is none.
        NotFound: nobody knows the model.
    """
    check_name(model)
    if window_seconds > LONGEST_WINDOW:
        raise InvalidInput("window is at most 7d.", remedy="Pass a shorter one, such as 1h.")
    facts = await read_routing_facts(
        readers, caller.principal, model, window_seconds=window_seconds, cluster=cluster, namespace=namespace
    )
    body = status(facts)
    if window_seconds < LEAST_WINDOW:
        body["notes"].append(f"Measured over {LEAST_WINDOW} s: rates need a few scrapes.")
    return body
