"""Devices by claim: a queue that counts a DeviceClass gets claims, everything else what it had."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import strict_manifests as s
from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.core.plan import Apply, Draft, Submit
from ai_platform_mcp.manifests import dra
from support.in_memory import SEEDED
from support.plans import plan

CLASS = "gpu.nvidia.com"
BATCH = {"purpose": "batch", "accelerator": "h100", "count": 4, "hours": 1}
FIRM = {"capacity": "on_demand", "accelerator": "h100"}
Json = dict[str, Any]


def device_class(name: str = CLASS, **spec: Any) -> Json:
    return {"apiVersion": dra.API, "kind": "DeviceClass", "metadata": {"name": name}, "spec": spec}


def counting(*resources: str, nodes_offer: bool) -> list[Json]:
    """The seeded world, its GPU queue covering these resources, with or without a device plugin on the nodes."""
    world = copy.deepcopy(SEEDED)
    for obj in world:
        if obj["kind"] == "ClusterQueue" and obj["metadata"]["name"] == "gpu-pool":
            for group in obj["spec"]["resourceGroups"]:
                group["coveredResources"] = list(resources)
                for flavor in group["flavors"]:
                    quota = flavor["resources"][0]["nominalQuota"]
                    flavor["resources"] = [{"name": name, "nominalQuota": quota} for name in resources]
        if obj["kind"] == "Node" and not nodes_offer:
            obj["status"]["allocatable"].pop("nvidia.com/gpu", None)
    return world


@pytest.fixture
def seeded(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(world: list[Json]) -> None:
        monkeypatch.setattr("support.in_memory.SEEDED", world)

    return use


def manifests(draft: Draft) -> list[Json]:
    return [step.manifest for step in draft.steps if isinstance(step, Apply | Submit)]


def kinds(draft: Draft) -> list[str]:
    return [made["kind"] for made in manifests(draft)]


async def test_a_job_claims_devices_of_the_class_that_its_queue_counts(seeded: Any) -> None:
    seeded(counting(CLASS, nodes_offer=False))
    draft = await plan("request_gpu", s.EVERYTHING, (device_class(),), **BATCH)
    claim, job = manifests(draft)
    for made in (claim, job):
        s.assert_strictly_valid(made)
    assert (claim["kind"], job["kind"]) == ("ResourceClaimTemplate", "Job")
    [request] = claim["spec"]["spec"]["devices"]["requests"]
    assert request["exactly"] == {"deviceClassName": CLASS, "allocationMode": "ExactCount", "count": 4}
    pod = job["spec"]["template"]["spec"]
    assert pod["resourceClaims"] == [{"name": "accelerator", "resourceClaimTemplateName": claim["metadata"]["name"]}]
    resources = pod["containers"][0]["resources"]
    assert resources["claims"] == [{"name": "accelerator"}]
    assert not [name for name in resources["limits"] if name not in ("cpu", "memory")]
    assert claim["metadata"]["labels"]["aiplatform.dev/operation"]
    assert "Devices by claim: gpu-pool counts DeviceClass gpu.nvidia.com." in draft.reasons


async def test_two_operations_claim_by_two_templates(seeded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import support.plans

    seeded(counting(CLASS, nodes_offer=False))
    first = await plan("request_gpu", s.EVERYTHING, (device_class(),), **BATCH)
    context = support.plans.context()
    monkeypatch.setattr(support.plans, "context", lambda: type(context)(context.caller, "op-other", context.now))
    second = await plan("request_gpu", s.EVERYTHING, (device_class(),), **BATCH)
    assert manifests(first)[0]["metadata"]["name"] != manifests(second)[0]["metadata"]["name"]


@pytest.mark.parametrize(
    ("covered", "classes", "nodes_offer", "because"),
    [
        (("nvidia.com/gpu",), (), True, ""),
        (("nvidia.com/gpu",), (device_class(),), True, "through a device plugin"),
        (("nvidia.com/gpu",), (device_class(),), False, "counts that, and no DeviceClass"),
        (("nvidia.com/gpu", CLASS), (device_class(),), True, "through a device plugin"),
        (("nvidia.com/gpu",), (device_class(extendedResourceName="nvidia.com/gpu"),), False, "provides that extended"),
    ],
)
async def test_elsewhere_the_plain_resource_is_asked_for(
    seeded: Any, covered: tuple[str, ...], classes: tuple[Json, ...], nodes_offer: bool, because: str
) -> None:
    seeded(counting(*covered, nodes_offer=nodes_offer))
    draft = await plan("request_gpu", s.EVERYTHING, classes, **BATCH)
    [job] = manifests(draft)
    assert job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "4"
    assert any(because in row for row in draft.reasons if row.startswith("Devices ")) is bool(because)


async def test_a_class_that_is_not_served_is_no_pool(seeded: Any) -> None:
    seeded(counting(CLASS, nodes_offer=False))
    without = s.without(f"{dra.API}/ResourceClaimTemplate", f"{dra.API}/DeviceClass")
    for can, classes in ((s.EVERYTHING, ()), (without, (device_class(),))):
        with pytest.raises(InvalidInput, match="No pool"):
            await plan("request_gpu", can, classes, **BATCH)


async def test_more_devices_than_a_claim_may_have_are_refused_with_a_way_out(seeded: Any) -> None:
    seeded(counting(CLASS, nodes_offer=False))
    with pytest.raises(InvalidInput, match="1 to 32") as caught:
        await plan("request_gpu", s.EVERYTHING, (device_class(),), **{**BATCH, "count": 33})
    assert "more nodes" in caught.value.remedy


async def test_a_service_keeps_its_template_from_one_deployment_to_the_next(seeded: Any) -> None:
    seeded(counting(CLASS, nodes_offer=False))
    named: list[str] = []
    for model in ("plain:1", "plain:2"):
        draft = await plan(
            "deploy_model", s.EVERYTHING, (device_class(),), target="cloud", model=model, accelerator="h100"
        )
        claim, service = manifests(draft)
        for made in (claim, service):
            s.assert_strictly_valid(made)
        assert kinds(draft) == ["ResourceClaimTemplate", "InferenceService"]
        assert (
            service["spec"]["predictor"]["resourceClaims"][0]["resourceClaimTemplateName"] == claim["metadata"]["name"]
        )
        assert any("Devices by claim" in row for row in draft.reasons)
        named.append(claim["metadata"]["name"])
    assert len(set(named)) == 1


async def test_a_language_model_claims_its_devices_too(seeded: Any) -> None:
    seeded(counting(CLASS, nodes_offer=False))
    draft = await plan(
        "deploy_model", s.EVERYTHING, (device_class(),), target="cloud", model="large:1", accelerator="h100"
    )
    claim, service = manifests(draft)
    s.assert_strictly_valid(service)
    assert service["kind"] == "LLMInferenceService"
    pod = service["spec"]["template"]
    assert pod["resourceClaims"][0]["resourceClaimTemplateName"] == claim["metadata"]["name"]
    assert pod["containers"][0]["resources"]["claims"] == [{"name": "accelerator"}]


async def test_ray_workers_claim_their_devices_and_the_head_claims_none(seeded: Any) -> None:
    seeded(counting(CLASS, nodes_offer=False))
    draft = await plan("trigger_retraining", s.EVERYTHING, (device_class(),), model="plain", golden_path="ray", **FIRM)
    claim, job = manifests(draft)
    s.assert_strictly_valid(job)
    cluster = job["spec"]["rayClusterSpec"]
    [worker] = cluster["workerGroupSpecs"]
    assert worker["template"]["spec"]["resourceClaims"][0]["resourceClaimTemplateName"] == claim["metadata"]["name"]
    assert "resourceClaims" not in cluster["headGroupSpec"]["template"]["spec"]


@pytest.mark.parametrize("golden_path", ["finetune", "flow"])
async def test_training_that_cannot_carry_a_claim_says_so(seeded: Any, golden_path: str) -> None:
    seeded(counting(CLASS, nodes_offer=False))
    with pytest.raises(CapabilityMissing) as caught:
        await plan(
            "trigger_retraining", s.EVERYTHING, (device_class(),), model="plain", golden_path=golden_path, **FIRM
        )
    assert caught.value.remedy
