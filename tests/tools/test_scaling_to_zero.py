"""Services in Standard mode that may have no replicas: who scales them, and what is said where nobody can."""

from __future__ import annotations

from typing import Any

import pytest

import strict_manifests as s
from ai_platform_mcp.core.errors import CapabilityMissing
from ai_platform_mcp.core.plan import Apply, Draft
from ai_platform_mcp.manifests.kserve import AUTOSCALER_ANNOTATION, MODE_ANNOTATION
from ai_platform_mcp.tools.deploy_model import DeployModel, DeployModelParams
from support.in_memory import context, readers
from support.plans import MODELS, SCALING

NO_KNATIVE = s.without("serving.knative.dev/v1/Service")


async def plan(*objects: dict[str, Any], scaling: Any = SCALING, can: Any = NO_KNATIVE, **sizes: int) -> Draft:
    world = readers(can, MODELS, objects=objects, scaling=scaling)
    params = DeployModelParams(model="plain:1", target="cloud", **sizes)  # type: ignore[arg-type]
    return await DeployModel().plan(params, world, context())


def manifests(draft: Draft) -> dict[str, dict[str, Any]]:
    return {step.manifest["kind"]: step.manifest for step in draft.steps if isinstance(step, Apply)}


async def test_keda_asks_where_requests_arrive_and_kserve_leaves_the_replicas_to_it():
    draft = await plan(min_replicas=0, max_replicas=4)
    made = manifests(draft)
    service, scaler = made["InferenceService"], made["ScaledObject"]
    assert service["metadata"]["annotations"][AUTOSCALER_ANNOTATION] == "external"
    assert service["metadata"]["annotations"][MODE_ANNOTATION] == "Standard"
    assert service["spec"]["predictor"]["minReplicas"] == 0
    assert scaler["spec"]["scaleTargetRef"]["name"] == "plain-predictor"
    assert (scaler["spec"]["minReplicaCount"], scaler["spec"]["maxReplicaCount"]) == (0, 4)
    assert 'model="plain",namespace="vision-dev"' in scaler["spec"]["triggers"][0]["metadata"]["query"]
    assert any("Nothing holds a request" in risk.text for risk in draft.risks)
    assert [follow.ref.kind for follow in draft.follow] == ["InferenceService"]


async def test_what_keda_scales_already_stays_with_it_when_replicas_are_asked_for():
    before = manifests(await plan(min_replicas=0, max_replicas=4))
    made = manifests(await plan(*before.values(), min_replicas=2))
    assert made["InferenceService"]["metadata"]["annotations"][AUTOSCALER_ANNOTATION] == "external"
    assert made["ScaledObject"]["spec"]["minReplicaCount"] == 2
    assert made["ScaledObject"]["metadata"]["name"] == before["ScaledObject"]["metadata"]["name"]


async def test_somebody_elses_scaler_is_left_alone():
    service = manifests(await plan(min_replicas=0))["InferenceService"]
    made = manifests(await plan(service, min_replicas=1))
    assert set(made) == {"InferenceService"}
    assert made["InferenceService"]["metadata"]["annotations"][AUTOSCALER_ANNOTATION] == "external"


@pytest.mark.parametrize(
    ("can", "scaling", "remedy"),
    [
        (NO_KNATIVE, None, "scaling (prometheus_url, query, per_replica) in the platform file"),
        (s.without("serving.knative.dev/v1/Service", "keda.sh/v1alpha1/ScaledObject"),
         SCALING, "set up KEDA"),
    ],
)  # fmt: skip
async def test_without_keda_or_a_query_the_plan_is_refused_with_what_would_help(can: Any, scaling: Any, remedy: str):
    with pytest.raises(CapabilityMissing, match="cannot scale to zero") as caught:
        await plan(can=can, scaling=scaling, min_replicas=0)
    assert remedy in caught.value.remedy
