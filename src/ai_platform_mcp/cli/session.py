"""What every command shares: settings, output and a client, and the way from a coroutine to an exit code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import typer

from ai_platform_mcp.cli.client import Client, LocalClient, RemoteClient
from ai_platform_mcp.cli.output import Output
from ai_platform_mcp.cli.start import start_logging
from ai_platform_mcp.core.errors import Misconfigured, PlatformError
from ai_platform_mcp.settings import Settings, load


@dataclass
class Session:
    """One run of the command line."""

    output: Output
    server: str = ""
    flags: dict[str, Any] = field(default_factory=dict[str, Any])
    settings_cache: Settings | None = None

    @property
    def settings(self) -> Settings:
        """The settings, read on first use."""
        if self.settings_cache is None:
            self.settings_cache = load(**self.flags)
        return self.settings_cache

    def client(self) -> Client:
        """A client: at ``--server`` where it was named, else in this process."""
        return RemoteClient(self.server) if self.server else LocalClient(self.settings)

    def local(self) -> LocalClient:
        """A client in this process, for what only the platform's own machine can do.

        Raises:
            Misconfigured: ``--server`` was named.
        """
        if self.server:
            raise Misconfigured("This command works on this machine only.", remedy="Leave out --server.")
        return LocalClient(self.settings)

    def run(self, work: Callable[[], Awaitable[int | None]]) -> None:
        """Run a command's work; end with its exit code."""
        try:
            code = anyio.run(work)
        except PlatformError as error:
            code = self.output.error(error)
        except BaseExceptionGroup as group:
            code = self.output.error(_platform_error(group))
        except KeyboardInterrupt:
            code = 130
        raise typer.Exit(code or 0)


def _platform_error(group: BaseExceptionGroup[BaseException]) -> PlatformError:
    """Return the one anticipated failure of a group; any other group is a bug and goes up as it is."""
    found = group.split(PlatformError)[0]
    leaf: BaseException | None = found
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    if isinstance(leaf, PlatformError):
        return leaf
    raise group


def session_of(context: typer.Context) -> Session:
    """Return the session that the main command made."""
    return context.ensure_object(Session)


def open_session(*, output: str, server: str, config: Path | None, state_dir: Path | None, verbose: bool) -> Session:
    """Make the session from the main command's options."""
    start_logging(verbose)
    flags = {"config": config, "state_dir": state_dir}
    return Session(Output("json" if output == "json" else "table"), server, flags)
