"""Counts of both sides over real HTTP: the sandbox's store, and a real Prometheus over the same samples."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.counts import PrometheusCounts
from ai_platform_mcp.core.errors import Unavailable
from ai_platform_mcp.domain.analysis.judge import Check
from ai_platform_mcp.domain.analysis.sides import Outcomes, Side, Span
from ai_platform_mcp.manifests.common import label_value
from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from ai_platform_mcp.sandbox.prometheus.model import LabelSet, Sample
from prometheus_support import NOW, NOW_MS, FixedClock, ListSource, labelled, real_prometheus, served
from real_targets import both

HTTP = "http_server_request_duration_seconds"
MINUTE = 60_000


def grown(rate: float, minutes: float = 20, until: float = 0, reset_at: float | None = None) -> list[Sample]:
    """A counter that grows by ``rate`` a second; it begins again at zero ``reset_at`` minutes ago."""
    start = int(NOW_MS - minutes * MINUTE)
    zero = start if reset_at is None else int(NOW_MS - reset_at * MINUTE)
    moments = range(start, int(NOW_MS - until * MINUTE) + 1, 15_000)
    return [(at, rate * (at - (zero if at >= zero else start)) / 1000) for at in moments]


def calls(
    node: str, version: str, rate: float, bad: float, slow: float, **times: float
) -> dict[LabelSet, list[Sample]]:
    """What a pod's HTTP server says: calls and failed ones, and how many took longer than 0.1 s."""
    labels = {"model": "m", "namespace": "edge", "target": "edge", "node": node, "site": "s", "version": version}
    rows: dict[LabelSet, list[Sample]] = {}
    for code, share in (("200", 1 - bad), ("500", bad)):
        told = {**labels, "http_response_status_code": code}
        rows[labelled(f"{HTTP}_count", **told)] = grown(rate * share, **times)
        for le, upto in (("0.1", 1 - slow), ("0.5", 1.0), ("+Inf", 1.0)):
            rows[labelled(f"{HTTP}_bucket", le=le, **told)] = grown(rate * share * upto, **times)
    return rows


ROWS: dict[LabelSet, list[Sample]] = {
    **calls("n1", "2", 2.0, bad=0.25, slow=0.5),
    **calls("n.2", "2", 2.0, bad=0.25, slow=0.5, reset_at=5),
    **calls("nx2", "2", 50.0, bad=0.0, slow=0.0),
    **calls("n3", "1", 4.0, bad=0.0, slow=0.1),
    **calls("n1", "1", 8.0, bad=0.125, slow=0.0, minutes=60, until=25),
    **calls("gone", "2", 4.0, bad=0.5, slow=0.0, until=9),
    **{
        labelled("nv_inference_request_success", model="m", version="9", target="cloud", pod="p"): grown(3.0),
        labelled("nv_inference_request_failure", model="m", version="9", target="cloud", pod="p"): grown(1.0),
        labelled("istio_request_duration_milliseconds_bucket", model="m", target="cloud", le="100"): grown(3.0),
        labelled("istio_request_duration_milliseconds_bucket", model="m", target="cloud", le="+Inf"): grown(4.0),
        labelled("aiplatform_golden_answers_total", model="m", version="2", node="n1", result="agree"): grown(3.0),
        labelled("aiplatform_golden_answers_total", model="m", version="2", node="n1", result="differ"): grown(1.0),
        labelled("aiplatform_golden_answers_total", model="m", version="2", node="n1", result="error"): grown(9.0),
        labelled("http_requests_total", model="other", target="cloud", status="2xx", handler="/v1"): grown(9.0),
        labelled("http_requests_total", model="other", target="cloud", status="5xx", handler="/v1"): grown(1.0),
        labelled("inference_objective_request_total", model=label_value("team/chat"), target="cloud"): grown(2.0),
    },
}


@pytest.fixture(scope="module", params=both("prometheus"))
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        if request.param == "real":
            yield stack.enter_context(real_prometheus(tmp_path_factory.mktemp("prometheus"), ROWS))
        else:
            yield stack.enter_context(served(build_prometheus_app(ListSource(ROWS), FixedClock())))


@pytest.fixture
async def counts(url: str) -> AsyncIterator[PrometheusCounts]:
    found = PrometheusCounts(PrometheusClient(url, seconds=20), FixedClock())
    yield found
    await found.aclose()


def ago(minutes: float, *nodes: str) -> Span:
    return Span(since=NOW - timedelta(minutes=minutes), nodes=nodes)


def edge(*spans: Span, version: str = "2", over: bool = False) -> Side:
    return Side(model="m", target="edge", spans=spans, versions=(version,), namespace="edge", over=over)


def cloud(model: str = "m") -> Side:
    return Side(model=model, target="cloud", spans=(ago(10),))


async def ask(counts: PrometheusCounts, check: Check, side: Side, source: str = "") -> Outcomes:
    found = await counts.outcomes(check, side, source)
    assert found is not None
    return found


async def test_calls_are_counted_from_each_nodes_own_moment_and_over_restarts(counts: PrometheusCounts):
    one = await ask(counts, "errors", edge(ago(10, "n1")))
    assert (one.source, one.total, one.bad) == ("http", pytest.approx(1200, rel=0.02), pytest.approx(300, rel=0.02))
    both_nodes = await ask(counts, "errors", edge(ago(10, "n1"), ago(5, "n.2")))
    assert both_nodes.total == pytest.approx(1800, rel=0.02) and both_nodes.bad == pytest.approx(450, rel=0.02)
    restarted = await ask(counts, "errors", edge(ago(10, "n.2")))
    assert restarted.total == pytest.approx(1200, rel=0.05), "n.2 began again at zero five minutes ago, and is not nx2"


async def test_calls_that_were_slow_are_counted_at_every_boundary(counts: PrometheusCounts):
    found = await ask(counts, "slow", edge(ago(10, "n1")))
    assert found.total == pytest.approx(1200, rel=0.02)
    assert [bound for bound, _ in found.slower] == [0.1, 0.5]
    assert [number for _, number in found.slower] == pytest.approx([600, 0], rel=0.02, abs=1)


async def test_a_side_that_never_failed_has_failed_zero_times_and_one_that_is_not_there_is_none(
    counts: PrometheusCounts,
):
    assert (await ask(counts, "errors", edge(ago(10, "n3"), version="1"))).bad == 0
    assert await counts.outcomes("errors", edge(ago(10, "n1"), version="3")) is None
    assert await counts.outcomes("errors", edge()) is None


async def test_old_samples_are_not_measured_unless_the_side_has_ended(counts: PrometheusCounts):
    assert await counts.outcomes("errors", edge(ago(20, "gone"))) is None
    found = await ask(counts, "errors", edge(ago(45, "n1"), version="1", over=True))
    assert found.total == pytest.approx(8 * 20 * 60, rel=0.02) and found.bad == pytest.approx(1200, rel=0.02)


async def test_each_exporter_is_read_in_its_own_names_and_units(counts: PrometheusCounts):
    triton = await ask(counts, "errors", cloud())
    assert (triton.source, triton.bad / triton.total) == ("triton", pytest.approx(0.25))
    istio = await ask(counts, "slow", cloud())
    assert (istio.source, istio.slower[0][0]) == ("istio", pytest.approx(0.1))
    assert istio.slower[0][1] / istio.total == pytest.approx(0.25)
    vllm = await ask(counts, "errors", cloud("other"))
    assert (vllm.source, vllm.bad / vllm.total) == ("vllm", pytest.approx(0.1))
    golden = await ask(counts, "disagreement", edge(ago(10, "n1")))
    assert (golden.source, golden.bad / golden.total) == ("golden", pytest.approx(0.25)), "errors are no answers"
    assert await counts.outcomes("errors", cloud(), "http") is None, "asked of one exporter alone"


async def test_a_name_that_is_no_label_value_is_found_as_its_pods_carry_it(counts: PrometheusCounts):
    found = await ask(counts, "errors", cloud("team/chat"))
    assert (found.source, found.bad) == ("epp", 0) and found.total == pytest.approx(1200, rel=0.02)


async def test_names_from_outside_are_text_and_never_syntax(counts: PrometheusCounts):
    side = Side(
        model='m"} or vector(9) or x{a="', target="edge", spans=(ago(10, 'n1"})', "n1|n3", ".*"),), versions=("2",)
    )
    assert await counts.outcomes("errors", side) is None


async def test_a_store_that_is_down_is_an_error_and_no_count():
    counts = PrometheusCounts(PrometheusClient("http://127.0.0.1:9", seconds=2), FixedClock())
    with pytest.raises(Unavailable):
        await counts.outcomes("errors", edge(ago(10, "n1")))
    await counts.aclose()
