from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.tool import Result
from live_platform import Platform

API = "trainer.kubeflow.org/v1alpha1"


async def train_jobs(platform: Platform, model: str, namespace: str) -> list[dict[str, Any]]:
    page = await platform.readers.clusters.list(
        "sandbox", API, "TrainJob", namespace=namespace, labels=f"aiplatform.dev/model={model}"
    )
    return list(page.items)


async def test_a_model_that_is_not_registered_yet_is_trained_by_its_golden_path(platform: Platform):
    planned = await platform.call("trigger_retraining", model="vision-v9", parameters=["learning-rate=0.01"])
    assert planned.data["status"].startswith("planned"), planned.text
    assert planned.data["cost"]["total_cents"] == 6 * 8 * planned.data["cost"]["hourly_cents"] // 8
    assert "by finetune: 8 × NVIDIA-A100" in planned.data["summary"]
    assert any("not registered yet" in row["text"] for row in planned.data["risks"])
    assert await train_jobs(platform, "vision-v9", "vision-dev") == []


async def applied(platform: Platform, **arguments: Any) -> Result:
    """Apply, agreeing in person where policy lets the requester."""
    done = await platform.call("trigger_retraining", **arguments, mode="apply")
    if done.data["status"] == "awaiting_approval":
        await platform.app.agree(done.data["approval"]["approval_id"], platform.caller().principal)
        plan_id = done.data["plan_id"]
        done = await platform.call("trigger_retraining", **arguments, mode="apply", plan_id=plan_id)
    return done


async def test_a_second_call_returns_the_active_run_and_starts_nothing(platform: Platform):
    first = await applied(platform, model="vision-v8", hours=1, parameters=["epochs=2"])
    assert first.data["status"] == "applied", first.text
    (job,) = await train_jobs(platform, "vision-v8", "vision-dev")
    env = {row["name"]: row.get("value") for row in job["spec"]["trainer"]["env"]}
    assert env["EPOCHS"] == "2" and env["MODEL_NAME"] == "vision-v8"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"].startswith("gpu")
    assert job["spec"]["activeDeadlineSeconds"] == 3600

    noticed = await platform.call("trigger_retraining", model="vision-v8", reason="drift")
    assert noticed.data["status"] == "planned" and noticed.data["steps"] == [], noticed.text
    again = await platform.call("trigger_retraining", model="vision-v8", hours=2, mode="apply")  # nobody is asked
    assert again.data["status"] == "applied" and again.data["steps"] == []
    assert "is in training already" in again.text and job["metadata"]["name"] in again.text
    assert len(await train_jobs(platform, "vision-v8", "vision-dev")) == 1
    operation = await platform.readers.journal.operation(again.data["operation_id"])
    assert operation is not None and operation.plan.follow[0].ref.name == job["metadata"]["name"]


async def test_an_automatic_run_without_drift_and_loss_is_refused(platform: Platform):
    answer = await platform.call("trigger_retraining", model="vision-v2", reason="performance")
    codes = [row["code"] for row in answer.data["decision"]["violations"]]
    assert answer.is_error and "retrain_not_justified" in codes
    assert any("an automatic run needs both" in reason for reason in answer.data["reasons"])


async def test_the_history_of_runs_is_told(platform: Platform):
    answer = await platform.call("trigger_retraining", model="vision-v2")
    reasons = " ".join(answer.data["reasons"])
    assert "The last run began" in reasons


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"model": "vision-v3", "golden_path": "nowhere"}, "Golden paths: finetune"),
        ({"model": "vision-v3", "parameters": ["no equals sign"]}, "name=value"),
        ({"model": "vision@champion"}, "letters, digits"),
    ],
)
async def test_what_no_golden_path_can_take_is_refused_with_a_remedy(
    platform: Platform, arguments: dict[str, Any], said: str
):
    with pytest.raises(InvalidInput) as caught:
        await platform.call("trigger_retraining", **arguments)
    assert said in caught.value.remedy


async def test_a_golden_path_whose_runtime_is_missing_is_not_submitted(platform: Platform):
    from ai_platform_mcp.core.errors import CapabilityMissing
    from ai_platform_mcp.core.tool import PlanContext
    from ai_platform_mcp.tools.trigger_retraining import TriggerRetraining, TriggerRetrainingParams

    path = {**platform.readers.platform.golden_paths["finetune"], "runtime": "jax-distributed"}
    readers = replace(platform.readers, platform=replace(platform.readers.platform, golden_paths={"finetune": path}))
    context = PlanContext(caller=platform.caller(), operation_id="op-0123456789abcdef", now=readers.clock.now())
    with pytest.raises(CapabilityMissing, match="jax-distributed"):
        await TriggerRetraining().plan(TriggerRetrainingParams(model="vision-v7"), readers, context)
