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
    await world.each(await world.all(TRAINER, "TrainJob"), lambda job: _train(world, job))
    await world.each(await world.all("batch/v1", "Job"), lambda job: _run(world, job))
    await world.each(await world.all("ray.io/v1", "RayJob"), lambda job: _ray(world, job))
    await world.each(await world.all("argoproj.io/v1alpha1", "Workflow"), lambda flow: _flow(world, flow))


def _work(job: Json, usual: int) -> float:
    try:
        return float(annotations_of(job).get(WORK, usual))
    except ValueError:
        return float(usual)


async def _train(world: World, job: Json) -> None:
    if holds(job, "Complete") or holds(job, "Failed"):
        return
    now, status = world.now(), dict(job.get("status") or {})
    nodes, _ = demand(job)
    if job["spec"].get("suspend", False):
        status = with_condition(status, "Suspended", True, "Suspended", "TrainJob is suspended", now)
        await world.status(job, {**status, "jobsStatus": [_replicated(suspended=nodes)]})
        return
    if condition(job, "Suspended") is None or holds(job, "Suspended"):
        status = with_condition(status, "Suspended", False, "Resumed", "TrainJob is resumed", now)
    started = next(row for row in status["conditions"] if row["type"] == "Suspended")["lastTransitionTime"]
    work = _work(job, TRAIN_SECONDS)
    share = world.share_done(started, work)
    progress: Json = {
        "progressPercentage": int(share * 100),
        "estimatedRemainingSeconds": round(work * (1 - share) / world.speed),
    }
    told: Json = status.get("trainerStatus") or {}
    if {**told, **progress} != told:
        status["trainerStatus"] = {**progress, "lastUpdatedTime": stamp(now)}
    status["jobsStatus"] = [_replicated(succeeded=1) if share >= 1 else _replicated(active=1, ready=nodes)]
    if share >= 1:
        await world.record_run(job)  # training code logs its run before it ends
        status = with_condition(status, "Complete", True, "JobsCompleted", "jobset completed successfully", now)
    await world.status(job, status)


def _replicated(**counts: int) -> Json:
    """One row of a TrainJob's ``jobsStatus``: the replicated job of the runtime."""
    return {"name": "node", "active": 0, "ready": 0, "succeeded": 0, "failed": 0, "suspended": 0, **counts}


async def _run(world: World, job: Json) -> None:
    status: Json = job.get("status") or {}
    if holds(job, "Complete") or holds(job, "Failed"):
        return
    now, pods = world.now(), demand(job)[0]
    if job["spec"].get("suspend", False):
        held = {key: value for key, value in status.items() if key not in ("startTime", "active", "ready")}
        await world.status(job, with_condition(held, "Suspended", True, "JobSuspended", "Job suspended", now))
        return
    if holds(job, "Suspended"):
        status = with_condition(status, "Suspended", False, "JobResumed", "Job resumed", now)
    if "startTime" not in status:
        status = {**status, "startTime": stamp(now), "active": pods, "ready": pods}
    if not world.passed(status["startTime"], _work(job, JOB_SECONDS)):
        await world.status(job, status)
        return
    done = {**status, "active": 0, "ready": 0, "succeeded": int(job["spec"].get("completions") or pods)}
    done |= {"completionTime": stamp(now)}
    text = "Reached expected number of succeeded pods"
    done = with_condition(done, "SuccessCriteriaMet", True, "CompletionsReached", text, now)
    await world.status(job, with_condition(done, "Complete", True, "CompletionsReached", text, now))


async def _ray(world: World, job: Json) -> None:
    status: Json = job.get("status") or {}
    if status.get("jobStatus") in ("SUCCEEDED", "FAILED", "STOPPED"):
        return
    if job["spec"].get("suspend", False):
        held = {key: value for key, value in status.items() if key not in ("startTime", "jobStatus")}
        await world.status(job, {**held, "jobDeploymentStatus": "Suspended"})
        return
    if "startTime" not in status:
        status = {**status, "startTime": stamp(world.now()), "jobStatus": "RUNNING", "jobDeploymentStatus": "Running"}
    if world.passed(status["startTime"], _work(job, TRAIN_SECONDS)):
        status = {**status, "endTime": stamp(world.now()), "jobStatus": "SUCCEEDED", "jobDeploymentStatus": "Complete"}
    await world.status(job, status)


async def _flow(world: World, flow: Json) -> None:
    """Argo Workflows keep their status in the main resource: there is no status subresource to write."""
    status, now = flow.get("status") or {}, stamp(world.now())
    if status.get("phase") in ("Succeeded", "Failed", "Error"):
        return
    if how := flow["spec"].get("shutdown"):
        ended = {"phase": "Failed", "finishedAt": now, "message": f"Stopped with strategy '{how}'"}
        await world.patch(flow, {"status": ended})
    elif flow["spec"].get("suspend", False):
        return
    elif "startedAt" not in status:
        await world.patch(flow, {"status": {"phase": "Running", "startedAt": now, "progress": "0/1"}})
    elif world.passed(status["startedAt"], _work(flow, ARGO_SECONDS)):
        await world.patch(flow, {"status": {"phase": "Succeeded", "finishedAt": now, "progress": "1/1"}})
