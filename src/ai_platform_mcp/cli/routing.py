"""What ``platform routing status`` tells: measured shares, latencies and savings, and how old they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ai_platform_mcp.cli.output import Output
from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.tool import Result


class Asks(Protocol):
    """Whoever can call a tool."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool."""
        ...


async def status(client: Asks, output: Output, model: str, window: str) -> int:
    """Ask for each target and say what is measured; what is not measured is said to be so."""
    rows: dict[str, Any] = {}
    for target in ("edge", "cloud"):
        rows[target] = {
            "rps": await _value(client, "rps", model, window, target),
            "p95_seconds": await _value(client, "e2e_p95", model, window, target),
            "error_rate": await _value(client, "error_rate", model, window, target),
        }
    share = await _value(client, "edge_share", model, window, "")
    savings = await _value(client, "savings", model, window, "")
    data = {"model": model, "window": window, "targets": rows, "edge_share": share, "savings": savings}
    output.data(data, "\n".join(_lines(rows, share, savings)))
    measured = any(row["rps"]["value"] is not None for row in rows.values())
    if not measured:
        output.say(f"Nothing is measured for {model} in the last {window}: is it deployed, and is its name right?")
    return 0


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


def _lines(rows: dict[str, Any], share: dict[str, Any], savings: dict[str, Any]) -> list[str]:
    total = sum(row["rps"]["value"] or 0.0 for row in rows.values())
    lines: list[str] = []
    for target, row in rows.items():
        rps = row["rps"]["value"]
        if rps is None:
            lines.append(f"→ {target.capitalize()}: not measured ({row['rps']['why'] or 'no samples'})")
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
            f"✓ Measured savings: {savings['value']:.2f} {savings.get('unit', '')} against serving all from the cloud"
        )
    elif savings["why"]:
        lines.append(f"  Savings not measured: {savings['why']}")
    return lines
