"""``platform routing plan``: a model's routing, planned, agreed to and applied."""

from __future__ import annotations

from typing import Annotated

import typer

from ai_platform_mcp.cli.change import change, filled
from ai_platform_mcp.cli.models import Environment, Yes
from ai_platform_mcp.cli.session import session_of


def routing_plan(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="name, name:version or name@alias.")],
    slo_ms: Annotated[int | None, typer.Option("--slo-ms", help="p95; without it the platform file's.")] = None,
    gateway: Annotated[str, typer.Option(help="auto, litellm or routes (Gateway API).")] = "auto",
    environment: Environment = "dev",
    cluster: Annotated[str, typer.Option()] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "",
    force: Annotated[bool, typer.Option(help="Take groups and fields that somebody else wrote.")] = False,
    yes: Yes = False,
) -> None:
    """Plan where a model's requests go, show why, and apply it once you agree."""
    session = session_of(context)
    arguments = {"model": model, "environment": environment, "gateway": gateway}
    arguments |= filled(slo_ms=slo_ms, cluster=cluster, namespace=namespace, force=force or None)

    async def work() -> int:
        async with session.client() as client:
            return await change(client, session.output, "route_model", arguments, yes=yes)

    session.run(work)
