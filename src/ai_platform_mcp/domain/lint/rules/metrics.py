"""Names of metrics in alerts, recording rules and scaling queries: renamed, not exported, or of another meaning."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ai_platform_mcp.domain.lint.model import Around, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import RULE_FILE, Subject
from ai_platform_mcp.domain.objects import rows, section

KINDS = (
    RULE_FILE, "monitoring.coreos.com/PrometheusRule", "keda.sh/ScaledObject", "keda.sh/ScaledJob",
    "argoproj.io/AnalysisTemplate", "argoproj.io/ClusterAnalysisTemplate", "flagger.app/MetricTemplate",
)  # fmt: skip
COUNTING = r"\b(?:rate|irate|increase|delta|idelta|resets)\s*\(\s*"


@dataclass(frozen=True)
class _Name:
    pattern: re.Pattern[str]
    message: str
    remedy: str


def _queries(subject: Subject) -> Iterator[tuple[str, str]]:
    """Yield every PromQL expression with its pointer."""
    if subject.form == RULE_FILE or subject.kind == "PrometheusRule":
        above = "" if subject.form == RULE_FILE else "/spec"
        holder = subject.data if subject.form == RULE_FILE else subject.spec
        for a, group in enumerate(rows(holder, "groups")):
            for b, row in enumerate(rows(group, "rules")):
                yield f"{above}/groups/{a}/rules/{b}/expr", str(row.get("expr", ""))
        return
    for path, data in subject.objects:
        if isinstance(data.get("query"), str):
            yield f"{path}/query", data["query"]


def _found(subject: Subject, names: tuple[_Name, ...]) -> Iterator[Hit]:
    for path, text in _queries(subject):
        for name in names:
            if found := name.pattern.search(text):
                yield Hit(path=path, message=name.message.format(found.group(0).strip()), remedy=name.remedy)


_KNATIVE = (
    _Name(
        re.compile(r"\brevision_(?:app_)?request_latencies\w*"),
        "{} is gone: Knative exports OpenTelemetry names since 1.19, and the expression is empty for ever.",
        "Use kn_serving_invocation_duration_seconds_bucket (seconds, no longer milliseconds: adapt thresholds).",
    ),
    _Name(
        re.compile(r"\brevision_(?:app_)?request_count\w*"),
        "{} is gone: Knative exports OpenTelemetry names since 1.19, and the expression is empty for ever.",
        "Use kn_serving_invocation_duration_seconds_count.",
    ),
)


@rule(
    "metrics.knative-renamed",
    "error",
    "metric of Knative before 1.19",
    source="Knative Serving 1.19 (knative/serving#16216, PR#16290)",
    fix="suggested",
    kinds=KINDS,
)
def knative_renamed(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find names that Knative no longer exports."""
    return _found(subject, _KNATIVE)


_XID = (
    _Name(
        re.compile(rf"{COUNTING}DCGM_FI_DEV_XID_ERRORS\b"),
        "DCGM_FI_DEV_XID_ERRORS is a gauge that holds the last XID, no count: {}) measures the distance of error numbers.",
        "Compare it with the XIDs that matter (== 79), watch changes(), or count with DCGM_EXP_XID_ERRORS_COUNT (opt-in).",
    ),
)


@rule(
    "metrics.xid-is-no-counter",
    "error",
    "DCGM_FI_DEV_XID_ERRORS counted as if it were a counter",
    source="dcgm-exporter 4.5: gauge of the last XID value",
    fix="suggested",
    kinds=KINDS,
)
def xid_is_no_counter(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find rates of error numbers."""
    return _found(subject, _XID)


_ECC = (
    _Name(
        re.compile(r"\bDCGM_FI_DEV_ECC_\w+"),
        "{} is not among dcgm-exporter's default counters: the alert never fires.",
        "Add it to the exporter's counters file, or use DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS and _ROW_REMAP_FAILURE.",
    ),
)


@rule(
    "metrics.ecc-not-exported",
    "warning",
    "ECC metric that dcgm-exporter leaves out by default",
    source="dcgm-exporter 4.5 default counters: no DCGM_FI_DEV_ECC_*",
    fix="suggested",
    kinds=KINDS,
)
def ecc_not_exported(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find alerts on what is not there."""
    return _found(subject, _ECC)


_NPD = (
    _Name(
        re.compile(r"\bproblem_(?:gauge|counter)\s*\{[^}]*(?:gpu|xid|nvidia|tpu|ecc)[^}]*\}", re.IGNORECASE),
        "Node Problem Detector ships no rule for GPUs or TPUs: {} has no series unless somebody wrote one.",
        "Watch the DRA driver's device taints, DCGM (XID, row remapping), or the cloud's own agent.",
    ),
)


@rule(
    "metrics.npd-knows-no-gpu",
    "warning",
    "GPU or TPU health asked of Node Problem Detector",
    source="Node Problem Detector 1.37: no GPU rule upstream, only an OS feature gauge",
    fix="suggested",
    kinds=KINDS,
)
def npd_knows_no_gpu(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find alerts that wait for a problem nobody reports."""
    return _found(subject, _NPD)


@rule(
    "metrics.npd-monitor-gpu",
    "info",
    "Node Problem Detector deployed for GPU health",
    source="Node Problem Detector 1.37: no GPU rule upstream, only an OS feature gauge",
    fix="none",
    kinds=("apps/DaemonSet",),
)
def npd_monitor_gpu(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find detectors that were put on GPU nodes without a rule of their own."""
    detector = any("node-problem-detector" in str(row.data.get("image", "")) for row in subject.containers)
    pod = section(subject.spec, "template", "spec")
    chosen = " ".join(str(key) for key in section(pod, "nodeSelector"))
    own = any(
        "custom-plugin" in str(row.data.get("args", "")) + str(row.data.get("command", ""))
        for row in subject.containers
    )
    if detector and re.search(r"gpu|tpu|nvidia|accelerator", chosen) and not own:
        yield Hit(
            path="/spec/template/spec/nodeSelector",
            message="The detector has no rule for GPUs or TPUs: on these nodes it reports kernels and disks only.",
            remedy="Add a custom plugin monitor, or take GPU health from the DRA driver's taints, DCGM or the cloud's agent.",
        )


_VLLM = (
    _Name(
        re.compile(r"\bvllm:time_per_output_token_seconds\w*"),
        "{} is superseded.",
        "Use vllm:inter_token_latency_seconds.",
    ),
    _Name(
        re.compile(r"\bvllm:gpu_cache_usage_perc\b"),
        "{} is superseded.",
        "Use vllm:kv_cache_usage_perc.",
    ),
)


@rule(
    "metrics.vllm-renamed",
    "warning",
    "metric of vLLM by its former name",
    source="vLLM metrics: inter_token_latency_seconds, kv_cache_usage_perc",
    fix="suggested",
    kinds=KINDS,
)
def vllm_renamed(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find names that vLLM replaced."""
    return _found(subject, _VLLM)
