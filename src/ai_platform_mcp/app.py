"""The composition root: who is given to whom. Nothing is contacted, and nothing heavy imported, before the first call."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

import anyio

from ai_platform_mcp.core.errors import Misconfigured
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import AnyTool, Caller, Result, WriteTool
from ai_platform_mcp.settings import ClusterSettings, Settings

if TYPE_CHECKING:
    from ai_platform_mcp.adapters.approvals import SignedApprovals
    from ai_platform_mcp.adapters.journal.sql import SqlJournal
    from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
    from ai_platform_mcp.core.guard import Guard, GuardOptions
    from ai_platform_mcp.core.judge import Rewrite
    from ai_platform_mcp.core.plan import Draft
    from ai_platform_mcp.core.ports import Clock, PlatformFacts, Readers
    from ai_platform_mcp.core.records import ApprovalRecord, Operation
    from ai_platform_mcp.core.rows import ClusterInfo
    from ai_platform_mcp.sandbox.process import Status

log = logging.getLogger(__name__)
T = TypeVar("T")


class WallClock:
    """The machine's time."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class Wiring:
    """What stands once everything has been put together."""

    guard: Guard
    readers: Readers
    journal: SqlJournal
    approvals: SignedApprovals


class App:
    """One platform, configured by one settings object. Close it with ``aclose``."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None):
        self.settings = settings
        self.clock = clock or WallClock()
        self._stack = AsyncExitStack()
        self._lock = anyio.Lock()
        self._wiring: Wiring | None = None

    @cached_property
    def _catalogue(self) -> dict[str, AnyTool]:
        """Every tool by name, imported when somebody first asks for tools: a handshake needs none of them."""
        from ai_platform_mcp.tools import CATALOGUE

        return {tool.name: tool for tool in CATALOGUE}

    @property
    def version(self) -> str:
        """The installed version of this package."""
        return importlib.metadata.version("ai-platform-mcp")

    @property
    def local_principal(self) -> Principal:
        """Who calls where no token says it."""
        who = self.settings.identity
        return Principal(id=who.id, kind=who.kind, team=who.team, roles=who.roles)

    def tools(self) -> Mapping[str, AnyTool]:
        """Return the offered tools; a read-only server offers no tool that writes."""
        if not self.settings.read_only:
            return self._catalogue
        return {name: tool for name, tool in self._catalogue.items() if not isinstance(tool, WriteTool)}

    async def call(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> Result:
        """Run one call through the guard.

        Raises:
            PlatformError: every anticipated failure.
        """
        return await (await self.wiring()).guard.call(name, arguments, caller)

    async def look(self, uri: str, caller: Caller, read: Callable[[Readers], Awaitable[str]]) -> str:
        """Read a resource through the guard."""
        return await (await self.wiring()).guard.look(uri, caller, read)

    async def peek(self, caller: Caller, read: Callable[[Readers], Awaitable[T]]) -> T:
        """Read on the caller's behalf without an entry in the audit."""
        return await (await self.wiring()).guard.peek(caller, read)

    async def agree(self, approval_id: str, principal: Principal) -> ApprovalRecord:
        """Record that the requester agreed in person, where policy names ``self``."""
        return await (await self.wiring()).guard.agree(approval_id, principal)

    async def settle(self, approval_id: str, principal: Principal, approve: bool, comment: str) -> ApprovalRecord:
        """Settle an approval by the approver's own verified login."""
        return await (await self.wiring()).approvals.settle_as(approval_id, principal, approve=approve, comment=comment)

    async def readers(self) -> Readers:
        """Return the readers. Clusters that want to know the caller refuse them outside of ``call``, ``look`` and ``peek``."""
        return (await self.wiring()).readers

    async def resume(self) -> list[Operation]:
        """Finish what a dead process left."""
        caller = Caller(principal=self.local_principal, request_id="resume")
        return await (await self.wiring()).guard.resume(caller)

    async def wiring(self) -> Wiring:
        """Put everything together on first use; with no platform configured, the sandbox is started."""
        async with self._lock:
            if self._wiring is None:
                self._wiring = await self._wire()
                log.info("Resumed %d operations", len(await self._wiring.guard.resume(_RESUMER)))
        return self._wiring

    async def aclose(self) -> None:
        """Close every connection. The sandbox stays up: it is shared."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            await self._stack.aclose()

    # --------------------------------------------------------------------------------------------------- wiring

    async def _wire(self) -> Wiring:
        await anyio.to_thread.run_sync(_import_adapters)
        from ai_platform_mcp.adapters.approvals import SignedApprovals
        from ai_platform_mcp.adapters.journal.sql import SqlJournal
        from ai_platform_mcp.adapters.kubernetes.build import kubernetes_adapter
        from ai_platform_mcp.core.executor import Executor
        from ai_platform_mcp.core.guard import Guard
        from ai_platform_mcp.core.ports import Readers, Writers

        settings = self.settings
        box = await self._sandbox() if settings.sandboxed else None
        await anyio.to_thread.run_sync(lambda: settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700))
        journal = SqlJournal(settings.journal_url or f"sqlite:///{settings.state_dir / 'journal.sqlite'}", self.clock)
        self._stack.callback(journal.close)
        approvals = SignedApprovals(journal, settings.state_dir / "approvals.key")
        kubernetes = kubernetes_adapter(self._clusters(box), self.clock)
        self._stack.push_async_callback(kubernetes.aclose)
        registry = self._registry(box)
        readers = Readers(
            clusters=kubernetes.reader,
            inventory=kubernetes.inventory,
            registry=registry,
            metrics=self._metrics(box),
            policy=self._policy(),
            journal=journal,
            approvals=approvals,
            clock=self.clock,
            platform=self._facts(),
        )
        writers = Writers(clusters=kubernetes.writer, registry=registry, git=self._git())
        executor = Executor(writers, journal, step_seconds=settings.guard.step_seconds)
        guard = Guard(self._catalogue, readers, executor, self._options())
        return Wiring(guard, readers, journal, approvals)

    async def _sandbox(self) -> Status:
        from ai_platform_mcp.sandbox import process

        return await process.ensure_up(self.settings.state_dir)

    def _options(self) -> GuardOptions:
        from ai_platform_mcp.core.guard import GuardOptions
        from ai_platform_mcp.tools._review import review

        chosen = self.settings.guard
        return GuardOptions(
            read_only=self.settings.read_only,
            plan_lifetime=timedelta(minutes=chosen.plan_minutes),
            replay_window=timedelta(minutes=chosen.replay_minutes),
            read_seconds=chosen.read_seconds,
            plan_seconds=chosen.plan_seconds,
            reads_per_minute=chosen.reads_per_minute,
            writes_per_minute=chosen.writes_per_minute,
            rewrite=self._rewrite(),
            review=review,
        )

    def _rewrite(self) -> Rewrite | None:
        gitops = self.settings.gitops
        if gitops is None:
            return None
        from ai_platform_mcp.manifests.gitops import as_commit
        from ai_platform_mcp.tools._reconciling import with_reconciler

        where = gitops.model_dump()

        async def rewrite(draft: Draft, operation_id: str, readers: Readers) -> Draft:
            return await with_reconciler(as_commit(draft, operation_id, where), readers.clusters, where)

        return rewrite

    def _clusters(self, box: Status | None) -> list[ClusterConfig]:
        from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
        from ai_platform_mcp.adapters.kubernetes.identity import Naming
        from ai_platform_mcp.core.rows import ClusterInfo

        naming = Naming(**self.settings.access.impersonation.model_dump())
        if box is not None:
            return [
                ClusterConfig(
                    ClusterInfo(name="sandbox", sandbox=True),
                    kubeconfig=Path(box.kubeconfig),
                    access=self.settings.access.default,
                    naming=naming,
                )
            ]
        return [
            ClusterConfig(
                _info(row),
                kubeconfig=row.kubeconfig.expanduser() if row.kubeconfig else None,
                context=row.context or "",
                in_cluster=row.in_cluster,
                access=self.settings.access_to(row),
                naming=naming,
            )
            for row in self.settings.clusters
        ]

    def _registry(self, box: Status | None):
        from ai_platform_mcp.adapters.mlflow.registry import MlflowRegistry

        uri = box.mlflow_uri if box is not None else self.settings.mlflow.uri
        if not uri:
            return cast("MlflowRegistry", Absent("model registry", "mlflow.uri"))
        return MlflowRegistry(uri, self.settings.mlflow.seconds)

    def _metrics(self, box: Status | None):
        from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
        from ai_platform_mcp.adapters.prometheus.reader import PrometheusMetrics

        chosen = self.settings.prometheus
        url = box.prometheus_url if box is not None else chosen.url
        if not url:
            return cast("PrometheusMetrics", Absent("metrics store", "prometheus.url"))
        client = PrometheusClient(url, seconds=chosen.seconds, token_file=chosen.token_file, token_env=chosen.token_env)
        self._stack.push_async_callback(client.aclose)
        return PrometheusMetrics(
            client, self.clock, tenant=chosen.tenant, allowed=chosen.metrics_by_role, seconds=chosen.seconds
        )

    def _policy(self):
        chosen = self.settings.policy
        if chosen.engine == "opa":
            from ai_platform_mcp.adapters.policy.opa import OpaPolicy

            engine = OpaPolicy(chosen.opa_url, chosen.dir, read_seconds=chosen.seconds)
        else:
            from ai_platform_mcp.adapters.policy.embedded import EmbeddedPolicy

            engine = EmbeddedPolicy(chosen.dir, deadline_seconds=chosen.seconds)
        self._stack.push_async_callback(engine.aclose)
        return engine

    def _git(self):
        from ai_platform_mcp.adapters.git import GitRepositoryWriter

        if self.settings.gitops is None:
            return None
        return GitRepositoryWriter(self.settings.gitops.repository, self.settings.state_dir / "git")

    def _facts(self) -> PlatformFacts:
        from ai_platform_mcp.core.ports import PlatformFacts

        settings = self.settings
        if settings.sandboxed and not (settings.budgets_cents or settings.golden_paths):
            from ai_platform_mcp.sandbox.platform import SANDBOX_FACTS

            own = settings.routing
            tariff = own.tariff if own.tariff.model_fields_set else SANDBOX_FACTS.tariff
            gitops = settings.gitops.model_dump() if settings.gitops else None
            return replace(SANDBOX_FACTS, gitops=gitops, routing=own.model_dump(exclude={"tariff"}), tariff=tariff)
        return PlatformFacts(
            budgets_cents=settings.budgets_cents,
            device_hourly_cents=settings.prices.device_hourly_cents,
            price_basis=settings.prices.basis,
            golden_paths=settings.golden_paths,
            gitops=settings.gitops.model_dump() if settings.gitops else None,
            scaling=settings.scaling.model_dump() if settings.scaling else None,
            routing=settings.routing.model_dump(exclude={"tariff"}),
            tariff=settings.routing.tariff,
        )


def _info(row: ClusterSettings) -> ClusterInfo:
    from ai_platform_mcp.core.rows import ClusterInfo

    return ClusterInfo(
        name=row.name,
        role=row.role,
        environment=row.environment,
        cloud=row.cloud,
        region=row.region,
        facts=row.facts,
        device_hourly_cents=row.prices.device_hourly_cents if row.prices else {},
        price_basis=row.prices.basis if row.prices else "",
        serverless=row.serverless,
    )


def _import_adapters() -> None:
    """Import what every call needs. In a thread, so that the server goes on answering ``ping`` for this half second."""
    for name in (
        "core.guard",
        "tools",
        "adapters.approvals",
        "adapters.journal.sql",
        "adapters.kubernetes.build",
        "adapters.mlflow.registry",
        "adapters.policy.embedded",
        "adapters.prometheus.reader",
        "adapters.git",
    ):
        importlib.import_module(f"ai_platform_mcp.{name}")


_RESUMER = Caller(principal=Principal(id="system:resume", kind="service"), request_id="resume-at-start")


class Absent:
    """A system that is not configured: every use of it says so, and how to configure it."""

    def __init__(self, what: str, key: str):
        self._what = what
        self._key = key

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        """Return a method that raises Misconfigured, whatever it is called with."""

        def refuse(*_: Any, **__: Any) -> NoReturn:
            raise Misconfigured(
                f"No {self._what} is configured.",
                remedy=f"Set {self._key} in the platform file; `platform doctor` shows what is configured.",
            )

        return refuse
