"""What ``platform routing status`` tells: measured shares, latencies and savings, and how old they are."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Protocol

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.tool import Result


class Asks(Protocol):
    """Whoever can call a tool."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool."""
        ...


async def measured(client: Asks, model: str, window: str) -> dict[str, Any]:
    """Return what is measured of each target, and what the edge saves; what is not measured says why."""
    rows: dict[str, Any] = {}
    for target in ("edge", "cloud"):
        rows[target] = {
            "rps": await _value(client, "rps", model, window, target),
            "p95_seconds": await _value(client, "e2e_p95", model, window, target),
            "error_rate": await _value(client, "error_rate", model, window, target),
        }
    share = await _value(client, "edge_share", model, window, "")
    savings = await _value(client, "savings", model, window, "")
    return {"model": model, "window": window, "targets": rows, "edge_share": share, "savings": savings}


def lines(data: dict[str, Any]) -> list[str]:
    """Tell a person what is measured."""
    rows: dict[str, Any] = data["targets"]
    told = _lines(rows, data["savings"])
    if all(row["rps"]["value"] is None for row in rows.values()):
        told.append(
            f"Nothing is measured for {data['model']} in the last {data['window']}: is it deployed, and is its name right?"
        )
    return told


async def _value(client: Asks, signal: str, model: str, window: str, target: str) -> dict[str, Any]:
    arguments = {"signal": signal, "model": model, "window": window, "max_series": 50}
    if target:
        arguments["target"] = target
    try:
        answer = (await client.call("query_metrics", arguments)).data
    except PlatformError as error:
        return {"value": None, "why": error.message}
    return {
        "value": single(answer),
        "unit": answer.get("unit", ""),
        "age_seconds": answer.get("freshness_seconds"),
        "why": answer.get("absence", ""),
    }


def single(answer: dict[str, Any]) -> float | None:
    """Return the one number of an answer: its only value, or the sum of rates, or the worst of latencies."""
    values = [value for row in answer.get("series") or [] if (value := row.get("value")) is not None]
    if not values:
        return None
    if answer.get("unit") in ("req/s", "requests/s", "1/s"):
        return float(sum(values))
    return float(max(values))


def _lines(rows: dict[str, Any], savings: dict[str, Any]) -> list[str]:
    total = sum(row["rps"]["value"] or 0.0 for row in rows.values())
    lines: list[str] = []
    for target, row in rows.items():
        rps = row["rps"]["value"]
        if rps is None:
            lines.append(f"→ {target.capitalize()}: not measured ({_short(row['rps']['why'])})")
            continue
        part = f"{100 * rps / total:.0f}% of requests" if total else "no requests"
        speed = row["p95_seconds"]["value"]
        quick = f"p95 {1000 * speed:.1f} ms" if speed is not None else "latency not measured"
        errors = row["error_rate"]["value"]
        wrong = f", {100 * errors:.2f}% errors" if errors is not None else ""
        age = row["rps"].get("age_seconds")
        lines.append(f"→ {target.capitalize()}: {part} ({quick}{wrong}; {rps:.1f} req/s, {age} s old)")
    if savings["value"] is not None:
        lines.append(
            f"✓ Measured savings: {savings['value']:.2f} {savings.get('unit', '')} against serving all from the cloud, "
            "fixed cost of edge hardware left out"
        )
    elif savings["why"]:
        lines.append(f"  Savings not measured: {_short(savings['why'])}")
    return lines


def _short(why: str) -> str:
    """Keep the head of an explanation; the whole of it is in the JSON."""
    return textwrap.shorten(why.split(":")[0], 90, placeholder=" …") or "no samples"
