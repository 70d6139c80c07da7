"""``ai-platform-mcp``: the MCP server on standard input and output, or over streamable HTTP.

A desktop client waits for this process, so what it imports before it answers is kept small: options are read by argparse,
and tables, the sandbox and every backend are imported when they are first needed. The cyclic garbage collector rests
meanwhile: what a start makes is kept, and looking through it again and again takes a tenth of the time.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ai_platform_mcp.cli.collecting import collect_from_here_on
from ai_platform_mcp.cli.start import start_logging
from ai_platform_mcp.core.errors import InvalidInput, PlatformError

if TYPE_CHECKING:
    from ai_platform_mcp.settings import Settings


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="ai-platform-mcp",
        description="MCP server of an internal AI platform. Without arguments: serve on standard input and output.",
        allow_abbrev=False,
    )
    options.add_argument(
        "command",
        nargs="?",
        choices=["serve", "controller", "golden"],
        default="serve",
        help="serve MCP, run the controller of EdgeRollouts, or ask golden inputs of a model (`controller --help` and "
        "`golden --help` have options of their own)",
    )
    options.add_argument("--http", metavar="HOST:PORT", default="", help="streamable HTTP instead of stdio")
    options.add_argument("--read-only", action="store_true", help="offer no tool that changes anything")
    options.add_argument(
        "--protocol",
        choices=["both", "handshake"],
        default="both",
        help="handshake is for clients that break on the newer protocol",
    )
    options.add_argument("--config", type=Path, metavar="FILE", help="platform file (YAML)")
    options.add_argument("--state-dir", type=Path, metavar="FOLDER", help="where state is kept")
    options.add_argument("--verbose", "-v", action="store_true", help="log more to standard error")
    options.add_argument("--version", action="store_true", help="print the version and end")
    return options


def run(arguments: Sequence[str] | None = None) -> int:
    """Serve MCP until the client goes or a signal comes; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["controller"]:
        from ai_platform_mcp.cli import controller

        return controller.run(given[1:])
    if given[:1] == ["golden"]:
        from ai_platform_mcp.cli import golden

        return golden.run(given[1:])
    chosen = _options().parse_args(given)
    if chosen.version:
        import importlib.metadata

        sys.stdout.write(f"{importlib.metadata.version('ai-platform-mcp')}\n")
        return 0
    gc.disable()
    import anyio

    from ai_platform_mcp.settings import load

    start_logging(chosen.verbose)
    try:
        settings = load(config=chosen.config, state_dir=chosen.state_dir, read_only=chosen.read_only or None)
        if chosen.http:
            anyio.run(_serve_http, settings, *_address(chosen.http))
        else:
            anyio.run(_serve_stdio, settings, chosen.protocol)
    except PlatformError as error:
        from ai_platform_mcp.cli.output import Output

        return Output().error(error)
    except KeyboardInterrupt:
        return 0
    return 0


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
    server = build_server(application)
    collect_from_here_on()
    await serve_stdio(server, protocol=protocol, close=application.aclose)


async def _serve_http(settings: Settings, host: str, port: int) -> None:
    from functools import partial

    import uvicorn

    from ai_platform_mcp.app import App
    from ai_platform_mcp.core.listening import tcp_listener
    from ai_platform_mcp.server.build import build_server
    from ai_platform_mcp.server.http import Access, build_http, check_bind
    from ai_platform_mcp.server.identity import current_principal, principal_of
    from ai_platform_mcp.server.tokens import JwtVerifier

    auth = settings.http.auth
    check_bind(host, authenticated=auth is not None)
    settings.check_callers(authenticated=auth is not None)
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
    listener = tcp_listener(host, port)
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
    collect_from_here_on()
    config = uvicorn.Config(asgi, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    sys.stderr.write(f"Listening on http://{f'[{host}]' if ':' in host else host}:{port}/mcp\n")
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        await application.aclose()


def main() -> None:
    """Run the server's command."""
    sys.exit(run())
