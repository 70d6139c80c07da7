"""What route_model writes, in the real LiteLLM proxy: an edge that is dead, hangs, is rate-limited, too small, or busy."""

from __future__ import annotations

import contextlib
import re
import socket
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
import pytest
import yaml

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.reader import PrometheusMetrics
from ai_platform_mcp.app import WallClock
from ai_platform_mcp.core.plan import Apply
from ai_platform_mcp.core.rows import MetricAnswer, MetricScope
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.domain.lint.engine import check
from ai_platform_mcp.domain.lint.model import Around
from ai_platform_mcp.domain.routing.latency import Latency
from ai_platform_mcp.domain.routing.observed import Observed
from ai_platform_mcp.sandbox.prometheus.serving import ServedModel, serving_specs
from prometheus_support import configured_prometheus
from real_targets import ROOT, on
from support.litellm_proxy import KEY, MALWARE, Proxy, config_of, installed, planned, program, running_proxy
from support.model_servers import Mode, model_server
from support.routing_facts import observed
from tools import test_routing_status as routing

T = TypeVar("T")
pytestmark = pytest.mark.timeout(240)
real = on("litellm")

SLO_SECONDS, TALK_SLO_SECONDS = 1.0, 5.0
CASES: dict[str, Mode | None] = {
    "fine": "answers",
    "dead": None,
    "hanging": "hangs",
    "limited": "limited",
    "small": "answers",
    "busy": "answers",
}
LIMITS: dict[str, dict[str, Any]] = {
    "small": {"context_tokens": 64},
    "busy": {"units": 1, "slots_per_unit": 1, "latency": Latency(bounds=(0.89, 0.91), counts=(0, 1000), count=1000)},
}
TWINS = ("talk-a", "talk-b")
BUSY_PER_MINUTE = 66
"""What one slot completes in a minute at 0.9 s each."""


def config(edges: dict[str, str], cloud: str, twins: dict[str, str], vision: str) -> dict[str, Any]:
    """What route_model writes for a proxy that serves one model per case, one plan after another; talk has two servers."""
    spare = observed("cloud", "cloud", 0.1, base_url=cloud, cluster="c1")
    wanted: dict[str, tuple[Observed, ...]] = {
        case: (observed("edge", "edge", 0.1, base_url=url, cluster="c1", **LIMITS.get(case, {})), spare)
        for case, url in edges.items()
    }
    alike = {"failure_domain": "twins", "cluster": "c1", "request_cents": 0.001}
    wanted["talk"] = (*(observed(name, "cloud", 0.1, base_url=url, **alike) for name, url in twins.items()), spare)
    wanted["vision"] = (
        observed("berlin", "edge", 0.1, base_url=vision, cluster="c1", namespace="team-b", site="berlin"),
        observed("team-b/vision", "cloud", 0.1, base_url=cloud, cluster="c1", namespace="team-b"),
    )
    promised = {"": SLO_SECONDS, "talk": TALK_SLO_SECONDS, "vision": TALK_SLO_SECONDS}
    return anyio.run(config_of, wanted, ("edge", "cloud", *twins), promised)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    program()
    with contextlib.ExitStack() as stack, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else gets the port
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        servers = {case: stack.enter_context(model_server("edge", mode)) for case, mode in CASES.items() if mode}
        cloud = stack.enter_context(model_server("cloud"))
        edges = {case: servers[case].url if case in servers else dead for case in CASES}
        twins = {name: stack.enter_context(model_server(name)) for name in TWINS}
        vision = stack.enter_context(model_server("edge"))
        made = config(edges, cloud.url, {name: server.url for name, server in twins.items()}, vision.url)
        folder = tmp_path_factory.mktemp("litellm")
        asked = stack.enter_context(running_proxy(folder, made, {**servers, **twins, "cloud": cloud, "vision": vision}))
        for _ in range(3):
            assert asked.ask("fine").by == "edge"  # its first requests import and connect
        yield asked


def test_the_configuration_under_test_passes_our_own_lint() -> None:
    url = "http://{}.models.svc:8080/v1"
    twins = {name: url.format(name) for name in TWINS}
    made = config(dict.fromkeys(CASES, url.format("edge")), url.format("cloud"), twins, url.format("vision"))
    assert [finding.code for finding in check(made, Around()) if finding.severity != "info"] == []


async def test_a_plan_says_that_it_turns_counting_on_and_what_two_failures_at_once_cost() -> None:
    url = "http://{}.models.svc:8080/v1"
    edge, one, two = (
        observed(name, "edge" if name == "edge" else "cloud", 0.1, base_url=url.format(name), cluster="c1")
        for name in ("edge", "one", "two")
    )
    told = " ".join(risk.text for risk in (await planned("chain", (edge, one, two), 1.0)).risks)
    assert "while chain and chain-cloud are both down, each request waits up to 1 s" in told
    assert "prometheus-client" in told
    draft = await planned("chain", (edge, one), 1.0)
    assert "both down" not in " ".join(risk.text for risk in draft.risks)
    assert any("counts requests for Prometheus from now on" in reason for reason in draft.reasons)
    step = draft.steps[0]
    assert isinstance(step, Apply)
    again = await planned("chain", (edge, one), 1.0, live=[step.manifest])
    assert not any("Prometheus" in text for text in (*again.reasons, *(risk.text for risk in again.risks)))


@pytest.mark.parametrize("version", [*MALWARE, "1.106.2"])
def test_a_version_is_known_without_running_it(tmp_path: Path, version: str) -> None:
    (tmp_path / f"lib/python3.11/site-packages/litellm-{version}.dist-info").mkdir(parents=True)
    assert installed(str(tmp_path / "bin" / "litellm")) == version


@real
def test_a_healthy_edge_answers_everything(proxy: Proxy) -> None:
    assert {proxy.ask("fine").by for _ in range(5)} == {"edge"}


@real
def test_a_dead_edge_costs_two_seconds_at_most_once_and_then_nothing(proxy: Proxy) -> None:
    answers = [proxy.ask("dead") for _ in range(20)]
    told = [round(answer.seconds, 3) for answer in answers]
    assert {answer.by for answer in answers} == {"cloud"}
    assert sum(told[:2]) <= 2, told  # one failure is forgiven, the second opens the circuit
    assert statistics.median(told[2:]) < proxy.usual(), told


@real
def test_a_hanging_edge_costs_its_timeout_twice_and_is_then_left_alone(proxy: Proxy) -> None:
    answers = [proxy.ask("hanging") for _ in range(10)]
    told = [round(answer.seconds, 3) for answer in answers]
    assert {answer.by for answer in answers} == {"cloud"}
    assert proxy.servers["hanging"].calls == 2, told
    assert all(SLO_SECONDS / 2 <= seconds <= SLO_SECONDS + 1 for seconds in told[:2]), told
    assert statistics.median(told[2:]) < proxy.usual(), told


@real
def test_a_rate_limited_edge_is_left_alone_and_nobody_sees_a_429(proxy: Proxy) -> None:
    answers = [proxy.ask("limited") for _ in range(10)]
    told = [round(answer.seconds, 3) for answer in answers]
    assert {answer.by for answer in answers} == {"cloud"}
    assert proxy.servers["limited"].calls <= 2, told
    assert statistics.median(told[2:]) < proxy.usual(), told


@real
def test_a_prompt_that_is_too_long_for_the_edge_goes_to_the_cloud_without_asking_it(proxy: Proxy) -> None:
    assert proxy.ask("small").by == "edge"
    before = proxy.servers["small"].calls
    assert {proxy.ask("small", "word " * 500).by for _ in range(3)} == {"cloud"}
    assert proxy.servers["small"].calls == before
    assert proxy.ask("small").by == "edge"


@real
def test_what_an_edge_cannot_complete_in_a_minute_spills_to_the_cloud_without_asking_it(proxy: Proxy) -> None:
    answers = [proxy.ask("busy") for _ in range(BUSY_PER_MINUTE + 14)]
    by = [answer.by for answer in answers]
    assert by == ["edge"] * BUSY_PER_MINUTE + ["cloud"] * 14
    assert proxy.servers["busy"].calls == BUSY_PER_MINUTE
    spilled = [round(answer.seconds, 3) for answer in answers[BUSY_PER_MINUTE:]]
    assert statistics.median(spilled) < proxy.usual(), spilled


@real
def test_a_conversation_keeps_its_server_and_goes_on_when_that_dies_in_the_middle(proxy: Proxy) -> None:
    talks = [f"conversation-{number}" for number in range(12)]
    homes = {talk: [proxy.ask("talk", talk=talk).by for _ in range(4)] for talk in talks}
    assert all(len(set(by)) == 1 for by in homes.values()), homes
    assert {by[0] for by in homes.values()} == set(TWINS), "one server had them all"
    lost, left = TWINS
    proxy.servers[lost].mode = "gone"
    after = {talk: [proxy.ask("talk", talk=talk).by for _ in range(3)] for talk in talks}
    assert all(by[-1] == left for by in after.values()), after
    # until the circuit opens its requests fall back: the conversation goes on, and none of them fails
    assert sum(row != left for by in after.values() for row in by) <= 2, after
    assert {row for by in after.values() for row in by} <= {left, "cloud"}


# --- what status says of it, by way of a real Prometheus ---------------------------------------------------------------


@pytest.fixture(scope="module")
def scraped(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus with the documented job, but for how it finds the proxy; what Kubernetes says of the pod is said here."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "key").write_text(KEY)
    _, _, rest = (ROOT / "docs/telemetry.md").read_text().partition("<!-- scrape configuration of LiteLLM")
    document = yaml.safe_load(rest.partition("```yaml\n")[2].partition("```")[0])
    (job,) = document["scrape_configs"]
    job["authorization"]["credentials_file"] = str(folder / "key")
    del job["kubernetes_sd_configs"]
    meta = "__meta_kubernetes_"
    pod = {f"{meta}pod_label_app_kubernetes_io_name": "litellm", f"{meta}pod_label_aiplatform_dev_team": "ml-b"}
    pod |= {f"{meta}namespace": "gateways", f"{meta}pod_name": "litellm-0"}
    job["static_configs"] = [{"targets": [proxy.url.removeprefix("http://")], "labels": pod}]
    job |= {"scrape_interval": "2s", "scrape_timeout": "2s"}
    with configured_prometheus(folder, yaml.safe_dump(document)) as url:
        yield url


@pytest.fixture
async def metrics(scraped: str) -> AsyncIterator[PrometheusMetrics]:
    made = PrometheusMetrics(PrometheusClient(scraped, seconds=20), WallClock(), seconds=20)
    yield made
    await made.aclose()


async def status(metrics: PrometheusMetrics, **arguments: Any) -> Result:
    """What ``platform routing status vision`` says where one site and one service of the cloud serve it."""
    found = routing.inventory(nodes=(routing.node("edge-1", "berlin", "eu"),))
    return await routing.look(routing.readers(metrics, routing.World(found)), **arguments)


async def until(ask: Callable[[], Awaitable[T]], known: Callable[[T], bool]) -> T:
    """Ask until Prometheus has scraped what is waited for: the proxy counts after it has answered, and a scrape that a busy
    machine does not finish in time takes all gauges away until the next one."""
    with anyio.fail_after(90):
        while not known(found := await ask()):
            await anyio.sleep(0.2)
    return found


async def when_scraped(metrics: PrometheusMetrics, expression: str, value: float) -> None:
    """Wait until an expression has this value."""

    def known(answer: MetricAnswer) -> bool:
        return bool(answer.series) and answer.series[0].points[0].value == value

    await until(lambda: metrics.promql(expression, MetricScope(), window_seconds=60), known)


@real
@on("prometheus")
async def test_status_says_per_target_what_was_sent_through_the_proxy(proxy: Proxy, metrics: PrometheusMetrics) -> None:
    edge, cloud = proxy.servers["vision"], proxy.servers["cloud"]
    edge.seconds, cloud.seconds = 0.3, 0.6
    try:
        assert [proxy.ask("vision").by for _ in range(4)] == ["edge"] * 4
        edge.mode = "gone"
        assert [proxy.ask("vision").by for _ in range(5)] == ["cloud"] * 5
    finally:
        cloud.seconds = 0.0
    await when_scraped(metrics, 'sum(litellm_deployment_successful_fallbacks_total{requested_model="vision"})', 5)
    await when_scraped(metrics, 'sum(litellm_deployment_success_responses_total{model_id=~"vision/.*"})', 9)
    whole = {"circuits", "requests", "error_share", "p50_seconds"}
    found = await until(
        lambda: status(metrics, verbose=True), lambda found: all(whole <= set(row) for row in found.data["targets"])
    )
    told, text = found.data, found.text
    at_edge, in_cloud = told["targets"]
    assert (at_edge["requests"], at_edge["share"]) == (4, pytest.approx(4 / 9, abs=0.001))
    assert (in_cloud["requests"], in_cloud["share"]) == (5, pytest.approx(5 / 9, abs=0.001))
    assert 0.25 <= at_edge["p50_seconds"] <= at_edge["p95_seconds"]
    assert 0.5 <= in_cloud["p50_seconds"] <= in_cloud["p95_seconds"]
    assert at_edge["error_share"] == pytest.approx(
        2 / 6, abs=0.001
    )  # two attempts opened the circuit, then none was made
    assert in_cloud["error_share"] == 0
    assert (at_edge["cooldowns"], at_edge["circuits_open"], at_edge["circuits"]) == (1, 1, 1)
    assert (in_cloud.get("cooldowns", 0), in_cloud["circuits_open"], in_cloud["circuits"]) == (0, 0, 1)
    assert told["fallbacks"]["answered"] == {"vision-cloud": 5}
    assert at_edge["from"] == in_cloud["from"] == "litellm metrics" and at_edge["age_seconds"] < 60
    assert [row["target"] for row in told["decisions"]] == ["team-b/vision"]
    assert "33% errors" in text and "1 circuit open, cooled down 1 time" in text and "5 by vision-cloud" in text


@real
@on("prometheus")
async def test_the_named_signals_tell_models_and_tiers_apart_by_what_the_proxy_exports(
    proxy: Proxy, metrics: PrometheusMetrics
) -> None:
    assert proxy.ask("fine").by == "edge" and proxy.ask("fine-cloud").by == "cloud"
    await when_scraped(metrics, 'count(count_over_time(litellm_deployment_state{model_id=~"fine/.*"}[1m]) > 2)', 2)
    for signal in ("rps", "error_rate", "e2e_p95", "spend_rate"):
        asked = partial(metrics.signal, signal, MetricScope(model="fine"), window_seconds=300)
        answer = await until(asked, lambda answer: bool(answer.series))
        assert answer.backend == "litellm"
        rows = [{"model": "fine", "target": tier} for tier in ("cloud", "edge")]
        assert sorted((row.labels for row in answer.series), key=str) == rows, signal


@real
@on("prometheus")
async def test_a_tenant_is_held_to_the_proxys_own_team_whatever_an_id_says(proxy: Proxy, scraped: str) -> None:
    assert {proxy.ask("dead").by for _ in range(2)} == {"cloud"}
    bound = PrometheusMetrics(PrometheusClient(scraped, seconds=20), WallClock(), tenant={"team": "{team}"}, seconds=20)
    try:
        asked = partial(bound.signal, "cooldowns", window_seconds=300)
        mine = await until(partial(asked, MetricScope(model="dead", team="ml-b")), lambda answer: bool(answer.series))
        other = await asked(MetricScope(model="dead", team="nlp"))
    finally:
        await bound.aclose()
    assert mine.series and not other.series
    assert 'team="ml-b"' in mine.promql


@real
def test_what_the_sandbox_says_of_a_proxy_is_labelled_as_the_proxy_labels_it(proxy: Proxy) -> None:
    assert {proxy.ask("dead").by for _ in range(2)} == {"cloud"}
    exported: dict[str, set[str]] = {}
    for line in proxy.metrics().splitlines():
        if found := re.match(r"(litellm_\w+)\{(.*)\} ", line):
            exported.setdefault(found[1], set()).update(re.findall(r'(\w+)="', found[2]))
    scraped = {"namespace", "job", "instance", "node", "site", "region"}
    served = ServedModel(
        "m", "1", "vision-prod", "vision", target="edge", fallback_share=0.1, node="n", site="s", region="r"
    )
    specs = [spec for spec in serving_specs(served, 0) if spec.name.startswith("litellm_")]
    assert len(specs) == 10
    for spec in specs:
        # the scrape says the team: what the proxy says there is moved aside
        labels = {name.removeprefix("exported_") for name in spec.labels} - scraped
        if "exported_team" not in spec.labels:
            labels.discard("team")
        name = f"{spec.name}_count" if spec.type == "histogram" else spec.name
        if name in exported:  # fallbacks that failed too are counted from the first one on
            assert labels == exported[name], name
    assert {spec.name for spec in specs} - set(exported) <= {
        "litellm_deployment_failed_fallbacks_total", "litellm_llm_api_latency_metric", "litellm_request_total_latency_metric",
    }  # fmt: skip


@real
def test_the_metrics_are_for_holders_of_a_key(proxy: Proxy) -> None:
    assert httpx.get(f"{proxy.url}/metrics/", timeout=60, trust_env=False).status_code == 401
