"""Where requests go, what that costs and how old each number is, over a metrics store on loopback that knows edge and cloud."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import anyio
import pytest

from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.reader import PrometheusMetrics
from ai_platform_mcp.core.errors import InvalidInput, NotFound, PlatformError, Unavailable
from ai_platform_mcp.core.ports import PlatformFacts, Readers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.rows import (
    ClusterInfo,
    DeploymentRow,
    Inventory,
    MetricAnswer,
    MetricPoint,
    MetricScope,
    MetricSeries,
    ModelRow,
    NodeRow,
    VersionRow,
)
from ai_platform_mcp.core.tariff import ANY, ModelTariff, PlaceTariff, ServerlessTariff, Tariff
from ai_platform_mcp.core.tool import Caller, Result
from ai_platform_mcp.domain.text import json_tokens, tokens
from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from ai_platform_mcp.tools._routing_facts import read_routing_facts
from ai_platform_mcp.tools._routing_sizing import Rates, size
from ai_platform_mcp.tools.inspect_platform import InspectParams, InspectPlatform
from domain import routing_world as observed
from prometheus_support import NOW, FixedClock, seeded_world, served

CALLER = Caller(principal=Principal(id="local:ada", team="ml-b"), request_id="r")
CLUSTER = ClusterInfo(name="c1", region="us-east-1")
LABEL = "edge.aiplatform.dev/release.vision"
TARIFF = Tariff(
    basis="test tariff",
    edge_node_hourly_cents={"L4": 12.0, ANY: 9.0},
    models={
        ANY: ModelTariff(slo_seconds=0.5),
        "vision": ModelTariff(
            cloud=PlaceTariff(request_cents=0.006, unit_hourly_cents=40.0),
            edge=PlaceTariff(request_cents=0.001, slots=4),
        ),
    },
    serverless={"knative": ServerlessTariff(unit_hourly_cents=40.0, cold_start_seconds=8.0)},
)


def node(name: str, site: str, region: str, *, ready: bool = True, product: str = "") -> NodeRow:
    return NodeRow(
        cluster="c1", name=name, ready=ready, schedulable=True, role="edge", region=region, site=site,
        accelerator=product, accelerators=1, labels={LABEL: "2"},
    )  # fmt: skip


NODES = (
    node("edge-1", "berlin", "eu", product="NVIDIA-L4"),
    node("edge-2", "austin", "us"),
    node("edge-3", "reno", "us", ready=False),
)


def deployment(kind: str, **more: Any) -> DeploymentRow:
    values = {
        "cluster": "c1", "namespace": "team-b", "name": "vision", "kind": kind, "model": "vision", "version": "2",
        "environment": "production", "team": "ml-b", "ready": True, "target": "cloud", "replicas": 2,
        "url": "http://vision.team-b.example",
    }  # fmt: skip
    return DeploymentRow.model_validate(values | more)


DEPLOYMENTS = (deployment("InferenceService"), deployment("EdgeRollout", target="edge", replicas=None, url=""))
SERVICE = {"spec": {"ports": [{"port": 8080}]}}
KNATIVE = {"spec": {"predictor": {"model": {}}}, "status": {"address": {"url": "http://vision.team-b.svc"}}}


class World:
    """One cluster and a registry, each of which can be taken away."""

    def __init__(self, inventory: Inventory, residency: str = "") -> None:
        self.found, self.residency = inventory, residency

    async def clusters(self) -> Sequence[ClusterInfo]:
        return (CLUSTER,)

    async def inventory(self, _cluster: str) -> Inventory:
        return self.found

    async def kinds(self, _cluster: str) -> frozenset[str]:
        return frozenset({"serving.knative.dev/v1/Service"})

    async def serves(self, _cluster: str, _version: str, _kind: str) -> bool:
        return True

    async def get(self, _cluster: str, _version: str, kind: str, _name: str, _namespace: str | None = None) -> Any:
        return {"Service": SERVICE, "InferenceService": KNATIVE}.get(kind)

    async def model(self, name: str) -> ModelRow | None:
        return ModelRow(name=name, tags={}, latest="2", aliases={}) if name == "vision" else None

    async def version(self, model: str, version: str) -> VersionRow | None:
        tags = {"aiplatform.residency": self.residency} if self.residency else {}
        return VersionRow(
            model=model, version=version, created=NOW, source="oci://r/vision", run_id=None, status="READY", tags=tags,
            aliases=(),
        )  # fmt: skip


class Down:
    """A backend that is not there."""

    def __getattr__(self, _name: str) -> Any:
        async def fail(*_: Any, **__: Any) -> Any:
            raise Unavailable("It cannot be reached.")

        return fail


class Silent(Down):
    """A backend that never answers."""

    def __getattr__(self, _name: str) -> Any:
        async def wait(*_: Any, **__: Any) -> Any:
            await anyio.sleep_forever()

        return wait


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    world = seeded_world(tmp_path_factory.mktemp("world"))
    with served(build_prometheus_app(world, FixedClock(), ())) as url:
        yield url


def inventory(**more: Any) -> Inventory:
    values: dict[str, Any] = {
        "cluster": "c1", "as_of": NOW, "age_seconds": 3, "stale": False, "nodes": NODES, "deployments": DEPLOYMENTS,
    }  # fmt: skip
    return Inventory.model_validate(values | more)


def readers(metrics: Any, world: World | None = None, registry: Any = None, tariff: Tariff = TARIFF) -> Readers:
    world = world or World(inventory())
    facts = PlatformFacts(budgets_cents={}, device_hourly_cents={}, price_basis="", golden_paths={}, tariff=tariff)
    nothing = cast("Any", None)
    return Readers(
        clusters=cast("Any", world), inventory=cast("Any", world), registry=registry or cast("Any", world), metrics=metrics,
        policy=nothing, journal=nothing, approvals=nothing, clock=FixedClock(), platform=facts,
    )  # fmt: skip


async def look(read: Readers, **arguments: Any) -> Result:
    asked = InspectParams.model_validate({"kind": "routing", "name": "vision", **arguments})
    return await InspectPlatform().read(asked, read, CALLER)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Size by an hour and by few arrivals: how long that takes is what one test alone asks."""
    monkeypatch.setattr("ai_platform_mcp.tools._routing_sizing.DAY", 3600)
    monkeypatch.setattr("ai_platform_mcp.tools._routing_sizing.MOST_ARRIVALS", 300)


@pytest.fixture
async def metrics(prometheus: str) -> Any:
    made = PrometheusMetrics(PrometheusClient(prometheus, seconds=20), FixedClock(), seconds=20)
    yield made
    await made.aclose()


async def test_share_latency_savings_and_why_are_one_answer(metrics: PrometheusMetrics) -> None:
    answer = await look(readers(metrics), verbose=True)
    edge, cloud = answer.data["targets"]
    assert edge["share"] + cloud["share"] == pytest.approx(1, abs=0.001)
    assert edge["share"] == pytest.approx(12 * 2 / 3 / (12 * 2 / 3 + 9), abs=0.06)  # one of three sites is silent
    assert 0.03 < edge["p50_seconds"] < 0.07 < cloud["p50_seconds"] * 1.3
    assert (edge["ready"], edge["units"], edge["fixed_cents_per_hour"]) == (2, 3, 30.0)
    assert answer.data["savings"]["counterfactual"] == "all from team-b/vision"
    assert "Measured savings" in answer.text or "Measured loss" in answer.text
    assert [row[0] for row in answer.data["sites"]["rows"]] == ["reno", "austin", "berlin"]
    assert "always on at team-b/vision" in answer.text and "break-even at" in answer.text
    assert answer.data["sizing"]["choice"] and "in steps of 300 s" in answer.data["sizing"]["measured"]


async def test_the_short_answer_fits_its_budget_as_text_and_as_data(metrics: PrometheusMetrics) -> None:
    answer = await look(readers(metrics))
    assert tokens(answer.text) <= 2000 and json_tokens(answer.data) <= 2000
    assert answer.data["targets"] and answer.data["savings"] and answer.data["decisions"]


async def test_every_fact_says_where_it_was_read_and_how_old_it_is(metrics: PrometheusMetrics) -> None:
    facts = await read_routing_facts(readers(metrics), CALLER.principal, "vision")
    assert {row.name for row in facts.observed} == {"austin", "berlin", "reno", "team-b/vision"}
    for row in facts.observed:
        for name, source in row.sources.items():
            assert bool(source.where) or bool(source.why), name
            value = getattr(row, name)
            assert (value is None or value == "") == bool(source.why) or name in ("measured_seconds",), (
                row.name,
                name,
                source,
            )
    berlin = next(row for row in facts.observed if row.name == "berlin")
    assert berlin.fixed_cents_per_hour == 12 and berlin.slots == 4
    assert berlin.base_url == "http://vision-edge.team-b.svc:8080"
    assert berlin.sources["latency"].age_seconds is not None and berlin.sources["latency"].age_seconds < 120
    assert facts.targets and facts.loads["reno"].slots == 0


async def test_a_silent_site_is_not_measured_rather_than_idle(metrics: PrometheusMetrics) -> None:
    facts = await read_routing_facts(readers(metrics), CALLER.principal, "vision", window_seconds=600)
    reno = next(row for row in facts.observed if row.name == "reno")
    assert reno.latency is None and "nothing is measured at this site" in reno.sources["latency"].why
    assert reno.target() is None


@pytest.mark.parametrize("down", [Down(), Silent()])
async def test_without_metrics_the_answer_is_whole_and_says_what_is_missing(
    down: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("_routing_facts", "_routing_status"):
        monkeypatch.setattr(f"ai_platform_mcp.tools.{module}.PART_SECONDS", 0.2)
    with anyio.fail_after(10):
        answer = await look(readers(down))
    assert [row["target"] for row in answer.data["targets"]] == ["edge", "team-b/vision"]
    assert all("share" not in row for row in answer.data["targets"])
    assert answer.data["savings"]["why"] and answer.data["sizing"]["why"]
    assert "latency and requests" in answer.text and "0% of requests" not in answer.text


async def test_without_the_registry_residency_is_unknown_and_the_rest_is_told(metrics: PrometheusMetrics) -> None:
    answer = await look(readers(metrics, registry=Down()), verbose=True)
    assert answer.data["targets"][0]["share"] > 0
    assert any(row.startswith("where requests may be processed") for row in answer.data["unknown"])


async def test_residency_keeps_requests_in_their_regions(metrics: PrometheusMetrics) -> None:
    answer = await look(readers(metrics, World(inventory(), residency="eu")), verbose=True)
    by_site = {site: row for row in answer.data["decisions"] for site in row["from"]}
    assert by_site["berlin"]["target"] == "the site's own nodes" and not by_site["berlin"]["fallbacks"]
    assert by_site["austin"]["target"] == "" and "outside of the regions" in " ".join(by_site["austin"]["reasons"])


async def test_a_stale_cluster_is_said_to_be_stale(metrics: PrometheusMetrics) -> None:
    old = World(inventory(stale=True, age_seconds=400, problem="its watches broke"))
    answer = await look(readers(metrics, old), verbose=True)
    assert any("400 s old" in note and "its watches broke" in note for note in answer.data["notes"])


async def test_what_nobody_wrote_down_is_unknown_and_says_where_to_write_it(metrics: PrometheusMetrics) -> None:
    answer = await look(readers(metrics, tariff=Tariff()), verbose=True)
    assert answer.data["slo_seconds"] is None and answer.data["decisions"] == []
    assert "edge_node_hourly_cents" in answer.data["savings"]["why"] and "share" not in answer.data["savings"]
    assert (
        0 < answer.data["savings"]["marginal_share"] < 1 and "if an idle edge were free" in answer.text
    )  # by the router
    assert any("slo_seconds" in row for row in answer.data["unknown"])


async def test_an_unknown_model_is_refused_by_name(metrics: PrometheusMetrics) -> None:
    with pytest.raises(NotFound, match="There is no model 'vison'"):
        await look(readers(metrics), name="vison")
    with pytest.raises(InvalidInput, match="is no model name"):
        await look(readers(metrics), name="vision@champion")


async def test_a_registered_model_that_nothing_serves_is_said_to_be_so(metrics: PrometheusMetrics) -> None:
    bare = World(inventory(nodes=(), deployments=()))
    answer = await look(readers(metrics, bare))
    assert "Nothing serves it" in answer.text and answer.data["targets"] == []


async def test_a_rollout_that_has_reached_no_node_is_said_to_be_under_way(metrics: PrometheusMetrics) -> None:
    answer = await look(readers(metrics, World(inventory(nodes=()))), verbose=True)
    assert any("EdgeRollout team-b/vision has not reached a node yet" in note for note in answer.data["notes"])


async def test_clusters_that_never_answered_serve_nobody_knows_what(metrics: PrometheusMetrics) -> None:
    unseen = World(inventory(nodes=(), deployments=(), stale=True, problem="It has not answered yet."))
    with pytest.raises(Unavailable, match="nobody knows what serves vision"):
        await look(readers(metrics, unseen))


@pytest.mark.parametrize(("window", "message"), [("8d", "at most 7d"), ("soon", "span of time")])
async def test_a_window_that_makes_no_sense_is_refused(metrics: PrometheusMetrics, window: str, message: str) -> None:
    with pytest.raises(PlatformError, match=message):
        await look(readers(metrics), window=window)


async def test_a_window_is_of_routing_alone() -> None:
    with pytest.raises(InvalidInput, match="no filter window"):
        await InspectPlatform().read(InspectParams(kind="models", window="1h"), replace(readers(Down())), CALLER)


async def test_the_event_loop_goes_on_while_a_size_is_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_platform_mcp.tools._routing_sizing.MOST_ARRIVALS", 10_000)
    ticks, made = 0, dict[str, Any]()

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.005)
            ticks += 1

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        made = await size(readers(Down()), observed.facts(), Rates([12.0, 40.0, 20.0] * 8), 60)
        group.cancel_scope.cancel()
    assert made["choice"] and ticks > 5


async def test_a_size_that_takes_too_long_is_left_out_and_said_to_be() -> None:
    made = await size(readers(Down()), observed.facts(), Rates([12.0, 40.0, 20.0] * 8), 0.0)
    assert "took longer than" in made["why"]


@pytest.mark.parametrize(
    ("rates", "why"),
    [
        (Rates(why="it is down"), "it is down"),
        (Rates([None, 1.0]), "over 1 step of 300 s so far"),
        (Rates(why="no series", absent=True), "over 0 steps of 300 s so far"),
        (Rates([0.0] * 9), "nothing arrived"),
    ],
)
async def test_a_size_without_arrivals_is_not_made_up(rates: Rates, why: str) -> None:
    assert why in (await size(readers(Down()), observed.facts(), rates, 5))["why"]


class Together(Down):
    """A router that calls every site at one address: its rows name a namespace and no site."""

    async def signal(self, name: str, scope: MetricScope, **_: Any) -> MetricAnswer:
        value = {"cooldowns": 3.0, "circuits": 1.0, "circuits_open": 1.0}.get(name) if scope.target == "edge" else None
        row = MetricSeries(labels={"namespace": "team-b"}, points=(MetricPoint(time=NOW, value=value),))
        rows, absence = ((), "none") if value is None else ((row,), "")
        return MetricAnswer(
            question=name, unit="", promql="", backend="litellm", series=rows, freshness_seconds=5, absence=absence
        )


async def test_what_a_router_counts_of_all_sites_together_is_told_of_the_edge_and_of_no_site_twice() -> None:
    answer = await look(readers(Together()), verbose=True)
    edge = answer.data["targets"][0]
    assert (edge["circuits_open"], edge["circuits"], edge["cooldowns"]) == (1, 1, 3)
    assert any("measured together with austin: the series name no site" in row for row in answer.data["unknown"])
