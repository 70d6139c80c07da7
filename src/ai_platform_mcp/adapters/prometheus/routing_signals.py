"""Signals that routing is judged by, of one model at one target: split by place, and counted over the whole window.

Latency comes as the buckets themselves: they can be added up over nodes and sites, which percentiles cannot, and they say how
many requests were slower than any promise. Names of LiteLLM's metrics: https://docs.litellm.ai/docs/proxy/prometheus; of the
endpoint picker's: https://gateway-api-inference-extension.sigs.k8s.io/guides/metrics-and-observability/
"""

from __future__ import annotations

from collections.abc import Mapping

from ai_platform_mcp.adapters.prometheus import litellm
from ai_platform_mcp.adapters.prometheus.signals import Backend, Signal

_AT = "namespace, region, site"
_LABELS = {"model": "model", "namespace": "namespace", "target": "target"}
_HTTP = "http_server_request_duration_seconds"
_KNATIVE = "kn_serving_invocation_duration_seconds"
_VLLM = "vllm:e2e_request_latency_seconds"
_PICKER = "inference_objective_request_duration_seconds"
_KSERVE = "request_predict_seconds"
_ROUTED_AT = "namespace, site"
"""A router knows its servers by their addresses: the site only where that is one site's, or the router's own."""
_ANSWERED = "As the router sees the server's answers; those that never came are counted as errors."
_EXPORTERS = (
    ("http", _HTTP, ""),
    ("vllm", _VLLM, ""),
    ("epp", _PICKER, ""),
    ("knative", _KNATIVE, ""),
    ("kserve", _KSERVE, "KServe's predict stage only: queueing, pre- and postprocessing are not in it."),
)
"""Who measures requests, best first: the server itself before what stands in front of it. The router is asked last."""


def _each(suffix: str, expression: str, routed: str, by: str = _AT) -> tuple[Backend, ...]:
    """One backend per exporter of request durations; ``NAME`` in the expression is its histogram. ``routed`` is the router's."""
    own = (
        Backend(name, f"{metric}{suffix}", expression.replace("NAME", metric), by, _LABELS, note=note)
        for name, metric, note in _EXPORTERS
    )
    return (*own, _router(f"{litellm.ANSWERED}{suffix}", routed, _ANSWERED, by=_ROUTED_AT if by == _AT else by))


def _router(metric: str, expression: str, note: str = "", by: str = _ROUTED_AT) -> Backend:
    return litellm.Deployments("litellm", metric, expression, by, litellm.LABELS, note=note)


def _fallbacks(name: str) -> Backend:
    metric = f"litellm_deployment_{name}_fallbacks_total"
    labels = {"model": "", "namespace": ""}
    return litellm.Fallbacks("litellm", metric, litellm.fallen(metric), "fallback_model", labels)


def _increase(name: str, metric: str, by: str = _AT, note: str = "") -> Backend:
    return Backend(name, metric, f"sum by ($by) (increase({metric}{{$sel}}[$range]))", by, _LABELS, note=note)


def _sum(name: str, metric: str, note: str = "") -> Backend:
    return Backend(name, metric, f"sum by ($by) ({metric}{{$sel}})", _AT, _LABELS, note=note)


def _failed(name: str, part: str, whole: str) -> Backend:
    grouped = f"sum by ($by) (increase({whole}{{$sel}}[$range]))"
    share = f"(sum by ($by) (increase({part}[$range])) or 0 * {grouped}) / {grouped}"
    return Backend(name, whole, share, _AT, _LABELS)


def _bad(metric: str) -> str:
    return f'{metric}{{http_response_status_code=~"5..",$sel}}'


def _signal(name: str, meaning: str, unit: str, *backends: Backend, now: bool = False) -> Signal:
    return Signal(name, meaning, unit, "neither", backends, whole_window=not now)


_STATE, _COOLED = litellm.STATE, "litellm_deployment_cooled_down_total"
_BUCKETS, _COUNT, _SECONDS = (f"{litellm.ANSWERED}_{part}" for part in ("bucket", "count", "sum"))
_BEGUN, _RISING = f"{_COUNT}{{$sel}} offset $range", f"rate({_COUNT}{{$sel}}[$range])"
_OPEN = f"{_STATE}{{$sel}} == bool 2"

ROUTING_SIGNALS: Mapping[str, Signal] = {
    signal.name: signal
    for signal in (
        _signal(
            "latency_buckets",
            "Requests by duration: cumulative counts per bucket (le)",
            "requests",
            *_each(
                "_bucket",
                "sum by ($by, le) (increase(NAME_bucket{$sel}[$range]))",
                litellm.counted(_BUCKETS).replace("$by", "$by, le"),
            ),
        ),
        _signal(
            "latency_mean",
            "Mean duration of requests",
            "seconds",
            *_each(
                "_count",
                "sum by ($by) (increase(NAME_sum{$sel}[$range])) / sum by ($by) (increase(NAME_count{$sel}[$range]))",
                f"{litellm.counted(_SECONDS)} / {litellm.counted(_COUNT)}",
            ),
        ),
        _signal(
            "at_begin",
            "Series of requests that were there when the window began",
            "count",
            *_each(
                "_count",
                "count by ($by) (NAME_count{$sel} offset $range)",
                f"count by ($by) ({litellm.labelled(_BEGUN)})",
            ),
        ),
        _signal(
            "failed_share",
            "Share of requests that failed over the window",
            "ratio",
            _failed("http", _bad(f"{_HTTP}_count"), f"{_HTTP}_count"),
            _failed("knative", _bad(f"{_KNATIVE}_count"), f"{_KNATIVE}_count"),
            _failed("epp", "inference_objective_request_error_total{$sel}", "inference_objective_request_total"),
            _router(litellm.SENT, litellm.failed_share()),
        ),
        _signal(
            "running",
            "Requests being served now",
            "count",
            _sum("vllm", "vllm:num_requests_running"),
            _sum("knative", "kn_revision_request_concurrency", "A mean over the autoscaler's last seconds."),
            now=True,
        ),
        _signal(
            "running_peak",
            "Requests served at once, the most of each replica over the window",
            "count",
            Backend(
                "vllm",
                "vllm:num_requests_running",
                "sum by ($by) (max_over_time(vllm:num_requests_running{$sel}[$range]))",
                _AT,
                _LABELS,
            ),
            Backend(
                "knative",
                "kn_revision_request_concurrency",
                "sum by ($by) (max_over_time(kn_revision_request_concurrency{$sel}[$range]))",
                _AT,
                _LABELS,
            ),
        ),
        _signal(
            "waiting",
            "Requests that wait for a slot now",
            "count",
            _sum("vllm", "vllm:num_requests_waiting"),
            Backend(
                "epp",
                "inference_pool_average_queue_size",
                "sum by ($by) (inference_pool_average_queue_size{$sel} * on (namespace, model, name) "
                "inference_pool_ready_pods{$sel})",
                _AT,
                _LABELS,
            ),
            now=True,
        ),
        _signal(
            "prompt_tokens",
            "Prompt tokens over the window",
            "tokens",
            _increase("vllm", "vllm:prompt_tokens_total"),
            _router("litellm_input_tokens_metric_total", litellm.counted("litellm_input_tokens_metric_total")),
        ),
        _signal(
            "output_tokens",
            "Generated tokens over the window",
            "tokens",
            _increase("vllm", "vllm:generation_tokens_total"),
            _router("litellm_output_tokens_metric_total", litellm.counted("litellm_output_tokens_metric_total")),
        ),
        _signal(
            "cooldowns",
            "Times that the router put a deployment aside after failures",
            "count",
            _router(_COOLED, litellm.counted(_COOLED)),
        ),
        _signal(
            "circuits",
            "Deployments that the router knows",
            "count",
            _router(_STATE, f"count by ($by) ({litellm.labelled(f'{_STATE}{{$sel}}')})"),
            now=True,
        ),
        _signal(
            "circuits_open",
            "Deployments that the router takes for down",
            "count",
            _router(_STATE, f"sum by ($by) ({litellm.labelled(f'({_OPEN})')})"),
            now=True,
        ),
        _signal(
            "booked",
            "What the router booked for requests over the window",
            "USD",
            _router(litellm.SPENT, litellm.counted(litellm.SPENT)),
        ),
        _signal(
            "routed",
            "Requests that the router sent, retries and fallbacks among them",
            "requests",
            _router(litellm.SENT, litellm.sent()),
        ),
        _signal(
            "fallbacks",
            "Requests that failed where they were sent and were answered by a fallback",
            "requests",
            _fallbacks("successful"),
        ),
        _signal(
            "failed_fallbacks",
            "Requests whose fallback failed too",
            "requests",
            _fallbacks("failed"),
        ),
        _signal(
            "slo_violations",
            "Requests that the endpoint picker saw miss the objective they came with",
            "requests",
            _increase("epp", "inference_objective_request_slo_violation_total", "namespace"),
        ),
        _signal(
            "arrivals",
            "Requests per second that arrive",
            "requests/second",
            *_each(
                "_count",
                "sum by ($by) (rate(NAME_count{$sel}[$range]))",
                f"sum by ($by) ({litellm.labelled(_RISING)})",
                "model",
            ),
            now=True,
        ),
    )
}
"""Every such signal by its name."""
