"""From what happens in the cluster to what Prometheus would measure of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ai_platform_mcp.sandbox.prometheus.platform import SeedNode, edge_specs
from ai_platform_mcp.sandbox.prometheus.serving import ServedModel, serving_specs
from ai_platform_mcp.sandbox.prometheus.tracks import SeriesSpec
from ai_platform_mcp.sandbox.prometheus.world import MetricsWorld

DEMAND_RPS = 42.0
"""Requests per second that one model of the sandbox receives in all."""
EDGE_RPS = 0.74
"""Requests per second that one edge node answers; what the edge does not take goes to the cloud."""
CLOUD = ServedModel("", "", "", "", rps=DEMAND_RPS, latency_s=0.089, dollars_per_request=0.00006)
EDGE = ServedModel("", "", "", "", target="edge", rps=EDGE_RPS, latency_s=0.0042, dollars_per_request=0.000012)


class WorldSignals:
    """Registers, scales and stops series as releases come and go. Remembers what it told, to tell only changes."""

    def __init__(self, metrics: MetricsWorld, nodes: Mapping[str, SeedNode]):
        self._metrics = metrics
        self._nodes = nodes
        self._told: dict[tuple[str, str, str, str], dict[str, float]] = {}
        self._queues: dict[tuple[str, str, str], tuple[int, int]] = {}

    def traffic(self, model: str, namespace: str, target: str, place: str, shares: dict[str, float]) -> None:
        """Make the series of a place show these shares from now on."""
        key = (model, namespace, target, place)
        rates = {
            version: share * self._rate(model, namespace, target) for version, share in shares.items() if share > 0
        }
        before = self._told.get(key, {})
        if before == rates:
            return
        now = self._metrics.now_ms()
        for version in before.keys() - rates.keys():
            for series in self._select(key, version):
                self._metrics.stop(series, now)
        for version, rate in rates.items():
            if version not in before:
                self._metrics.register(*self._specs(key, version, rate, now))
            elif before[version] != rate:
                labels = self._labels(key, version)
                self._metrics.scale(now, rate / before[version], **labels)
        self._told[key] = rates

    def _rate(self, model: str, namespace: str, target: str) -> float:
        if target == "edge":
            return EDGE_RPS
        at_edge = sum(1 for told in self._told if told[:3] == (model, namespace, "edge"))
        return max(DEMAND_RPS * 0.05, DEMAND_RPS - at_edge * EDGE_RPS)

    def _labels(self, key: tuple[str, str, str, str], version: str) -> dict[str, str]:
        model, namespace, target, place = key
        labels = {"model": model, "namespace": namespace, "target": target, "version": version}
        return {**labels, "node": place} if target == "edge" else labels

    def _select(self, key: tuple[str, str, str, str], version: str) -> list[str]:
        return self._metrics.select(**self._labels(key, version))

    def _specs(self, key: tuple[str, str, str, str], version: str, rate: float, now: int) -> list[SeriesSpec]:
        model, namespace, target, place = key
        team = namespace.rsplit("-", 1)[0]
        base = EDGE if target == "edge" else CLOUD
        served = replace(base, model=model, version=version, namespace=namespace, team=team, rps=rate)
        if target == "cloud":
            return serving_specs(served, now)
        node = self._nodes.get(place)
        if node is None:
            return []
        routed = [spec for spec in serving_specs(replace(served, replicas=1), now) if spec.name.startswith("litellm_")]
        located = [replace(spec, labels={**spec.labels, "node": place, "site": node.site}) for spec in routed]
        return [*edge_specs(node, served, rate, now), *located]

    def queue(self, cluster_queue: str, flavor: str, resource: str, used: int, pending: int) -> None:
        """Make the queue's gauges show what is used and waiting from now on."""
        key = (cluster_queue, flavor, resource)
        if self._queues.get(key) == (used, pending):
            return
        self._queues[key] = (used, pending)
        now = self._metrics.now_ms()
        for series in self._metrics.select(cluster_queue=cluster_queue, flavor=flavor, resource=resource):
            if series.startswith(("kueue_cluster_queue_resource_usage", "kueue_cluster_queue_resource_reservation")):
                self._metrics.change(series, now, level=float(used))
        for series in self._metrics.select(cluster_queue=cluster_queue, status="active"):
            if series.startswith("kueue_pending_workloads"):
                self._metrics.change(series, now, level=float(pending))
