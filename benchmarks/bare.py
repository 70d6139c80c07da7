"""What ours is compared with: the SDK's low-level server with nothing in it, or with one echo tool (``--echo``).

The low-level server is the stricter comparison: ``MCPServer`` sets up logging with rich and starts later.
"""

from __future__ import annotations

import sys
from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

Context = ServerRequestContext[Any, Any]
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
ECHO = types.Tool(name="echo_text", description="Answer what was said.", input_schema=SCHEMA)


def bare(*, echo: bool) -> Server[Any]:
    """Return the server."""

    async def list_tools(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[ECHO] if echo else [])

    async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        said = str((params.arguments or {})["text"])
        return types.CallToolResult(content=[types.TextContent(type="text", text=said)])

    return Server("bare", on_list_tools=list_tools, on_call_tool=call_tool if echo else None)


async def serve() -> None:
    """Serve one client on standard input and output."""
    server = bare(echo="--echo" in sys.argv)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


if __name__ == "__main__":
    anyio.run(serve)
