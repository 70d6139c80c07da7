"""Whatever a tool is asked and whatever the cluster serves: each object of the plan is served there and strictly valid."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strict_manifests as s
from ai_platform_mcp.core.errors import CapabilityMissing, Conflict, InvalidInput, NotFound
from ai_platform_mcp.core.plan import Apply, Draft, Submit
from ai_platform_mcp.core.rows import VersionRow
from ai_platform_mcp.manifests import argo, edge, kserve, kueue, llm, routing, trainer
from ai_platform_mcp.manifests.common import Capabilities, Origin
from support.plans import GOLDEN, MODELS, plan

many = settings(max_examples=40, deadline=None)

LLM_NEW, LLM_OLD = (f"{api}/{llm.KIND}" for api in llm.APIS)
KNATIVE = "serving.knative.dev/v1/Service"
KEDA = f"{routing.KEDA_API}/ScaledObject"
ROUTE, POOL = f"{routing.ROUTE_API}/HTTPRoute", f"{routing.POOL_API}/InferencePool"
TRAIN, TORCH = f"{trainer.TRAINJOB_API}/TrainJob", f"{trainer.PYTORCHJOB_API}/PyTorchJob"
RAY, FLOW = f"{trainer.RAY_API}/RayJob", f"{argo.API}/Workflow"
INFERENCE, ROLLOUT = f"{kserve.API}/InferenceService", f"{edge.API}/EdgeRollout"
KUEUE_NEW = frozenset(kind for kind in s.EVERYTHING.kinds if kind.startswith(f"{kueue.API}/"))
KUEUE_OLD = frozenset(kind for kind in s.EVERYTHING.kinds if kind.startswith(f"{kueue.OLD_API}/"))
OPTIONAL = (KUEUE_NEW, KUEUE_OLD, *({kind} for kind in (
    LLM_NEW, LLM_OLD, KNATIVE, KEDA, ROUTE, POOL, TRAIN, TORCH, RAY, FLOW, INFERENCE, ROLLOUT,
)))  # fmt: skip


def serving(*absent: str | frozenset[str], minor: int = 36, **more: bool) -> Capabilities:
    gone = {kind for row in absent for kind in ({row} if isinstance(row, str) else row)}
    can = s.without(*gone)
    return can.model_copy(update={"kubernetes_minor": minor, **more})


def emitted(draft: Draft) -> list[dict[str, Any]]:
    return [step.manifest for step in draft.steps if isinstance(step, Apply | Submit)]


def check(draft: Draft, can: Capabilities) -> None:
    for made in emitted(draft):
        s.assert_strictly_valid(made)
        assert can.serves(made["apiVersion"], made["kind"]), f"{made['apiVersion']} {made['kind']} is not served"


def kinds(draft: Draft) -> list[str]:
    return [f"{made['apiVersion']}/{made['kind']}" for made in emitted(draft)]


CLOUD = {"target": "cloud", "model": "plain:1"}
CHAT = {"target": "cloud", "model": "large:1"}
SPREAD = {"purpose": "train", "count": 8, "nodes": 2, "hours": 1, "image": "i"}
TABLE: dict[str, tuple[str, dict[str, Any], Capabilities, list[str]]] = {
    "a model in the cloud": ("deploy_model", CLOUD, serving(), [INFERENCE]),
    "a model at the edge": ("deploy_model", {**CLOUD, "target": "edge"}, serving(), [ROLLOUT, "v1/Service"]),
    "a language model": ("deploy_model", CHAT, serving(), [LLM_NEW]),
    "a language model, KServe before v0.17": ("deploy_model", CHAT, serving(LLM_NEW), [LLM_OLD]),
    "a language model, no LLMInferenceService": ("deploy_model", CHAT, serving(LLM_NEW, LLM_OLD), [INFERENCE]),
    "a language model, no Gateway API": ("deploy_model", CHAT, serving(ROUTE), [INFERENCE]),
    "a language model in a bucket that only the other kind reads": (
        "deploy_model", {**CHAT, "model": "distant:1"}, serving(), [INFERENCE],
    ),
    "to zero, with Knative": ("deploy_model", {**CLOUD, "min_replicas": 0}, serving(), [INFERENCE]),
    "to zero, with KEDA": ("deploy_model", {**CLOUD, "min_replicas": 0}, serving(KNATIVE), [INFERENCE, KEDA]),
    "accelerators, Kueue before 0.15": ("deploy_model", {**CLOUD, "accelerator": "a100"}, serving(KUEUE_NEW), [INFERENCE]),
    "training": ("trigger_retraining", {"model": "plain"}, serving(), [TRAIN]),
    "training, the old operator": ("trigger_retraining", {"model": "plain"}, serving(TRAIN), [TORCH]),
    "training, Kueue before 0.15": ("trigger_retraining", {"model": "plain"}, serving(KUEUE_NEW), [TRAIN]),
    "training with Ray": ("trigger_retraining", {"model": "plain", "golden_path": "ray"}, serving(), [RAY]),
    "training by a workflow": ("trigger_retraining", {"model": "plain", "golden_path": "flow"}, serving(), [FLOW]),
    "a batch job": ("request_gpu", {"purpose": "batch", "hours": 1}, serving(), ["batch/v1/Job"]),
    "training over nodes": ("request_gpu", SPREAD, serving(), [TRAIN]),
    "training over nodes, no operator": ("request_gpu", SPREAD, serving(TRAIN), ["batch/v1/Job"]),
    "a rollout": (
        "manage_edge_nodes", {"action": "rollout", "model": "plain:2"}, serving(), [ROLLOUT, "v1/Service"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
async def test_discovery_chooses_the_kind_and_version(name: str) -> None:
    tool, arguments, can, expected = TABLE[name]
    draft = await plan(tool, can, **arguments)
    assert kinds(draft) == expected
    check(draft, can)


@pytest.mark.parametrize(
    ("tool", "arguments", "absent"),
    [
        ("deploy_model", {**CLOUD, "min_replicas": 0}, (KNATIVE, KEDA)),
        ("trigger_retraining", {"model": "plain"}, (TRAIN, TORCH)),
        ("trigger_retraining", {"model": "plain", "golden_path": "ray"}, (RAY,)),
        ("trigger_retraining", {"model": "plain", "golden_path": "flow"}, (FLOW,)),
        ("request_gpu", {"purpose": "batch", "hours": 1}, (KUEUE_NEW, KUEUE_OLD)),
    ],
)
async def test_what_the_cluster_lacks_is_named_with_a_remedy(tool: str, arguments: dict[str, Any], absent: Any) -> None:
    with pytest.raises(CapabilityMissing) as caught:
        await plan(tool, serving(*absent), **arguments)
    assert caught.value.remedy


@pytest.mark.parametrize(("minor", "value"), [(34, "PreferSameZone"), (37, "PreferSameZone"), (33, "PreferClose")])
async def test_traffic_stays_in_its_zone_by_the_word_that_the_server_knows(minor: int, value: str) -> None:
    draft = await plan("deploy_model", serving(minor=minor), target="edge", model="plain:1")
    (service,) = (made for made in emitted(draft) if made["kind"] == "Service")
    assert service["spec"]["trafficDistribution"] == value


versions = st.sampled_from(MODELS)
capabilities = st.builds(
    lambda gone, minor, canary, groups: serving(
        *map(frozenset, gone), minor=minor, standard_canary=canary, llm_groups=groups
    ),
    st.lists(st.sampled_from(OPTIONAL), max_size=4),
    st.integers(34, 37),
    st.booleans(),
    st.booleans(),
)
percents = st.none() | st.integers(0, 100)
replicas = st.none() | st.integers(0, 9)
accelerators = st.sampled_from(["", "a100", "h100", "tpu-v5e"])
environments = st.sampled_from(["dev", "staging", "production"])
deployments = st.fixed_dictionaries(
    {
        "target": st.sampled_from(["cloud", "edge", "auto"]),
        "environment": environments,
        "canary_percent": percents,
        "slo_ms": st.none() | st.integers(1, 10_000),
        "min_replicas": replicas,
        "max_replicas": replicas.map(lambda count: count or None),
        "accelerator": accelerators,
        "runtime": st.sampled_from(["", "", "", "kserve-tritonserver", "kserve-huggingfaceserver"]),
        "regions": st.sampled_from([(), (), ("us-east",), ("eu-west-1", "us")]),
        "sites": st.sampled_from([(), (), ("us-south-1",), ("us-south-1", "eu-west-1")]),
        "force": st.booleans(),
    }
)


def served_now(model: str, version: str, can: Capabilities, mode: str) -> dict[str, Any]:
    """An InferenceService of the model as an earlier deployment left it."""
    source = kserve.ModelSource(format="onnx", storage_uri="s3://m/0", runtime="kserve-tritonserver")
    endpoint = kserve.Endpoint(
        name=kserve.endpoint_name(model), namespace="vision-dev", mode=mode, model=source, min_replicas=1
    )  # type: ignore[arg-type]
    return kserve.inference_service(endpoint, Origin(model=model, version=version, team="vision"), s.EVERYTHING)


async def check_if_planned(tool: str, can: Capabilities, objects: tuple[dict[str, Any], ...], arguments: Any) -> None:
    """A plan is valid, or the refusal is one that a caller can act on."""
    try:
        draft = await plan(tool, can, objects, **arguments)
    except (CapabilityMissing, Conflict, InvalidInput, NotFound) as refusal:
        assert refusal.remedy, refusal.message
        return
    check(draft, can)


@many
@given(capabilities, versions, deployments, st.sampled_from(["", "Knative", "Standard"]))
async def test_every_deployment_is_valid(
    can: Capabilities, version: VersionRow, arguments: dict[str, Any], before: str
) -> None:
    objects = (served_now(version.model, "0", can, before),) if before else ()
    await check_if_planned("deploy_model", can, objects, {**arguments, "model": f"{version.model}:{version.version}"})


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,90}", fullmatch=True)
values = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=40)


@many
@given(
    capabilities,
    st.fixed_dictionaries(
        {
            "purpose": st.sampled_from(["train", "batch", "serve", "dev"]),
            "accelerator": accelerators,
            "count": st.integers(1, 9),
            "nodes": st.integers(1, 5),
            "hours": st.none() | st.integers(1, 500),
            "capacity": st.sampled_from(["auto", "on_demand", "spot"]),
            "checkpoint": st.sampled_from(["", "s3://vision/c"]),
            "environment": environments,
            "image": st.sampled_from(["", "registry.local/i:1"]),
            "command": st.lists(values, max_size=3).map(tuple),
        }
    ),
)
async def test_every_request_for_accelerators_is_valid(can: Capabilities, arguments: dict[str, Any]) -> None:
    await check_if_planned("request_gpu", can, (), arguments)


@many
@given(
    capabilities,
    st.fixed_dictionaries(
        {
            "model": names,
            "golden_path": st.sampled_from(sorted(GOLDEN)),
            "parameters": st.lists(
                st.builds("{}={}".format, st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True), values),
                max_size=3,
            ).map(tuple),
            "accelerator": accelerators,
            "count": st.none() | st.integers(1, 9),
            "nodes": st.none() | st.integers(1, 4),
            "hours": st.none() | st.integers(1, 99),
            "capacity": st.sampled_from(["auto", "on_demand", "spot"]),
            "checkpoint": st.sampled_from(["", "s3://vision/c"]),
        }
    ),
)
async def test_every_training_is_valid(can: Capabilities, arguments: dict[str, Any]) -> None:
    await check_if_planned("trigger_retraining", can, (), arguments)


@many
@given(
    capabilities,
    st.fixed_dictionaries(
        {
            "action": st.just("rollout"),
            "model": st.sampled_from(["plain:1", "plain:2", "large:1", "trees:3"]),
            "site": st.sampled_from(["", "us-south-1"]),
            "region": st.sampled_from(["", "eu-west"]),
            "environment": st.sampled_from(["", "dev", "staging"]),
            "canary_percent": percents,
        }
    ),
)
async def test_every_rollout_is_valid(can: Capabilities, arguments: dict[str, Any]) -> None:
    await check_if_planned("manage_edge_nodes", can, (), arguments)
