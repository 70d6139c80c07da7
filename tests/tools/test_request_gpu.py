from __future__ import annotations

from typing import Any

import anyio
import pytest

from ai_platform_mcp.core.errors import Denied, InvalidInput, NotFound, PlanStale
from live_platform import Platform

TRAINING = {"purpose": "train", "accelerator": "a100", "count": 8, "hours": 2}


async def jobs(platform: Platform, namespace: str = "vision-dev") -> list[str]:
    page = await platform.readers.clusters.list("sandbox", "batch/v1", "Job", namespace=namespace)
    return [row["metadata"]["name"] for row in page.items]


async def test_a_plan_names_the_cheapest_pool_its_price_and_its_forecast_and_changes_nothing(platform: Platform):
    before = await jobs(platform)
    answer = await platform.call("request_gpu", **TRAINING)
    assert answer.data["status"] == "planned", answer.text
    assert answer.data["cost"]["hourly_cents"] == 8 * 343
    assert answer.data["cost"]["total_cents"] == 2 * 8 * 343
    reasons = " ".join(answer.data["reasons"])
    assert "aws-a100 (aws us-east-1, on-demand" in reasons and "Admitted now" in reasons
    assert "1 pool spot, and nothing is checkpointed" in reasons or "pools spot, and nothing is checkpointed" in reasons
    assert await jobs(platform) == before


async def test_an_applied_plan_is_a_suspended_job_in_the_queue_pinned_to_the_pool(platform: Platform):
    planned = await platform.call("request_gpu", **TRAINING, image="registry.local/train:1", command=["python", "t.py"])
    done = await platform.call(
        "request_gpu", **TRAINING, image="registry.local/train:1", command=["python", "t.py"],
        mode="apply", plan_id=planned.data["plan_id"],
    )  # fmt: skip
    assert done.data["status"] == "applied", done.text
    step = done.data["steps"][0]["title"]
    name = step.split()[2]
    job = await platform.get("batch/v1", "Job", name, "vision-dev")
    assert job is not None
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"
    assert job["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] == "standard"
    pod = job["spec"]["template"]["spec"]
    assert pod["nodeSelector"]["nvidia.com/gpu.product"] == "NVIDIA-A100-SXM4-80GB"
    assert pod["nodeSelector"]["karpenter.sh/capacity-type"] == "on-demand"
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "8"
    assert job["spec"]["activeDeadlineSeconds"] == 2 * 3600
    await platform_delete(platform, job)


async def platform_delete(platform: Platform, job: dict[str, Any]) -> None:
    """Give the devices back, so that the next test finds the quota whole."""
    from ai_platform_mcp.core.permit import Permit, open_permit
    from ai_platform_mcp.core.plan import Delete
    from ai_platform_mcp.core.rows import Stamp
    from ai_platform_mcp.domain.objects import ref_of

    step = Delete(title="clean up", cluster="sandbox", ref=ref_of(job), uid=job["metadata"]["uid"])
    writers = (await platform.app.wiring()).guard._executor._writers  # type: ignore[attr-defined]
    with open_permit(Permit("test", "s1")):
        await writers.clusters.execute(step, Stamp(operation_id="op-test", plan_digest="0"))


async def test_spot_is_taken_with_a_checkpoint_and_refused_without(platform: Platform):
    answer = await platform.call("request_gpu", **TRAINING, checkpoint="s3://vision/checkpoints")
    assert "on aws-a100-spot" in answer.data["summary"]
    assert answer.data["cost"]["hourly_cents"] == 8 * 148
    assert any("can be taken away" in row["text"] for row in answer.data["risks"])
    with pytest.raises(InvalidInput, match="No pool") as caught:
        await platform.call("request_gpu", **TRAINING, capacity="spot")
    assert "nothing is checkpointed" in caught.value.cause and "checkpoint" in caught.value.remedy


async def test_more_than_the_quota_is_never_admitted_and_policy_says_so(platform: Platform):
    answer = await platform.call("request_gpu", **{**TRAINING, "nodes": 9, "hours": 1})
    assert answer.data["status"] == "denied" and answer.is_error
    assert "quota_never" in [row["code"] for row in answer.data["decision"]["violations"]]
    assert any("64 at most" in reason for reason in answer.data["reasons"])


async def test_more_hours_than_policy_allows_are_cut_to_its_limit(platform: Platform):
    answer = await platform.call("request_gpu", purpose="train", accelerator="a100", count=1, hours=100)
    assert answer.data["cost"]["total_cents"] == 72 * 343, answer.text


async def test_training_over_several_nodes_is_a_train_job(platform: Platform):
    answer = await platform.call("request_gpu", **{**TRAINING, "nodes": 2}, image="registry.local/train:1")
    assert answer.data["steps"][0]["title"].startswith("Submit TrainJob"), answer.text


async def test_a_tpu_comes_from_its_own_queue(platform: Platform):
    answer = await platform.call("request_gpu", purpose="batch", accelerator="tpu-v5e", count=4, hours=1)
    assert "to queue tpu" in answer.data["steps"][0]["title"], answer.text


async def test_work_without_an_end_is_only_for_serving(platform: Platform):
    with pytest.raises(InvalidInput, match="For how long"):
        await platform.call("request_gpu", purpose="batch", accelerator="a100")
    answer = await platform.call("request_gpu", purpose="serve", accelerator="a100")
    assert "until stopped" in answer.data["summary"]
    assert any("Open-ended" in row["text"] for row in answer.data["risks"])


async def test_an_accelerator_nobody_has_is_refused_with_those_there_are(platform: Platform):
    with pytest.raises(InvalidInput) as caught:
        await platform.call("request_gpu", purpose="train", accelerator="b300", hours=1)
    assert "NVIDIA-H100-80GB-HBM3" in caught.value.remedy


async def test_the_namespace_of_another_environment_or_team_is_not_reached_by_mistake(platform: Platform):
    with pytest.raises(InvalidInput, match="is production, and the call says dev"):
        await platform.call("request_gpu", **TRAINING, namespace="vision-prod")
    with pytest.raises(NotFound):
        await platform.call("request_gpu", team="audio", **TRAINING)
    answer = await platform.call("request_gpu", **TRAINING, namespace="nlp-dev")
    assert "namespace_of_other_team" in [row["code"] for row in answer.data["decision"]["violations"]]
    with pytest.raises(Denied):
        await platform.call("request_gpu", **TRAINING, namespace="nlp-dev", mode="apply")


async def test_what_was_committed_this_month_is_taken_off_the_budget(platform: Platform):
    first = await platform.call("request_gpu", purpose="batch", accelerator="a100", hours=1, mode="apply")
    assert first.data["status"] == "applied", first.text
    name = first.data["steps"][0]["title"].split()[2]
    second = await platform.call("request_gpu", purpose="batch", accelerator="a100", hours=3)
    assert second.data["cost"]["budget_left_cents"] == 20_000_000 - 343
    job = await platform.get("batch/v1", "Job", name, "vision-dev")
    assert job is not None
    await platform_delete(platform, job)


async def admitted_on(platform: Platform, name: str) -> str:
    """The flavor that Kueue admitted a Job on, once it has."""
    job = await platform.get("batch/v1", "Job", name, "vision-dev")
    assert job is not None
    label = f"kueue.x-k8s.io/job-uid={job['metadata']['uid']}"
    with anyio.fail_after(60):
        while True:
            page = await platform.readers.clusters.list(
                "sandbox", "kueue.x-k8s.io/v1beta2", "Workload", namespace="vision-dev", labels=label
            )
            rows = [row for item in page.items for row in item.get("status", {}).get("admission", {}).values()]
            for row in rows:
                if isinstance(row, list):
                    return row[0]["flavors"]["nvidia.com/gpu"]
            await anyio.sleep(0.1)


async def test_work_that_was_planned_for_a_pool_spills_to_the_next_when_that_one_fills(platform: Platform):
    small = {"purpose": "batch", "accelerator": "h100", "count": 8, "hours": 1}
    planned = await platform.call("request_gpu", **small)
    assert planned.data["cost"]["hourly_cents"] == 8 * 1229 and planned.data["cost"]["at_most"] is True
    assert "cost: at most $98.32 per hour" in planned.text
    assert {row["cloud"] for row in planned.data["targets"]} == {"gcp", "azure"}
    assert any("Admitted now on gcp-h100" in row and "azure-h100" in row for row in planned.data["reasons"])
    names: list[str] = []
    for arguments in ({**small, "nodes": 4}, {**small, "plan_id": planned.data["plan_id"]}):
        try:
            done = await platform.call("request_gpu", **arguments, mode="apply")
        except PlanStale:  # the inventory saw the first job already: the fresh plan says so, and is what is applied
            done = await platform.call("request_gpu", **small, mode="apply")
        assert done.data["status"] == "applied", done.text
        names.append(done.data["steps"][0]["title"].split()[2])
        job = await platform.get("batch/v1", "Job", names[-1], "vision-dev")
        assert job is not None
    assert [await admitted_on(platform, name) for name in names] == ["gcp-h100", "azure-h100"]
    for name in names:
        job = await platform.get("batch/v1", "Job", name, "vision-dev")
        assert job is not None
        await platform_delete(platform, job)


async def make(platform: Platform, api_version: str, kind: str, name: str, spec: dict[str, Any], **meta: str) -> None:
    """Furnish the cluster as its administrators would."""
    from ai_platform_mcp.core.permit import Permit, open_permit
    from ai_platform_mcp.core.plan import Apply
    from ai_platform_mcp.core.rows import Stamp

    made = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **meta}, "spec": spec}
    writers = (await platform.app.wiring()).guard._executor._writers  # type: ignore[attr-defined]
    with open_permit(Permit("test", "s1")):
        step = Apply(title="furnish", cluster="sandbox", manifest=made)
        await writers.clusters.execute(step, Stamp(operation_id="op-test", plan_digest="0"))


async def test_a_queue_that_counts_a_device_class_gets_a_claim_template_and_then_the_job(platform: Platform):
    kueue, device_class = "kueue.x-k8s.io/v1beta2", "gpu.nvidia.com"
    await make(platform, "resource.k8s.io/v1", "DeviceClass", device_class, {})
    quota = {device_class: 16, "cpu": 192, "memory": "2Ti"}
    resources = [{"name": name, "nominalQuota": amount} for name, amount in quota.items()]
    groups = [{"coveredResources": list(quota), "flavors": [{"name": "gcp-h100", "resources": resources}]}]
    await make(platform, kueue, "ClusterQueue", "claims", {"namespaceSelector": {}, "resourceGroups": groups})
    await make(platform, kueue, "LocalQueue", "claims", {"clusterQueue": "claims"}, namespace="vision-dev")
    inventory = platform.readers.inventory
    with anyio.fail_after(30):
        while not any(row.name == "claims" for row in (await inventory.inventory("sandbox")).queues):
            await anyio.sleep(0.05)
    wanted = {"purpose": "batch", "accelerator": "h100", "count": 2, "nodes": 2, "hours": 1, "queue": "claims"}
    done = await platform.call("request_gpu", **wanted, mode="apply")
    assert done.data["status"] == "applied", done.text
    claim, job = (step["title"].split()[2].rstrip(":") for step in done.data["steps"])
    template = await platform.get("resource.k8s.io/v1", "ResourceClaimTemplate", claim, "vision-dev")
    assert template is not None and template["metadata"]["labels"]["aiplatform.dev/team"] == "vision"
    live = await platform.get("batch/v1", "Job", job, "vision-dev")
    assert live is not None
    assert live["spec"]["template"]["spec"]["resourceClaims"][0]["resourceClaimTemplateName"] == claim
    label = f"kueue.x-k8s.io/job-uid={live['metadata']['uid']}"
    with anyio.fail_after(60):
        while True:
            page = await platform.readers.clusters.list(
                "sandbox", kueue, "Workload", namespace="vision-dev", labels=label
            )
            admitted = [row["status"]["admission"] for row in page.items if row.get("status", {}).get("admission")]
            if admitted:
                break
            await anyio.sleep(0.1)
    [assigned] = admitted[0]["podSetAssignments"]
    assert assigned["flavors"][device_class] == "gcp-h100"
    assert assigned["resourceUsage"][device_class] == "4"
    await platform_delete(platform, live)


async def test_a_queue_without_quota_for_processors_is_told_before_work_waits_in_it_for_ever(platform: Platform):
    kueue, gpu = "kueue.x-k8s.io/v1beta2", "nvidia.com/gpu"
    flavors = [{"name": "gcp-h100", "resources": [{"name": gpu, "nominalQuota": 8}]}]
    groups = [{"coveredResources": [gpu], "flavors": flavors}]
    await make(platform, kueue, "ClusterQueue", "bare", {"namespaceSelector": {}, "resourceGroups": groups})
    await make(platform, kueue, "LocalQueue", "bare", {"clusterQueue": "bare"}, namespace="vision-dev")
    inventory = platform.readers.inventory
    with anyio.fail_after(30):
        while not any(row.name == "bare" for row in (await inventory.inventory("sandbox")).queues):
            await anyio.sleep(0.05)
    answer = await platform.call("request_gpu", purpose="batch", accelerator="h100", hours=1, queue="bare")
    assert any("no quota for cpu and memory" in row["text"] for row in answer.data["risks"]), answer.text
