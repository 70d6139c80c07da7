"""A change from a terminal: show the plan, ask, apply exactly that plan, tell what became of it."""

from __future__ import annotations

from typing import Any

from ai_platform_mcp.cli.asking import confirm, interactive
from ai_platform_mcp.cli.client import Client
from ai_platform_mcp.cli.follow import follow
from ai_platform_mcp.cli.output import DENIED, STATUS, Output
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.core.wording import plan_text, status_text


def filled(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that were given: no None, no empty text, no empty list."""
    return {name: value for name, value in arguments.items() if value not in (None, "", [], ())}


async def change(
    client: Client, output: Output, tool: str, arguments: dict[str, Any], *, yes: bool, wait: bool = False
) -> int:
    """Plan, ask, apply exactly that plan, and with ``wait`` follow its work to the end. Returns the exit code.

    ``yes`` stands for the person's answer, in scripts. It never stands for an approval, not even for one's own: agreeing
    where policy names ``self`` takes a person at a terminal.
    """
    plan = await client.call(tool, {**arguments, "mode": "plan"})
    if plan.is_error:
        output.data(plan.data, plan.text)
        return DENIED
    if not output.json:
        output.framed("plan", plan_text(plan.data, how=False))
    agreed = not yes and confirm("Apply exactly this plan?")
    if not yes and not agreed:
        then = "applies it" if plan.data["status"] == "planned" else "asks for that approval"
        hint = f" The same command with --yes {then}." if not interactive() else ""
        output.data(plan.data, f"Nothing has changed.{hint}")
        return 0
    exact = {**arguments, "mode": "apply", "plan_id": plan.data["plan_id"]}
    result = await client.call(tool, exact)
    if agreed and result.data.get("status") == "awaiting_approval" and "self" in result.data["approval"]["approvers"]:
        await client.agree(result.data["approval"]["approval_id"])
        result = await client.call(tool, exact)
    return await _told(client, output, result, wait=wait)


async def _told(client: Client, output: Output, result: Result, *, wait: bool) -> int:
    """Say what became of a change, and of its work; a program hears both in one document."""
    code = STATUS.get(str(result.data.get("status")), 1 if result.is_error else 0)
    operation = result.data.get("operation_id")
    text = status_text(result.data, follow=f"`platform operations follow {operation}`") if operation else result.text
    if not wait or code != 0 or result.data.get("status") != "applied":
        output.data(result.data, text)
        return code
    if not output.json:
        output.data(result.data, text)
    code, seen = await follow(client, output, str(operation))
    if output.json:
        output.data({**result.data, "followed": seen}, "")
    return code
