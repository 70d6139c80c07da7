"""``platform sandbox``: the laptop platform up, down, reset, and where it is."""

from __future__ import annotations

from typing import Annotated

import typer

from ai_platform_mcp.cli.session import Session, session_of
from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.sandbox import process

app = typer.Typer(no_args_is_help=True, help="The laptop platform: real protocols on loopback over one small world.")


def tell(session: Session, status: process.Status) -> None:
    """Show where everything is."""
    if session.output.json:
        session.output.data(status.as_dict(), "")
        return
    rows = [(name, value) for name, value in status.as_dict().items() if value not in ("", None)]
    session.output.table("", ("what", "where"), rows)
    if status.running:
        session.output.say(f"  kubectl --kubeconfig {status.kubeconfig} get nodes")


@app.command("up")
def up(
    context: typer.Context,
    speed: Annotated[float | None, typer.Option(help="Seconds of work that pass in one second; default 3600.")] = None,
) -> None:
    """Start the sandbox unless it runs already."""
    session = session_of(context)

    async def work() -> int:
        status = await process.ensure_up(session.settings.state_dir, speed=speed, tell=session.output.say)
        if speed is not None and status.speed != speed:
            raise Conflict(
                f"The sandbox runs already, at speed {status.speed:g}.",
                remedy="`platform sandbox down`, then up with the speed you want; its world is kept.",
            )
        tell(session, status)
        return 0

    session.run(work)


@app.command("down")
def down(context: typer.Context) -> None:
    """Stop the sandbox; its world is kept."""
    session = session_of(context)

    async def work() -> int:
        ran = await process.down(session.settings.state_dir)
        session.output.data({"stopped": ran}, "Stopped; its world is kept." if ran else "It was not running.")
        return 0

    session.run(work)


@app.command("reset")
def reset(
    context: typer.Context, yes: Annotated[bool, typer.Option("--yes", "-y", help="Without asking.")] = False
) -> None:
    """Stop the sandbox and forget its world, its registry, and the journal beside them."""
    session = session_of(context)
    if not yes:
        typer.confirm(f"Forget everything in {session.settings.state_dir}?", abort=True, err=True)

    async def work() -> int:
        await process.reset(session.settings.state_dir)
        session.output.data({"reset": True}, "Forgotten. The next start makes a fresh world.")
        return 0

    session.run(work)


@app.command("status")
def status(context: typer.Context) -> None:
    """Say where everything is."""
    session = session_of(context)

    async def work() -> int:
        tell(session, process.status(session.settings.state_dir))
        return 0

    session.run(work)
