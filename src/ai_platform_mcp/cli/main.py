"""The ``platform`` command, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ai_platform_mcp.cli import governance, models, platform_commands, route_plan, sandbox
from ai_platform_mcp.cli.connect import connect
from ai_platform_mcp.cli.demo import demo
from ai_platform_mcp.cli.doctor import doctor
from ai_platform_mcp.cli.lint import lint
from ai_platform_mcp.cli.session import open_session

app = typer.Typer(
    name="platform",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Run an internal AI platform: every change is planned, judged by policy, journaled.",
)
app.add_typer(models.app, name="model")
app.command("deploy")(models.deploy)
app.add_typer(models.routing_app, name="routing")
models.routing_app.command("plan")(route_plan.routing_plan)
app.add_typer(platform_commands.gpu, name="gpu")
app.add_typer(platform_commands.edge, name="edge")
app.add_typer(platform_commands.metrics, name="metrics")
app.add_typer(platform_commands.operations, name="operations")
app.add_typer(governance.approvals, name="approvals")
app.add_typer(governance.policy, name="policy")
app.add_typer(governance.audit, name="audit")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(platform_commands.tools, name="tools")
app.command("doctor")(doctor)
app.command("lint")(lint)
app.command("demo")(demo)
app.command("connect")(connect)


@app.callback()
def common(
    context: typer.Context,
    output: Annotated[str, typer.Option("--output", "-o", help="table or json.")] = "table",
    server: Annotated[str, typer.Option(help="Use the server at this URL instead of this process.")] = "",
    config: Annotated[Path | None, typer.Option(help="Platform file (YAML).")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="Where state is kept.")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens to standard error.")] = False,
) -> None:
    """Options that every command shares."""
    if output not in ("table", "json"):
        raise typer.BadParameter("choose table or json", param_hint="--output")
    context.obj = open_session(output=output, server=server, config=config, state_dir=state_dir, verbose=verbose)


def main() -> None:
    """Run the command line."""
    app()
