"""A change from a terminal: show the plan, ask, apply exactly that plan, tell what became of it."""

from __future__ import annotations

from typing import Any

from ai_platform_mcp.cli.asking import confirm, interactive
from ai_platform_mcp.cli.client import Client
from ai_platform_mcp.cli.output import DENIED, STATUS, Output
from ai_platform_mcp.core.tool import Result


def filled(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that were given: no None, no empty text, no empty list."""
    return {name: value for name, value in arguments.items() if value not in (None, "", [], ())}


async def change(
    client: Client, output: Output, tool: str, arguments: dict[str, Any], *, yes: bool
) -> tuple[int, Result]:
    """Plan, ask and apply. Returns the exit code and the last result.

    ``yes`` stands for the person's answer, in scripts; it never stands for an approval by somebody else.
    """
    plan = await client.call(tool, {**arguments, "mode": "plan"})
    if plan.is_error:
        output.data(plan.data, plan.text)
        return DENIED, plan
    if not output.json:
        output.out.print(_framed(plan.text))
    if not yes and not confirm("Apply exactly this plan?"):
        if output.json or not interactive():
            output.data(plan.data, f"Nothing has changed. Apply it with --yes, or with plan id {plan.data['plan_id']}.")
        else:
            output.say("Nothing has changed.")
        return 0, plan
    exact = {**arguments, "mode": "apply", "plan_id": plan.data["plan_id"]}
    result = await client.call(tool, exact)
    if result.data.get("status") == "awaiting_approval" and "self" in result.data["approval"]["approvers"]:
        await client.agree(result.data["approval"]["approval_id"])
        result = await client.call(tool, exact)
    output.data(result.data, result.text)
    return STATUS.get(str(result.data.get("status")), 1 if result.is_error else 0), result


def _framed(text: str):
    from rich.markup import escape
    from rich.panel import Panel

    return Panel(escape(text), title="plan", title_align="left", border_style="cyan")
