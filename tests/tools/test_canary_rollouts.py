"""A new version in the cloud comes with the rollout that moves it on, in plans of every kind."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.tool import Result
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
