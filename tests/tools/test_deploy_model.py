from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from ai_platform_mcp.core.errors import Conflict, FieldConflict, InvalidInput, NotFound
from ai_platform_mcp.core.rows import ClusterInfo
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.sandbox import process
from kubernetes_servers import existing
from live_platform import Platform

SERVING = "serving.kserve.io/v1beta1"
EDGE = "edge.aiplatform.dev/v1alpha1"


async def apply(platform: Platform, tool: str, team: str = "", **arguments: Any) -> Result:
    """Plan, agree in person where policy lets the requester, and apply exactly that plan."""
    planned = await platform.call(tool, team, **arguments)
    done = await platform.call(tool, team, **arguments, mode="apply", plan_id=planned.data["plan_id"])
    if done.data["status"] == "awaiting_approval":
        await platform.app.agree(done.data["approval"]["approval_id"], platform.caller(team).principal)
        done = await platform.call(tool, team, **arguments, mode="apply", plan_id=planned.data["plan_id"])
    return done


def codes(answer: Result) -> set[str]:
    return {row["code"] for row in answer.data["decision"].get("violations", [])}


async def rollouts(platform: Platform, model: str, namespace: str) -> list[dict[str, Any]]:
    page = await platform.readers.clusters.list(
        "sandbox", EDGE, "EdgeRollout", namespace=namespace, labels=f"aiplatform.dev/model={model}"
    )
    return list(page.items)


async def test_auto_takes_a_small_onnx_model_to_edge_and_cloud_with_reasons(platform: Platform):
    done = await apply(platform, "deploy_model", model="vision-v2:4")
    assert done.data["status"] == "applied", done.text
    service = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-dev")
    assert service is not None
    labels, notes = service["metadata"]["labels"], service["metadata"]["annotations"]
    assert (labels["aiplatform.dev/version"], labels["aiplatform.dev/team"]) == ("4", "vision")
    assert notes["aiplatform.dev/model-digest"].startswith("sha256:")
    assert service["spec"]["predictor"]["model"]["runtime"] == "kserve-tritonserver"
    (rollout,) = await rollouts(platform, "vision-v2", "vision-dev")
    spec = rollout["spec"]
    assert spec["digest"] == notes["aiplatform.dev/model-digest"]
    assert [wave["canary"] for wave in spec["waves"]] == [True] + [False] * (len(spec["waves"]) - 1)
    assert spec["runtime"] == "kserve-tritonserver"  # without an image, nothing else says what serves it on a node
    sites = [site for wave in spec["waves"] for site in wave["sites"]]
    assert sorted(sites) == sorted(set(sites)) and len(sites) == 11
    near = await platform.get("v1", "Service", "vision-v2-edge", "vision-dev")
    assert near is not None and near["spec"]["trafficDistribution"] == "PreferSameZone"

    again = await platform.call("deploy_model", model="vision-v2:4")
    assert "serves already" in again.data["summary"], again.text
    assert {step["action"] for step in again.data["steps"]} == {"none"}


async def test_the_plan_says_why_and_what_is_offline(platform: Platform):
    answer = await platform.call("deploy_model", model="ticket-router:2", team="nlp")
    reasons = " ".join(answer.data["reasons"])
    assert "Edge: the model fits the devices, and" in reasons and "Cloud behind the edge" in reasons
    assert "Waves: canary (1 site" in reasons
    assert any("owed the release" in row["text"] for row in answer.data["risks"])
    assert {target["region"] for target in answer.data["targets"] if target["cloud"] == "edge"} <= {
        "eu-west", "us-east", "us-south",
    }  # fmt: skip


async def test_a_format_that_edge_devices_do_not_load_goes_to_the_cloud_only(platform: Platform):
    answer = await platform.call("deploy_model", team="platform", model="churn:1")
    assert "to cloud in platform-dev" in answer.data["summary"], answer.text
    assert any(reason.startswith("Not edge:") for reason in answer.data["reasons"])
    with pytest.raises(InvalidInput, match="edge cannot serve"):
        await platform.call("deploy_model", team="platform", model="churn:1", target="edge")


async def test_a_new_version_in_production_comes_as_a_canary_beside_the_stable_one(weekday: Platform):
    moved = await weekday.call(
        "deploy_model", model="vision-v2:3", environment="production", target="cloud", force=True
    )
    assert "10 % first, 4 keeps the rest" in moved.data["summary"]
    assert codes(moved) >= {"champion_missing", "gates_missing"}
    stored = await weekday.readers.journal.plan(moved.data["plan_id"])
    assert stored is not None
    manifest = stored.plan.steps[0].manifest  # type: ignore[union-attr]
    assert manifest["spec"]["predictor"]["canaryTrafficPercent"] == 10
    assert manifest["metadata"]["annotations"]["aiplatform.dev/stable-version"] == "4"
    assert stored.plan.facts.rollout is not None and stored.plan.facts.rollout.strategy == "canary"


async def test_a_model_whose_data_must_stay_in_a_region_goes_nowhere_else(platform: Platform):
    with pytest.raises(InvalidInput, match="cloud cannot serve") as caught:
        await platform.call("deploy_model", team="platform", model="fraud@champion", target="cloud")
    assert "Its data must stay in eu" in caught.value.cause
    answer = await platform.call("deploy_model", team="nlp", model="ticket-router:2", target="edge")
    assert {target["region"] for target in answer.data["targets"]} == {"eu-west", "us-east", "us-south"}


async def test_all_at_once_in_production_is_refused(weekday: Platform):
    answer = await weekday.call(
        "deploy_model", model="vision-v2:3", environment="production", target="cloud", canary_percent=0, force=True
    )
    assert codes(answer) >= {"canary_required", "first_step_too_large"}


async def test_a_canary_in_standard_mode_leaves_the_stable_predictor_as_it_is(platform: Platform):
    first = await apply(platform, "deploy_model", model="vision-v2:3", target="cloud", environment="staging")
    assert first.data["status"] == "applied", first.text
    before = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-staging")
    second = await apply(platform, "deploy_model", model="vision-v2:4", target="cloud", environment="staging")
    assert second.data["status"] == "applied", second.text
    after = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-staging")
    assert before is not None and after is not None
    notes = after["metadata"]["annotations"]
    assert notes["aiplatform.dev/stable-version"] == "3"
    assert notes["serving.kserve.io/deploymentMode"] == "Standard"
    assert after["spec"]["predictor"] == before["spec"]["predictor"]
    assert after["spec"]["canary"][0]["trafficPercent"] == 20
    assert after["spec"]["canary"][0]["predictor"]["name"] == "canary-v4"

    with pytest.raises(Conflict, match="brings 4 already"):
        await platform.call(
            "deploy_model", model="vision-v2:4", target="cloud", environment="staging", canary_percent=0
        )


async def test_a_version_named_by_its_alias_is_deployed(platform: Platform):
    done = await apply(platform, "deploy_model", "nlp", model="ticket-router@champion", target="cloud")
    assert done.data["status"] == "applied", done.text
    assert await platform.get(SERVING, "InferenceService", "ticket-router", "nlp-dev") is not None


@contextlib.contextmanager
def held_by(status: process.Status, manager: str) -> Generator[str]:
    """Let another manager hold where production's vision-v2 is loaded from, at the value that it has."""
    server = existing(Path(status.kubeconfig))
    path = f"/apis/{SERVING}/namespaces/vision-prod/inferenceservices/vision-v2"
    live = server.get(path)
    assert live is not None
    uri = live["spec"]["predictor"]["model"]["storageUri"]
    empty = {"apiVersion": SERVING, "kind": "InferenceService", "metadata": {"name": "vision-v2"}}
    server.apply(path, {**empty, "spec": {"predictor": {"model": {"storageUri": uri}}}}, manager=manager)
    try:
        yield ".spec.predictor.model.storageUri"
    finally:
        server.apply(path, empty, manager=manager)
        server.http.close()


async def test_a_service_of_another_manager_is_not_taken_over_without_force(weekday: Platform, sandbox: process.Status):
    with held_by(sandbox, "release-team") as field:
        with pytest.raises(FieldConflict) as caught:
            await weekday.call("deploy_model", model="vision-v2:3", environment="production", target="cloud")
        told = [(row["manager"], row["field"]) for row in caught.value.details["conflicts"]]
        assert ("release-team", field) in told
        answer = await weekday.call(
            "deploy_model", model="vision-v2:3", environment="production", target="cloud", force=True
        )
        assert "force_not_allowed" in codes(answer)


async def test_what_the_platform_deployed_may_be_deployed_anew_without_force(weekday: Platform):
    answer = await weekday.call("deploy_model", model="vision-v2:3", environment="production", target="cloud")
    changed = {row["path"] for row in answer.data["steps"][0]["changes"]}
    assert any(path.endswith("/storageUri") for path in changed)


async def test_replicas_that_the_call_does_not_name_stay_as_they_are(weekday: Platform):
    answer = await weekday.call(
        "deploy_model", model="vision-v2:3", environment="production", target="cloud", force=True
    )
    assert not any("Replicas" in row["path"] for row in answer.data["steps"][0]["changes"])


async def test_accelerators_are_priced_at_the_largest_size_and_pinned_to_their_pool(platform: Platform):
    answer = await platform.call(
        "deploy_model", team="nlp", model="ticket-router:1", target="cloud", accelerator="a100", max_replicas=2
    )
    assert answer.data["cost"]["hourly_cents"] == 2 * 343, answer.text
    told = " ".join([*answer.data["reasons"], *(row["text"] for row in answer.data["risks"])])
    assert "aws-a100" in told
    assert "Kueue neither admits nor counts these pods" in told
    assert "Admitted now" not in told


async def test_another_release_on_its_way_to_the_same_sites_is_a_conflict(platform: Platform):
    first = await apply(
        platform, "deploy_model", team="nlp", model="ticket-router:1", target="edge", sites=["us-south-1"]
    )
    assert first.data["status"] == "applied", first.text
    with pytest.raises(Conflict, match="still on its way"):
        await platform.call("deploy_model", team="nlp", model="ticket-router:2", target="edge", sites=["us-south-1"])
    elsewhere = await platform.call(
        "deploy_model", team="nlp", model="ticket-router:2", target="edge", sites=["us-south-2"]
    )
    assert elsewhere.data["steps"][0]["action"] == "create", elsewhere.text


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"model": "nothing"}, NotFound, "register_model"),
        ({"model": "vision-v2@nobody"}, NotFound, "@champion (4)"),
        ({"model": "vision-v2:99"}, NotFound, "Newest version: 4"),
        ({"model": "vision-v2", "sites": ["moon-1"]}, InvalidInput, "us-south-1"),
        (
            {"model": "vision-v2", "target": "cloud", "runtime": "kserve-onnxruntime"},
            InvalidInput,
            "kserve-tritonserver",
        ),
        ({"model": "vision-v2", "min_replicas": 5, "max_replicas": 2}, InvalidInput, "Pass both"),
        ({"model": "vision-v2", "cluster": "mars"}, InvalidInput, "sandbox"),
    ],
)
async def test_what_does_not_exist_is_refused_with_what_does(
    platform: Platform, arguments: dict[str, Any], error: type[Exception], said: str
):
    with pytest.raises(error) as caught:
        await platform.call("deploy_model", **arguments)
    assert said in caught.value.remedy  # type: ignore[attr-defined]


async def test_where_several_clusters_have_the_role_one_must_be_named(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    async def two() -> list[ClusterInfo]:
        return [ClusterInfo(name="sandbox", sandbox=True), ClusterInfo(name="other", role="edge")]

    monkeypatch.setattr(platform.readers.clusters, "clusters", two)
    with pytest.raises(InvalidInput, match="Which cluster") as caught:  # nowhere deployed, so nothing says which
        await platform.call("deploy_model", model="churn", team="platform")
    assert "sandbox" in caught.value.remedy
    answer = await platform.call("deploy_model", model="churn", team="platform", target="cloud")
    assert {row["cluster"] for row in answer.data["targets"]} == {"sandbox"}


async def test_what_was_just_trained_is_registered_and_deployed_to_both_places(platform: Platform):
    registered = await apply(platform, "register_model", model="vision-v3", thresholds=["accuracy>=0.93"])
    assert registered.data["status"] == "applied", registered.text
    done = await apply(platform, "deploy_model", model="vision-v3", environment="staging")
    assert done.data["status"] == "applied", done.text
    kinds = [step["title"].split()[0] for step in done.data["steps"]]
    assert kinds == ["Serve", "Roll", "Reach"]
    operation = await platform.readers.journal.operation(done.data["operation_id"])
    assert operation is not None
    assert [row.ref.kind for row in operation.plan.follow] == ["InferenceService", "EdgeRollout"]
    with pytest.raises(NotFound, match="champion"):
        await platform.call("deploy_model", model="vision-v3", environment="production")
    answer = await platform.call("deploy_model", model="vision-v3:1", environment="production")
    assert "champion_missing" in codes(answer)
