"""``ai-platform-mcp``: the MCP server on standard input and output, or over streamable HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import anyio
import typer

from ai_platform_mcp.cli.output import Output
from ai_platform_mcp.cli.session import start_logging
from ai_platform_mcp.core.errors import InvalidInput, PlatformError
from ai_platform_mcp.settings import Settings, load

app = typer.Typer(
    name="ai-platform-mcp",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="MCP server of an internal AI platform. Without arguments: serve on standard input and output.",
)

Http = Annotated[str, typer.Option("--http", help="HOST:PORT for streamable HTTP instead of stdio.")]
ReadOnly = Annotated[bool, typer.Option("--read-only", help="Offer no tool that changes anything.")]
Protocol = Annotated[str, typer.Option(help="both, or handshake for clients that break on the newer protocol.")]
Config = Annotated[Path | None, typer.Option(help="Platform file (YAML).")]
StateDir = Annotated[Path | None, typer.Option(help="Where state is kept.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log more to standard error.")]


@app.callback()
def default(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """Serve on stdio where no command is named."""
    if version:
        import importlib.metadata

        typer.echo(importlib.metadata.version("ai-platform-mcp"))
        raise typer.Exit
    if context.invoked_subcommand is None:
        serve()


@app.command("serve")
def serve(
    http: Http = "",
    read_only: ReadOnly = False,
    protocol: Protocol = "both",
    config: Config = None,
    state_dir: StateDir = None,
    verbose: Verbose = False,
) -> None:
    """Serve MCP until the client goes or a signal comes."""
    start_logging(verbose)
    try:
        settings = load(config=config, state_dir=state_dir, read_only=read_only or None)
        if http:
            anyio.run(_serve_http, settings, *_address(http))
        else:
            anyio.run(_serve_stdio, settings, _era(protocol))
    except PlatformError as error:
        raise typer.Exit(Output().error(error)) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _era(protocol: str) -> Literal["both", "handshake"]:
    if protocol == "both" or protocol == "handshake":
        return protocol
    raise InvalidInput(f"There is no protocol {protocol!r}.", remedy="Choose both or handshake.")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise InvalidInput(f"{text!r} is not HOST:PORT.", remedy="Such as 127.0.0.1:8931.")
    return host.strip("[]"), int(port)


async def _serve_stdio(settings: Settings, protocol: Literal["both", "handshake"]) -> None:
    from ai_platform_mcp.app import App
    from ai_platform_mcp.server.build import build_server
    from ai_platform_mcp.server.stdio import serve_stdio

    application = App(settings)
    try:
        await serve_stdio(build_server(application), protocol=protocol)
    finally:
        await application.aclose()


async def _serve_http(settings: Settings, host: str, port: int) -> None:
    import socket
    from functools import partial

    import uvicorn

    from ai_platform_mcp.app import App
    from ai_platform_mcp.server.build import build_server
    from ai_platform_mcp.server.http import Access, build_http, check_bind
    from ai_platform_mcp.server.identity import current_principal, principal_of
    from ai_platform_mcp.server.tokens import JwtVerifier

    auth = settings.http.auth
    check_bind(host, authenticated=auth is not None)
    application = App(settings)
    verifier = access = None
    who = None
    named = principal_of
    if auth is not None:
        verifier = JwtVerifier(issuer=auth.issuer, audience=auth.audience, jwks_url=auth.jwks_url)
        access = Access(issuer=auth.issuer, resource_url=auth.resource_url, required_scopes=auth.required_scopes)
        local = application.local_principal

        def who_calls():
            return current_principal(local, auth.team_claim, auth.roles_claim)

        who, named = who_calls, partial(principal_of, team_claim=auth.team_claim, roles_claim=auth.roles_claim)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)
    port = listener.getsockname()[1]  # port 0 takes a free one, and the Host check must know which
    asgi = build_http(
        build_server(application, principal=who),
        application,
        host=host,
        port=port,
        access=access,
        verifier=verifier,
        allowed_hosts=settings.http.allowed_hosts,
        allowed_origins=settings.http.allowed_origins,
        who=named,
    )
    config = uvicorn.Config(asgi, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    typer.echo(f"Listening on http://{f'[{host}]' if ':' in host else host}:{port}/mcp", err=True)
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        await application.aclose()


def main() -> None:
    """Run the server's command."""
    app()
