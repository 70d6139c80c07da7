"""Language models: which kind of object serves one, how large it is, and how its canary comes and goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput, NotFound
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.sandbox import process
from live_platform import Platform

LLM = ("serving.kserve.io/v1alpha2", "LLMInferenceService")
NAME = "llama-3-3-70b"


@pytest.fixture(scope="module")
def second(sandbox: process.Status) -> Iterator[str]:
    """A second version of the seeded language model, as good as the first."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=sandbox.mlflow_uri, registry_uri=sandbox.mlflow_uri)
    first = client.get_model_version("llama-3.3-70b", "1")
    tags = {**first.tags, "aiplatform.digest": "sha256:" + "7e" * 32}
    source = first.source.partition("@")[0] + "@" + tags["aiplatform.digest"]
    made = client.create_model_version("llama-3.3-70b", source, run_id=first.run_id, tags=tags)
    yield str(made.version)


async def plan(platform: Platform, **arguments: Any) -> Result:
    where = {"environment": "staging", "target": "cloud", **arguments}
    return await platform.call("deploy_model", team="nlp", **where)


async def apply(platform: Platform, tool: str, **arguments: Any) -> Result:
    planned = await platform.call(tool, team="nlp", **arguments)
    assert not planned.is_error, planned.text
    done = await platform.call(tool, team="nlp", **arguments, mode="apply", plan_id=planned.data["plan_id"])
    if done.data["status"] == "awaiting_approval":
        await platform.app.agree(done.data["approval"]["approval_id"], platform.caller("nlp").principal)
        done = await platform.call(tool, team="nlp", **arguments, mode="apply", plan_id=planned.data["plan_id"])
    assert done.data["status"] == "applied", done.text
    return done


async def deployed(platform: Platform, namespace: str) -> dict[str, dict[str, Any]]:
    page = await platform.readers.clusters.list("sandbox", *LLM, namespace=namespace)
    return {row["metadata"]["name"]: row for row in page.items}


def version(live: dict[str, Any]) -> str:
    return live["metadata"]["labels"]["aiplatform.dev/version"]


async def test_a_language_model_is_an_llm_inference_service_that_holds_its_weights(platform: Platform):
    answer = await plan(platform, model="llama-3.3-70b:1", accelerator="a100")
    assert [row["title"].split()[0] for row in answer.data["steps"]] == ["Serve"]
    reasons = " ".join(answer.data["reasons"])
    assert "LLMInferenceService: its task is text-generation." in reasons
    assert "2 accelerators of 81920 MiB per replica hold 71000 MiB of weights" in reasons
    assert "an InferencePool picks replicas" in reasons
    assert answer.data["cost"]["hourly_cents"] > 0


async def test_a_serving_runtime_by_name_asks_for_an_inference_service(platform: Platform):
    answer = await plan(platform, model="llama-3.3-70b:1", runtime="kserve-huggingfaceserver", accelerator="a100")
    stored = await platform.readers.journal.plan(answer.data["plan_id"])
    assert stored is not None and stored.plan.steps[0].manifest["kind"] == "InferenceService"  # type: ignore[union-attr]


LLM_KINDS = {"serving.kserve.io/v1alpha2/LLMInferenceService", "serving.kserve.io/v1alpha1/LLMInferenceService"}


@pytest.mark.parametrize(
    ("absent", "why"),
    [(LLM_KINDS, "does not serve LLM"), ({"gateway.networking.k8s.io/v1/HTTPRoute"}, "does not serve HTTPRoute")],
)
async def test_without_what_it_needs_an_inference_service_takes_its_place_and_says_so(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, absent: set[str], why: str
):
    serving_without(platform, monkeypatch, absent)
    answer = await plan(platform, model="llama-3.3-70b:1", accelerator="a100")
    told = " ".join(answer.data["reasons"])
    assert "An InferenceService, since" in told and why in told
    assert "Runtime kserve-huggingfaceserver serves huggingface." in told


async def test_where_only_the_older_version_is_served_that_is_what_is_applied(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    serving_without(platform, monkeypatch, {f"{LLM[0]}/{LLM[1]}"})
    answer = await plan(platform, model="llama-3.3-70b:1")
    stored = await platform.readers.journal.plan(answer.data["plan_id"])
    assert stored is not None and stored.plan.steps[0].manifest["apiVersion"] == "serving.kserve.io/v1alpha1"  # type: ignore[union-attr]
    assert [row["action"] for row in answer.data["steps"]] == ["create"]


def serving_without(platform: Platform, monkeypatch: pytest.MonkeyPatch, absent: set[str]) -> None:
    """Let discovery leave out some kinds."""
    clusters = platform.readers.clusters
    kinds, serves = clusters.kinds, clusters.serves

    async def fewer(cluster: str) -> frozenset[str]:
        return await kinds(cluster) - absent

    async def still(cluster: str, api_version: str, kind: str) -> bool:
        return f"{api_version}/{kind}" not in absent and await serves(cluster, api_version, kind)

    monkeypatch.setattr(clusters, "kinds", fewer)
    monkeypatch.setattr(clusters, "serves", still)


async def test_a_canary_is_a_second_object_that_is_promoted_into_the_first(platform: Platform, second: str):
    where: dict[str, Any] = {"environment": "staging", "target": "cloud"}
    await apply(platform, "deploy_model", model="llama-3.3-70b:1", min_replicas=4, **where)
    live = await deployed(platform, "nlp-staging")
    (name,) = live
    assert live[name]["spec"]["replicas"] == 4
    assert live[name]["spec"]["router"]["route"] == {"group": name, "weight": 100}

    moved = await apply(platform, "deploy_model", model=f"llama-3.3-70b:{second}", canary_percent=20, **where)
    live = await deployed(platform, "nlp-staging")
    stable, canary = live[name], live[f"{name}-canary"]
    assert (version(stable), stable["spec"]["router"]["route"]["weight"], stable["spec"]["replicas"]) == ("1", 80, 4)
    assert (version(canary), canary["spec"]["router"]["route"]["weight"], canary["spec"]["replicas"]) == (second, 20, 1)
    assert stable["spec"]["model"]["uri"] != canary["spec"]["model"]["uri"]
    assert stable["spec"]["model"]["name"] == canary["spec"]["model"]["name"] == "llama-3.3-70b"
    assert [row["title"].split()[0] for row in moved.data["steps"]] == ["Give", "Leave"]

    repeated = await plan(platform, model=f"llama-3.3-70b:{second}", canary_percent=20)
    assert {row["action"] for row in repeated.data["steps"]} == {"none"}, repeated.text

    shown = await platform.call("inspect_platform", team="nlp", kind="operations", name=moved.data["operation_id"])
    assert "promote" in shown.data["next"] or "cancel" in shown.data["next"], shown.text
    one = await platform.call("inspect_platform", team="nlp", kind="deployments", name=f"{name}-canary")
    assert one.data["canary_percent"] == 20 and one.data["version"] == second, one.text
    await apply(platform, "control_operation", operation_id=moved.data["operation_id"], action="promote")
    live = await deployed(platform, "nlp-staging")
    assert set(live) == {name}
    assert version(live[name]) == second
    assert live[name]["spec"]["model"]["uri"] == canary["spec"]["model"]["uri"]
    assert live[name]["spec"]["router"]["route"] == {"group": name, "weight": 100}
    assert live[name]["spec"]["replicas"] == 4
    settled = await plan(platform, model=f"llama-3.3-70b:{second}")
    assert "serves already" in settled.data["summary"]


async def test_a_rolled_back_canary_leaves_all_traffic_to_the_version_before(platform: Platform, second: str):
    where: dict[str, Any] = {"environment": "dev", "target": "cloud"}
    await apply(platform, "deploy_model", model="llama-3.3-70b:1", **where)
    moved = await apply(platform, "deploy_model", model=f"llama-3.3-70b:{second}", canary_percent=50, **where)
    assert len(await deployed(platform, "nlp-dev")) == 2
    await apply(platform, "control_operation", operation_id=moved.data["operation_id"], action="rollback")
    ((name, live),) = (await deployed(platform, "nlp-dev")).items()
    assert (version(live), live["spec"]["router"]["route"]) == ("1", {"group": name, "weight": 100})

    again = await apply(platform, "deploy_model", model=f"llama-3.3-70b:{second}", canary_percent=50, **where)
    at_once = await apply(platform, "deploy_model", model=f"llama-3.3-70b:{second}", canary_percent=0, **where)
    ((_, live),) = (await deployed(platform, "nlp-dev")).items()
    assert version(live) == second and live["spec"]["router"]["route"]["weight"] == 100
    assert [row["title"].split()[0] for row in at_once.data["steps"]] == ["Move", "Delete"]
    with pytest.raises(NotFound, match="is gone"):
        await platform.call("control_operation", team="nlp", operation_id=again.data["operation_id"], action="promote")


async def test_the_seeded_model_gives_up_a_share_and_nothing_else(weekday: Platform, second: str):
    before = (await deployed(weekday, "nlp-prod"))[NAME]
    answer = await weekday.call(
        "deploy_model", team="nlp", model=f"llama-3.3-70b:{second}", environment="production", target="cloud"
    )
    stored = await weekday.readers.journal.plan(answer.data["plan_id"])
    assert stored is not None
    canary, stable = (step.manifest for step in stored.plan.steps)  # type: ignore[union-attr]
    assert stable["metadata"]["name"] == NAME and canary["metadata"]["name"] == f"{NAME}-canary"
    assert {**stable["spec"], "router": None} == {**before["spec"], "router": None}
    assert stable["spec"]["router"] == {"route": {"group": NAME, "weight": 90}}
    assert "10 % first, 1 keeps the rest" in answer.data["summary"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_replicas": 0}, "fixed number of replicas"),
        ({"min_replicas": 1, "max_replicas": 4}, "fixed number of replicas"),
        ({"accelerator": "tpu-v9"}, "No pool"),
    ],
)
async def test_what_a_language_model_cannot_be_given_is_refused(
    platform: Platform, arguments: dict[str, Any], message: str
):
    with pytest.raises(InvalidInput, match=message):
        await plan(platform, model="llama-3.3-70b:1", **arguments)


async def test_before_groups_a_canary_is_refused_with_what_would_help(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, second: str
):
    clusters = platform.readers.clusters
    get = clusters.get

    async def older(cluster: str, api_version: str, kind: str, name: str, namespace: str | None = None) -> Any:
        found = await get(cluster, api_version, kind, name, namespace)
        if found and name == "llminferenceservices.serving.kserve.io":
            for row in found["spec"]["versions"]:
                schema = {"properties": {"spec": {"type": "object"}}}
                row["schema"]["openAPIV3Schema"] = schema
        return found

    monkeypatch.setattr(clusters, "get", older)
    with pytest.raises(CapabilityMissing, match="cannot split traffic") as caught:
        await platform.call(
            "deploy_model", team="nlp", model=f"llama-3.3-70b:{second}", environment="production", target="cloud"
        )
    assert "canary_percent=0" in caught.value.remedy
