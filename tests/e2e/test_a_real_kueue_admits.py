"""What the tools submit is admitted by a real Kueue as by the sandbox's: the same flavors and counts."""

from __future__ import annotations

import copy
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ai_platform_mcp.app import App
from ai_platform_mcp.core.plan import Apply, Submit
from ai_platform_mcp.sandbox import seed
from ai_platform_mcp.sandbox.kube.clock import stamp
from kubernetes_servers import Server, real_server
from kueue_support import kueue
from live_platform import InWindow
from real_targets import on
from support.life import open_life

from .conftest import Platform, furnish, seeded_registry, settings

pytestmark = [on("kueue"), pytest.mark.timeout(400)]

SYSTEMS = ("kueue-", "trainer-", "kuberay-", "jobset-")

BATCH: dict[str, Any] = {"purpose": "batch", "accelerator": "a100", "count": 2, "hours": 1}
TRAINING: dict[str, Any] = {"purpose": "train", "accelerator": "a100", "hours": 1, "image": "registry.local/train:1"}
SCENES: dict[str, tuple[str, dict[str, Any]]] = {
    "a batch job": ("request_gpu", BATCH),
    "a job on spot": ("request_gpu", {**BATCH, "capacity": "spot", "checkpoint": "s3://vision/c"}),
    "an H100 job": ("request_gpu", {**BATCH, "accelerator": "h100", "count": 4}),
    "tpus": ("request_gpu", {**BATCH, "accelerator": "tpu-v5e", "count": 4}),
    "training over nodes": ("request_gpu", {**TRAINING, "count": 8, "nodes": 2}),
    "a golden path": ("trigger_retraining", {"model": "vision-v9", "parameters": ["epochs=2"]}),
}
Seen = dict[str, Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("kueue-world")
    (folder / "kueue").mkdir()
    with real_server(folder, SYSTEMS) as server:
        now = stamp(datetime.now(UTC))
        runtimes = [one for one in seed.runtimes() if one["kind"] == "ClusterTrainingRuntime"]
        furnish(server, seed.namespaces(), seed.queues(), seed.nodes(now, now), runtimes)
        with kueue(server, folder / "kueue"):
            yield server


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> str:
    return seeded_registry(tmp_path_factory.mktemp("kueue-registry"))


@pytest.fixture
async def platform(server: Server, registry: str, tmp_path: Path) -> AsyncIterator[Platform]:
    app = App(settings(server, registry, tmp_path), clock=InWindow())
    yield Platform(app, server)
    await app.aclose()


def collection(kind: str) -> str:
    return {
        "Job": "/apis/batch/v1/namespaces/vision-dev/jobs",
        "TrainJob": "/apis/trainer.kubeflow.org/v1alpha1/namespaces/vision-dev/trainjobs",
        "Workload": "/apis/kueue.x-k8s.io/v1beta2/namespaces/vision-dev/workloads",
    }[kind]


def listed(server: Server, kind: str) -> list[dict[str, Any]]:
    return server.send("GET", collection(kind))["items"]


def judged(workload: dict[str, Any]) -> Seen | None:
    """What Kueue decided of a workload, in the terms that the platform reads; None while it has not."""
    rows = {row["type"]: row for row in workload.get("status", {}).get("conditions", [])}
    reserved = rows.get("QuotaReserved")
    if reserved is None or reserved["reason"] in ("PendingEvaluation", "Pending"):
        return None
    sets = workload["status"].get("admission", {}).get("podSetAssignments", [])
    return {
        "admitted": rows.get("Admitted", {}).get("status") == "True",
        "reason": reserved["reason"],
        "flavors": [row["flavors"] for row in sets],
        "used": [{name: str(row["resourceUsage"][name]) for name in row["flavors"]} for row in sets],
        "pods": [row["count"] for row in workload["spec"]["podSets"]],
    }


def runs(kind: str, live: dict[str, Any]) -> bool:
    """Whether an object was started. A TrainJob is started by a patch that Kueue's webhook prepares; none runs here."""
    return kind == "TrainJob" or not live["spec"]["suspend"]


def on_the_real_one(server: Server, kind: str, name: str) -> Seen:
    """Wait until Kueue has decided of an object, and until it runs where it is admitted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for row in listed(server, "Workload"):
            owners = {owner["name"] for owner in row["metadata"].get("ownerReferences", [])}
            seen = judged(row) if name in owners else None
            live = server.get(f"{collection(kind)}/{name}") if seen else None
            if seen and live and runs(kind, live) == seen["admitted"]:
                return seen
        time.sleep(0.2)  # another process can only be asked again
    said = [row.get("status") for row in listed(server, "Workload") if name in row["metadata"]["name"]]
    pytest.fail(f"Kueue said nothing final about {kind} {name}: {said}"[:4000])


async def in_the_sandbox(kind: str, manifest: dict[str, Any]) -> Seen:
    """Submit the same manifest to the sandbox's Kueue and let it come to rest."""
    meta = manifest["metadata"]
    async with open_life(whole=False) as life:
        await life.store.create(manifest)
        await life.settle()
        seen = judged(await life.workload(meta["name"]))
        assert seen is not None
        assert runs(kind, await life.get(kind, meta["name"])) == seen["admitted"]
        return seen


@pytest.mark.parametrize("name", SCENES)
async def test_what_a_tool_submits_is_admitted_alike(platform: Platform, name: str) -> None:
    tool, arguments = SCENES[name]

    done = await platform.do(tool, **arguments)

    assert done.data["status"] == "applied", done.text
    operation = await (await platform.app.wiring()).journal.operation(done.data["operation_id"])
    assert operation is not None
    (manifest,) = [
        step.manifest
        for step in operation.plan.steps
        if isinstance(step, Apply | Submit) and step.manifest["kind"] in ("Job", "TrainJob")
    ]
    real = on_the_real_one(platform.server, manifest["kind"], manifest["metadata"]["name"])
    ours = await in_the_sandbox(manifest["kind"], copy.deepcopy(dict(manifest)))
    assert real["admitted"], real
    assert real == ours
