"""What ``platform routing status`` asks: the same question that an agent asks, told to the end rather than cut to a budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.domain.routing import status_text


class Asks(Protocol):
    """Whoever can call a tool."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool."""
        ...


async def asked(client: Asks, model: str, window: str) -> Result:
    """Return what every target did, what the edge saved, and why a request goes where it goes."""
    arguments = {"kind": "routing", "name": model, "window": window, "verbose": True}
    return await client.call("inspect_platform", arguments)


async def measured(client: Asks, model: str, window: str) -> dict[str, Any]:
    """Return the data of the answer."""
    return (await asked(client, model, window)).data


def shortly(data: dict[str, Any], model: str) -> list[str]:
    """Tell a person what is measured; of what is not, only the names, and where the reasons are."""
    told = status_text.picture(data)
    missing = [str(row).partition(":")[0].partition(" of ")[0] for row in data["unknown"]]
    if "why" in (data.get("sizing") or {}):
        missing.append("right-sizing")
    if missing:
        told.append(f"Not known: {', '.join(missing)}. `platform routing status {model}` says why.")
    return told
