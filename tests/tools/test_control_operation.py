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
CANARIES = "serving.aiplatform.dev/v1alpha1"


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


async def canary_of(platform: Platform, namespace: str) -> dict[str, Any]:
    """The newest CanaryRollout of a namespace, once the sandbox's controller has seen it."""
    for _ in range(600):
        page = await platform.readers.clusters.list("sandbox", CANARIES, "CanaryRollout", namespace=namespace)
        newest = max(page.items, key=lambda row: row["metadata"]["creationTimestamp"])
        if (newest.get("status") or {}).get("phase"):
            return newest
        await anyio.sleep(0.1)
    raise AssertionError("no controller has seen it")


async def test_a_canary_is_rolled_back_by_its_rollout(platform: Platform):
    first = await platform.call(
        "deploy_model", model="vision-v2:2", target="cloud", environment="dev", canary_percent=0, mode="apply"
    )
    assert first.data["status"] == "applied", first.text
    before = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-dev")
    canary = await platform.call(
        "deploy_model", model="vision-v2:4", target="cloud", environment="dev", canary_percent=20, mode="apply"
    )
    assert canary.data["status"] == "applied", canary.text
    await canary_of(platform, "vision-dev")
    back = await steer(platform, canary, "rollback")
    assert back.data["status"] == "applied", back.text
    rolled = None
    for _ in range(300):
        rolled = await platform.get(SERVING, "InferenceService", "vision-v2", "vision-dev")
        if rolled is not None and "canary" not in rolled["spec"]:
            break
        await anyio.sleep(0.1)
    assert before is not None and rolled is not None
    assert rolled["spec"] == before["spec"] and rolled["metadata"]["labels"]["aiplatform.dev/version"] == "2"


async def test_promoting_tells_the_rollout_to_let_every_step_pass(platform: Platform):
    await platform.call(
        "deploy_model", model="vision-v2:1", target="cloud", environment="staging", canary_percent=0, mode="apply"
    )
    canary = await platform.call(
        "deploy_model", model="vision-v2:4", target="cloud", environment="staging", canary_percent=10, mode="apply"
    )
    assert canary.data["status"] == "applied", canary.text
    rollout = await canary_of(platform, "vision-staging")
    promoted = await steer(platform, canary, "promote")
    assert promoted.data["status"] == "applied", promoted.text
    assert len(promoted.data["steps"]) == 1, "the service is left to its rollout"
    name = rollout["metadata"]["name"]
    after = await platform.get(CANARIES, "CanaryRollout", name, "vision-staging")
    assert after is not None and after["spec"]["accepted"] == {"step": len(rollout["spec"]["steps"]) - 1}
