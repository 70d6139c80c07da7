"""What a tool can be asked for over MCP, it can be asked for at a terminal."""

from __future__ import annotations

import typer

from ai_platform_mcp.cli.main import app
from ai_platform_mcp.core.tool import WriteParams
from ai_platform_mcp.tools.deploy_model import DeployModel

SHORTER = {"canary_percent": "canary", "regions": "region", "sites": "site"}


def test_every_argument_of_a_deployment_is_an_option_of_the_command():
    deploy = typer.main.get_command(app).get_command(typer.Context(typer.main.get_command(app)), "deploy")  # type: ignore[attr-defined]
    offered = {option.name for option in deploy.params}
    asked = set(DeployModel.params.model_fields) - set(WriteParams.model_fields)
    assert {SHORTER.get(name, name) for name in asked} <= offered
