from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.domain.lint.engine import check, peers_of
from ai_platform_mcp.domain.lint.model import Around
from ai_platform_mcp.domain.routing.facts import Request, ServiceTime, Slo, Target
from ai_platform_mcp.domain.routing.plan import Breaker, RoutingPlan, plan_routes
from ai_platform_mcp.manifests.common import Capabilities, Origin
from ai_platform_mcp.tools._routes import Gateway, Pool, proxy_of, routes_of

ROUTES, POOLS = "gateway.networking.k8s.io/v1/HTTPRoute", "inference.networking.k8s.io/v1/InferencePool"


def target(name: str, **fields: Any) -> Target:
    usual = {
        "tier": "cloud",
        "region": "us",
        "failure_domain": name,
        "service": ServiceTime(base_seconds=1),
        "slots": 8,
    }
    base = f"http://{name}.nlp-prod.svc.cluster.local:8080/v1"
    return Target.model_validate({"name": name, **usual, "base_url": base, **fields})


def plan(*extra: Target) -> RoutingPlan:
    sites = [target(name, tier="edge", slots=2, context_tokens=2048) for name in ("site-1", "site-2")]
    rows = (*sites, target("gcp"), *extra)
    return plan_routes("chat", rows, Request(prompt_tokens=500, output_tokens=200), Slo(seconds=4))


def serving(*kinds: str) -> Capabilities:
    return Capabilities(kinds=frozenset(kinds), kubernetes_minor=36)


FULL = plan(target("aws", request_cents=1), target("spot", spot=True), target("later", asynchronous=True))
GATEWAY = Gateway(name="models", namespace="gateways", domain="models.example.com")


@pytest.mark.parametrize("made", [plan(), FULL])
def test_the_proxy_that_is_emitted_passes_our_own_lint(made: RoutingPlan) -> None:
    found = check(proxy_of([made], keys={"gcp": "GCP_KEY"}), Around())
    assert [finding.code for finding in found if finding.severity != "info"] == []


def test_the_proxy_has_its_breaker_on_and_passes_long_prompts_on() -> None:
    made = proxy_of([plan()], {"gcp": "llama"}, {"gcp": "GCP_KEY"})
    settings = made["router_settings"]
    assert {key: settings[key] for key in ("allowed_fails", "cooldown_time", "num_retries", "routing_strategy")} == {
        "allowed_fails": 1,
        "cooldown_time": 30,
        "num_retries": 0,
        "routing_strategy": "simple-shuffle",
    }
    assert settings["fallbacks"] == settings["context_window_fallbacks"] == [{"chat": ["chat-cloud"]}]
    assert settings["enable_pre_call_checks"] is True
    assert settings["optional_pre_call_checks"] == ["session_affinity"]  # two sites share the edge's group
    edge, cloud = made["model_list"][0], made["model_list"][-1]
    assert (edge["litellm_params"]["timeout"], edge["litellm_params"]["weight"]) == (3, 2)
    assert edge["model_info"] == {
        "id": "chat/edge///chat/site-1",
        "routed_for": "chat",
        "placement": "edge",
        "max_input_tokens": 2048 - 200,
    }
    assert cloud["model_info"]["max_input_tokens"] == 2**31 - 1
    assert cloud["litellm_params"]["api_key"] == "os.environ/GCP_KEY"
    assert cloud["litellm_params"]["model"] == "openai/llama"


def test_a_plan_with_an_error_is_emitted_nowhere() -> None:
    for broken in (FULL.model_copy(update={"breaker": None}), FULL.model_copy(update={"fallbacks": {}})):
        with pytest.raises(InvalidInput, match="cannot work"):
            proxy_of([broken])
        with pytest.raises(InvalidInput, match="cannot work"):
            routes_of(broken, "nlp-prod", GATEWAY, Origin(), serving(ROUTES))


def test_one_proxy_serves_several_models_with_one_breaker() -> None:
    other = plan_routes("vision", [target("gcp")], Request(), Slo(seconds=4))
    made = proxy_of([plan(), other])
    assert [entry["model_name"] for entry in made["model_list"]] == ["chat", "chat", "chat-cloud", "vision"]
    assert made["router_settings"]["fallbacks"] == [{"chat": ["chat-cloud"]}]
    eager = other.model_copy(update={"breaker": Breaker(allowed_fails=0)})
    for wrong, says in (
        ([], "one circuit breaker"),
        ([plan(), eager], "one circuit breaker"),
        ([plan()] * 2, "two plans"),
    ):
        with pytest.raises(InvalidInput, match=says):
            proxy_of(wrong)


def test_routes_share_out_by_slots_and_pass_our_own_lint() -> None:
    routes = routes_of(FULL, "nlp-prod", GATEWAY, Origin(model="chat"), serving(ROUTES))
    assert {row["kind"] for row in routes.objects} == {"HTTPRoute"}
    first = routes.objects[0]["spec"]
    assert first["hostnames"] == ["chat.models.example.com"]
    assert first["rules"][0]["backendRefs"] == [
        {"kind": "Service", "name": name, "port": 8080, "weight": 2} for name in ("site-1", "site-2")
    ]
    around = Around(peers=peers_of(routes.objects))
    found = [finding for row in routes.objects for finding in check(row, around)]
    assert [finding.code for finding in found if finding.severity != "info"] == []


def test_a_pool_stands_for_its_service_where_pools_are_served() -> None:
    pools = {"gcp": Pool(match_labels={"app": "gcp"}, port=8000, picker="gcp-epp", picker_port=9002)}
    with_pools = routes_of(plan(), "nlp-prod", GATEWAY, Origin(), serving(ROUTES, POOLS), pools)
    assert [row["kind"] for row in with_pools.objects] == ["HTTPRoute", "InferencePool", "HTTPRoute"]
    assert with_pools.objects[2]["spec"]["rules"][0]["backendRefs"][0]["kind"] == "InferencePool"
    around = Around(peers=peers_of(with_pools.objects))
    found = [finding for row in with_pools.objects for finding in check(row, around)]
    assert [finding.code for finding in found if finding.severity != "info"] == []
    without = routes_of(plan(), "nlp-prod", GATEWAY, Origin(), serving(ROUTES), pools)
    assert [row["kind"] for row in without.objects] == ["HTTPRoute", "HTTPRoute"]


def test_groups_that_a_route_cannot_reach_are_told_and_without_the_api_nothing_is_made() -> None:
    away = plan(target("saas", request_cents=1, base_url="https://models.example.com/v1"))
    routes = routes_of(away, "nlp-prod", GATEWAY, Origin(), serving(ROUTES))
    assert routes.left_out == {"chat-cloud-2": "saas is no Service of nlp-prod with a port"}
    with pytest.raises(CapabilityMissing):
        routes_of(plan(), "nlp-prod", GATEWAY, Origin(), serving())
