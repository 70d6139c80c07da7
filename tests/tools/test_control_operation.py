from __future__ import annotations

from typing import Any

import anyio
import pytest

from ai_platform_mcp.core.errors import Conflict, NotFound, PlatformError
from ai_platform_mcp.core.tool import Result
from live_platform import Platform

TRAINING = {"purpose": "train", "accelerator": "a100", "count": 8, "hours": 1, "mode": "apply"}
KUEUE = "kueue.x-k8s.io/v1beta2"
SERVING = "serving.kserve.io/v1beta1"


async def steer(platform: Platform, begun: Result, action: str, **more: Any) -> Result:
    return await platform.call(
        "control_operation", operation_id=begun.data["operation_id"], action=action, mode="apply", **more
    )


async def workload_of(platform: Platform, job: str) -> dict[str, Any] | None:
    page = await platform.readers.clusters.list("sandbox", KUEUE, "Workload", namespace="vision-dev")
    return next((row for row in page.items if row["metadata"]["ownerReferences"][0]["name"] == job), None)


async def submitted(platform: Platform, key: str) -> tuple[Result, str]:
    """Begin a training job, and wait until Kueue has taken it."""
    begun = await platform.call("request_gpu", **TRAINING, idempotency_key=key)
    job = begun.data["steps"][0]["title"].split()[2]
    with anyio.fail_after(30):
        while await workload_of(platform, job) is None:
            await anyio.sleep(0.1)
    return begun, job


async def test_pausing_queued_work_gives_its_quota_back_through_its_workload(platform: Platform):
    begun, job = await submitted(platform, "pause-1")
    paused = await steer(platform, begun, "pause")
    assert paused.data["status"] == "applied", paused.text
    workload = await workload_of(platform, job)
    assert workload is not None and workload["spec"]["active"] is False
    with pytest.raises(Conflict, match="paused already"):
        await steer(platform, begun, "pause", idempotency_key="pause-again")
    resumed = await steer(platform, begun, "resume")
    workload = await workload_of(platform, job)
    assert resumed.data["status"] == "applied" and workload is not None and workload["spec"]["active"] is True
    await steer(platform, begun, "cancel")


async def test_cancelling_deletes_the_work_and_a_second_time_finds_nothing(platform: Platform):
    begun, job = await submitted(platform, "cancel-1")
    cancelled = await steer(platform, begun, "cancel")
    assert cancelled.data["status"] == "applied", cancelled.text
    left = await platform.get("batch/v1", "Job", job, "vision-dev")
    assert left is None or left["metadata"].get("deletionTimestamp")


async def test_another_team_cannot_steer_it(platform: Platform):
    begun, job = await submitted(platform, "theirs-1")
    answer = await platform.call(
        "control_operation", team="nlp", operation_id=begun.data["operation_id"], action="cancel"
    )
    assert answer.data["status"] == "denied"
    assert "object_of_other_team" in {row["code"] for row in answer.data["decision"]["violations"]}
    assert await platform.get("batch/v1", "Job", job, "vision-dev") is not None
    await steer(platform, begun, "cancel")


async def test_an_alias_moved_by_one_team_is_not_moved_back_by_another(platform: Platform):
    moved = await platform.call("promote_model", model="vision-v2", version="1", alias="trial", mode="apply")
    again = await platform.call("promote_model", model="vision-v2", version="2", alias="trial", mode="apply")
    answer = await platform.call(
        "control_operation", team="nlp", operation_id=again.data["operation_id"], action="rollback"
    )
    assert moved.data["status"] == again.data["status"] == "applied"
    assert answer.data["status"] == "denied"


async def test_work_in_queues_cannot_be_promoted(platform: Platform):
    begun, _ = await submitted(platform, "promote-1")
    with pytest.raises(PlatformError, match="cannot promote"):
        await steer(platform, begun, "promote")
    await steer(platform, begun, "cancel")


async def test_an_operation_that_left_nothing_behind_says_so(platform: Platform):
    with pytest.raises(NotFound):
        await platform.call("control_operation", operation_id="op-none", action="cancel")
    done = await platform.call("promote_model", model="vision-v2", version="2", alias="left", mode="apply")
    with pytest.raises(Conflict, match="left nothing behind"):
        await steer(platform, done, "pause")


async def test_a_canary_is_promoted_or_rolled_back_in_the_field_of_its_mode(platform: Platform):
    first = await platform.call(
        "deploy_model", model="vision-v2:2", target="cloud", environment="dev", canary_percent=0, mode="apply"
    )
    assert first.data["status"] == "applied", first.text
    canary = await platform.call(
        "deploy_model", model="vision-v2:4", target="cloud", environment="dev", canary_percent=20, mode="apply"
    )
    assert canary.data["status"] == "applied", canary.text
    before = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-dev")
    assert before is not None
    back = await steer(platform, canary, "rollback")
    assert back.data["status"] == "applied", back.text
    rolled = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-dev")
    assert rolled is not None
    if "canary" in before["spec"]:
        assert "canary" not in rolled["spec"] and rolled["spec"]["predictor"] == before["spec"]["predictor"]
    else:
        assert rolled["spec"]["predictor"]["canaryTrafficPercent"] == 0


async def test_promoting_gives_all_traffic_to_the_canary_and_keeps_the_replicas(platform: Platform):
    await platform.call(
        "deploy_model", model="vision-v2:1", target="cloud", environment="staging", canary_percent=0, mode="apply"
    )
    canary = await platform.call(
        "deploy_model", model="vision-v2:4", target="cloud", environment="staging", canary_percent=10, mode="apply"
    )
    assert canary.data["status"] == "applied", canary.text
    before = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-staging")
    promoted = await steer(platform, canary, "promote")
    after = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-staging")
    assert promoted.data["status"] == "applied", promoted.text
    assert before is not None and after is not None
    assert "canary" not in after["spec"] and "canaryTrafficPercent" not in after["spec"]["predictor"]
    wanted = before["spec"]["canary"][0]["predictor"] if "canary" in before["spec"] else before["spec"]["predictor"]
    assert after["spec"]["predictor"]["model"]["storageUri"] == wanted["model"]["storageUri"]
    assert after["spec"]["predictor"]["minReplicas"] == before["spec"]["predictor"]["minReplicas"]
    assert "aiplatform.dev/stable-version" not in after["metadata"]["annotations"]
