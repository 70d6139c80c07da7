"""The metrics a newcomer finds: two weeks of everything the named signals ask about, and the alerts on it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ai_platform_mcp.sandbox.prometheus.platform import (
    SeedNode,
    SeedQueue,
    drift_specs,
    edge_specs,
    gpu_specs,
    node_specs,
    queue_specs,
)
from ai_platform_mcp.sandbox.prometheus.rules import AlertRule
from ai_platform_mcp.sandbox.prometheus.serving import ServedModel, serving_specs
from ai_platform_mcp.sandbox.prometheus.tracks import SeriesSpec
from ai_platform_mcp.sandbox.prometheus.world import MetricsWorld

HISTORY_MS = 14 * 86_400 * 1000
FEATURES = ("brightness", "contrast", "input_length", "token_entropy")


def seed_metrics(
    world: MetricsWorld,
    models: Sequence[ServedModel],
    nodes: Sequence[SeedNode],
    queues: Sequence[SeedQueue],
    now: datetime,
) -> int:
    """Register two weeks of history up to now; what is registered already stays. Returns how many series there are.

    A model with `target="edge"` runs on every edge node that is ready (one with a `site`), with its requests shared
    among the sites. Edge nodes that are not ready stopped reporting six hours ago.
    """
    now_ms = int(now.timestamp() * 1000)
    start = now_ms - HISTORY_MS
    specs: list[SeriesSpec] = []
    for served in models:
        specs += serving_specs(served, start) if served.target == "cloud" else _edge(served, nodes, start)
        specs += drift_specs(served, FEATURES, start)
    for node in nodes:
        specs += node_specs(node, start)
        specs += gpu_specs(node, start)
    for queue in queues:
        specs += queue_specs(queue, start)
    world.register(*(spec for spec in specs if not world.knows(spec.key)))
    _silence_lost_nodes(world, nodes, now_ms)
    return len(specs)


def _edge(served: ServedModel, nodes: Sequence[SeedNode], start: int) -> list[SeriesSpec]:
    sites = [node for node in nodes if node.site]
    return [spec for node in sites for spec in edge_specs(node, served, served.rps / len(sites), start)]


def _silence_lost_nodes(world: MetricsWorld, nodes: Sequence[SeedNode], now_ms: int) -> None:
    lost_at = now_ms - 6 * 3_600_000
    for node in nodes:
        if node.ready or not node.site:
            continue
        for key in world.select(node=node.name, target="edge"):
            world.stop(key, lost_at)


PLATFORM_ALERTS = (
    AlertRule(
        "ModelErrorRateHigh",
        'sum by (namespace, model) (rate(kn_serving_invocation_duration_seconds_count{http_response_status_code=~"5.."}[5m]))'
        " / sum by (namespace, model) (rate(kn_serving_invocation_duration_seconds_count[5m])) > 0.05",
        300,
        {"severity": "critical"},
        {"summary": "More than 5 % of the requests to a model fail."},
    ),
    AlertRule(
        "NodeNotReady",
        'kube_node_status_condition{condition="Ready",status="true"} == 0',
        900,
        {"severity": "warning"},
        {"summary": "A node has not been ready for 15 minutes."},
    ),
    AlertRule(
        "GPUXidError",
        "DCGM_FI_DEV_XID_ERRORS > 0",
        0,
        {"severity": "warning"},
        {"summary": "A GPU reported an XID error; the value is the last XID."},
    ),
    AlertRule(
        "ModelDrift",
        "ai_model_drift_score > 0.1",
        3600,
        {"severity": "warning"},
        {"summary": "A feature has drifted past 0.1 (normalised Wasserstein) for an hour."},
    ),
    AlertRule(
        "QueueQuotaExhausted",
        "sum by (cluster_queue) (kueue_cluster_queue_resource_usage)"
        " / sum by (cluster_queue) (kueue_cluster_queue_nominal_quota) >= 1",
        600,
        {"severity": "info"},
        {"summary": "A ClusterQueue uses all of its nominal quota."},
    ),
)
"""The rules the sandbox's store is started with."""
