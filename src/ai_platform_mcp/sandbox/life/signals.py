"""From what happens in the cluster to what Prometheus would measure of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import anyio.to_thread

from ai_platform_mcp.sandbox.life.world import USUAL, Conduct, Place
from ai_platform_mcp.sandbox.prometheus.model import Matcher
from ai_platform_mcp.sandbox.prometheus.platform import SeedNode, edge_specs
from ai_platform_mcp.sandbox.prometheus.serving import ServedModel, routed_id, serving_specs
from ai_platform_mcp.sandbox.prometheus.tracks import SeriesSpec
from ai_platform_mcp.sandbox.prometheus.world import MetricsWorld

DEMAND_RPS = 42.0
"""Requests per second that one model of the sandbox receives in all, unless the seed says otherwise."""
EDGE_RPS = 0.74
"""Requests per second that one edge node answers; what the edge does not take goes to the cloud."""
LEAST_CLOUD = 0.05
"""Share of the demand that the cloud sees however large the fleet: clients that are near no site."""
SCRAPE_SECONDS = 5
"""What is deployed here is scraped often: a newcomer looks at it right away."""
SERVED = "http_server_request_duration_seconds_count"
"""The series that every served version has, wherever it answers: by it a restart learns what is measured."""
READY = "kube_node_status_condition"
CLOUD = ServedModel("", "", "", "", rps=DEMAND_RPS, latency_s=0.089, dollars_per_request=0.00006)
EDGE = ServedModel(
    "", "", "", "", target="edge", rps=EDGE_RPS, latency_s=0.0042, dollars_per_request=0.000012, fallback_share=0.004
)
GOLDEN_RATE = 2.0
"""Golden inputs per second that a sidecar asks: a few dozen, over and over."""

Flavor = tuple[str, str, str]
Answer = tuple[float, Conduct]
"""Requests per second, and how they are answered."""


class WorldSignals:
    """Registers, scales and stops series until they are what was said.

    ``served`` and ``nodes`` are the seed's: what the models receive there, and what the nodes' exporters expose.
    """

    def __init__(self, metrics: MetricsWorld, nodes: Mapping[str, SeedNode], served: tuple[ServedModel, ...] = ()):
        self._metrics = metrics
        self._nodes = nodes
        self._served = {(model.model, model.namespace): model for model in served}
        self._wanted: dict[Place, dict[str, Answer]] = {}
        self._kept: set[Place] = set()
        self._measured = self._living()
        self._queues: dict[Flavor, tuple[int, int]] = {}
        self._queues_told: dict[Flavor, tuple[int, int]] = {}
        self._ready: dict[str, bool] = {}
        self._ready_told = self._living_nodes()

    def begin(self) -> None:
        """Forget what the last step said."""
        self._wanted, self._queues, self._ready, self._kept = {}, {}, {}, set()

    def serves(self, place: Place, shares: Mapping[str, float], conduct: Mapping[str, Conduct] | None = None) -> None:
        """Each version's share of what the place answers, and how it behaves where that is not as usual."""
        told = conduct or {}
        self._wanted[place] = {
            version: (share, told.get(version, USUAL)) for version, share in shares.items() if share > 0
        }

    def keeps(self, place: Place) -> None:
        """The place goes on with what it answers now."""
        self._kept.add(place)

    def queue(self, cluster_queue: str, flavor: str, resource: str, used: int, pending: int) -> None:
        """What a queue has in use and waiting."""
        self._queues[cluster_queue, flavor, resource] = (used, pending)

    def node(self, name: str, ready: bool) -> None:
        """Whether a node is ready."""
        self._ready[name] = ready

    async def settle(self) -> None:
        """Make the measured world what was said; the work, if there is any, is done on a worker thread."""
        answers = self._answers()
        if (answers, self._queues, self._ready) != (self._measured, self._queues_told, self._ready_told):
            await anyio.to_thread.run_sync(self._settle, answers)

    # --- models ---------------------------------------------------------------------------------------------------

    def _answers(self) -> dict[tuple[Place, str], Answer | None]:
        at_edge: dict[tuple[str, str], int] = {}
        for place in self._wanted:
            if place.target == "edge":
                key = (place.model, place.namespace)
                at_edge[key] = at_edge.get(key, 0) + 1
        answers = {key: answer for key, answer in self._measured.items() if key[0] in self._kept}
        for place, versions in self._wanted.items():
            rate = EDGE_RPS
            if place.target == "cloud":
                key = (place.model, place.namespace)
                demand = self._served[key].rps if key in self._served else DEMAND_RPS
                rate = max(demand * LEAST_CLOUD, demand - at_edge.get(key, 0) * EDGE_RPS)
            answers |= {(place, version): (share * rate, how) for version, (share, how) in versions.items()}
        return answers

    def _living(self) -> dict[tuple[Place, str], Answer | None]:
        """What is measured already, as the next step says again."""
        now = self._metrics.now_ms()
        found = [dict(row) for row in self._metrics.series([Matcher("__name__", "=", SERVED)], now, now)]
        return {
            (
                Place(
                    row["model"], row["namespace"], "edge" if row["target"] == "edge" else "cloud", row.get("node", "")
                ),
                row["version"],
            ): None
            for row in found
        }

    def _living_nodes(self) -> dict[str, bool]:
        """What is measured of the nodes already: written only when it differs."""
        now = self._metrics.now_ms()
        matchers = [Matcher("__name__", "=", READY), Matcher("condition", "=", "Ready"), Matcher("status", "=", "true")]
        told: dict[str, bool] = {}
        for labels in self._metrics.series(matchers, now, now):
            (sample,) = self._metrics.latest(labels, [now], 300_000)
            if sample is not None:
                told[dict(labels)["node"]] = sample[1] > 0.5
        return told

    def _settle(self, answers: dict[tuple[Place, str], Answer | None]) -> None:
        now = self._metrics.now_ms()
        for place, version in self._measured.keys() - answers.keys():
            for series in self._series(place, version):
                self._metrics.stop(series, now)
        specs: list[SeriesSpec] = []
        for (place, version), answer in answers.items():
            if answer is not None and answer != self._measured.get((place, version)):
                specs += self._exported(place, version, answer, now)
        self._metrics.become(now, *specs)
        self._measured = answers
        self._settle_queues(now)
        self._settle_nodes(now)

    def _series(self, place: Place, version: str) -> set[str]:
        """What is exported of a served version: by its pods, and by the router before them, whose series name no version."""
        at = {"node": place.node} if place.target == "edge" else {}
        own = {"model": place.model, "target": place.target, "version": version}
        routed = {"model_id": routed_id(place.model, version, place.namespace, place.target)}
        fallen = {"requested_model": place.model, "model_id": "None"}
        asked = (own, routed, fallen) if at else (own, routed)
        return {
            series for labels in asked for series in self._metrics.select(namespace=place.namespace, **labels, **at)
        }

    def _exported(self, place: Place, version: str, answer: Answer, now: int) -> list[SeriesSpec]:
        rate, how = answer
        like = EDGE if place.target == "edge" else self._served.get((place.model, place.namespace), CLOUD)
        served = replace(
            like,
            model=place.model,
            version=version,
            namespace=place.namespace,
            team=place.namespace.rsplit("-", 1)[0],
            rps=rate,
            latency_s=like.latency_s * how.slower,
            error_share=like.error_share if how.error_share is None else how.error_share,
            golden_rate=GOLDEN_RATE if how.golden else 0.0,
            differs_share=how.differs,
        )
        if place.target == "cloud":
            specs = serving_specs(served, now)
        else:
            node = self._nodes.get(place.node)  # None: a node that the user made has no exporter
            specs = [] if node is None else edge_specs(node, served, rate, now)
        return [replace(spec, interval_s=SCRAPE_SECONDS) for spec in specs]

    # --- queues and nodes -----------------------------------------------------------------------------------------

    def _settle_queues(self, now: int) -> None:
        for key, (used, pending) in self._queues.items():
            if self._queues_told.get(key) == (used, pending):
                continue
            cluster_queue, flavor, resource = key
            for series in self._metrics.select(cluster_queue=cluster_queue, flavor=flavor, resource=resource):
                if series.startswith(
                    ("kueue_cluster_queue_resource_usage", "kueue_cluster_queue_resource_reservation")
                ):
                    self._metrics.change(series, now, level=float(used))
            for series in self._metrics.select(
                name="kueue_pending_workloads", cluster_queue=cluster_queue, status="active"
            ):
                self._metrics.change(series, now, level=float(pending))
        self._queues_told = self._queues

    def _settle_nodes(self, now: int) -> None:
        for name, ready in self._ready.items():
            if self._ready_told.get(name) == ready:
                continue
            for status, level in (("true", float(ready)), ("false", 0.0), ("unknown", float(not ready))):
                for series in self._metrics.select(name=READY, node=name, status=status):
                    self._metrics.change(series, now, level=level)
        self._ready_told = self._ready
