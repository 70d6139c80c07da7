from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HEAVY = {
    "aiohttp", "alembic", "cel", "cryptography.hazmat.primitives.asymmetric.ed25519", "filelock", "httpx", "jsonschema",
    "kopf", "kubernetes", "mlflow", "promql_parser", "regorus", "rich", "sqlalchemy", "stamina", "typer",
}  # fmt: skip
DRIVER = """
import anyio, json, sys
from mcp import Client
import ai_platform_mcp.cli.serve
from ai_platform_mcp.app import App
from ai_platform_mcp.server.build import build_server
from ai_platform_mcp.settings import load

async def main():
    async with Client(build_server(App(load()))) as client:
        shaken = sorted(sys.modules)
        tools = [tool.name for tool in (await client.list_tools()).tools]
        print(json.dumps({"shaken": shaken, "listed": sorted(sys.modules), "tools": tools}))

anyio.run(main)
"""


def environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AI_PLATFORM_")}
    return {**kept, "XDG_CONFIG_HOME": str(folder), "AI_PLATFORM_STATE_DIR": str(folder / "state")}


def driven(folder: Path) -> dict[str, Any]:
    """Shake hands and list the tools in a fresh process; return which modules it had then."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], capture_output=True, check=True, env=environment(folder), timeout=120
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_server_that_listed_its_tools_has_imported_nothing_heavy_and_touched_no_state(tmp_path: Path) -> None:
    told = driven(tmp_path)
    assert "deploy_model" in told["tools"]
    assert HEAVY.isdisjoint(told["listed"])
    assert not (tmp_path / "state").exists()


def test_a_handshake_needs_no_tool(tmp_path: Path) -> None:
    told = driven(tmp_path)
    assert "ai_platform_mcp.tools.deploy_model" in told["listed"]
    assert not [name for name in told["shaken"] if name.startswith(("ai_platform_mcp.tools", "ai_platform_mcp.domain"))]
