"""Work that runs: progress, the end, one MLflow run per training, and what suspending does to it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from ai_platform_mcp.sandbox.mlflow_store import record_training
from support.life import API, Life, condition

NODE = {"numNodes": 2, "resourcesPerNode": {"limits": {"nvidia.com/gpu": "8"}}}


def train_job(name: str, **meta: Any) -> dict[str, Any]:
    runtime = {"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime", "name": "torch-distributed"}
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "namespace": "vision-dev", **meta},
        "spec": {"runtimeRef": runtime, "suspend": False, "trainer": NODE},
    }


async def test_a_training_tells_its_progress_and_ends_with_exactly_one_run(queues: Life) -> None:
    labels = {"kueue.x-k8s.io/queue-name": "gpu"}
    await queues.store.create(train_job("t", labels=labels))
    await queues.settle()
    await queues.settle(3)
    live = await queues.get("TrainJob", "t")
    assert live["status"]["trainerStatus"]["progressPercentage"] == 25
    assert live["status"]["trainerStatus"]["estimatedRemainingSeconds"] == 9
    assert live["status"]["jobsStatus"][0]["ready"] == 2
    assert queues.runs == []
    await queues.settle(3)
    assert (await queues.get("TrainJob", "t"))["status"]["trainerStatus"]["progressPercentage"] == 50
    await queues.settle(6)
    await queues.settle(60)
    assert condition(await queues.get("TrainJob", "t"), "Complete")["status"] == "True"
    assert condition(await queues.workload("t"), "Finished")["status"] == "True"
    assert queues.runs == ["t"]


async def test_a_suspended_training_shows_nothing_active_and_starts_over(queues: Life) -> None:
    await queues.store.create(train_job("t"))
    await queues.settle(0)
    await queues.settle(6)
    await queues.change("TrainJob", "t", {"spec": {"suspend": True}})
    await queues.settle(60)
    live = await queues.get("TrainJob", "t")
    assert condition(live, "Suspended")["status"] == "True"
    assert (live["status"]["jobsStatus"][0]["active"], live["status"]["jobsStatus"][0]["suspended"]) == (0, 2)
    await queues.change("TrainJob", "t", {"spec": {"suspend": False}})
    await queues.settle()
    await queues.settle(3)
    assert (await queues.get("TrainJob", "t"))["status"]["trainerStatus"]["progressPercentage"] == 25


async def test_an_annotation_says_how_long_a_job_works(queues: Life) -> None:
    await queues.store.create(train_job("t", annotations={"sandbox.aiplatform.dev/work-seconds": "1800"}))
    await queues.settle()
    await queues.settle(1)
    assert condition(await queues.get("TrainJob", "t"), "Complete")["status"] == "True"


POD = {"containers": [{"name": "main", "image": "x"}], "restartPolicy": "Never"}
WORK: dict[str, tuple[dict[str, Any], str, Any]] = {
    "Job": ({"template": {"spec": POD}}, "succeeded", 1),
    "RayJob": (
        {
            "entrypoint": "python x.py",
            "rayClusterSpec": {
                "headGroupSpec": {"rayStartParams": {}, "template": {"spec": POD}},
                "workerGroupSpecs": [
                    {"groupName": "w", "replicas": 1, "rayStartParams": {}, "template": {"spec": POD}}
                ],
            },
        },
        "jobStatus",
        "SUCCEEDED",
    ),
    "Workflow": (
        {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "x"}}]},
        "phase",
        "Succeeded",
    ),
}


@pytest.mark.parametrize("kind", WORK)
async def test_every_kind_of_work_ends(queues: Life, kind: str) -> None:
    spec, field, value = WORK[kind]
    meta = {"name": "w", "namespace": "vision-dev"}
    await queues.store.create({"apiVersion": API[kind], "kind": kind, "metadata": meta, "spec": spec})
    await queues.settle()
    assert (await queues.get(kind, "w"))["status"].get(field) != value
    await queues.settle(12)
    assert (await queues.get(kind, "w"))["status"][field] == value


@pytest.mark.parametrize("kind", ["Job", "RayJob"])
async def test_suspended_work_does_not_go_on(queues: Life, kind: str) -> None:
    spec, field, value = WORK[kind]
    meta = {"name": "w", "namespace": "vision-dev"}
    await queues.store.create({"apiVersion": API[kind], "kind": kind, "metadata": meta, "spec": spec})
    await queues.settle()
    await queues.change(kind, "w", {"spec": {"suspend": True}})
    await queues.settle(60)
    held = await queues.get(kind, "w")
    assert "startTime" not in held["status"]
    assert held["status"].get(field) != value
    await queues.change(kind, "w", {"spec": {"suspend": False}})
    await queues.settle()
    await queues.settle(60)
    assert (await queues.get(kind, "w"))["status"][field] == value


async def test_a_workflow_that_is_told_to_shut_down_fails(queues: Life) -> None:
    meta = {"name": "w", "namespace": "vision-dev"}
    await queues.store.create(
        {"apiVersion": API["Workflow"], "kind": "Workflow", "metadata": meta, "spec": WORK["Workflow"][0]}
    )
    await queues.settle()
    await queues.change("Workflow", "w", {"spec": {"shutdown": "Terminate"}})
    await queues.settle()
    assert (await queues.get("Workflow", "w"))["status"]["phase"] == "Failed"


async def test_a_training_is_recorded_once_per_job_and_anew_for_another_of_the_same_name(tmp_path: Path) -> None:
    uri, now = f"sqlite:///{tmp_path / 'mlflow.sqlite'}", datetime(2026, 3, 2, tzinfo=UTC)
    job = train_job("t", uid="u-1", labels={"aiplatform.dev/model": "vision-v9", "aiplatform.dev/team": "vision"})

    def record() -> list[str]:
        first, again = record_training(uri, job, now), record_training(uri, job, now)
        job["metadata"]["uid"] = "u-2"
        return [first, again, record_training(uri, job, now)]

    first, again, other = await anyio.to_thread.run_sync(record)
    assert first == again != other
