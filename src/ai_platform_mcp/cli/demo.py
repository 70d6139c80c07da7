"""``platform demo``: the talk's flow on this machine, through real MCP calls, with a line of explanation per step."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer
from rich.markup import escape

from ai_platform_mcp.cli import routing
from ai_platform_mcp.cli.client import LocalClient
from ai_platform_mcp.cli.follow import over, state_of
from ai_platform_mcp.cli.output import Output
from ai_platform_mcp.cli.session import session_of
from ai_platform_mcp.core.errors import Misconfigured, PlatformError, Unavailable
from ai_platform_mcp.core.tool import Result

if TYPE_CHECKING:
    from ai_platform_mcp.cli.demo_fleet import Fleet

LOOK_SECONDS = 0.3
PATIENCE_SECONDS = 45.0
SAMPLING_SECONDS = 15.0
MODEL = "vision-v3"
STAGING, DEV = "vision-staging", "vision-dev"
BAD_MODEL, BAD_VERSION, BAD_SITES = "vision-v2", "4", ("us-south-1", "us-south-2")
"""What goes wrong in the demo, and where: a model that is not the demo's own."""


class Demo:
    """Plays the flow with one MCP client over an in-memory transport: the server, the guard and the wire are real."""

    def __init__(self, client: Any, output: Output):
        self._client = client
        self._output = output
        self._started = time.monotonic()

    def title(self, text: str, why: str) -> None:
        """Say what comes now, and why it is worth seeing."""
        self._output.say(f"\n[bold cyan]{escape(text)}[/bold cyan]\n[dim]{escape(why)}[/dim]")

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool over MCP; a failure ends the demo with its own words."""
        answer = await self._client.call_tool(tool, arguments)
        data: dict[str, Any] = answer.structured_content or {}
        if answer.is_error and "code" in data:
            raise Unavailable(f"{tool}: {data['message']}", cause=data.get("cause", ""), remedy=data.get("remedy", ""))
        if answer.is_error:
            raise Unavailable(
                f"{tool} failed: {data.get('summary', data)}", remedy="Run `platform sandbox reset`, then again."
            )
        return data

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that may well refuse, and return what it says."""
        return (await self._client.call_tool(tool, arguments)).structured_content or {}

    async def change(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Plan, show, and apply exactly that plan."""
        plan = await self.call(tool, **arguments)
        self._output.say(f"  plan      {escape(plan['summary'])}")
        for reason in plan.get("reasons", [])[:3]:
            self._output.say(f"  [dim]why       {escape(reason)}[/dim]")
        decision = plan["decision"]
        self._output.say(f"  policy    {decision['effect']} (revision {escape(str(decision['revision']))})")
        done = await self.call(tool, **arguments, mode="apply", plan_id=plan["plan_id"])
        self._output.say(f"  [green]✓ {done['status']}[/green]  {done.get('operation_id', '')}")
        return done

    async def wait(self, operation_id: str, what: str) -> dict[str, Any]:
        """Follow an operation to its end.

        Raises:
            Unavailable: it took longer than the demo's patience, or failed.
        """
        seen = await self.call("inspect_platform", kind="operations", name=operation_id)
        with anyio.move_on_after(PATIENCE_SECONDS):
            while not over(seen) and not _canary(seen):
                await anyio.sleep(LOOK_SECONDS)
                seen = await self.call("inspect_platform", kind="operations", name=operation_id)
        sentence = (seen.get("progress") or {}).get("sentence", seen["summary"])
        if state_of(seen) not in ("succeeded", "applied") and not _canary(seen):
            raise Unavailable(f"{what} did not finish: {sentence}", remedy=f"platform operations show {operation_id}")
        self._output.done(sentence)
        return seen

    async def measured(self, model: str) -> None:
        """Wait until a few scrapes of what was just deployed are in the store; go on without them after a while."""
        self._output.say(f"  [dim]collecting {SAMPLING_SECONDS:g} s of samples …[/dim]")
        with anyio.move_on_after(PATIENCE_SECONDS):
            for target in ("edge", "cloud"):
                question = {"signal": "rps", "model": model, "target": target, "window": "5m"}
                while True:
                    if (await self.call("query_metrics", **question)).get("series"):
                        break
                    await anyio.sleep(LOOK_SECONDS)
        await anyio.sleep(SAMPLING_SECONDS)

    def seconds(self) -> float:
        """Return how long the demo has taken."""
        return time.monotonic() - self._started


def _canary(seen: dict[str, Any]) -> bool:
    """Whether all that is left is a person's word on a canary: so it is when the demo is played again."""
    return "the canary gets" in (seen.get("progress") or {}).get("sentence", "")


async def play(demo: Demo, output: Output, fleet_of: Callable[[], Awaitable[Fleet]]) -> dict[str, Any]:
    """Train, register, promote, deploy to cloud and edge, route; a release that is bad, and a change that policy refuses.

    Returns what came of it: the operations, what is measured of the routes, and what policy said at the end.
    """
    demo.title("1  Train", "An agent asks for training. The plan names pool, price and forecast before anything runs.")
    run = await demo.change("trigger_retraining", model=MODEL, accelerator="a100", count=8, nodes=8, hours=6)
    await demo.wait(run["operation_id"], "Training")

    demo.title(
        "2  Register",
        "The version carries evidence: digest, dataset, licence, card, and gate verdicts that policy reads.",
    )
    registered = await demo.change("register_model", model=MODEL, thresholds=["accuracy>=0.93"], alias="challenger")

    demo.title("3  Promote", "The champion alias moves only if it still points where the plan says.")
    versions = await demo.call("inspect_platform", kind="versions", name=MODEL)
    promoted = await demo.change("promote_model", model=MODEL, version=newest(versions))

    demo.title(
        "4  Deploy to cloud and edge",
        "One call, two targets, waves with a canary first; offline nodes are owed, not failed.",
    )
    deployed = await demo.change("deploy_model", model=MODEL, target="auto", environment="staging")
    fleet = await fleet_of()
    edge = fleet.end(await fleet.watch(MODEL, STAGING))
    if edge["owed"]:
        edge["came_back"] = await fleet.comes_back(MODEL, STAGING, edge["owed"][-1])
    await demo.wait(deployed["operation_id"], "The deployment")

    demo.title("5  Route", "Shares and latencies are measured; what is not measured is said to be so.")
    await demo.measured(MODEL)
    routes = await routing.measured(_Measured(demo), MODEL, "5m")
    for line in routing.shortly(routes, MODEL):
        output.say(f"  {escape(line)}")
    output.say(
        "  [dim]All since the deployment: while the rollout was under way, the cloud answered for the edge.[/dim]"
    )

    demo.title("6  A bad release", "This one crashes wherever it starts. Its canary must be the last to see it.")
    bad = await bad_release(demo, fleet, output)

    demo.title("7  The guard", "The same call for production is judged on its resolved plan, not on its name.")
    data = await demo.ask("deploy_model", model=MODEL, environment="production", canary_percent=0)
    decision: dict[str, Any] = data.get("decision") or (data.get("details") or {}).get("plan", {}).get("decision", {})
    for row in decision.get("violations", []):
        output.say(f"  [yellow]denied[/yellow]    {row['code']}: {escape(row['text'])}")
    for row in decision.get("approvals", []):
        output.say(f"  [yellow]approval[/yellow]  {escape(row['reason'])} ({', '.join(row['approvers'])})")
    if not decision:
        output.say(f"  {escape(str(data.get('message', data.get('summary', ''))))}")
    done = {"train": run, "register": registered, "promote": promoted, "deploy": deployed}
    return {
        "operations": {name: row.get("operation_id", "") for name, row in done.items()},
        "edge": edge,
        "bad_release": bad,
        "routing": routes,
        "refused": {
            "effect": decision.get("effect", ""),
            "codes": [row["code"] for row in decision.get("violations", [])],
        },
    }


async def _deploy_badly(demo: Demo, fleet: Fleet) -> None:
    await fleet.break_release(BAD_MODEL, BAD_VERSION)
    wanted = {"model": f"{BAD_MODEL}:{BAD_VERSION}", "target": "edge", "environment": "dev", "sites": list(BAD_SITES)}
    await demo.change("deploy_model", **wanted)


async def bad_release(demo: Demo, fleet: Fleet, output: Output) -> dict[str, Any]:
    """Deploy a release that crashes on every node to two sites, and tell where it was stopped."""
    from ai_platform_mcp.domain.objects import section

    if await fleet.newest(BAD_MODEL, DEV) is None:
        await _deploy_badly(demo, fleet)
    else:
        output.say("  [dim]It is there from the play before: stopped, it waits for a person.[/dim]")
    status = section(await fleet.watch(BAD_MODEL, DEV), "status")
    told = f"{status.get('failed', 0)} of {status.get('total')} nodes saw it, and it was taken off them"
    output.say(f"  [yellow]stopped[/yellow]   {escape(str(status.get('message')))}")
    output.say(f"  [green]✓[/green] {escape(told)}")
    return {"phase": status.get("phase"), "failed": status.get("failed", 0), "total": status.get("total")}


class _Measured:
    """The demo's MCP client in the shape that the routing view asks for."""

    def __init__(self, demo: Demo):
        self._demo = demo

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool over MCP."""
        data = await self._demo.call(name, **arguments)
        return Result(text="", data=data)


def newest(versions: dict[str, Any]) -> str:
    """Return the newest version number of a versions listing."""
    columns: list[str] = versions["columns"]
    return str(versions["rows"][0][columns.index("version")])


def demo(
    context: typer.Context,
    keep: Annotated[bool, typer.Option("--keep/--down", help="Leave the sandbox up afterwards.")] = True,
) -> None:
    """Play train, register, deploy to cloud and edge, and route, end to end, on this machine."""
    session = session_of(context)
    output = session.output

    async def work() -> int:
        from mcp.client import Client

        from ai_platform_mcp.cli.demo_fleet import Fleet
        from ai_platform_mcp.sandbox import process
        from ai_platform_mcp.server.build import build_server

        if not session.settings.sandboxed:
            raise Misconfigured(
                "The demo plays in the sandbox and a real platform is configured.",
                remedy="Run it without a platform file.",
            )
        output.say("[bold]An internal AI platform on your machine, driven over MCP.[/bold]")
        async with AsyncExitStack() as last, session.local() as local:
            if not keep:  # also where the play fails: nobody wants what is left of it
                last.push_async_callback(process.down, session.settings.state_dir)
            started = time.monotonic()
            await local.app.readers()
            ready = f"Sandbox ready after {time.monotonic() - started:.0f} s: Kubernetes API, MLflow store, Prometheus API, Rego."
            output.say(f"[dim]{ready}[/dim]")
            async with Client(build_server(local.app), elicitation_callback=_agree(output)) as client:
                played = Demo(client, output)
                readers = await local.app.readers()

                async def fleet() -> Fleet:
                    return Fleet(readers, process.status(session.settings.state_dir), output)

                told = await play(played, output, fleet)
            await _end(local, output, {"seconds": round(played.seconds(), 1), **told}, keep=keep)
        return 0

    session.run(work)


def _agree(output: Output):
    """Return the person of the demo: asked about a plan that policy lets them agree to, they say yes."""

    async def answer(context: Any, params: Any) -> Any:
        from mcp_types import ElicitResult

        output.say(
            "  [magenta]asked[/magenta]     your client shows the plan and asks you; the demo answers yes for you"
        )
        return ElicitResult(action="accept", content={"approve": True})

    return answer


async def _end(local: LocalClient, output: Output, told: dict[str, Any], *, keep: bool) -> None:
    try:
        verdict = await (await local.app.readers()).journal.verify_audit()
        chain = f"{verdict.rows} audit rows, chain {'intact' if verdict.intact else 'BROKEN'}"
    except PlatformError as error:
        chain = error.message
    output.data({**told, "audit": chain}, f"\nDone in {told['seconds']:.0f} s. {chain}.")
    if keep:
        output.say("Try next:\n  platform edge list --state offline\n  platform gpu pools\n  platform operations list")
