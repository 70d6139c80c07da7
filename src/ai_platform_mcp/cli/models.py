"""``platform model …``, ``platform deploy`` and ``platform routing status``: the talk's own lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ai_platform_mcp.cli import routing
from ai_platform_mcp.cli.change import change, filled
from ai_platform_mcp.cli.output import Output
from ai_platform_mcp.cli.session import session_of
from ai_platform_mcp.core.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="Train, register, promote and look at models.")
routing_app = typer.Typer(no_args_is_help=True, help="Where requests go, and what that costs.")

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Apply without asking (for scripts).")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the work until it is over.")]
Environment = Annotated[str, typer.Option("--environment", "-e", help="dev, staging or production.")]


def read_config(path: Path) -> dict[str, Any]:
    """Read a training configuration (YAML).

    Raises:
        InvalidInput: it is not there, or not a mapping.
    """
    try:
        body = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInput(
            f"Cannot read {path}: {error}", remedy="Name a YAML file with model, accelerator, …"
        ) from None
    if not isinstance(body, dict):
        raise InvalidInput(f"{path} is not a mapping.", remedy="Write `key: value` lines, such as `model: vision-v3`.")
    return {str(key): value for key, value in body.items()}


@app.command("train")
def train(
    context: typer.Context,
    config: Annotated[Path, typer.Option("--config", "-c", help="YAML with the arguments of trigger_retraining.")],
    yes: Yes = False,
    wait: Wait = True,
) -> None:
    """Start a training run from a configuration file."""
    session = session_of(context)

    async def work() -> int:
        arguments = read_config(config)
        arguments.setdefault("reason", "manual")
        async with session.client() as client:
            return await change(client, session.output, "trigger_retraining", arguments, yes=yes, wait=wait)

    session.run(work)


@app.command("register")
def register(
    context: typer.Context,
    model: str,
    run_id: Annotated[str, typer.Option(help="MLflow run; else the newest finished one of the experiment.")] = "",
    source: Annotated[str, typer.Option(help="Artifact URI, pinned by digest.")] = "",
    gate: Annotated[list[str] | None, typer.Option(help="A threshold, such as accuracy>=0.9; repeatable.")] = None,
    licence: Annotated[str, typer.Option(help="SPDX id.")] = "",
    card: Annotated[str, typer.Option(help="URI of the model card.")] = "",
    alias: Annotated[str, typer.Option(help="Such as challenger.")] = "",
    yes: Yes = False,
) -> None:
    """Register a model version with its evidence."""
    session = session_of(context)
    arguments = {"model": model}
    arguments |= filled(run_id=run_id, source=source, thresholds=gate, licence=licence, card=card, alias=alias)

    async def work() -> int:
        async with session.client() as client:
            return await change(client, session.output, "register_model", arguments, yes=yes)

    session.run(work)


@app.command("promote")
def promote(
    context: typer.Context,
    model: str,
    version: Annotated[str, typer.Argument(help="Number or @alias.")],
    alias: Annotated[str, typer.Option()] = "champion",
    yes: Yes = False,
) -> None:
    """Move an alias, by default champion, to a version."""
    session = session_of(context)

    async def work() -> int:
        arguments = {"model": model, "version": version, "alias": alias}
        async with session.client() as client:
            return await change(client, session.output, "promote_model", arguments, yes=yes)

    session.run(work)


@app.command("list")
def list_models(context: typer.Context, contains: Annotated[str, typer.Option(help="Text to look for.")] = "") -> None:
    """List registered models."""
    session_of(context).run(lambda: show(context, {"kind": "models", **filled(contains=contains)}))


@app.command("show")
def show_model(context: typer.Context, model: str) -> None:
    """Show the versions of a model with their evidence."""
    session_of(context).run(lambda: show(context, {"kind": "versions", "name": model}))


async def show(context: typer.Context, arguments: dict[str, Any], tool: str = "inspect_platform") -> int:
    """Show what a tool that reads answers."""
    session = session_of(context)
    async with session.client() as client:
        result = await client.call(tool, arguments)
        session.output.data(result.data, result.text)
        return 1 if result.is_error else 0


def deploy(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="name, name:version or name@alias.")],
    target: Annotated[str, typer.Option(help="cloud, edge, serverless or auto.")] = "auto",
    environment: Environment = "dev",
    canary: Annotated[int | None, typer.Option(help="First share, in percent; 0 is all at once.")] = None,
    strategy: Annotated[str, typer.Option(help="In the cloud: canary or blue_green.")] = "",
    region: Annotated[list[str] | None, typer.Option(help="Regions to serve from; repeatable.")] = None,
    site: Annotated[list[str] | None, typer.Option(help="Edge sites; repeatable.")] = None,
    cluster: Annotated[str, typer.Option(help="Required where several are configured.")] = "",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Where the team has several.")] = "",
    slo_ms: Annotated[int | None, typer.Option(help="Promised p95, in milliseconds.")] = None,
    min_replicas: Annotated[int | None, typer.Option(help="In the cloud; 0 scales to zero.")] = None,
    max_replicas: Annotated[int | None, typer.Option(help="In the cloud.")] = None,
    accelerator: Annotated[str, typer.Option(help="Such as a100.")] = "",
    runtime: Annotated[str, typer.Option(help="Serving runtime, else the one that fits the format.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Take fields that other managers own.")] = False,
    yes: Yes = False,
    wait: Wait = True,
) -> None:
    """Deploy a model to cloud, edge, or where the platform finds best."""
    session = session_of(context)
    arguments = {"model": model, "target": target, "environment": environment}
    arguments |= filled(
        canary_percent=canary, strategy=strategy, regions=region, sites=site, cluster=cluster, namespace=namespace,
        slo_ms=slo_ms, min_replicas=min_replicas, max_replicas=max_replicas, accelerator=accelerator, runtime=runtime,
        force=force or None,
    )  # fmt: skip

    async def work() -> int:
        async with session.client() as client:
            return await change(client, session.output, "deploy_model", arguments, yes=yes, wait=wait)

    session.run(work)


@routing_app.command("status")
def routing_status(
    context: typer.Context,
    model: str,
    window: Annotated[str, typer.Option(help="How far back to measure: 15m, 1h … 7d.")] = "1h",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document, as with --output json.")] = False,
) -> None:
    """Show what each target serves and how fast, what the edge saves, and why a request goes where it goes."""
    session = session_of(context)
    output = Output("json") if as_json else session.output

    async def work() -> int:
        async with session.client() as client:
            result = await routing.asked(client, model, window)
            output.data(result.data, result.text)
            return 1 if result.is_error else 0

    session.run(work)
