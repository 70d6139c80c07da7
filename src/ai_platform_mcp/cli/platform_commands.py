"""``platform gpu``, ``edge``, ``metrics``, ``operations`` and ``tools``: one tool call each."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ai_platform_mcp.cli.change import change, filled
from ai_platform_mcp.cli.follow import follow
from ai_platform_mcp.cli.models import Environment, Yes, show
from ai_platform_mcp.cli.output import STATUS
from ai_platform_mcp.cli.session import session_of
from ai_platform_mcp.core.errors import InvalidInput

gpu = typer.Typer(no_args_is_help=True, help="Accelerators: what there is, and asking for some.")
edge = typer.Typer(no_args_is_help=True, help="The edge fleet.")
metrics = typer.Typer(no_args_is_help=True, help="Signals and PromQL.")
operations = typer.Typer(no_args_is_help=True, help="What was applied, how it goes on, and steering it.")
tools = typer.Typer(no_args_is_help=True, help="The MCP tools themselves.")

Nodes = Annotated[list[str] | None, typer.Argument(help="Names of nodes.")]
Site = Annotated[str, typer.Option(help="Every node of this site.")]
Region = Annotated[str, typer.Option(help="Every node of this region.")]
Selector = Annotated[str, typer.Option("--selector", "-l", help="Label selector.")]
Cluster = Annotated[str, typer.Option(help="Required where several have what is named.")]


def _change(context: typer.Context, tool: str, arguments: dict[str, Any], yes: bool) -> None:
    session = session_of(context)

    async def work() -> int:
        async with session.client() as client:
            return await change(client, session.output, tool, arguments, yes=yes)

    session.run(work)


def _show(context: typer.Context, **arguments: Any) -> None:
    session_of(context).run(lambda: show(context, filled(**arguments)))


@gpu.command("pools")
def gpu_pools(context: typer.Context, region: Region = "") -> None:
    """Show pools with prices, quota and what is free."""
    _show(context, kind="gpu_pools", region=region)


@gpu.command("queues")
def gpu_queues(context: typer.Context, namespace: Annotated[str, typer.Option("--namespace", "-n")] = "") -> None:
    """Show queues and who waits in them."""
    _show(context, kind="queues", namespace=namespace)


@gpu.command("request")
def gpu_request(
    context: typer.Context,
    accelerator: Annotated[str, typer.Argument(help="a100, h100, tpu-v5e.")] = "",
    count: Annotated[int, typer.Option(help="Devices per node.")] = 1,
    nodes: Annotated[int, typer.Option()] = 1,
    hours: Annotated[int | None, typer.Option()] = None,
    purpose: Annotated[str, typer.Option(help="train, batch, serve or dev.")] = "dev",
    capacity: Annotated[str, typer.Option(help="auto, on_demand or spot.")] = "auto",
    checkpoint: Annotated[str, typer.Option(help="URI of saved state; spot needs it.")] = "",
    environment: Annotated[str, typer.Option("--environment", "-e")] = "dev",
    yes: Yes = False,
) -> None:
    """Ask for accelerators: pool, price and forecast first, then the request."""
    arguments = {"purpose": purpose, "count": count, "nodes": nodes, "capacity": capacity, "environment": environment}
    arguments |= filled(accelerator=accelerator, hours=hours, checkpoint=checkpoint)
    _change(context, "request_gpu", arguments, yes)


@edge.command("list")
def edge_list(
    context: typer.Context,
    site: Site = "",
    region: Region = "",
    state: Annotated[str, typer.Option(help="Such as offline, cordoned or not-ready.")] = "",
    token: Annotated[str, typer.Option(help="Of the page before, where a fleet takes several.")] = "",
) -> None:
    """List edge nodes."""
    _show(
        context,
        kind="nodes",
        site=site,
        region=region,
        state=state,
        contains="edge",
        verbose=True,
        limit=200,
        token=token,
    )


@edge.command("status")
def edge_status(
    context: typer.Context,
    nodes: Nodes = None,
    site: Site = "",
    region: Region = "",
    selector: Selector = "",
    model: Annotated[str, typer.Option(help="Its rollouts, those that are over too.")] = "",
) -> None:
    """Say what ails nodes, what that proposes, which sites are short, and which rollouts are under way."""
    asked = {"action": "status"} | filled(nodes=nodes, site=site, region=region, selector=selector, model=model)
    session_of(context).run(lambda: show(context, asked, "manage_edge_nodes"))


def _edge(action: str, text: str) -> None:
    """Add a command that acts on nodes: they differ in nothing but the action."""

    @edge.command(action, help=text)
    def command(
        context: typer.Context,
        nodes: Nodes = None,
        site: Site = "",
        region: Region = "",
        selector: Selector = "",
        cluster: Cluster = "",
        yes: Yes = False,
    ) -> None:
        which = filled(nodes=nodes, site=site, region=region, selector=selector, cluster=cluster)
        _change(context, "manage_edge_nodes", {"action": action, **which}, yes)


_edge("cordon", "Keep new work away from nodes.")
_edge("uncordon", "Let work come back to nodes.")


@edge.command("drain")
def edge_drain(
    context: typer.Context,
    nodes: Nodes = None,
    site: Site = "",
    region: Region = "",
    selector: Selector = "",
    grace: Annotated[int | None, typer.Option(help="Seconds a pod gets to end; else its own.")] = None,
    health: Annotated[bool, typer.Option("--health", help="Only nodes that status proposes to drain.")] = False,
    cluster: Cluster = "",
    yes: Yes = False,
) -> None:
    """Cordon nodes and evict their pods, within disruption budgets."""
    which = filled(nodes=nodes, site=site, region=region, selector=selector, cluster=cluster)
    how = filled(grace_seconds=grace, reason="health" if health else "")
    _change(context, "manage_edge_nodes", {"action": "drain", **which, **how}, yes)


@edge.command("label")
def edge_label(
    context: typer.Context,
    labels: Annotated[list[str], typer.Argument(help="key=value sets, key- removes.")],
    node: Annotated[list[str] | None, typer.Option(help="A node; repeatable.")] = None,
    site: Site = "",
    region: Region = "",
    selector: Selector = "",
    yes: Yes = False,
) -> None:
    """Set or remove labels of nodes."""
    arguments = {"action": "label", "labels": labels}
    arguments |= filled(nodes=node, site=site, region=region, selector=selector)
    _change(context, "manage_edge_nodes", arguments, yes)


@edge.command("rollout")
def edge_rollout(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="name, name:version or name@alias.")],
    site: Site = "",
    region: Region = "",
    environment: Environment = "dev",
    canary: Annotated[int | None, typer.Option(help="Share of the nodes in the first wave, in percent.")] = None,
    cluster: Cluster = "",
    yes: Yes = False,
) -> None:
    """Bring a release of a model to edge sites, canary first; without site and region to the whole fleet."""
    arguments = {"action": "rollout", "model": model, "environment": environment}
    arguments |= filled(site=site, region=region, canary_percent=canary, cluster=cluster)
    _change(context, "manage_edge_nodes", arguments, yes)


def _steer_rollout(action: str, text: str) -> None:
    """Add a command that steers a rollout: they differ in nothing but the action."""

    @edge.command(action, help=text)
    def command(
        context: typer.Context,
        rollout: Annotated[str, typer.Argument(help="Name of the EdgeRollout.")] = "",
        model: Annotated[str, typer.Option(help="Instead of a name: the newest rollout of this model.")] = "",
        namespace: Annotated[str, typer.Option("--namespace", "-n", help="Where several have one.")] = "",
        cluster: Cluster = "",
        yes: Yes = False,
    ) -> None:
        which = filled(rollout=rollout, model=model, namespace=namespace, cluster=cluster)
        _change(context, "manage_edge_nodes", {"action": action, **which}, yes)


_steer_rollout("pause", "Hold a rollout where it is.")
_steer_rollout("resume", "Let a rollout go on.")
_steer_rollout("rollback", "Return to the release before, as a new generation.")


@metrics.command("query")
def metrics_query(
    context: typer.Context,
    signal: Annotated[str, typer.Argument(help="A named signal, such as rps or e2e_p95.")] = "",
    promql: Annotated[str, typer.Option(help="Guarded PromQL instead of a signal.")] = "",
    by: Annotated[
        str, typer.Option(help="A row per target, site, region, version or node (several: site,version).")
    ] = "",
    model: Annotated[str, typer.Option()] = "",
    version: Annotated[str, typer.Option(help="Of the model: one release.")] = "",
    target: Annotated[str, typer.Option(help="cloud or edge.")] = "",
    site: Annotated[str, typer.Option(help="One edge site.")] = "",
    node: Annotated[str, typer.Option(help="One node.")] = "",
    window: Annotated[str, typer.Option(help="30m, 6h … 7d.")] = "1h",
    step: Annotated[str, typer.Option(help="Over the window in steps of this, such as 5m.")] = "",
) -> None:
    """Answer a signal or guarded PromQL; with --by alone, requests, errors, p50 and p95 side by side."""
    session = session_of(context)
    asked = filled(
        signal=signal, promql=promql, by=by, model=model, version=version, target=target, site=site, node=node
    )
    arguments = {"window": window, **asked, **filled(step=step)}

    async def work() -> int:
        async with session.client() as client:
            result = await client.call("query_metrics", arguments)
            session.output.data(result.data, result.text)
            return 1 if result.is_error else 0

    session.run(work)


@operations.command("list")
def operations_list(
    context: typer.Context, state: Annotated[str, typer.Option(help="Such as running, failed, unknown.")] = ""
) -> None:
    """List operations, newest first."""
    _show(context, kind="operations", state=state)


@operations.command("show")
def operations_show(context: typer.Context, operation_id: str) -> None:
    """Show one operation: steps, progress, what can be done."""
    _show(context, kind="operations", name=operation_id)


@operations.command("follow")
def operations_follow(context: typer.Context, operation_id: str) -> None:
    """Follow an operation until its work is over."""
    session = session_of(context)

    async def work() -> int:
        async with session.client() as client:
            code, seen = await follow(client, session.output, operation_id)
            if session.output.json:
                session.output.data(seen, "")
            return code

    session.run(work)


def _steer(action: str, name: str, text: str) -> None:
    """Add a command that steers an operation: they differ in nothing but the action."""

    @operations.command(name, help=text)
    def command(context: typer.Context, operation_id: str, yes: Yes = False) -> None:
        _change(context, "control_operation", {"operation_id": operation_id, "action": action}, yes)


_steer("cancel", "cancel", "End the work an operation started.")
_steer("pause", "pause", "Hold the work an operation started.")
_steer("resume", "continue", "Let paused work go on.")
_steer("promote", "promote", "Give a canary all the traffic.")
_steer("rollback", "rollback", "Return to what was before.")


@operations.command("resume")
def operations_resume(context: typer.Context) -> None:
    """Finish what a dead process left: read back what happened, do what is missing, or mark it."""
    session = session_of(context)

    async def work() -> int:
        async with session.local() as client:
            done = await client.app.resume()
            rows = [{"operation_id": row.id, "state": row.state, "summary": row.plan.summary} for row in done]
            text = "\n".join(f"{row['state']}: {row['summary']} ({row['operation_id']})" for row in rows)
            session.output.data({"resumed": rows}, text or "Nothing was left unfinished.")
            return max((STATUS.get(row["state"], 0) for row in rows), default=0)

    session.run(work)


@tools.command("list")
def tools_list(context: typer.Context) -> None:
    """List the tools."""
    session = session_of(context)

    async def work() -> int:
        from ai_platform_mcp.core.contract import contract
        from ai_platform_mcp.tools import CATALOGUE

        rows = [contract(tool) for tool in CATALOGUE]
        if session.output.json:
            session.output.data({"tools": rows}, "")
        else:
            cells = [
                (row["name"], "read" if row["annotations"]["readOnlyHint"] else "change", row["description"])
                for row in rows
            ]
            session.output.table("", ("tool", "kind", "what it does"), cells)
        return 0

    session.run(work)


def json_object(text: str) -> dict[str, Any]:
    """Read a tool's arguments.

    Raises:
        InvalidInput: it is not a JSON object.
    """
    try:
        body = json.loads(text)
    except ValueError as error:
        raise InvalidInput(
            f"The arguments are not JSON: {error}", remedy='Quote them: \'{"kind": "nodes"}\'.'
        ) from None
    if not isinstance(body, dict):
        raise InvalidInput("The arguments are not a JSON object.", remedy="Write '{\"name\": value}'.")
    return {str(key): value for key, value in body.items()}


@tools.command("call")
def tools_call(
    context: typer.Context, name: str, arguments: Annotated[str, typer.Argument(help="JSON object.")] = "{}"
) -> None:
    """Call a tool with JSON arguments, exactly as an MCP client would."""
    session = session_of(context)

    async def work() -> int:
        body = json_object(arguments)
        async with session.client() as client:
            result = await client.call(name, body)
            session.output.data(result.data, result.text)
            return STATUS.get(str(result.data.get("status")), 1 if result.is_error else 0)

    session.run(work)
