"""Every tool plans and applies on the sandbox's API server and on a real one with the released CRDs, without a field refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ai_platform_mcp.app import App
from ai_platform_mcp.core.errors import FieldConflict, Forbidden, Rejected
from ai_platform_mcp.core.plan import Apply
from ai_platform_mcp.tools import CATALOGUE, route_model
from kubernetes_servers import Server, write_config
from live_platform import InWindow
from support.routing_facts import observed, routing_facts

from .conftest import Platform, settings

SERVING = "serving.kserve.io/v1beta1"
EDGE = "edge.aiplatform.dev/v1alpha1"


@dataclass(frozen=True)
class Scene:
    """One change: its arguments, who asks, and what it leaves behind."""

    tool: str
    arguments: dict[str, Any]
    team: str = "vision"
    leaves: tuple[str, str, str] | None = None
    """apiVersion, kind and namespace in which the number of objects rises."""


def scene(tool: str, team: str = "vision", leaves: tuple[str, str, str] | None = None, **arguments: Any) -> Scene:
    return Scene(tool, arguments, team, leaves)


BATCH: dict[str, Any] = {"purpose": "batch", "accelerator": "a100", "count": 2, "hours": 1}
SCENES = {
    "a batch job": scene("request_gpu", leaves=("batch/v1", "Job", "vision-dev"), **BATCH),
    "a job on spot": scene(
        "request_gpu", leaves=("batch/v1", "Job", "vision-dev"), **BATCH, capacity="spot", checkpoint="s3://vision/c"
    ),
    "tpus": scene(
        "request_gpu",
        leaves=("batch/v1", "Job", "vision-dev"),
        purpose="batch",
        accelerator="tpu-v5e",
        count=4,
        hours=1,
    ),
    "training over nodes": scene(
        "request_gpu",
        leaves=("trainer.kubeflow.org/v1alpha1", "TrainJob", "vision-dev"),
        purpose="train",
        accelerator="a100",
        count=8,
        nodes=2,
        hours=1,
        image="registry.local/train:1",
    ),
    "a golden path": scene(
        "trigger_retraining",
        leaves=("trainer.kubeflow.org/v1alpha1", "TrainJob", "vision-dev"),
        model="vision-v9",
        parameters=["epochs=2"],
    ),
    "a registration": scene("register_model", model="vision-v3", thresholds=["accuracy>=0.9"], alias="challenger"),
    "a promotion": scene("promote_model", model="vision-v2", version="2", alias="trial"),
    "cloud and edge": scene("deploy_model", leaves=(SERVING, "InferenceService", "vision-dev"), model="vision-v2:4"),
    "an alias on accelerators": scene(
        "deploy_model",
        "nlp",
        leaves=(SERVING, "InferenceService", "nlp-dev"),
        model="ticket-router@champion",
        target="cloud",
        accelerator="a100",
    ),
    "a language model": scene(
        "deploy_model",
        "nlp",
        leaves=("serving.kserve.io/v1alpha2", "LLMInferenceService", "nlp-staging"),
        model="llama-3.3-70b:1",
        environment="staging",
        target="cloud",
        accelerator="a100",
    ),
    "what the seed deployed, anew": scene(
        "deploy_model", model="vision-v2:3", environment="staging", target="cloud", max_replicas=2
    ),
    "a label": scene("manage_edge_nodes", action="label", nodes=["edge-us-south-1-01"], labels=["example.org/lane=a"]),
    "a cordon": scene("manage_edge_nodes", action="cordon", nodes=["edge-us-south-1-01"]),
    "an uncordon": scene("manage_edge_nodes", action="uncordon", nodes=["edge-us-south-1-01"]),
    "a drain": scene("manage_edge_nodes", action="drain", nodes=["edge-us-south-2-01"]),
    "a rollout": scene(
        "manage_edge_nodes", action="rollout", model="vision-v2:2", environment="staging", region="eu-west"
    ),
}


@pytest.mark.parametrize("name", SCENES)
async def test_a_plan_is_applied_without_a_field_refused(platform: Platform, name: str) -> None:
    one = SCENES[name]
    before = len(await platform.objects(*one.leaves)) if one.leaves else 0

    done = await platform.do(one.tool, one.team, **one.arguments)

    assert done.data["status"] == "applied", done.text
    assert {row["state"] for row in done.data["steps"]} <= {"applied", "unchanged"}
    if one.leaves:
        assert len(await platform.objects(*one.leaves)) == before + 1


@pytest.mark.parametrize(("action", "then"), [("promote", "1"), ("rollback", "2")])
async def test_a_canary_is_steered_and_another_version_is_deployed_over_it(
    platform: Platform, action: str, then: str
) -> None:
    where: dict[str, Any] = {"environment": "staging", "target": "cloud"}
    await platform.do("deploy_model", "nlp", model="ticket-router:1", **where, canary_percent=0)
    second = await platform.do("deploy_model", "nlp", model="ticket-router:2", **where, canary_percent=20)
    assert second.data["status"] == "applied", second.text

    steered = await platform.do("control_operation", "nlp", operation_id=second.data["operation_id"], action=action)
    assert steered.data["status"] == "applied", steered.text
    third = await platform.do("deploy_model", "nlp", model=f"ticket-router:{then}", **where, canary_percent=0)

    assert third.data["status"] == "applied", third.text
    live = platform.server.get(f"/apis/{SERVING}/namespaces/nlp-staging/inferenceservices/ticket-router")
    assert live is not None
    assert live["metadata"]["labels"]["aiplatform.dev/version"] == then
    assert "canary" not in live["spec"]
    assert "canaryTrafficPercent" not in live["spec"]["predictor"]


@pytest.mark.parametrize(("action", "then"), [("promote", "2"), ("rollback", "1")])
async def test_a_language_models_canary_is_steered_and_leaves_one_object(
    platform: Platform, registry_uri: str, action: str, then: str
) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=registry_uri, registry_uri=registry_uri)
    first = client.get_model_version("llama-3.3-70b", "1")
    if len(client.search_model_versions("name = 'llama-3.3-70b'")) < 2:
        tags = {**first.tags, "aiplatform.digest": "sha256:" + "7e" * 32}
        source = first.source.partition("@")[0] + "@" + tags["aiplatform.digest"]
        client.create_model_version("llama-3.3-70b", source, run_id=first.run_id, tags=tags)
    where: dict[str, Any] = {"target": "cloud", "environment": "dev", "accelerator": "a100"}
    await platform.do("deploy_model", "nlp", model="llama-3.3-70b:1", canary_percent=0, **where)

    second = await platform.do("deploy_model", "nlp", model="llama-3.3-70b:2", canary_percent=10, **where)
    assert second.data["status"] == "applied", second.text
    listed = await platform.objects("serving.kserve.io/v1alpha2", "LLMInferenceService", "nlp-dev")
    assert sorted(row["spec"]["router"]["route"]["weight"] for row in listed) == [10, 90]
    steered = await platform.do("control_operation", "nlp", operation_id=second.data["operation_id"], action=action)
    assert steered.data["status"] == "applied", steered.text

    (live,) = await platform.objects("serving.kserve.io/v1alpha2", "LLMInferenceService", "nlp-dev")
    assert live["metadata"]["labels"]["aiplatform.dev/version"] == then
    assert live["spec"]["router"]["route"]["weight"] == 100


async def test_a_model_is_routed_and_its_routing_is_taken_back(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = observed("near", "cloud", 0.2, cluster="c1")

    async def read(readers: Any, principal: Any, model: str, **_: Any) -> Any:
        return routing_facts(model, near)  # nothing is served here that could be measured

    monkeypatch.setattr(route_model, "read_routing_facts", read)
    arguments: dict[str, Any] = {"model": "vision-v2:4", "gateway": "litellm"}
    done = await platform.do("route_model", **arguments)
    assert done.data["status"] == "applied", done.text
    path = "/api/v1/namespaces/vision-dev/configmaps/litellm-config"
    live = platform.server.get(path)
    assert live is not None and "model_name: vision-v2\n" in live["data"]["config.yaml"]
    again = await platform.call("route_model", **arguments)
    assert [step["action"] for step in again.data["steps"]] == ["none"], again.text
    back = await platform.do("control_operation", operation_id=done.data["operation_id"], action="rollback")
    assert back.data["status"] == "applied", back.text
    live = platform.server.get(path)
    assert live is not None and "vision-v2" not in live["data"]["config.yaml"]


async def test_a_rollout_is_paused_resumed_rolled_back_and_work_is_cancelled(platform: Platform) -> None:
    job = await platform.do("request_gpu", **BATCH, image="registry.local/steered:1")
    ended = await platform.do("control_operation", operation_id=job.data["operation_id"], action="cancel")
    assert ended.data["status"] == "applied", ended.text

    begun = await platform.do("deploy_model", "nlp", model="ticket-router:1", target="edge", sites=["us-east-1"])
    assert begun.data["status"] == "applied", begun.text
    for action in ("pause", "resume", "cancel"):
        done = await platform.do("control_operation", "nlp", operation_id=begun.data["operation_id"], action=action)
        assert done.data["status"] == "applied", done.text


@pytest.mark.parametrize("kind", ["overview", "models", "deployments", "gpu_pools", "queues", "nodes", "operations"])
async def test_the_platform_is_inspected(platform: Platform, kind: str) -> None:
    answer = await platform.call("inspect_platform", kind=kind)
    assert not answer.is_error
    assert "not serve" not in answer.text, answer.text


async def test_a_field_of_another_manager_is_named_with_its_owner(platform: Platform) -> None:
    path = f"/apis/{SERVING}/namespaces/vision-prod/inferenceservices/vision-v2"
    live = platform.server.get(path)
    assert live is not None
    model = {"storageUri": live["spec"]["predictor"]["model"]["storageUri"]}
    empty = {"apiVersion": SERVING, "kind": "InferenceService", "metadata": {"name": "vision-v2"}}
    platform.server.apply(path, {**empty, "spec": {"predictor": {"model": model}}}, manager="release-team")

    with pytest.raises(FieldConflict) as caught:
        await platform.call("deploy_model", model="vision-v2:3", environment="production", target="cloud")
    platform.server.apply(path, empty, manager="release-team")

    (told,) = caught.value.details["conflicts"]
    assert (told["manager"], told["field"]) == ("release-team", ".spec.predictor.model.storageUri")
    assert told["since"] in caught.value.message
    free = await platform.call("deploy_model", model="vision-v2:3", environment="production", target="cloud")
    assert free.data["steps"][0]["action"] == "update", free.text


def reader_of_all_writer_of_dev(server: Server, folder: Path) -> Path:
    """A kubeconfig of an account that may read everything and write in vision-dev alone."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "limited"}}
    base = "/api/v1/namespaces/vision-dev/serviceaccounts"
    roles = "/apis/rbac.authorization.k8s.io/v1"
    if server.get(f"{base}/limited") is None:
        server.post(base, account)
        everything = {"apiGroups": ["*"], "resources": ["*"]}
        subject = [{"kind": "ServiceAccount", "name": "limited", "namespace": "vision-dev"}]
        for name, verbs in (("reads", ["get", "list", "watch"]), ("writes", ["*"])):
            role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}}
            server.post(f"{roles}/clusterroles", {**role, "rules": [{**everything, "verbs": verbs}]})
            to = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
            kind = "ClusterRoleBinding" if name == "reads" else "RoleBinding"
            where = "/clusterrolebindings" if name == "reads" else "/namespaces/vision-dev/rolebindings"
            server.post(roles + where, {**role, "kind": kind, "roleRef": to, "subjects": subject})
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = server.post(f"{base}/limited/token", request)["status"]["token"]
    config = yaml.safe_load(server.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = config.get("certificate-authority")
    return write_config(folder / "limited.kubeconfig", config["server"], token, authority and Path(authority))


async def test_a_namespace_without_rights_is_refused_while_planning(
    world: Server, registry_uri: str, tmp_path: Path
) -> None:
    limited = settings(world, registry_uri, tmp_path, reader_of_all_writer_of_dev(world, tmp_path))
    app = App(limited, clock=InWindow())
    try:
        platform = Platform(app, world)
        mine = await platform.do("request_gpu", **BATCH, image="registry.local/limited:1")
        assert mine.data["status"] == "applied", mine.text
        with pytest.raises(Forbidden) as caught:
            await platform.call("request_gpu", **BATCH, environment="staging")
        assert "may not create jobs.batch in namespace 'vision-staging'" in caught.value.message
    finally:
        await app.aclose()


def rollout(**spec: Any) -> Apply:
    body = {
        "model": "m",
        "version": "1",
        "digest": "sha256:" + "a" * 64,
        "image": "r/m@sha256:" + "a" * 64,
        "waves": [{"name": "all", "percent": 100}],
        **spec,
    }
    meta = {"name": "cel", "namespace": "vision-dev"}
    manifest = {"apiVersion": EDGE, "kind": "EdgeRollout", "metadata": meta, "spec": body}
    return Apply(
        title="a", cluster="c1", manifest={**manifest, "spec": {k: v for k, v in body.items() if v is not None}}
    )


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"image": None}, "one of image and storageUri is required"),
        ({"waves": [{"name": "all", "percent": 10, "sites": ["a"]}]}, "either sites or percent"),
        ({"waves": [{"name": "all"}]}, "either sites or percent"),
    ],
)
async def test_the_rules_of_our_own_kind_are_kept_by_the_server(
    platform: Platform, spec: dict[str, Any], said: str
) -> None:
    readers = await platform.app.readers()
    with pytest.raises(Rejected) as caught:
        await readers.clusters.dry_run(rollout(**spec))
    assert said in caught.value.cause


async def test_what_a_rollout_brings_cannot_be_exchanged_under_it(platform: Platform) -> None:
    readers = await platform.app.readers()
    path = f"/apis/{EDGE}/namespaces/vision-dev/edgerollouts/cel"
    platform.server.apply(path, rollout().manifest, manager="ai-platform-mcp")
    try:
        assert (await readers.clusters.dry_run(rollout(paused=True))).diff.action == "update"
        with pytest.raises(Rejected) as caught:
            await readers.clusters.dry_run(rollout(digest="sha256:" + "b" * 64))
        assert "digest is immutable" in caught.value.cause
    finally:
        platform.server.delete(path)


def test_every_tool_that_changes_something_is_in_a_scene_or_in_a_test_of_its_own() -> None:
    writing = {tool.name for tool in CATALOGUE if hasattr(tool, "plan")}
    assert writing == {one.tool for one in SCENES.values()} | {"control_operation", "route_model"}
