"""The whole platform for tests: one sandbox process per session, and a fresh server with its own journal per test."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ai_platform_mcp.app import App
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import Caller, Result
from ai_platform_mcp.sandbox import process
from ai_platform_mcp.settings import Settings
from support.seeded import seeded_state

SPEED = 1.0
"""Work takes its real time, so that nothing moves on while a test looks."""


class InWindow:
    """A clock that runs like the machine's, put forward to the next morning at which production may change."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        day = now.replace(hour=10, minute=0, second=0, microsecond=0)
        while day < now or day.weekday() > 3:
            day += timedelta(days=1)
        self._ahead = day - now

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead


@dataclass
class Platform:
    """A server over the session's sandbox."""

    app: App
    readers: Readers
    team: str = "vision"

    def caller(self, team: str = "") -> Caller:
        who = Principal(id=f"local:{team or self.team}-dev", kind="agent", team=team or self.team, roles=("developer",))
        return Caller(principal=who, request_id="test")

    async def call(self, tool: str, team: str = "", **arguments: Any) -> Result:
        return await self.app.call(tool, arguments, self.caller(team))

    async def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        return await self.readers.clusters.get("sandbox", api_version, kind, name, namespace)


@contextlib.contextmanager
def running_sandbox(folder: Path) -> Iterator[process.Status]:
    """Start a sandbox in its own process, seed it, and end it."""
    import anyio

    seeded_state(folder)
    status = anyio.run(lambda: process.ensure_up(folder, speed=SPEED))
    try:
        yield status
    finally:
        anyio.run(process.down, folder)


@contextlib.asynccontextmanager
async def open_platform(status: process.Status, folder: Path, *, in_window: bool = False) -> AsyncIterator[Platform]:
    """A server with a journal of its own over a running sandbox; ``in_window`` at a time when production may change."""
    settings = Settings(state_dir=Path(status.state_dir), journal_url=f"sqlite:///{folder / 'journal.sqlite'}")
    app = App(settings, clock=InWindow() if in_window else None)
    try:
        yield Platform(app=app, readers=await app.readers())
    finally:
        await app.aclose()


def tag_run(status: process.Status, run: str, tags: dict[str, str]) -> None:
    """Set tags of a run the way its training would."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=status.mlflow_uri, registry_uri=status.mlflow_uri)
    for key, value in tags.items():
        client.set_tag(run, key, value)


def tag_models(status: process.Status, tags: dict[str, dict[str, str]]) -> None:
    """Set tags of registered models the way a person would: with MLflow's own client."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=status.mlflow_uri, registry_uri=status.mlflow_uri)
    for model, wanted in tags.items():
        for key, value in wanted.items():
            client.set_registered_model_tag(model, key, value)
