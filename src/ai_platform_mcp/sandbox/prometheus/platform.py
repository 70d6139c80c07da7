"""Series of the platform under the models: GPUs, queues, nodes, edge sites, drift jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ai_platform_mcp.sandbox.prometheus.serving import ServedModel, identity, serving_specs
from ai_platform_mcp.sandbox.prometheus.shapes import hash64
from ai_platform_mcp.sandbox.prometheus.tracks import SeriesSpec

_GIB_IN_MIB = 1024


@dataclass(frozen=True)
class SeedNode:
    """A node as its exporters see it. `site` and `region` are set for edge nodes; `busy` is the GPUs' mean use."""

    name: str
    gpus: int = 0
    gpu_model: str = ""
    gpu_memory_gib: int = 80
    busy: float = 0.55
    region: str = ""
    site: str = ""
    ready: bool = True
    namespace: str = ""


@dataclass(frozen=True)
class SeedQueue:
    """One flavor of a ClusterQueue: quota and use in devices of one resource."""

    name: str
    flavor: str
    resource: str
    quota: float
    used: float
    cohort: str = "research"
    pending: float = 0.0
    wait_s: float = 180.0
    evictions_per_day: float = 2.0


def _gauge(name: str, text: str, labels: dict[str, str], start_ms: int, level: float, **params: float) -> SeriesSpec:
    return SeriesSpec(name, "gauge", labels, {"level": level, **params}, start_ms, 60, text, "", not params)


def gpu_specs(node: SeedNode, start_ms: int) -> list[SeriesSpec]:
    """The dcgm-exporter's default counters for every GPU of a node."""
    specs: list[SeriesSpec] = []
    for index in range(node.gpus):
        labels = {
            "job": "dcgm-exporter",
            "instance": f"{node.name}:9400",
            "Hostname": node.name,
            "node": node.name,
            "gpu": str(index),
            "device": f"nvidia{index}",
            "UUID": f"GPU-{hash64(node.name, index):016x}",
            "modelName": node.gpu_model,
            **({"namespace": node.namespace} if node.namespace else {}),
        }
        busy, total = node.busy, node.gpu_memory_gib * _GIB_IN_MIB
        daily = {"swing": 0.3, "noise": 0.2, "jitter": 0.08, "low": 0.0}
        used = round(total * min(0.94, 0.2 + busy * 0.8))
        percent = {**daily, "high": 100.0}
        specs += [
            _gauge("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", labels, start_ms, busy * 100, **percent),
            _gauge("DCGM_FI_DEV_MEM_COPY_UTIL", "Memory utilization (in %).", labels, start_ms, busy * 55, **percent),
            _gauge(
                "DCGM_FI_PROF_GR_ENGINE_ACTIVE", "Graphics engine activity.", labels, start_ms, busy, **daily, high=1.0
            ),
            _gauge("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "Tensor pipe activity.", labels, start_ms, busy * 0.42, **daily),
            _gauge("DCGM_FI_PROF_DRAM_ACTIVE", "Memory interface activity.", labels, start_ms, busy * 0.5, **daily),
            _gauge("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", labels, start_ms, used),
            _gauge("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", labels, start_ms, total - used),
            _gauge("DCGM_FI_DEV_FB_RESERVED", "Framebuffer memory reserved (in MiB).", labels, start_ms, 512),
            _gauge("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", labels, start_ms, 38 + busy * 34, jitter=0.03),
            _gauge(
                "DCGM_FI_DEV_MEMORY_TEMP", "Memory temperature (in C).", labels, start_ms, 42 + busy * 36, jitter=0.03
            ),
            _gauge("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", labels, start_ms, 90 + busy * 420, **daily),
            _gauge("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).", labels, start_ms, 1410),
            _gauge("DCGM_FI_DEV_XID_ERRORS", "Value of the last XID error encountered.", labels, start_ms, 0),
            _gauge("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "Rows remapped for such errors.", labels, start_ms, 0),
            _gauge("DCGM_FI_DEV_ROW_REMAP_FAILURE", "Whether remapping of rows has failed.", labels, start_ms, 0),
            SeriesSpec(
                "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
                "counter",
                labels,
                {"rate": (90 + busy * 420) * 1000, "swing": 0.2},
                start_ms,
                60,
                "Energy since the driver was loaded (in mJ).",
            ),
        ]
    return specs


def queue_specs(queue: SeedQueue, start_ms: int) -> list[SeriesSpec]:
    """Kueue's metrics for one flavor of a ClusterQueue."""
    base = {"job": "kueue", "instance": "kueue-controller-manager:8443", "cluster_queue": queue.name}
    flavored = {**base, "cohort": queue.cohort, "flavor": queue.flavor, "resource": queue.resource}
    prefix = "kueue_cluster_queue"
    admissions = {"rate": 1 / 900, "swing": 0.4, "median": queue.wait_s, "sigma": 0.8}
    buckets = (1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 2560.0, 5120.0, 10240.0)
    per_day = queue.evictions_per_day / 86_400
    specs = [
        _gauge(f"{prefix}_nominal_quota", "Nominal quota", flavored, start_ms, queue.quota),
        _gauge(f"{prefix}_resource_usage", "Admitted usage", flavored, start_ms, queue.used),
        _gauge(f"{prefix}_resource_reservation", "Reserved quota", flavored, start_ms, queue.used),
        _gauge(f"{prefix}_borrowing_limit", "Borrowing limit", flavored, start_ms, round(queue.quota / 2)),
        _gauge(f"{prefix}_weighted_share", "Share of the cohort", {**base, "cohort": queue.cohort}, start_ms, 0),
        _gauge("kueue_pending_workloads", "Pending workloads", {**base, "status": "active"}, start_ms, queue.pending),
        _gauge("kueue_pending_workloads", "Pending workloads", {**base, "status": "inadmissible"}, start_ms, 0),
    ]
    for name, median in (("quota_reserved", queue.wait_s), ("admission", queue.wait_s * 1.05)):
        params = {**admissions, "median": median}
        text = "Time from creation until quota was reserved or admission was complete"
        specs.append(
            SeriesSpec(
                f"kueue_{name}_wait_time_seconds",
                "histogram",
                base,
                params,
                start_ms,
                60,
                text,
                "seconds",
                True,
                buckets,
            )
        )
    for reason, share in (("Preempted", 0.7), ("PodsReadyTimeout", 0.2), ("NodeFailures", 0.1)):
        labels = {**base, "reason": reason}
        params = {"rate": per_day * share}
        specs.append(SeriesSpec("kueue_evicted_workloads_total", "counter", labels, params, start_ms, 60, "Evictions"))
    preempted = {"job": base["job"], "instance": base["instance"], "preempting_cluster_queue": queue.name}
    reason = {"reason": "InClusterQueue"}
    specs.append(
        SeriesSpec(
            "kueue_preempted_workloads_total",
            "counter",
            {**preempted, **reason},
            {"rate": per_day * 0.7},
            start_ms,
            60,
            "Preemptions by a ClusterQueue",
        )
    )
    return specs


def node_specs(node: SeedNode, start_ms: int) -> list[SeriesSpec]:
    """Readiness as kube-state-metrics shows it: one series per status, one of them 1."""
    labels = {
        "job": "kube-state-metrics",
        "instance": "kube-state-metrics:8080",
        "node": node.name,
        "condition": "Ready",
    }
    text = "The condition of a cluster node."
    values = {"true": float(node.ready), "false": 0.0, "unknown": float(not node.ready)}
    return [
        _gauge("kube_node_status_condition", text, {**labels, "status": status}, start_ms, level)
        for status, level in values.items()
    ]


def edge_specs(node: SeedNode, served: ServedModel, rps: float, start_ms: int) -> list[SeriesSpec]:
    """What a node's pod of a release and the router before it report: its requests, a node's own speed, where it is."""
    speed = 0.8 + (hash64(node.name) % 1000) / 2000
    at = {"target": "edge", "node": node.name, "site": node.site, "region": node.region}
    return serving_specs(replace(served, rps=rps, replicas=1, latency_s=served.latency_s * speed, **at), start_ms)


def drift_specs(served: ServedModel, features: Sequence[str], start_ms: int) -> list[SeriesSpec]:
    """Drift per feature: the normalised Wasserstein distance that an Evidently job pushes; 0.1 is its usual limit."""
    labels = {**identity(served), "job": "evidently-drift", "instance": "drift-exporter:8085"}
    text = "Normalised Wasserstein distance to the training data, per feature, from an Evidently job"
    return [
        _gauge(
            "ai_model_drift_score",
            text,
            {**labels, "feature": feature},
            start_ms,
            0.03 + (hash64(served.model, feature) % 100) / 2500,
            noise=0.2,
            jitter=0.1,
            low=0.0,
        )
        for feature in features
    ]
