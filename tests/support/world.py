"""One running sandbox, and platforms over it: each with a state folder, a journal and a clock of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import yaml

from ai_platform_mcp.app import App
from ai_platform_mcp.core.ports import Clock, PolicyEngine
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import AnyTool, Caller, Result
from ai_platform_mcp.sandbox import process
from ai_platform_mcp.settings import Settings
from support.seeded import seeded_state

SPEED = 20_000.0
"""A training of hours passes within a second or two."""
GOLDEN = {
    "finetune": {
        "description": "Fine-tune with PyTorch.",
        "image": "registry.local/finetune@sha256:" + "3f" * 32,
        "command": ["torchrun", "finetune.py"],
        "runtime": "torch-distributed",
        "accelerator": "a100",
        "count": 8,
        "nodes": 1,
        "hours": 6,
        "checkpoint": True,
    }
}
_numbers = count(1)


class HandClock:
    """The machine's time, put forward to a morning when production may change, and further by hand."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        day = now.replace(hour=10, minute=0, second=0, microsecond=0)
        while day < now or day.weekday() > 3:
            day += timedelta(days=1)
        self.ahead = day - now

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def forward(self, **span: float) -> None:
        self.ahead += timedelta(**span)


class OpenedApp(App):
    """The real composition, with further tools and another engine where a test says so."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        tools: tuple[AnyTool, ...] = (),
        policy: PolicyEngine | None = None,
    ):
        super().__init__(settings, clock=clock)
        self._catalogue |= {tool.name: tool for tool in tools}
        self._law = policy

    def _policy(self) -> Any:
        return self._law or super()._policy()


@dataclass
class Platform:
    """A platform and how a test calls it."""

    app: OpenedApp
    clock: HandClock
    folder: Path
    who: Principal = field(
        default_factory=lambda: Principal(id="local:ada", kind="agent", team="vision", roles=("developer",))
    )

    def caller(self, who: Principal | None = None) -> Caller:
        return Caller(principal=who or self.who, request_id="req-test")

    async def call(self, tool: str, /, *, by: Principal | None = None, **arguments: Any) -> Result:
        return await self.app.call(tool, arguments, self.caller(by))

    async def audit(self) -> list[tuple[str, str, str]]:
        """Tool, mode and outcome of every audited call, oldest first."""
        rows = await (await self.app.readers()).journal.audit(limit=500)
        return [(row.tool, row.mode, row.outcome) for row in reversed(rows)]

    async def operations(self) -> int:
        return len(await (await self.app.readers()).journal.operations())

    async def object(self, kind: str, name: str, namespace: str | None = "vision-dev") -> dict[str, Any] | None:
        version = {"ConfigMap": "v1", "Job": "batch/v1", "Node": "v1"}[kind]
        return await (await self.app.readers()).clusters.get("sandbox", version, kind, name, namespace)


class World:
    """The sandbox of this session and what tests do to it behind the platform's back."""

    def __init__(self, status: process.Status):
        self.status = status
        self._mlflow: Any = None

    def settings(self, folder: Path, **changes: Any) -> Settings:
        return Settings(**(self.document(folder) | changes))

    def document(self, folder: Path) -> dict[str, Any]:
        """What a platform file would say of the sandbox."""
        return {
            "state_dir": str(folder),
            "clusters": [{"name": "sandbox", "kubeconfig": self.status.kubeconfig}],
            "mlflow": {"uri": self.status.mlflow_uri},
            "prometheus": {"url": self.status.prometheus_url},
            "budgets_cents": {"vision": 20_000_000},
            "golden_paths": GOLDEN,
            "identity": {"id": "local:ada"},
        }

    def platform_file(self, folder: Path, **changes: Any) -> Path:
        path = folder / "platform.yaml"
        path.write_text(yaml.safe_dump(self.document(folder) | changes))
        return path

    @contextlib.asynccontextmanager
    async def platform(
        self,
        folder: Path,
        *,
        tools: tuple[AnyTool, ...] = (),
        policy: PolicyEngine | None = None,
        clock: HandClock | None = None,
        law: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> AsyncIterator[Platform]:
        """Open a platform; ``policy`` is an engine in place of the real one, ``law`` are settings of the real one."""
        clock = clock or HandClock()
        settings |= {"policy": law} if law else {}
        app = OpenedApp(self.settings(folder, **settings), clock=clock, tools=tools, policy=policy)
        try:
            yield Platform(app, clock, folder)
        finally:
            await app.aclose()

    @property
    def mlflow(self) -> Any:
        if self._mlflow is None:
            from mlflow.tracking import MlflowClient

            uri = self.status.mlflow_uri
            self._mlflow = MlflowClient(tracking_uri=uri, registry_uri=uri)
        return self._mlflow

    def fresh(self, word: str) -> str:
        """A name that nothing in this world has yet: a check may run again, as it is or over a seeded fault."""
        return f"{word}-{next(_numbers)}"

    def model(self, versions: int = 2, aliases: Mapping[str, str] | None = None) -> str:
        """Register a model of team vision with evidence as good as vision-v2's; return its name."""
        name = f"model-{next(_numbers)}"
        good = self.mlflow.get_model_version_by_alias("vision-v2", "champion")
        self.mlflow.create_registered_model(name, tags={"aiplatform.team": "vision"})
        for _ in range(versions):
            self.mlflow.create_model_version(name, good.source, run_id=good.run_id, tags=dict(good.tags))
        for alias, version in (aliases or {}).items():
            self.mlflow.set_registered_model_alias(name, alias, version)
        return name

    def alias(self, model: str, alias: str) -> str | None:
        """The version an alias points at."""
        found = self.mlflow.get_registered_model(model).aliases.get(alias)
        return None if found is None else str(found)

    def tags(self, model: str, version: str) -> dict[str, str]:
        return dict(self.mlflow.get_model_version(model, version).tags)


@contextlib.contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """Start a sandbox in its own process and end it."""
    seeded_state(folder)
    status = anyio.run(lambda: process.ensure_up(folder, speed=SPEED))
    try:
        yield World(status)
    finally:
        anyio.run(process.down, folder)
