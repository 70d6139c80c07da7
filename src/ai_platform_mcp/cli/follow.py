"""Following an operation with a progress bar until its long work is over."""

from __future__ import annotations

from typing import Any

import anyio
from rich.markup import escape

from ai_platform_mcp.cli.client import Client
from ai_platform_mcp.cli.output import FAILED, OK, UNKNOWN, Output

LOOK_SECONDS = 0.5
OVER = {"succeeded": OK, "failed": FAILED, "cancelled": FAILED, "interrupted": FAILED, "unknown": UNKNOWN}


async def document(client: Client, operation_id: str) -> dict[str, Any]:
    """Return the operation as inspect_platform tells it."""
    return (await client.call("inspect_platform", {"kind": "operations", "name": operation_id})).data


def state_of(seen: dict[str, Any]) -> str:
    """Return the state people ask for: of the long work where there is some, else of the steps."""
    progress: dict[str, Any] = seen.get("progress") or {}
    return str(progress.get("state") or seen["state"])


def over(seen: dict[str, Any]) -> bool:
    """Whether nothing will change any more by itself."""
    return state_of(seen) in OVER or (seen["state"] == "applied" and not seen.get("progress"))


async def follow(
    client: Client, output: Output, operation_id: str, *, seconds: float = 3600.0
) -> tuple[int, dict[str, Any]]:
    """Show progress until the work is over or the time is up; return the exit code and what was seen last."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

    seen = await document(client, operation_id)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=28), TaskProgressColumn())
    with (
        Progress(*columns, console=output.err, transient=True, disable=output.json) as bar,
        anyio.move_on_after(seconds),
    ):
        task = bar.add_task(operation_id, total=100)
        while not over(seen):
            progress: dict[str, Any] = seen.get("progress") or {}
            told = escape(str(progress.get("sentence", seen["state"])))
            bar.update(task, completed=progress.get("percent") or 0, description=told)
            await anyio.sleep(LOOK_SECONDS)
            seen = await document(client, operation_id)
    progress = seen.get("progress") or {}
    sentence = str(progress.get("sentence") or seen["summary"])
    if state_of(seen) in ("succeeded", "applied"):
        output.done(sentence)
    else:
        output.say(escape(f"{state_of(seen)}: {sentence}"))
    return OVER.get(state_of(seen), OK), seen
