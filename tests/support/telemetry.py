"""A fleet whose pods report: what a sandbox would measure of it, behind a Prometheus-compatible server, on a test's clock."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.reader import PrometheusMetrics
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import Inventory, NodeRow
from ai_platform_mcp.core.tool import Caller, Result
from ai_platform_mcp.manifests.common import Capabilities
from ai_platform_mcp.manifests.edge import release_node_label
from ai_platform_mcp.sandbox import seed
from ai_platform_mcp.sandbox.life.signals import WorldSignals
from ai_platform_mcp.sandbox.life.world import Conduct, Place
from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from ai_platform_mcp.sandbox.prometheus.world import MetricsWorld
from ai_platform_mcp.tools.query_metrics import MetricsParams, QueryMetrics
from prometheus_support import NOW, FixedClock, served
from support.in_memory import readers as in_memory

MODEL, NAMESPACE = "vision-v3", "vision-prod"
EDGE = [node for node in seed.metric_nodes() if node.site]


@dataclass
class Fleet:
    """A model in the cloud and on edge nodes; ``away`` are nodes that are offline."""

    clock: FixedClock
    metrics: MetricsWorld
    signals: WorldSignals
    url: str = ""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    """By node, the version that the controller has put on it."""
    away: frozenset[str] = frozenset()

    async def step(
        self,
        edge: Mapping[str, str],
        cloud: Mapping[str, float] | None = None,
        conduct: Mapping[str, Conduct] | None = None,
        minutes: float = 0,
        namespace: str = NAMESPACE,
    ) -> None:
        """Let nodes run the versions that are said, and the cloud serve the shares, for so long."""
        self.signals.begin()
        self.labels = dict(edge)
        for node, version in edge.items():
            if node not in self.away:
                self.signals.serves(Place(MODEL, namespace, "edge", node), {version: 1.0}, conduct)
        if cloud:
            self.signals.serves(Place(MODEL, namespace), cloud, conduct)
        await self.signals.settle()
        self.clock.moment += timedelta(minutes=minutes)

    async def inventory(self, cluster: str) -> Inventory:
        """What the cluster says of its nodes."""
        label = release_node_label(MODEL)
        rows = tuple(
            NodeRow(
                cluster=cluster, name=node.name, ready=node.name not in self.away, schedulable=True, role="edge",
                region=node.region, site=node.site,
                labels={label: self.labels[node.name]} if node.name in self.labels else {},
            )
            for node in EDGE
        )  # fmt: skip
        return Inventory(cluster=cluster, as_of=self.clock.now(), age_seconds=0, stale=False, nodes=rows)

    def store(self, url: str = "", **given: Any) -> PrometheusMetrics:
        """The adapter over this fleet's metrics."""
        return PrometheusMetrics(PrometheusClient(url or self.url, seconds=30), self.clock, seconds=30, **given)

    def readers(self, **given: Any) -> Readers:
        """What tools read: this fleet's metrics and nodes."""
        base = in_memory(Capabilities(kinds=frozenset(), kubernetes_minor=36))
        return replace(base, metrics=self.store(**given), inventory=cast("Any", self), clock=self.clock)

    async def ask(self, team: str = "vision", readers: Readers | None = None, **arguments: Any) -> Result:
        """Call query_metrics as one of the team."""
        who = Principal(id=f"local:{team}-dev", kind="agent", team=team, roles=("developer",))
        found = readers or self.readers()
        try:
            return await QueryMetrics().read(
                MetricsParams(**arguments), found, Caller(principal=who, request_id="test")
            )
        finally:
            await cast("PrometheusMetrics", found.metrics).aclose()


def rows_of(result: Result) -> list[dict[str, Any]]:
    """The rows of a table by their columns."""
    return [dict(zip(result.data["columns"], row, strict=True)) for row in result.data["rows"]]


def everywhere(version: str, nodes: Sequence[str] | None = None) -> dict[str, str]:
    return dict.fromkeys(nodes or [node.name for node in EDGE], version)


@contextlib.contextmanager
def open_fleet(folder: Path, began: datetime = NOW) -> Generator[Fleet]:
    clock = FixedClock(began)
    metrics = MetricsWorld(folder / "fleet.sqlite", clock, seed=11)
    signals = WorldSignals(metrics, {node.name: node for node in seed.metric_nodes()})
    with served(build_prometheus_app(metrics, clock)) as url:
        yield Fleet(clock, metrics, signals, url)
