from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ai_platform_mcp.app import App
from ai_platform_mcp.core.errors import CapabilityMissing, Conflict, InvalidInput
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import Apply
from ai_platform_mcp.core.rows import Stamp
from ai_platform_mcp.domain.lint.engine import check
from ai_platform_mcp.domain.lint.model import Around
from ai_platform_mcp.domain.routing.observed import Observed
from ai_platform_mcp.manifests.common import Capabilities
from ai_platform_mcp.manifests.litellm_merge import part
from ai_platform_mcp.sandbox import process
from ai_platform_mcp.settings import RoutingSettings, Settings
from ai_platform_mcp.tools import route_model
from live_platform import Platform
from support.in_memory import context, readers, version_row
from support.routing_facts import observed, routing_facts

EDGE = observed("edge", "edge", 0.1, slots_per_unit=2, context_tokens=2048)
NEAR, FAR = observed("near", "cloud", 0.2), observed("far", "cloud", 0.2, request_cents=0.009)
SPOT = observed("spot", "cloud", 0.2, spot=True)
GATEWAY = {"name": "models", "namespace": "gateways", "domain": "models.example.com", "picker": "epp"}
OTHER = "vision-v7"
Measure = Callable[..., None]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measure:
    """What is measured of a model's targets; everything else is the sandbox's."""

    def use(*rows: Observed, **about: Any) -> None:
        async def read(readers: Any, principal: Any, model: str, **_: Any) -> Any:
            return routing_facts(model, *rows, **about)

        monkeypatch.setattr(route_model, "read_routing_facts", read)

    return use


@pytest.fixture
async def with_gateway(sandbox: process.Status, tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform whose file names a Gateway, and whose proxy's Deployment is there."""
    routing: dict[str, Any] = {"gateway": GATEWAY, "proxy": {"config_map": "gateway-config", "deployment": "litellm"}}
    journal = f"sqlite:///{tmp_path / 'routes.sqlite'}"
    app = App(Settings(state_dir=Path(sandbox.state_dir), journal_url=journal, routing=RoutingSettings(**routing)))
    try:
        platform = Platform(app=app, readers=await app.readers())
        await put(platform, PROXY)
        yield platform
    finally:
        await app.aclose()


POD = {
    "metadata": {"labels": {"app": "litellm"}},
    "spec": {"containers": [{"name": "litellm", "image": "registry.local/litellm@sha256:" + "ab" * 32}]},
}
PROXY = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "litellm", "namespace": "vision-dev", "labels": {"aiplatform.dev/team": "vision"}},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "litellm"}}, "template": POD},
}


async def put(platform: Platform, manifest: dict[str, Any]) -> None:
    """Write an object behind the platform's back."""
    writers = (await platform.app.wiring()).guard._executor._writers  # type: ignore[attr-defined]
    with open_permit(Permit("test", "s1")):
        step = Apply(title="put", cluster="sandbox", manifest=manifest, force=True)
        await writers.clusters.execute(step, Stamp(operation_id=f"op-{uuid.uuid4().hex[:16]}", plan_digest="0" * 64))


def holding(text: str) -> dict[str, Any]:
    """The ConfigMap that a platform with a Gateway reads, with this text."""
    meta = {"name": "gateway-config", "namespace": "vision-dev", "labels": {"aiplatform.dev/team": "vision"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"config.yaml": text}}


async def config(platform: Platform, name: str = "litellm-config") -> dict[str, Any]:
    live = await platform.get("v1", "ConfigMap", name, "vision-dev")
    return yaml.safe_load(live["data"]["config.yaml"]) if live else {}


def groups(config: dict[str, Any]) -> list[str]:
    return [row["model_name"] for row in config["model_list"]]


async def route(platform: Platform, model: str = "vision-v2", **arguments: Any) -> Any:
    return await platform.call("route_model", model=model, **{"gateway": "litellm", **arguments})


async def test_a_plan_says_who_is_asked_first_when_it_spills_and_what_that_costs(platform: Platform, measured: Measure):
    measured(EDGE, NEAR, FAR, SPOT)
    answer = await route(platform)
    assert answer.data["status"] == "planned", answer.text
    for told in (
        "edge first, spilling to vision-v2-cloud, vision-v2-cloud-2; p95 of 500 ms.",
        "Clients call vision-v2 for interactive requests; vision-v2-noncritical for noncritical requests",
        "vision-v2-spot for batch requests.",
        "edge (p95 190 ms idle, 0.001 cents a request); spills to vision-v2-cloud, then vision-v2-cloud-2 when it fails or is "
        "silent for 1 s, or has 1200 requests in a minute, or would get a prompt of more than 1998 tokens.",
        "A circuit opens at failure 2 within 30 s",
    ):
        assert told in answer.text
    assert await platform.get("v1", "ConfigMap", "litellm-config", "vision-dev") is None


@pytest.fixture(scope="module", autouse=True)
def another_model(sandbox: process.Status) -> None:
    """A second model of the team, as a person would register it."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=sandbox.mlflow_uri, registry_uri=sandbox.mlflow_uri)
    client.create_registered_model(OTHER, tags={"aiplatform.team": "vision"})
    client.create_model_version(OTHER, "s3://models/other")


async def test_one_proxy_serves_several_models_and_a_plan_touches_its_own_alone(platform: Platform, measured: Measure):
    measured(EDGE, NEAR)
    first = await route(platform, mode="apply")
    assert first.data["status"] == "applied", first.text
    measured(NEAR, FAR)
    second = await route(platform, OTHER, mode="apply")
    assert second.data["status"] == "applied", second.text
    live = await config(platform)
    assert groups(live) == ["vision-v2", "vision-v2-cloud", OTHER, f"{OTHER}-cloud-2"]
    assert live["router_settings"]["fallbacks"] == [{"vision-v2": ["vision-v2-cloud"]}, {OTHER: [f"{OTHER}-cloud-2"]}]
    assert [row.code for row in check(live, Around()) if row.severity != "info"] == []
    again = await route(platform, OTHER)
    assert "Other groups of the proxy stay as they are: vision-v2, vision-v2-cloud." in again.text
    assert [step["action"] for step in again.data["steps"]] == ["none"], again.text
    back = await platform.call(
        "control_operation", operation_id=first.data["operation_id"], action="rollback", mode="apply"
    )
    assert back.data["status"] == "applied", back.text
    assert groups(await config(platform)) == [OTHER, f"{OTHER}-cloud-2"]


async def test_a_rollback_brings_the_routing_before_back_and_leaves_what_others_got_since(
    platform: Platform, measured: Measure
):
    measured(EDGE, NEAR)
    await route(platform, mode="apply")
    before = part(await config(platform), "vision-v2")
    measured(EDGE, NEAR, FAR)
    moved = await route(platform, mode="apply")
    measured(FAR)
    await route(platform, OTHER, mode="apply")
    after = part(await config(platform), OTHER)
    rollback = {"operation_id": moved.data["operation_id"], "action": "rollback", "mode": "apply"}
    back = await platform.call("control_operation", **rollback)
    assert back.data["status"] == "applied", back.text
    live = await config(platform)
    assert (part(live, "vision-v2"), part(live, OTHER)) == (before, after)
    with pytest.raises(Conflict, match="does not move by itself"):
        await platform.call("control_operation", **{**rollback, "action": "pause"})


async def test_what_others_wrote_is_theirs_unless_taken_by_force(with_gateway: Platform, measured: Measure):
    platform = with_gateway
    measured(NEAR)
    own = {"model_list": [{"model_name": "vision-v2", "litellm_params": {"model": "openai/x"}}], "litellm_settings": {}}
    await put(platform, holding(f"# by hand\n{yaml.safe_dump(own)}"))
    with pytest.raises(Conflict, match="serves vision-v2 already"):
        await route(platform)
    other: dict[str, Any] = {
        "model_list": [{"model_name": "theirs", "litellm_params": {"model": "openai/x", "rpm": 5}}],
        "extra": {"a": 1},
    }
    await put(platform, holding(f"# by hand\n{yaml.safe_dump(other)}"))
    planned = await route(platform)
    (shown,) = [row for row in planned.data["steps"][0]["changes"] if row["path"] == "/data/config.yaml"]
    assert "+- model_name: vision-v2" in shown["lines"] and "-# by hand" in shown["lines"]
    assert not any("theirs" in line for line in shown["lines"])  # what stays is not told anew
    assert "        +- model_name: vision-v2\n" in planned.text
    done = await route(platform, mode="apply")
    assert done.data["status"] == "applied", done.text
    assert "The comments in ConfigMap gateway-config are lost" in str(planned.data["risks"])
    live = await config(platform, "gateway-config")
    assert live["model_list"][0] == other["model_list"][0] and live["extra"] == {"a": 1}
    assert groups(live) == ["theirs", "vision-v2"]


@pytest.mark.parametrize(
    "text",
    [
        "model_list: [{model_name: a, litellm_params: {model: openai/a, api_key: sk-nobody-should-see-this}}]",
        "general_settings: {master_key: hunter2}\nmodel_list: []",
        "environment_variables: {DATABASE_PASSWORD: x}",
        "general_settings: {database_url: 'postgres://u:p@db/x'}",
    ],
)
async def test_a_configuration_with_secrets_in_clear_is_never_carried_into_a_plan(
    with_gateway: Platform, measured: Measure, text: str
):
    measured(NEAR)
    await put(with_gateway, holding(text))
    with pytest.raises(Conflict, match="in clear: /"):
        await route(with_gateway)


@pytest.mark.parametrize("text", ["- a list", "model_list: 5", "a: [", "model_list: &a [*a]"])
async def test_a_configuration_that_is_none_is_left_alone(with_gateway: Platform, measured: Measure, text: str):
    measured(NEAR)
    await put(with_gateway, holding(text))
    with pytest.raises(Conflict, match="configuration"):
        await route(with_gateway)


async def test_a_proxy_with_a_breaker_keeps_it_and_one_without_gets_one(with_gateway: Platform, measured: Measure):
    measured(NEAR)
    for settings, fails, told in (
        ({"allowed_fails": 2, "cooldown_time": 60, "num_retries": 1}, 2, "own circuit breaker stays"),
        ({"allowed_fails": 3, "cooldown_time": 60}, 1, "had no circuit breaker that works"),
        ({}, 1, "had no circuit breaker that works"),
    ):
        text = yaml.safe_dump({"model_list": [], "router_settings": settings or {"timeout": 9}})
        await put(with_gateway, holding(text))
        planned = await route(with_gateway)
        assert told in planned.text
        assert f"opens at failure {fails + 1}" in planned.text


async def test_the_proxys_pods_are_replaced_when_its_configuration_changes_and_only_then(
    with_gateway: Platform, measured: Measure
):
    await put(with_gateway, holding("model_list: []"))
    measured(NEAR, FAR)
    done = await route(with_gateway, mode="apply")
    assert [row["title"] for row in done.data["steps"]][
        1
    ] == "Replace the pods of Deployment vision-dev/litellm, which read it"
    again = await route(with_gateway)
    assert {step["action"] for step in again.data["steps"]} == {"none"}, again.text


async def test_through_git_nothing_is_restarted_before_the_configuration_arrives(measured: Measure):
    measured(observed("near", "cloud", 0.2, cluster="c1"))
    can = Capabilities(kinds=frozenset(("v1/Namespace", "v1/ConfigMap", "apps/v1/Deployment")), kubernetes_minor=36)
    world = readers(can, [version_row("plain", "1")], objects=[PROXY])
    routing = {"proxy": {"deployment": "litellm"}}
    for gitops, steps, told in (
        (None, 2, "replaced one after another"),
        ({"repository": "r"}, 1, "once the commit has"),
    ):
        platform = replace(world.platform, routing=routing, gitops=gitops)
        params = route_model.RouteModelParams(model="plain", gateway="litellm")
        draft = await route_model.RouteModel().plan(params, replace(world, platform=platform), context())
        assert len(draft.steps) == steps
        assert told in " ".join([*draft.reasons, *(risk.text for risk in draft.risks)])


async def test_routes_are_made_where_a_gateway_is_named_and_what_they_cannot_say_is_told(
    with_gateway: Platform, measured: Measure
):
    away = observed("saas", "cloud", 0.2, base_url="https://models.example.com/v1", request_cents=0.02)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "near", "namespace": "vision-dev"}}
    ports = [{"port": 8080, "targetPort": 8000}]
    await put(with_gateway, {**service, "spec": {"selector": {"app": "near"}, "ports": ports}})
    measured(NEAR, away)
    done = await route(with_gateway, gateway="routes", mode="apply")
    assert done.data["status"] == "applied", done.text
    made = await with_gateway.get("gateway.networking.k8s.io/v1", "HTTPRoute", "vision-v2", "vision-dev")
    pool = await with_gateway.get("inference.networking.k8s.io/v1", "InferencePool", "near", "vision-dev")
    assert made is not None and made["spec"]["rules"][0]["backendRefs"][0]["kind"] == "InferencePool"
    assert pool is not None and pool["spec"]["selector"]["matchLabels"] == {"app": "near"}
    again = await route(with_gateway, gateway="routes")
    assert {step["action"] for step in again.data["steps"]} == {"none"}, again.text
    assert "No route for vision-v2-cloud-2: saas is no Service of vision-dev" in again.text
    assert "There is no Gateway gateways/models" in again.text
    assert "fallbacks between groups and the circuit breaker are not its to say" in again.text
    back = await with_gateway.call(
        "control_operation", operation_id=done.data["operation_id"], action="rollback", mode="apply"
    )
    assert back.data["status"] == "applied", back.text
    assert await with_gateway.get("gateway.networking.k8s.io/v1", "HTTPRoute", "vision-v2", "vision-dev") is None


async def test_without_a_gateway_a_model_that_speaks_no_openai_api_says_what_is_missing(
    platform: Platform, measured: Measure
):
    measured(NEAR)
    for gateway in ("auto", "routes"):
        with pytest.raises(CapabilityMissing) as caught:
            await route(platform, gateway=gateway)
        assert "No Gateway is named" in f"{caught.value.message} {caught.value.cause}"


async def test_what_cannot_serve_is_left_out_with_the_reason(platform: Platform, measured: Measure):
    measured(
        NEAR,
        observed("slow", "edge", 2.0),
        observed("silent", "edge", 0.1, latency=None),
        observed("nowhere", "cloud", 0.1, base_url=""),
        observed("other", "cloud", 0.1, cluster="elsewhere"),
        observed("down", "cloud", 0.1, ready=0),
    )
    told = (await route(platform)).text
    for sentence in (
        "Slow is left out: idle it takes 3.80 s (p95) of 0.5 s.",
        "silent is left out: its latency is not measured.",
        "nowhere is left out: nothing says under which address it answers.",
        "other is left out: its address is one inside of elsewhere",
        "down is left out: nothing of it is ready.",
    ):
        assert sentence in told


async def test_nothing_that_cannot_work_is_planned(platform: Platform, measured: Measure):
    for rows, about, says in (
        ((), {}, "Nothing serves vision-v2 that requests could be routed to"),
        ((EDGE,), {}, "at the edge, and no cloud is behind it"),
        ((NEAR, SPOT), {"regions": frozenset(("eu-west",))}, "Nothing may serve vision-v2 at once"),
    ):
        measured(*rows, **about)
        with pytest.raises(InvalidInput, match=says):
            await route(platform)


async def test_production_needs_a_promise_and_somebody_who_agrees(weekday: Platform, measured: Measure):
    measured(observed("near", "cloud", 0.2, namespace="vision-prod"))
    asked = await route(weekday, environment="production")
    assert asked.data["status"] == "planned_needs_approval", asked.text
    measured(observed("near", "cloud", 0.2, namespace="vision-prod"), slo=None)
    denied = await route(weekday, environment="production")
    assert denied.data["status"] == "denied"
    assert [row["code"] for row in denied.data["decision"]["violations"]] == ["slo_missing"]


async def test_another_teams_model_is_not_routed(platform: Platform, measured: Measure):
    measured(NEAR)
    denied = await platform.call("route_model", team="nlp", model="vision-v2", gateway="litellm")
    assert "model_of_other_team" in {row["code"] for row in denied.data["decision"]["violations"]}
