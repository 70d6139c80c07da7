"""What ours is compared with: a server of the same SDK with nothing in it, or with one echo tool (``--echo``)."""

from __future__ import annotations

import sys
from typing import Any

from mcp.server import MCPServer


def bare(*, echo: bool) -> MCPServer[Any]:
    """Return the server."""
    server: MCPServer[Any] = MCPServer("bare")
    if echo:

        @server.tool()
        async def echo_text(text: str) -> str:
            """Answer what was said."""
            return text

    return server


if __name__ == "__main__":
    bare(echo="--echo" in sys.argv).run("stdio")
