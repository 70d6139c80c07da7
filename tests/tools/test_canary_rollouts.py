"""A new version in the cloud comes with the rollout that moves it on, in plans of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from ai_platform_mcp.app import App
from ai_platform_mcp.core.errors import CapabilityMissing, Conflict, InvalidInput
from ai_platform_mcp.core.plan import Commit
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.sandbox import process
from ai_platform_mcp.settings import GitOpsSettings
from kubernetes_servers import existing
from live_platform import Platform

SERVING = "serving.kserve.io/v1beta1"
CANARIES = "serving.aiplatform.dev/v1alpha1"


async def manifests(platform: Platform, answer: Result) -> dict[str, dict[str, Any]]:
    stored = await platform.readers.journal.plan(answer.data["plan_id"])
    assert stored is not None
    found = [step.manifest for step in stored.plan.steps]  # type: ignore[union-attr]
    return {row["kind"]: row for row in found}


async def deploy(platform: Platform, version: str, **arguments: Any) -> Result:
    where = {"target": "cloud", "environment": "staging", **arguments}
    return await platform.call("deploy_model", model=f"vision-v2:{version}", **where)


async def test_a_canary_in_staging_comes_with_its_steps_and_its_way_back(platform: Platform):
    done = await deploy(platform, "2", canary_percent=0, mode="apply")
    assert done.data["status"] == "applied", done.text
    before = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-staging")
    planned = await deploy(platform, "4")
    made = await manifests(platform, planned)
    spec = made["CanaryRollout"]["spec"]
    assert [row["percent"] for row in spec["steps"]] == [20, 50, 100]
    assert (spec["version"], spec["stable"]["version"], spec["onFailure"]) == ("4", "2", "RollBack")
    assert before is not None and spec["stable"]["predictor"] == before["spec"]["predictor"]
    assert spec["stable"]["digest"] == before["metadata"]["annotations"]["aiplatform.dev/model-digest"]
    service = made["InferenceService"]["spec"]
    assert service["predictor"] == before["spec"]["predictor"], "the stable one is left as it is"
    assert service["canary"][0]["predictor"]["labels"] == {"aiplatform.dev/version": "4"}
    stored = await platform.readers.journal.plan(planned.data["plan_id"])
    assert stored is not None and [row.ref.kind for row in stored.plan.follow] == ["InferenceService", "CanaryRollout"]
    assert any("The controller moves it on by 20, 50, 100 %" in reason for reason in stored.plan.reasons)


async def test_blue_and_green_warms_up_without_traffic_and_keeps_the_old_one(platform: Platform):
    await deploy(platform, "2", canary_percent=0, mode="apply")
    planned = await deploy(platform, "4", strategy="blue_green")
    made = await manifests(platform, planned)
    spec = made["CanaryRollout"]["spec"]
    assert (spec["strategy"], spec["steps"][0]["percent"], spec["keepSeconds"]) == ("BlueGreen", 0, 300)
    assert made["InferenceService"]["spec"]["canary"][0]["trafficPercent"] == 0
    assert "warm first" in planned.data["summary"]


async def test_blue_and_green_is_refused_where_only_the_edge_is_meant(platform: Platform):
    with pytest.raises(InvalidInput, match="for the cloud"):
        await deploy(platform, "4", target="edge", strategy="blue_green")


async def test_production_is_planned_with_an_analysis_that_policy_is_content_with(weekday: Platform):
    planned = await deploy(weekday, "3", environment="production", force=True)
    made = await manifests(weekday, planned)
    checks = [row["check"] for row in made["CanaryRollout"]["spec"]["analysis"]["checks"]]
    assert checks == ["errors", "slow"]
    codes = {row["code"] for row in planned.data["decision"].get("violations", [])}
    assert not codes & {"analysis_required", "analysis_too_weak"}


async def seen_rollout(platform: Platform, namespace: str, version: str) -> dict[str, Any]:
    """The CanaryRollout that brings a version, once the sandbox's controller has seen it."""
    for _ in range(600):
        page = await platform.readers.clusters.list("sandbox", CANARIES, "CanaryRollout", namespace=namespace)
        for row in page.items:
            if row["spec"]["version"] == version and (row.get("status") or {}).get("phase"):
                return row
        await anyio.sleep(0.05)
    raise AssertionError("no controller has seen it")


async def test_a_canary_under_way_is_superseded_or_in_the_way_and_never_fought(platform: Platform):
    async def dev(version: str, **arguments: Any) -> Result:
        return await deploy(platform, version, environment="dev", **arguments)

    await dev("2", canary_percent=0, mode="apply")
    before = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-dev")
    second = await dev("4", canary_percent=20, mode="apply")
    assert second.data["status"] == "applied", second.text
    await seen_rollout(platform, "vision-dev", "4")

    for version, arguments, why in (
        ("4", {"canary_percent": 20}, "brings 4 already: it has 20 %"),
        ("2", {}, "2 is the stable version beside CanaryRollout"),
        ("3", {}, "3 would replace both versions at once"),
    ):
        with pytest.raises(Conflict, match=why) as caught:
            await dev(version, **arguments)
        assert "action=rollback" in caught.value.remedy
        assert f"operation_id={second.data['operation_id']}" in caught.value.remedy

    planned = await dev("3", canary_percent=30)
    assert any("This ends CanaryRollout" in row["text"] and "at 20 %" in row["text"] for row in planned.data["risks"])
    third = await dev("3", canary_percent=30, mode="apply", plan_id=planned.data["plan_id"])
    assert third.data["status"] == "applied", third.text
    assert (await seen_rollout(platform, "vision-dev", "3"))["spec"]["stable"]["version"] == "2"
    for _ in range(600):
        old = (await seen_rollout(platform, "vision-dev", "4"))["status"]
        if old["phase"] == "Stopped":
            break
        await anyio.sleep(0.05)
    assert (old["phase"], old["reason"]) == ("Stopped", "superseded")
    live = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-dev")
    assert live is not None and before is not None and live["spec"]["predictor"] == before["spec"]["predictor"]
    assert [row["predictor"]["name"] for row in live["spec"]["canary"]] == ["canary-v3"]


async def test_where_changes_are_commits_no_controller_is_promised_and_the_plan_says_what_to_commit(
    platform: Platform, sandbox: process.Status, tmp_path: Path
):
    repository = GitOpsSettings(repository="git@git.example.com:fleet.git", path="prod")
    settings = platform.app.settings.model_copy(update={"gitops": repository})
    await deploy(platform, "2", canary_percent=0, mode="apply")
    app = App(settings.model_copy(update={"journal_url": f"sqlite:///{tmp_path / 'git.sqlite'}"}))
    try:
        through_git = Platform(app=app, readers=await app.readers())
        planned = await deploy(through_git, "4")
        stored = await through_git.readers.journal.plan(planned.data["plan_id"])
        assert stored is not None
        (commit,) = stored.plan.steps
        assert isinstance(commit, Commit)
        assert [Path(name).name for name in commit.files] == ["inferenceservice-vision-v2.yaml"], "no share is put back"
        (told,) = [reason for reason in stored.plan.reasons if "Each share is a commit" in reason]
        assert "change spec.canary[0].trafficPercent" in told
        assert "no ignoreDifferences" in told
        assert stored.plan.facts.rollout is not None and stored.plan.facts.rollout.by_hand
        with pytest.raises(CapabilityMissing, match="leaves alone what comes from Git"):
            await deploy(through_git, "4", strategy="blue_green")
    finally:
        await app.aclose()


@pytest.fixture
def by_knative(sandbox: process.Status) -> Iterator[Callable[..., None]]:
    """Puts an endpoint of Knative mode there: version 1 is stable, version 7 has a share that nobody moves."""
    server = existing(Path(sandbox.kubeconfig))
    path = f"/apis/{SERVING}/namespaces/nlp-dev/inferenceservices/ticket-router"

    def put(percent: int) -> None:
        meta = {
            "name": "ticket-router",
            "labels": {"aiplatform.dev/version": "7", "aiplatform.dev/model": "ticket-router"},
            "annotations": {
                "serving.kserve.io/deploymentMode": "Knative",
                "aiplatform.dev/stable-version": "1",
            },
        }
        model = {"modelFormat": {"name": "onnx"}, "runtime": "kserve-tritonserver", "storageUri": "oci://r/m:7"}
        spec = {"predictor": {"canaryTrafficPercent": percent, "model": model}}
        body = {"apiVersion": SERVING, "kind": "InferenceService", "metadata": meta, "spec": spec}
        server.apply(path, body, manager="ai-platform-mcp")

    yield put
    server.delete(path)


async def test_where_the_newest_revision_would_get_all_traffic_the_plan_says_so_or_is_refused(
    platform: Platform, by_knative: Callable[..., None]
):
    async def dev(version: str, **arguments: Any) -> Result:
        where = {"target": "cloud", "environment": "dev", **arguments}
        return await platform.call("deploy_model", "nlp", model=f"ticket-router:{version}", **where)

    by_knative(40)
    with pytest.raises(Conflict, match="1 is the stable version") as caught:
        await dev("1")
    assert "all traffic would go to 7" in caught.value.cause
    made = await manifests(platform, await dev("2", canary_percent=20))
    assert made["InferenceService"]["spec"]["predictor"]["canaryTrafficPercent"] == 0, "7 would get them"
    assert [row["percent"] for row in made["CanaryRollout"]["spec"]["steps"]] == [20, 50, 100]
    by_knative(0)
    planned = await dev("1")
    (danger,) = [row["text"] for row in planned.data["risks"] if row["severity"] == "danger"]
    assert "all traffic goes to 7, which was rolled back" in danger
