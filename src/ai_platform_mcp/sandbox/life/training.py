"""Kubeflow Trainer, KubeRay's RayJob and the Job controller: work that runs, reports progress and ends.

How long a job works is its annotation ``sandbox.aiplatform.dev/work-seconds``, else six hours for training and one for a
plain job, divided by the world's speed.
"""

from __future__ import annotations

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.life.queueing import demand
from ai_platform_mcp.sandbox.life.world import Json, World, annotations_of, condition, holds, with_condition

TRAINER = "trainer.kubeflow.org/v1alpha1"
WORK = "sandbox.aiplatform.dev/work-seconds"
TRAIN_SECONDS = 6 * 3600
JOB_SECONDS = 3600
ARGO_SECONDS = 2 * 3600


async def step(world: World) -> None:
    """Move every running job on."""
    for job in await world.all(TRAINER, "TrainJob"):
        await _train(world, job)
    for job in await world.all("batch/v1", "Job"):
        await _run(world, job)
    for job in await world.all("ray.io/v1", "RayJob"):
        await _ray(world, job)
    for flow in await world.all("argoproj.io/v1alpha1", "Workflow"):
        await _flow(world, flow)


def _work(job: Json, usual: int) -> float:
    try:
        return float(annotations_of(job).get(WORK, usual))
    except ValueError:
        return float(usual)


async def _train(world: World, job: Json) -> None:
    if holds(job, "Complete") or holds(job, "Failed"):
        return
    now, status = world.now(), job.get("status") or {}
    if job["spec"].get("suspend", False):
        status = with_condition(status, "Suspended", True, "Suspended", "TrainJob is suspended", now)
        await world.status(job, status)
        return
    if condition(job, "Suspended") is None or holds(job, "Suspended"):
        status = with_condition(status, "Suspended", False, "Resumed", "TrainJob is resumed", now)
    started = next(row for row in status["conditions"] if row["type"] == "Suspended")["lastTransitionTime"]
    work = _work(job, TRAIN_SECONDS)
    share = world.share_done(started, work)
    left = round(work * (1 - share) / world.speed)
    nodes, _ = demand(job)
    status["trainerStatus"] = {
        "progressPercentage": round(share * 100),
        "estimatedRemainingSeconds": left,
        "lastUpdatedTime": stamp(now),
    }
    status["jobsStatus"] = [
        {
            "name": "node",
            "active": 0 if share >= 1 else 1,
            "ready": 0 if share >= 1 else nodes,
            "succeeded": 1 if share >= 1 else 0,
            "failed": 0,
            "suspended": 0,
        }
    ]
    if share >= 1:
        await world.record_run(job)  # training code logs its run before it ends
        status = with_condition(status, "Complete", True, "JobsCompleted", "jobset completed successfully", now)
    await world.status(job, status)


async def _run(world: World, job: Json) -> None:
    status: Json = job.get("status") or {}
    if holds(job, "Complete") or holds(job, "Failed") or job["spec"].get("suspend", False):
        return
    now = world.now()
    if "startTime" not in status:
        await world.status(job, {**status, "startTime": stamp(now), "active": demand(job)[0], "ready": demand(job)[0]})
        return
    if not world.passed(status["startTime"], _work(job, JOB_SECONDS)):
        return
    done = {**status, "active": 0, "ready": 0, "succeeded": demand(job)[0], "completionTime": stamp(now)}
    done = with_condition(
        done, "SuccessCriteriaMet", True, "CompletionsReached", "Reached expected number of pods", now
    )
    await world.status(job, with_condition(done, "Complete", True, "CompletionsReached", "Job completed", now))


async def _ray(world: World, job: Json) -> None:
    status: Json = job.get("status") or {}
    if status.get("jobStatus") in ("SUCCEEDED", "FAILED", "STOPPED"):
        return
    if job["spec"].get("suspend", False):
        await world.status(job, {**status, "jobDeploymentStatus": "Suspended"})
        return
    if "startTime" not in status:
        running = {"startTime": stamp(world.now()), "jobStatus": "RUNNING", "jobDeploymentStatus": "Running"}
        await world.status(job, {**status, **running})
    elif world.passed(status["startTime"], _work(job, TRAIN_SECONDS)):
        done = {"endTime": stamp(world.now()), "jobStatus": "SUCCEEDED", "jobDeploymentStatus": "Complete"}
        await world.status(job, {**status, **done})


async def _flow(world: World, flow: Json) -> None:
    """Argo Workflows keep their status in the main resource: there is no status subresource to write."""
    status: Json = flow.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed", "Error") or flow["spec"].get("suspend", False):
        return
    if "startedAt" not in status:
        await world.patch(flow, {"status": {"phase": "Running", "startedAt": stamp(world.now()), "progress": "0/1"}})
    elif world.passed(status["startedAt"], _work(flow, ARGO_SECONDS)):
        done = {"phase": "Succeeded", "finishedAt": stamp(world.now()), "progress": "1/1"}
        await world.patch(flow, {"status": done})
