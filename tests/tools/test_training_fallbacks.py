"""One golden path on clusters that serve different training systems: what is submitted, why, and what happens to it then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest

from ai_platform_mcp.app import App
from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.manifests.argo import GoldenPath, Stage, workflow_template
from ai_platform_mcp.manifests.common import Capabilities, Origin
from ai_platform_mcp.sandbox import process
from ai_platform_mcp.sandbox.kube.clock import WallClock
from ai_platform_mcp.sandbox.kube.store import open_store
from ai_platform_mcp.sandbox.seed import seed_cluster
from ai_platform_mcp.settings import Settings
from kubernetes_servers import Server, sandbox_server
from live_platform import InWindow, Platform

TRAINJOB = ("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjobs")
PYTORCHJOB = ("kubeflow.org/v1", "PyTorchJob", "pytorchjobs")
WORKFLOW = ("argoproj.io/v1alpha1", "Workflow", "workflows")
KINDS = (TRAINJOB, PYTORCHJOB, WORKFLOW)
type_kind = tuple[str, str, str]

ROOM = {"accelerator": "a100", "count": 8, "nodes": 1, "hours": 6, "checkpoint": True}
PROGRAM = {"image": "registry.local/finetune@sha256:" + "3f" * 32, "command": ["torchrun", "finetune.py"], **ROOM}
GOLDEN = {
    "finetune": {**PROGRAM, "runtime": "torch-distributed"},
    "pipeline": {**PROGRAM, "workflow": "train-and-evaluate", "parameters": {"epochs": 3}},
    "unfinished": {**ROOM, "workflow": "train-and-evaluate"},
    "astray": {**ROOM, "workflow": "nowhere"},
}


class Cluster:
    """A private cluster, furnished like the sandbox, that serves only some of the training systems."""

    def __init__(self, server: Server, platform: Platform) -> None:
        self.server = server
        self.platform = platform

    def objects(self, kind: type_kind) -> list[dict[str, Any]]:
        listed = self.server.get(f"/apis/{kind[0]}/namespaces/vision-dev/{kind[2]}")
        return listed["items"] if listed else []

    def revision(self) -> str:
        """The number of the last write of any object."""
        return self.server.send("GET", "/api/v1/namespaces")["metadata"]["resourceVersion"]

    async def applied(self, **arguments: Any) -> Result:
        """Plan, agree in person where policy lets the requester, apply exactly that plan."""
        platform = self.platform
        planned = await platform.call("trigger_retraining", **arguments)
        assert not planned.is_error, planned.text
        bound = {**arguments, "mode": "apply", "plan_id": planned.data["plan_id"]}
        done = await platform.call("trigger_retraining", **bound)
        if done.data["status"] == "awaiting_approval":
            await platform.app.agree(done.data["approval"]["approval_id"], platform.caller().principal)
            done = await platform.call("trigger_retraining", **bound)
        assert done.data["status"] == "applied", done.text
        assert [row["state"] for row in done.data["steps"]] == ["applied"]
        return done


type_start = Callable[..., Awaitable[Cluster]]


@pytest.fixture
async def start(sandbox: process.Status, tmp_path: Path) -> AsyncIterator[type_start]:
    """Start a cluster that serves the named training systems and no other."""
    with ExitStack() as servers:
        async with AsyncExitStack() as apps:

            async def begin(*served: type_kind) -> Cluster:
                async with open_store(tmp_path / "world.db", WallClock()) as store:
                    await seed_cluster(store)
                server = await asyncio.to_thread(servers.enter_context, sandbox_server(tmp_path))
                for api, _, plural in set(KINDS) - set(served):
                    name = f"{plural}.{api.partition('/')[0]}"
                    server.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
                if WORKFLOW in served:
                    server.send("POST", f"/apis/{WORKFLOW[0]}/namespaces/vision-dev/workflowtemplates", template(),
                                fieldValidation="Strict")  # fmt: skip
                app = App(settings(server, sandbox.mlflow_uri, tmp_path), clock=InWindow())
                apps.push_async_callback(app.aclose)
                return Cluster(server, Platform(app=app, readers=await app.readers()))

            yield begin


def settings(server: Server, registry: str, folder: Path) -> Settings:
    return Settings(
        state_dir=folder,
        journal_url=f"sqlite:///{folder / 'journal.sqlite'}",
        clusters=({"name": "c1", "kubeconfig": str(server.kubeconfig)},),  # pyright: ignore[reportArgumentType]
        mlflow={"uri": registry, "seconds": 60},  # pyright: ignore[reportArgumentType]
        budgets_cents={"vision": 20_000_000},
        golden_paths=GOLDEN,
    )


def template() -> dict[str, Any]:
    """What a platform team puts beside the golden path: a template whose runs must be told model, epochs and devices."""
    stage = Stage(image="registry.local/stage:1")
    path = GoldenPath(train=stage, evaluate=stage, registration=stage, service_account="pipeline")
    serves = Capabilities(kinds=frozenset({f"{WORKFLOW[0]}/WorkflowTemplate"}), kubernetes_minor=36)
    names = ("model", "epochs", "count")
    return workflow_template("train-and-evaluate", "vision-dev", path, names, Origin(team="vision"), serves)


@pytest.mark.parametrize(
    ("served", "path", "kind"),
    [
        (KINDS, "finetune", TRAINJOB),
        ((TRAINJOB,), "finetune", TRAINJOB),
        ((PYTORCHJOB, WORKFLOW), "finetune", PYTORCHJOB),
        ((PYTORCHJOB,), "finetune", PYTORCHJOB),
        ((WORKFLOW,), "pipeline", WORKFLOW),
        (KINDS, "pipeline", WORKFLOW),
    ],
    ids=lambda value: "+".join(row[1] for row in value) if isinstance(value[0], tuple) else None,
)
async def test_a_run_is_submitted_as_what_the_cluster_serves_and_is_followed(
    start: type_start, served: tuple[type_kind, ...], path: str, kind: type_kind
):
    cluster = await start(*served)
    done = await cluster.applied(model="vision-v9", golden_path=path)

    assert {row[1]: len(cluster.objects(row)) for row in KINDS} == {row[1]: int(row == kind) for row in KINDS}
    (job,) = cluster.objects(kind)
    assert job["metadata"]["labels"]["aiplatform.dev/model"] == "vision-v9"
    followed = await cluster.platform.call("inspect_platform", kind="operations", name=done.data["operation_id"])
    assert followed.data["progress"]["state"] == "queued", followed.text
    assert f"{kind[1]} vision-dev/{job['metadata']['name']}" in followed.text

    other: dict[str, Any] = {
        "model": "vision-v9",
        "golden_path": path,
        "hours": 2,
    }  # the same call would get the recorded answer
    again = await cluster.platform.call("trigger_retraining", **other, mode="apply")
    assert again.data["steps"] == [] and "is in training already" in again.text
    assert cluster.objects(kind) == [job]


async def test_an_older_operator_gets_its_own_job_and_the_plan_says_why_and_at_what_risk(start: type_start):
    cluster = await start(PYTORCHJOB)
    planned = await cluster.platform.call("trigger_retraining", model="vision-v9", nodes=2)
    assert any("serves PyTorchJob (kubeflow.org/v1) and no TrainJob" in row for row in planned.data["reasons"])
    assert any("kubeflow.org/pytorchjob" in row["text"] for row in planned.data["risks"])

    before = cluster.revision()
    await cluster.applied(model="vision-v9", nodes=2)
    assert cluster.revision() != before  # what the refusals below rely on: a write shows
    (job,) = cluster.objects(PYTORCHJOB)
    replicas = job["spec"]["pytorchReplicaSpecs"]
    assert (replicas["Master"]["replicas"], replicas["Worker"]["replicas"]) == (1, 1)
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"].startswith("gpu")
    assert job["spec"]["runPolicy"] == {"suspend": True, "cleanPodPolicy": "Running", "activeDeadlineSeconds": 6 * 3600}


async def test_a_workflow_runs_the_named_template_in_the_queue_and_pool_that_were_priced(start: type_start):
    cluster = await start(*KINDS)
    planned = await cluster.platform.call("trigger_retraining", model="vision-v9", golden_path="pipeline", count=4)
    assert any("WorkflowTemplate 'train-and-evaluate'" in row for row in planned.data["reasons"])

    await cluster.applied(model="vision-v9", golden_path="pipeline", count=4, parameters=["epochs=7"])
    (flow,) = cluster.objects(WORKFLOW)
    spec = flow["spec"]
    assert spec["workflowTemplateRef"] == {"name": "train-and-evaluate"}
    given = {row["name"]: row["value"] for row in spec["arguments"]["parameters"]}
    assert given == {"model": "vision-v9", "epochs": "7", "count": "4"}
    assert spec["podMetadata"]["labels"]["kueue.x-k8s.io/queue-name"].startswith("gpu")
    assert "kueue.x-k8s.io/queue-name" not in flow["metadata"]["labels"]
    assert spec["nodeSelector"] and spec["activeDeadlineSeconds"] == 6 * 3600


async def test_a_workflow_that_was_started_is_cancelled_by_its_operation(start: type_start):
    cluster = await start(WORKFLOW)
    done = await cluster.applied(model="vision-v9", golden_path="pipeline")
    ended = await cluster.platform.call(
        "control_operation", operation_id=done.data["operation_id"], action="cancel", mode="apply"
    )
    assert ended.data["status"] == "applied", ended.text
    assert cluster.objects(WORKFLOW)[0]["spec"]["shutdown"] == "Terminate"


@pytest.mark.parametrize(
    ("served", "path", "remedy"),
    [
        ((), "finetune", "install Kubeflow Trainer, or install Argo Workflows"),
        ((), "pipeline", "install Argo Workflows"),
        ((TRAINJOB, PYTORCHJOB), "pipeline", "leave workflow out of the golden path 'pipeline'"),
        ((WORKFLOW,), "finetune", "name a WorkflowTemplate as workflow in the golden path 'finetune'"),
        (KINDS, "astray", "name another one as workflow"),
    ],
    ids=["nothing", "nothing-for-a-workflow", "no-argo", "only-argo", "no-such-template"],
)
async def test_what_the_cluster_cannot_train_is_refused_with_a_remedy_and_nothing_is_written(
    start: type_start, served: tuple[type_kind, ...], path: str, remedy: str
):
    cluster = await start(*served)
    before = cluster.revision()
    with pytest.raises(CapabilityMissing) as caught:
        await cluster.platform.call("trigger_retraining", model="vision-v9", golden_path=path, mode="apply")
    assert caught.value.code == "capability_missing" and remedy in caught.value.remedy
    assert cluster.revision() == before
    assert await cluster.platform.readers.journal.operations() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"golden_path": "unfinished"}, "needs epochs"),
        ({"golden_path": "pipeline", "nodes": 2}, "takes no nodes"),
    ],
)
async def test_a_run_that_its_template_could_not_take_is_refused_before_it_is_submitted(
    start: type_start, arguments: dict[str, Any], said: str
):
    cluster = await start(WORKFLOW)
    with pytest.raises(InvalidInput, match=said):
        await cluster.platform.call("trigger_retraining", model="vision-v9", **arguments, mode="apply")
    assert cluster.objects(WORKFLOW) == []
