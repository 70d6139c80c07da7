"""``platform connect``: the lines that a client's configuration needs, with this installation's own paths."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ai_platform_mcp.cli.session import session_of
from ai_platform_mcp.core.errors import InvalidInput

WHERE = {
    "claude-desktop": "claude_desktop_config.json (Settings → Developer → Edit Config)",
    "claude-code": ".mcp.json in your project, or: claude mcp add ai-platform -- COMMAND serve",
    "cursor": ".cursor/mcp.json in your project, or ~/.cursor/mcp.json",
    "vscode": ".vscode/mcp.json in your project",
}


def configuration(client: str, command: str) -> dict[str, Any]:
    """Return the configuration for one client.

    Raises:
        InvalidInput: that client is not known.
    """
    if client not in WHERE:
        raise InvalidInput(f"There is no client {client!r}.", remedy=f"Clients: {', '.join(WHERE)}.")
    server: dict[str, Any] = {"command": command, "args": ["serve"]}
    if client == "vscode":
        return {"servers": {"ai-platform": {"type": "stdio", **server}}}
    if client == "claude-code":
        server = {"type": "stdio", **server}
    return {"mcpServers": {"ai-platform": server}}


def connect(
    context: typer.Context, client: Annotated[str, typer.Argument(help=", ".join(WHERE))] = "claude-desktop"
) -> None:
    """Print what to put into an MCP client's configuration."""
    session = session_of(context)

    command = Path(sys.argv[0]).resolve().with_name("ai-platform-mcp")

    async def work() -> int:
        body = configuration(client, str(command))
        session.output.data(body, json.dumps(body, indent=2))
        session.output.say(f"Goes into {WHERE[client]}.")
        return 0

    session.run(work)
