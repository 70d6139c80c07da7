"""Series of serving systems for one deployed model version: KServe, Knative, vLLM, the endpoint picker, LiteLLM.

The sandbox's controllers register what `serving_specs` answers when a model becomes ready and stop it when it goes.
Names are those the released exporters expose, and OpenTelemetry's for what a pod's HTTP server sees
(https://opentelemetry.io/docs/specs/semconv/http/http-metrics/). Scrape configuration adds `namespace`, `team`, `model`,
`version` and `target`, and at the edge `node`, `site` and `region`. A LiteLLM proxy serves many models, so that scrape
configuration can add no more to its series than where it runs itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ai_platform_mcp.sandbox.prometheus.shapes import hash64
from ai_platform_mcp.sandbox.prometheus.tracks import SeriesSpec


@dataclass(frozen=True)
class ServedModel:
    """One model version that takes requests at one place.

    `rps` is requests per second on average, `latency_s` the median duration of one, `error_share` the share that
    fails with a 500, `dollars_per_request` what the router books for it. `runtime` decides which exporters there are.
    `node`, `site` and `region` say where at the edge it runs. `golden_rate` is how many golden inputs per second its
    sidecar asks (0: it has none), `differs_share` the share of them that is answered otherwise than expected.
    """

    model: str
    version: str
    namespace: str
    team: str
    runtime: Literal["vllm", "kserve"] = "kserve"
    target: Literal["cloud", "edge"] = "cloud"
    rps: float = 5.0
    latency_s: float = 0.08
    error_share: float = 0.004
    dollars_per_request: float = 0.0004
    replicas: int = 2
    fallback_share: float = 0.0
    node: str = ""
    site: str = ""
    region: str = ""
    golden_rate: float = 0.0
    differs_share: float = 0.002


@dataclass(frozen=True)
class _Maker:
    """Builds the series of one scrape target: shared labels, start and daily shape."""

    labels: Mapping[str, str]
    start_ms: int
    swing: float = 0.35
    noise: float = 0.15
    interval_s: int = 15

    def counter(
        self, name: str, rate: float, text: str, *, integral: bool = True, unit: str = "", **labels: str
    ) -> SeriesSpec:
        params = {"rate": rate, "swing": self.swing, "noise": self.noise}
        return SeriesSpec(
            name, "counter", {**self.labels, **labels}, params, self.start_ms, self.interval_s, text, unit, integral
        )

    def gauge(
        self, name: str, text: str, params: Mapping[str, float], *, whole: bool = False, **labels: str
    ) -> SeriesSpec:
        return SeriesSpec(
            name, "gauge", {**self.labels, **labels}, params, self.start_ms, self.interval_s, text, "", whole
        )

    def histogram(
        self, name: str, rate: float, median: float, text: str, *, sigma: float = 0.45, **labels: str
    ) -> SeriesSpec:
        params = {"rate": rate, "swing": self.swing, "noise": self.noise, "median": median, "sigma": sigma}
        return SeriesSpec(
            name, "histogram", {**self.labels, **labels}, params, self.start_ms, self.interval_s, text, "seconds"
        )


def serving_specs(served: ServedModel, start_ms: int) -> list[SeriesSpec]:
    """Every series of one served model version, from a moment on."""
    specs = [*_http(served, start_ms), *_litellm(served, start_ms), *_golden(served, start_ms)]
    at_edge = served.target == "edge"
    if served.runtime == "vllm":
        return [*specs, *_vllm(served, start_ms), *([] if at_edge else _endpoint_picker(served, start_ms))]
    return [*specs, *_kserve(served, start_ms), *([] if at_edge else _knative(served, start_ms))]


def identity(served: ServedModel) -> dict[str, str]:
    """The labels that scrape configuration adds to everything a served model exposes."""
    labels = {
        "namespace": served.namespace,
        "team": served.team,
        "model": served.model,
        "version": served.version,
        "target": served.target,
    }
    where = {"node": served.node, "site": served.site, "region": served.region}
    return {**labels, **{name: value for name, value in where.items() if value}}


def _pod(served: ServedModel, replica: int) -> dict[str, str]:
    suffix = f"{hash64(served.model, served.version, replica, *([served.node] if served.node else [])) & 0xFFFFF:05x}"
    role = "edge" if served.target == "edge" else "predictor"
    pod = f"{served.model}-v{served.version}-{role}-{suffix}"
    return {**identity(served), "pod": pod, "instance": f"{pod}:8080"}


def _http(served: ServedModel, start_ms: int) -> list[SeriesSpec]:
    """What the HTTP server of each pod sees: durations by response code, whose counts are the requests."""
    specs: list[SeriesSpec] = []
    for replica in range(served.replicas):
        make = _Maker({**_pod(served, replica), "job": "serving", "http_route": "/v2/models/infer"}, start_ms)
        rate, name, text = served.rps / served.replicas, "http_server_request_duration_seconds", "Duration of requests"
        for code, share, factor in (("200", 1 - served.error_share, 1.0), ("500", served.error_share, 1.6)):
            specs.append(
                make.histogram(name, rate * share, served.latency_s * factor, text, http_response_status_code=code)
            )
    return specs


def _golden(served: ServedModel, start_ms: int) -> list[SeriesSpec]:
    """What the golden sidecar counts: golden inputs by how the answer compares with the expected one."""
    if not served.golden_rate:
        return []
    make = _Maker({**_pod(served, 0), "job": "golden"}, start_ms, swing=0.0, noise=0.0)
    failing = served.error_share
    shares = {"agree": (1 - failing) * (1 - served.differs_share), "differ": (1 - failing) * served.differs_share}
    return [
        make.counter(
            "aiplatform_golden_answers_total", served.golden_rate * share, "Golden inputs asked", result=result
        )
        for result, share in {**shares, "error": failing}.items()
    ]


def _kserve(served: ServedModel, start_ms: int) -> list[SeriesSpec]:
    specs: list[SeriesSpec] = []
    stages = (("preprocess", 0.06), ("predict", 0.85), ("postprocess", 0.04), ("explain", 0.0))
    for replica in range(served.replicas):
        make = _Maker({**_pod(served, replica), "job": "kserve", "model_name": served.model}, start_ms)
        rate = served.rps / served.replicas
        for stage, share in stages:
            if share:
                text = f"{stage} request latency"
                specs.append(make.histogram(f"request_{stage}_seconds", rate, served.latency_s * share, text))
    return specs


def _knative(served: ServedModel, start_ms: int) -> list[SeriesSpec]:
    revision = f"{served.model}-predictor-{int(served.version) if served.version.isdecimal() else 1:05d}"
    make = _Maker(
        {
            **_pod(served, 0),
            "job": "knative-revision",
            "k8s_namespace_name": served.namespace,
            "kn_service_name": f"{served.model}-predictor",
            "kn_configuration_name": f"{served.model}-predictor",
            "kn_revision_name": revision,
        },
        start_ms,
    )
    duration = "kn_serving_invocation_duration_seconds"
    text = "Duration of the request as seen by queue-proxy"
    good, bad = served.rps * (1 - served.error_share), served.rps * served.error_share
    busy = served.rps * served.latency_s
    concurrency = {"level": busy, "swing": 0.35, "noise": 0.15, "jitter": 0.1, "low": 0.0}
    replicas = {"level": float(served.replicas)}
    return [
        make.histogram(duration, good, served.latency_s, text, http_response_status_code="200"),
        make.histogram(duration, bad, served.latency_s * 1.6, text, http_response_status_code="500"),
        make.gauge("kn_revision_request_concurrency", "Average concurrent requests per pod", concurrency),
        make.gauge("kn_revision_pods_count", "Pods of the revision", replicas, whole=True),
    ]


def _vllm(served: ServedModel, start_ms: int) -> list[SeriesSpec]:
    specs: list[SeriesSpec] = []
    for replica in range(served.replicas):
        make = _Maker({**_pod(served, replica), "job": "vllm", "model_name": served.model, "engine": "0"}, start_ms)
        rate = served.rps / served.replicas
        waiting = {"level": 1.2, "swing": 0.5, "noise": 0.4, "jitter": 0.6, "low": 0.0}
        running = {"level": rate * served.latency_s + 0.5, "swing": 0.35, "noise": 0.15, "jitter": 0.2, "low": 0.0}
        cache = {"level": 0.46, "swing": 0.3, "noise": 0.1, "jitter": 0.04, "low": 0.0, "high": 1.0}
        specs += [
            make.histogram("vllm:time_to_first_token_seconds", rate, served.latency_s * 0.12, "Time to first token"),
            make.histogram("vllm:inter_token_latency_seconds", rate * 180, 0.018, "Latency between tokens"),
            make.histogram("vllm:e2e_request_latency_seconds", rate, served.latency_s, "End to end request latency"),
            make.histogram("vllm:request_queue_time_seconds", rate, served.latency_s * 0.03, "Time spent waiting"),
            make.gauge("vllm:num_requests_waiting", "Requests waiting to be processed", waiting, whole=True),
            make.gauge("vllm:num_requests_running", "Requests in model execution batches", running, whole=True),
            make.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage", cache),
            make.counter("vllm:prompt_tokens_total", rate * 640, "Prefill tokens processed"),
            make.counter("vllm:generation_tokens_total", rate * 180, "Generation tokens processed"),
            make.counter("vllm:num_preemptions_total", rate * 0.002, "Preemptions of the engine"),
        ]
        for reason, share in (("stop", 0.9), ("length", 0.1 - served.error_share), ("abort", served.error_share)):
            text = "Successfully processed requests"
            specs.append(make.counter("vllm:request_success_total", rate * share, text, finished_reason=reason))
    return specs


def _endpoint_picker(served: ServedModel, start_ms: int) -> list[SeriesSpec]:
    pool = {"name": f"{served.model}-pool"}
    labels = {**identity(served), "instance": f"{served.model}-epp:9090", "job": "endpoint-picker"}
    make = _Maker({**labels, "model_name": served.model, "target_model_name": served.model}, start_ms)
    pooled = _Maker({**labels, **pool}, start_ms)
    objective = "inference_objective_request"
    cache = {"level": 0.46, "swing": 0.3, "noise": 0.1, "low": 0.0, "high": 1.0}
    waiting = {"level": 1.2, "swing": 0.5, "noise": 0.4, "low": 0.0}
    return [
        make.counter(f"{objective}_total", served.rps, "Requests by model"),
        make.counter(
            f"{objective}_error_total", served.rps * served.error_share, "Errors by model", error_code="Internal"
        ),
        make.histogram(f"{objective}_duration_seconds", served.rps, served.latency_s, "Response latency"),
        make.histogram(f"{objective}_ttft_seconds", served.rps, served.latency_s * 0.12, "Time to first token"),
        pooled.gauge("inference_pool_average_kv_cache_utilization", "Average KV-cache utilization", cache),
        pooled.gauge("inference_pool_average_queue_size", "Average pending requests", waiting),
        pooled.gauge("inference_pool_ready_pods", "Ready pods in the pool", {"level": served.replicas}, whole=True),
    ]


def routed_id(model: str, version: str, namespace: str, target: Literal["cloud", "edge"]) -> str:
    """What the router calls a served version, as its configuration says and its metrics carry: ``model_id``."""
    group, name = (model, f"edge-{namespace}") if target == "edge" else (f"{model}-cloud", f"{namespace}/{model}")
    return f"{model}/{target}/{namespace}//{group}/{name}-v{version}"


def _litellm(served: ServedModel, start_ms: int) -> list[SeriesSpec]:
    """What the proxy before a served version counts, with the labels of release 1.106; at the edge each node has one."""
    where = {"node": served.node, "site": served.site, "region": served.region}
    scraped = {
        "namespace": served.namespace,
        "team": served.team,
        "job": "litellm",
        "instance": f"litellm-{served.node or 'proxy'}:4000",
        **{name: value for name, value in where.items() if value},
    }
    group = served.model if served.target == "edge" else f"{served.model}-cloud"
    deployment_id = routed_id(served.model, served.version, served.namespace, served.target)
    named = {**scraped, "model_id": deployment_id, "api_provider": "openai"}
    specs = [*_deployment(served, group, named, start_ms), *_answers(served, group, named, start_ms)]
    if not served.fallback_share:
        return specs
    fell = {**scraped, **_CALLER, **_SERVER_ERROR, "requested_model": group, "model_id": "None"}
    make = _Maker({**fell, "fallback_model": f"{served.model}-cloud"}, start_ms)
    spilled, metric = served.rps * served.fallback_share, "litellm_deployment_{}_fallbacks_total"
    return [
        *specs,
        make.counter(metric.format("successful"), spilled, "Requests a fallback answered"),
        make.counter(metric.format("failed"), spilled / 100, "Fallbacks that failed too"),
    ]


_CALLER = {
    "hashed_api_key": "litellm_proxy_master_key",
    "api_key_alias": "None",
    "team_alias": "None",
    # the scrape's own team stands in the label of that name: what LiteLLM says there is moved aside
    "exported_team": "None",
}
_AGENT = {"client_ip": "10.0.0.7", "user_agent": "openai-python"}
_PERSON = {"end_user": "None", "user": "default_user_id", "org_id": "None", "org_alias": "None"}
_SERVER_ERROR = {"exception_status": "500", "exception_class": "Openai.InternalServerError"}


def _deployment(served: ServedModel, group: str, named: Mapping[str, str], start_ms: int) -> list[SeriesSpec]:
    """How a deployment was asked and did."""
    suffix = "-edge" if served.target == "edge" else ""
    base = f"http://{served.model}{suffix}.{served.namespace}.svc:8080/v1"
    at = {**named, "api_base": base, "litellm_model_name": served.model}
    asked = {**at, **_CALLER, **_AGENT, "model_group": group, "requested_model": group}
    failing = served.rps * served.error_share
    # The breaker opens when failures come in a row: rare while few fail, and often when many do.
    cooled = failing * min(1.0, served.error_share * 4) / 10
    state = 2.0 if served.error_share >= 0.5 else 1.0 if served.error_share >= 0.05 else 0.0
    make, name = _Maker(asked, start_ms), "litellm_deployment"
    failed = _Maker({**asked, **_SERVER_ERROR}, start_ms)
    opened = _Maker({**at, "exception_status": "500"}, start_ms)
    return [
        make.counter(f"{name}_total_requests_total", served.rps, "Requests per deployment"),
        make.counter(f"{name}_success_responses_total", served.rps - failing, "Successful responses"),
        failed.counter(f"{name}_failure_responses_total", failing, "Failed responses"),
        opened.counter(f"{name}_cooled_down_total", cooled, "Times it was cooled down"),
        _Maker(at, start_ms).gauge(
            f"{name}_state", "0 healthy, 1 partial, 2 complete outage", {"level": state}, whole=True
        ),
    ]


def _answers(served: ServedModel, group: str, named: Mapping[str, str], start_ms: int) -> list[SeriesSpec]:
    """How long its answers took, and what was booked for them."""
    answered = {**named, **_CALLER, **_PERSON, "model": served.model, "requested_model": group, "service_tier": "None"}
    timed = _Maker({**answered, "model_group": group}, start_ms)
    spent = _Maker({**answered, **_AGENT, "user_email": "None"}, start_ms)
    good, dollars = served.rps * (1 - served.error_share), served.rps * served.dollars_per_request
    # the router's total has its own overhead in it
    api, total = ("litellm_llm_api_latency_metric", 1.0), ("litellm_request_total_latency_metric", 1.04)
    return [
        *(
            timed.histogram(name, good, served.latency_s * longer, "Latency of requests")
            for name, longer in (api, total)
        ),
        spent.counter("litellm_spend_metric_total", dollars, "Dollars spent", integral=False),
    ]
