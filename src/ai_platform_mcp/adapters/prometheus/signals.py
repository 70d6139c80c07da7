"""The named signals: for each, an ordered list of exporters that can answer it. The first with data wins.

In an expression, `$sel` stands for the matchers of the scope (nothing, or ending in a comma), `$by` for the labels an
answer is split by, `$range` for the window of rates. Names are those of the exporters' releases of 2026.
"""

from __future__ import annotations

from collections.abc import Mapping

from ai_platform_mcp.adapters.prometheus import litellm
from ai_platform_mcp.adapters.prometheus.backends import EDGE as _EDGE
from ai_platform_mcp.adapters.prometheus.backends import SERVING as _SERVING
from ai_platform_mcp.adapters.prometheus.backends import Backend, Signal


def _p95(bucket: str, extra: str = "", q: str = "0.95", unit: str = "") -> str:
    return f"histogram_quantile({q}, sum by ($by, le) (rate({bucket}{{{extra}$sel}}[$range]))){unit}"


def _ratio(part: str, whole: str) -> str:
    """A share that is 0, not missing, while the part has never happened."""
    grouped = f"sum by ($by) (rate({whole}[$range]))"
    return f"(sum by ($by) (rate({part}[$range])) or 0 * {grouped}) / {grouped}"


def _rate(counter: str) -> str:
    return f"sum by ($by) (rate({counter}{{$sel}}[$range]))"


_MODEL, _TARGET = "model, version, target", "model, target"
_KN = "kn_serving_invocation_duration_seconds"
_HTTP = "http_server_request_duration_seconds"
"""OpenTelemetry's name for what an HTTP server sees of its requests: the same in every pod, in the cloud and at the edge."""
_MESH, _RECEIVED = "istio_requests_total", 'reporter="destination",'
"""A mesh counts a request on both sides: those that the destination reports are each counted once."""
_MESH_NOTE = "As the mesh's sidecar sees it."
_TRITON = "nv_inference_request_success"
_GPU: dict[str, str] = {"node": "node", "namespace": "namespace"}
_QUEUE: dict[str, str] = {"queue": "cluster_queue"}
_VLLM_COUNT = "vllm:e2e_request_latency_seconds_count"


def _gpu(metric: str, expression: str, note: str = "") -> Backend:
    return Backend("dcgm", metric, expression, "node, gpu, modelName", _GPU, frozenset({"namespace"}), True, note)


def _kueue(metric: str, expression: str, by: str = "cluster_queue") -> Backend:
    return Backend("kueue", metric, expression, by, _QUEUE, frozenset(), True)


def _latency(q: str) -> tuple[Backend, ...]:
    def one(name: str, metric: str, labels: Mapping[str, str] = _SERVING, note: str = "") -> Backend:
        return Backend(name, f"{metric}_count", _p95(f"{metric}_bucket", q=q), _MODEL, labels, note=note)

    predict = "KServe's predict stage only: queueing, pre- and postprocessing are not in it."
    return (
        one("http", _HTTP, _EDGE),
        one("vllm", "vllm:e2e_request_latency_seconds", _EDGE),
        one("epp", "inference_objective_request_duration_seconds"),
        one("knative", _KN),
        one("kserve", "request_predict_seconds", _EDGE, predict),
        Backend(
            "istio",
            "istio_request_duration_milliseconds_count",
            _p95("istio_request_duration_milliseconds_bucket", _RECEIVED, q, " / 1000"),
            _MODEL,
            _EDGE,
            note=_MESH_NOTE,
        ),
        litellm.Deployments(
            "litellm",
            f"{litellm.TOTAL}_count",
            litellm.quantile_of(litellm.TOTAL, q),
            _TARGET,
            litellm.LABELS,
            note="As the router sees it: its own overhead is in it, and attempts that failed elsewhere before.",
        ),
    )


_SUCCEEDED = _rate(_TRITON)
_FAILED = _rate("nv_inference_request_failure")
"""Triton exports both counters of a model from the start."""

_ERRORS = (
    Backend(
        "http",
        f"{_HTTP}_count",
        _ratio(f'{_HTTP}_count{{http_response_status_code=~"5..",$sel}}', f"{_HTTP}_count{{$sel}}"),
        _MODEL,
        _EDGE,
    ),
    Backend(
        "knative",
        f"{_KN}_count",
        _ratio(f'{_KN}_count{{http_response_status_code=~"5..",$sel}}', f"{_KN}_count{{$sel}}"),
        _MODEL,
    ),
    Backend(
        "epp",
        "inference_objective_request_total",
        _ratio("inference_objective_request_error_total{$sel}", "inference_objective_request_total{$sel}"),
        _MODEL,
    ),
    Backend(
        "istio",
        _MESH,
        _ratio(f'{_MESH}{{response_code=~"5..",{_RECEIVED}$sel}}', f"{_MESH}{{{_RECEIVED}$sel}}"),
        _MODEL,
        _EDGE,
        note=_MESH_NOTE,
    ),
    Backend(
        "triton",
        _TRITON,
        f"{_FAILED} / ({_FAILED} + {_SUCCEEDED})",
        _MODEL,
        _EDGE,
    ),
    litellm.Deployments(
        "litellm",
        litellm.SENT,
        litellm.failed_rate(),
        _TARGET,
        litellm.LABELS,
        note="Failed attempts of a deployment; a retry or fallback may still have answered the caller.",
    ),
)

_REQUESTS = (
    Backend("http", f"{_HTTP}_count", _rate(f"{_HTTP}_count"), _MODEL, _EDGE),
    Backend("knative", f"{_KN}_count", _rate(f"{_KN}_count"), _MODEL),
    Backend("epp", "inference_objective_request_total", _rate("inference_objective_request_total"), _MODEL),
    Backend("vllm", _VLLM_COUNT, _rate(_VLLM_COUNT), _MODEL, _EDGE),
    Backend("kserve", "request_predict_seconds_count", _rate("request_predict_seconds_count"), _MODEL, _EDGE),
    Backend("istio", _MESH, f"sum by ($by) (rate({_MESH}{{{_RECEIVED}$sel}}[$range]))", _MODEL, _EDGE, note=_MESH_NOTE),
    Backend("triton", _TRITON, f"{_SUCCEEDED} + {_FAILED}", _MODEL, _EDGE),
    litellm.Deployments("litellm", litellm.SENT, litellm.sent_rate(), _TARGET, litellm.LABELS),
)

_FIRST_TOKEN = (
    Backend(
        "vllm", "vllm:time_to_first_token_seconds_count", _p95("vllm:time_to_first_token_seconds_bucket"), _MODEL, _EDGE
    ),
    Backend(
        "epp",
        "inference_objective_request_ttft_seconds_count",
        _p95("inference_objective_request_ttft_seconds_bucket"),
        _MODEL,
    ),
    litellm.Deployments(
        "litellm",
        f"{litellm.FIRST_TOKEN}_count",
        litellm.quantile_of(litellm.FIRST_TOKEN, "0.95"),
        _TARGET,
        litellm.LABELS,
    ),
)

_BETWEEN_TOKENS = (
    Backend(
        "vllm", "vllm:inter_token_latency_seconds_count", _p95("vllm:inter_token_latency_seconds_bucket"), _MODEL, _EDGE
    ),
    Backend(
        "vllm",
        "vllm:time_per_output_token_seconds_count",
        _p95("vllm:time_per_output_token_seconds_bucket"),
        _MODEL,
        note="The name that vLLM used before inter_token_latency_seconds.",
    ),
)

_WAITING = (
    Backend("vllm", "vllm:num_requests_waiting", "sum by ($by) (vllm:num_requests_waiting{$sel})", _MODEL, _EDGE),
    Backend(
        "epp",
        "inference_pool_average_queue_size",
        "sum by ($by) (inference_pool_average_queue_size{$sel})",
        "model, name",
    ),
    _kueue("kueue_pending_workloads", "sum by ($by) (kueue_pending_workloads{$sel})", "cluster_queue, status"),
)

_CACHE = (
    Backend("vllm", "vllm:kv_cache_usage_perc", "avg by ($by) (vllm:kv_cache_usage_perc{$sel})", _MODEL, _EDGE),
    Backend(
        "epp",
        "inference_pool_average_kv_cache_utilization",
        "avg by ($by) (inference_pool_average_kv_cache_utilization{$sel})",
        "model, name",
    ),
)

_FRAMEBUFFER = "(DCGM_FI_DEV_FB_USED{$sel} + DCGM_FI_DEV_FB_FREE{$sel} + DCGM_FI_DEV_FB_RESERVED{$sel})"
_SPENT_EDGE, _SPENT_CLOUD = (litellm.spent_rate(tier, "model") for tier in (litellm.ON_EDGE, litellm.IN_CLOUD))
_SENT_EDGE, _SENT_CLOUD = (litellm.sent_rate(tier, "model") for tier in (litellm.ON_EDGE, litellm.IN_CLOUD))
_SENT = litellm.sent_rate(by="model")
_NO_TARGET = {"model": "model", "namespace": "namespace"}

SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal("ttft_p95", "Time to first token, 95th percentile", "seconds", "lower", _FIRST_TOKEN),
        Signal("itl_p95", "Latency between tokens, 95th percentile", "seconds", "lower", _BETWEEN_TOKENS),
        Signal("e2e_p50", "Latency of whole requests, median", "seconds", "lower", _latency("0.5")),
        Signal("e2e_p95", "Latency of whole requests, 95th percentile", "seconds", "lower", _latency("0.95")),
        Signal("error_rate", "Share of requests that fail", "ratio", "lower", _ERRORS),
        Signal("rps", "Requests per second", "requests/second", "neither", _REQUESTS),
        Signal("queue_depth", "Requests (or workloads of a queue) that wait", "count", "lower", _WAITING),
        Signal("kv_util", "Share of the KV cache in use", "ratio", "neither", _CACHE),
        Signal(
            "gpu_util",
            "GPU utilisation",
            "percent",
            "neither",
            (
                _gpu(
                    "DCGM_FI_DEV_GPU_UTIL",
                    "avg by ($by) (DCGM_FI_DEV_GPU_UTIL{$sel})",
                    "Time with any kernel running: 100 does not mean that the GPU is full; see gpu_tensor_active.",
                ),
            ),
        ),
        Signal(
            "gpu_tensor_active",
            "Share of time with the tensor cores busy",
            "ratio",
            "higher",
            (_gpu("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "avg by ($by) (DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{$sel})"),),
        ),
        Signal(
            "gpu_mem",
            "Share of GPU memory in use",
            "ratio",
            "neither",
            (_gpu("DCGM_FI_DEV_FB_USED", f"max by ($by) (DCGM_FI_DEV_FB_USED{{$sel}} / {_FRAMEBUFFER})"),),
        ),
        Signal(
            "gpu_health",
            "Last XID error of a GPU, 0 for none",
            "XID code",
            "lower",
            (
                _gpu(
                    "DCGM_FI_DEV_XID_ERRORS",
                    "max by ($by) (DCGM_FI_DEV_XID_ERRORS{$sel})",
                    "A gauge of the last XID, not a count: it says which error, not how many.",
                ),
            ),
        ),
        Signal(
            "queue_wait_p95",
            "Time from submission to admission in a queue, 95th percentile",
            "seconds",
            "lower",
            (
                _kueue("kueue_admission_wait_time_seconds_count", _p95("kueue_admission_wait_time_seconds_bucket")),
                _kueue(
                    "kueue_quota_reserved_wait_time_seconds_count",
                    _p95("kueue_quota_reserved_wait_time_seconds_bucket"),
                ),
            ),
            whole_window=True,
        ),
        Signal(
            "evictions",
            "Workloads evicted from a queue during the window",
            "count",
            "lower",
            (
                _kueue(
                    "kueue_evicted_workloads_total",
                    "sum by ($by) (increase(kueue_evicted_workloads_total{$sel}[$range]))",
                    "cluster_queue, reason",
                ),
            ),
            whole_window=True,
        ),
        Signal(
            "quota_usage",
            "Share of a queue's nominal quota in use; above 1 it borrows",
            "ratio",
            "neither",
            (
                _kueue(
                    "kueue_cluster_queue_resource_usage",
                    "sum by ($by) (kueue_cluster_queue_resource_usage{$sel})"
                    " / (sum by ($by) (kueue_cluster_queue_nominal_quota{$sel}) > 0)",
                    "cluster_queue, flavor, resource",
                ),
            ),
        ),
        Signal(
            "edge_share",
            "Share of a model's requests that edge sites answer",
            "ratio",
            "neither",
            (
                litellm.Deployments(
                    "litellm",
                    litellm.SENT,
                    f"({_SENT_EDGE} or 0 * {_SENT}) / {_SENT}",
                    "model",
                    _NO_TARGET,
                ),
            ),
        ),
        Signal(
            "edge_latency",
            "Latency of requests at edge sites, 95th percentile per site",
            "seconds",
            "lower",
            (
                Backend(
                    "http",
                    f"{_HTTP}_count",
                    _p95(f"{_HTTP}_bucket", 'target="edge",'),
                    "model, region, site",
                    _EDGE,
                ),
            ),
        ),
        Signal(
            "spend_rate",
            "What the router books for requests",
            "USD/hour",
            "lower",
            (
                litellm.Deployments(
                    "litellm",
                    litellm.SPENT,
                    f"{litellm.spent_rate()} * 3600",
                    _TARGET,
                    litellm.LABELS,
                    note="Marginal cost per request as the router prices it; reserved and edge hardware is not in it.",
                ),
            ),
        ),
        Signal(
            "savings",
            "What edge requests would have cost in the cloud, less what they cost",
            "USD/hour",
            "higher",
            (
                litellm.Deployments(
                    "litellm",
                    litellm.SENT,
                    f"({_SENT_EDGE} * ({_SPENT_CLOUD} / {_SENT_CLOUD}) - {_SPENT_EDGE}) * 3600",
                    "model",
                    _NO_TARGET,
                    note="Counterfactual: every edge request at the cloud's mean price per request of the same window. "
                    "The fixed cost of edge hardware is NOT subtracted.",
                ),
            ),
        ),
        Signal(
            "drift_score",
            "Drift of a feature against training data (normalised Wasserstein; 0.1 is the usual limit)",
            "score",
            "lower",
            (
                Backend(
                    "evidently",
                    "ai_model_drift_score",
                    "max by ($by) (ai_model_drift_score{$sel})",
                    "model, version, feature",
                ),
            ),
        ),
    )
}
"""Every named signal by its name."""
