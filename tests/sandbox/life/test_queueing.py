"""Kueue in the sandbox: admission by quota and flavor order, waiting with a reason, eviction, and quota given back."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_platform_mcp.sandbox.life import cycle
from ai_platform_mcp.sandbox.life.world import World
from support.life import Life, condition, open_life

QUOTA = {"aws-a100": 64, "gcp-h100": 32, "azure-h100": 32, "aws-a100-spot": 64, "gcp-h100-spot": 32, "gcp-tpu-v5e": 64}


def job(name: str, pods: int, gpus: int = 8, **changes: Any) -> dict[str, Any]:
    labels = {"kueue.x-k8s.io/queue-name": changes.get("queue", "gpu")}
    if priority := changes.get("priority"):
        labels["kueue.x-k8s.io/priority-class"] = priority
    resource = changes.get("resource", "nvidia.com/gpu")
    container = {"name": "main", "image": "x", "resources": {"limits": {resource: str(gpus)}}}
    pod: dict[str, Any] = {"restartPolicy": "Never", "containers": [container]}
    if selector := changes.get("selector"):
        pod["nodeSelector"] = selector
    spec = {"parallelism": pods, "completions": pods, "suspend": changes.get("suspend", True)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "vision-dev", "labels": labels},
        "spec": spec | {"template": {"spec": pod}},
    }


async def flavor_of(life: Life, name: str) -> str | None:
    admission = (await life.workload(name)).get("status", {}).get("admission")
    if admission is None:
        return None
    assert (await life.get("Job", name))["spec"]["suspend"] is False
    return next(iter(admission["podSetAssignments"][0]["flavors"].values()))


async def reason_of(life: Life, name: str) -> str:
    assert (await life.get("Job", name))["spec"]["suspend"] is True
    row = condition(await life.workload(name), "QuotaReserved")
    assert row["status"] == "False"
    return row["reason"]


async def submit(life: Life, *jobs: dict[str, Any]) -> None:
    for body in jobs:
        await life.store.create(body)
        life.clock.forward(1)
    await life.settle()


async def test_flavors_are_filled_in_the_order_of_the_queue(queues: Life) -> None:
    life = queues
    await submit(life, job("a", 8), job("b", 4), job("c", 4), job("d", 1))
    assert [await flavor_of(life, name) for name in "abc"] == ["aws-a100", "gcp-h100", "azure-h100"]
    assert await reason_of(life, "d") == "WaitingForQuota"


async def test_a_job_that_no_flavor_can_ever_hold_says_so(queues: Life) -> None:
    life = queues
    await submit(life, job("giant", 9))
    assert await reason_of(life, "giant") == "ExceedsMaxQuota"


async def test_a_job_that_names_its_nodes_gets_only_their_flavor(queues: Life) -> None:
    life = queues
    h100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    await submit(life, job("h", 1, selector=h100), job("none", 1, selector={"aiplatform.dev/cloud": "edge"}))
    assert await flavor_of(life, "h") == "gcp-h100"
    assert await reason_of(life, "none") == "NoMatchingFlavor"


async def test_a_flavor_without_a_label_that_is_asked_for_is_not_tried(queues: Life) -> None:
    life = queues
    unlabelled = {"spec": {"nodeLabels": {"aiplatform.dev/cloud": None}}}
    await life.store.patch("kueue.x-k8s.io/v1beta2", "ResourceFlavor", "gcp-h100", unlabelled)
    h100 = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "kubernetes.io/os": "linux"}
    await submit(life, job("any", 1, selector=h100))
    await submit(life, job("azure", 1, selector={**h100, "aiplatform.dev/cloud": "azure"}))
    await submit(life, job("gcp", 1, selector={**h100, "aiplatform.dev/cloud": "gcp"}))
    assert [await flavor_of(life, name) for name in ("any", "azure")] == ["gcp-h100", "azure-h100"]
    assert await reason_of(life, "gcp") == "NoMatchingFlavor"


async def test_an_admitted_job_runs_on_the_nodes_of_its_flavor_and_an_evicted_one_forgets_them(queues: Life) -> None:
    life = queues
    await submit(life, job("a", 1))
    pod = (await life.get("Job", "a"))["spec"]["template"]["spec"]
    assert pod["nodeSelector"]["nvidia.com/gpu.product"] == "NVIDIA-A100-SXM4-80GB"
    name = (await life.workload("a"))["metadata"]["name"]
    await life.change("Workload", name, {"spec": {"active": False}})
    await life.settle()
    assert not (await life.get("Job", "a"))["spec"]["template"]["spec"].get("nodeSelector")


async def test_a_queue_that_leads_nowhere_is_misconfigured(queues: Life) -> None:
    life = queues
    await submit(life, job("lost", 1, queue="nosuch"))
    assert await reason_of(life, "lost") == "Misconfigured"


async def test_priority_comes_before_age(queues: Life) -> None:
    life = queues
    await submit(life, job("a", 8), job("b", 4), job("c", 4))
    await submit(life, job("old", 8), job("urgent", 8, priority="production"))
    await life.delete("Job", "a")
    await life.settle()
    assert await flavor_of(life, "urgent") == "aws-a100"
    assert await reason_of(life, "old") == "WaitingForQuota"


async def test_a_job_created_running_is_held_until_it_is_admitted(queues: Life) -> None:
    life = queues
    await submit(life, job("a", 8), job("b", 4), job("c", 4), job("eager", 1, suspend=False))
    assert await reason_of(life, "eager") == "WaitingForQuota"


async def test_a_workload_is_found_by_the_uid_of_its_job(queues: Life) -> None:
    life = queues
    await submit(life, job("a", 1))
    uid = (await life.get("Job", "a"))["metadata"]["uid"]
    found = await life.store.list("kueue.x-k8s.io/v1beta2", "Workload", labels=f"kueue.x-k8s.io/job-uid={uid}")
    assert len(found.items) == 1


async def test_a_deactivated_workload_gives_its_quota_back_and_returns_when_it_is_activated(queues: Life) -> None:
    life = queues
    await submit(life, job("a", 8), job("b", 8))
    assert await reason_of(life, "b") == "WaitingForQuota"
    name = (await life.workload("a"))["metadata"]["name"]
    await life.change("Workload", name, {"spec": {"active": False}})
    await life.settle()
    assert condition(await life.workload("a"), "Evicted")["reason"] == "Deactivated"
    assert await reason_of(life, "a") == "Suspended"
    assert await flavor_of(life, "b") == "aws-a100"
    await life.delete("Job", "b")
    await life.change("Workload", name, {"spec": {"active": True}})
    await life.settle()
    assert await flavor_of(life, "a") == "aws-a100"
    assert condition(await life.workload("a"), "Evicted")["status"] == "False"


@pytest.mark.parametrize(
    ("kind", "name", "namespace", "reason"),
    [
        ("ClusterQueue", "gpu-pool", "", "ClusterQueueStopped"),
        ("LocalQueue", "gpu", "vision-dev", "LocalQueueStopped"),
    ],
)
async def test_a_drained_queue_evicts_and_a_held_one_only_admits_no_more(
    queues: Life, kind: str, name: str, namespace: str, reason: str
) -> None:
    life = queues
    await submit(life, job("a", 1))
    await life.change(kind, name, {"spec": {"stopPolicy": "Hold"}}, namespace)
    await submit(life, job("b", 1))
    assert await flavor_of(life, "a") == "aws-a100"
    assert await reason_of(life, "b") == "Suspended"
    assert condition(await life.get(kind, name, namespace), "Active")["status"] == "False"
    await life.change(kind, name, {"spec": {"stopPolicy": "HoldAndDrain"}}, namespace)
    await life.settle()
    assert condition(await life.workload("a"), "Evicted")["reason"] == reason
    assert await reason_of(life, "a") == "Suspended"
    await life.change(kind, name, {"spec": {"stopPolicy": "None"}}, namespace)
    await life.settle()
    assert [await flavor_of(life, each) for each in "ab"] == ["aws-a100", "aws-a100"]


async def test_a_finished_job_frees_its_quota(queues: Life) -> None:
    life = queues
    await submit(life, job("a", 8), job("b", 8))
    await life.settle(3600 / 1800)
    assert condition(await life.get("Job", "a"), "Complete")["status"] == "True"
    assert condition(await life.workload("a"), "Finished")["status"] == "True"
    assert await flavor_of(life, "b") == "aws-a100"
    assert life.told.queues["gpu-pool", "aws-a100", "nvidia.com/gpu"] == (64, 0)


async def test_a_workload_that_no_job_made_is_admitted_too(queues: Life) -> None:
    life = queues
    container = {"name": "main", "image": "x", "resources": {"requests": {"google.com/tpu": "8"}}}
    pods = {"name": "workers", "count": 2, "template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}
    body = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload", "spec": {"queueName": "tpu", "podSets": [pods]}}
    await life.store.create({**body, "metadata": {"name": "own", "namespace": "nlp-dev"}})
    await life.settle()
    row = await life.get("Workload", "own", "nlp-dev")
    assert row["status"]["admission"]["podSetAssignments"][0]["flavors"] == {"google.com/tpu": "gcp-tpu-v5e"}


async def test_an_object_that_cannot_be_understood_does_not_hold_up_the_others(queues: Life) -> None:
    life = queues
    await submit(life, job("bad", 1, gpus="1k"), job("good", 1))  # pyright: ignore[reportArgumentType]
    assert await flavor_of(life, "good") == "aws-a100"
    assert life.world.due is not None  # it is tried again by itself


async def test_a_controller_that_throws_does_not_stop_the_others(queues: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    async def throw(world: World) -> None:
        raise RuntimeError("a bug")

    life = queues
    monkeypatch.setattr(cycle, "STEPS", (throw, *cycle.STEPS))
    await submit(life, job("a", 1))
    assert await flavor_of(life, "a") == "aws-a100"


async def test_a_world_at_rest_needs_no_step_until_something_changes_or_is_due(queues: Life) -> None:
    life = queues
    seen = life.store.storage.version
    assert cycle.quiet(life.world, seen)
    await submit(life, job("a", 1))
    assert not cycle.quiet(life.world, seen)
    seen = life.store.storage.version
    assert cycle.quiet(life.world, seen)
    life.clock.forward(3600 / 1800)
    assert not cycle.quiet(life.world, seen)  # the job is over by now


ACTIONS = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(["gpu", "gpu-spot", "tpu"]), st.integers(1, 9), st.integers(1, 8)),
    st.tuples(st.sampled_from(["delete", "deactivate", "activate", "finish"]), st.integers(0, 20)),
    st.tuples(st.sampled_from(["HoldAndDrain", "Hold", "None"]), st.sampled_from(["gpu-pool", "gpu-spot", "tpu-pool"])),
)


async def _act(life: Life, number: int, action: tuple[Any, ...]) -> None:
    if action[0] == "submit":
        resource = "google.com/tpu" if action[1] == "tpu" else "nvidia.com/gpu"
        body = job(f"job-{number}", action[2], action[3], queue=action[1], resource=resource, suspend=number % 2 == 0)
        await life.store.create(body)
        return
    if len(action) == 2 and isinstance(action[1], str):
        await life.change("ClusterQueue", action[1], {"spec": {"stopPolicy": action[0]}}, "")
        return
    jobs = await life.all("Job")
    if not jobs:
        return
    name = jobs[action[1] % len(jobs)]["metadata"]["name"]
    if action[0] == "delete":
        await life.delete("Job", name)
    elif action[0] == "finish":
        await life.settle(3600 / 1800)
    else:
        workload = (await life.workload(name))["metadata"]["name"]
        await life.change("Workload", workload, {"spec": {"active": action[0] == "activate"}})


async def _check(life: Life) -> None:
    used: dict[str, int] = {}
    for row in await life.all("Workload"):
        if condition(row, "Finished").get("status") == "True":
            continue
        admitted = condition(row, "Admitted").get("status") == "True"
        name = row["metadata"]["ownerReferences"][0]["name"]
        assert (await life.get("Job", name))["spec"]["suspend"] is not admitted
        if admitted:
            assignment = row["status"]["admission"]["podSetAssignments"][0]
            for resource, flavor in assignment["flavors"].items():
                used[flavor] = used.get(flavor, 0) + int(assignment["resourceUsage"][resource])
    assert all(amount <= QUOTA[flavor] for flavor, amount in used.items())
    told = {flavor: amount for (_, flavor, _), (amount, _) in life.told.queues.items() if amount}
    assert told == used


@settings(max_examples=8, deadline=None)
@given(st.lists(ACTIONS, min_size=3, max_size=10))
def test_no_flavor_is_ever_over_its_quota_and_a_job_runs_exactly_while_it_is_admitted(
    actions: list[tuple[Any, ...]],
) -> None:
    async def play() -> None:
        async with open_life(whole=False) as life:
            for number, action in enumerate(actions):
                await _act(life, number, action)
                await life.settle()
                await _check(life)

    anyio.run(play)
