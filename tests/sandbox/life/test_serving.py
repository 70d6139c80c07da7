"""KServe in the sandbox: readiness, canaries, promotion and rollback in both modes, and what is measured meanwhile."""

from __future__ import annotations

from typing import Any

from ai_platform_mcp.sandbox.life.world import Conduct, Place
from support.life import Life, condition

START = 1.0
"""Seconds: more than the start of a service takes at this speed, and whole, as stamps are."""


def service(version: str, *, mode: str = "Knative", **predictor: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "onnx"}, "storageUri": f"oci://r/m:{version}"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "m",
            "namespace": "vision-dev",
            "labels": {"aiplatform.dev/model": "m", "aiplatform.dev/version": version},
            "annotations": {"serving.kserve.io/deploymentMode": mode},
        },
        "spec": {"predictor": {"model": model, **predictor}},
    }


async def release(life: Life, version: str, percent: int | None = None, stable: str | None = None) -> None:
    """Change what a Knative service serves."""
    meta = {"labels": {"aiplatform.dev/version": version}, "annotations": {"aiplatform.dev/stable-version": stable}}
    predictor = {"model": {"storageUri": f"oci://r/m:{version}"}, "canaryTrafficPercent": percent}
    await life.change("InferenceService", "m", {"metadata": meta, "spec": {"predictor": predictor}})
    await life.settle()


async def component(life: Life) -> dict[str, Any]:
    return (await life.get("InferenceService", "m"))["status"]["components"]["predictor"]


async def up(life: Life, body: dict[str, Any]) -> None:
    await life.store.create(body)
    await life.settle()
    await life.settle(START)


async def test_a_service_is_ready_after_its_start_and_measured_from_then_on(queues: Life) -> None:
    await queues.store.create(service("1"))
    await queues.settle()
    live = await queues.get("InferenceService", "m")
    assert condition(live, "Ready")["status"] == "False"
    assert live["status"]["modelStatus"]["transitionStatus"] == "InProgress"
    assert queues.told.at("m") == {}
    await queues.settle(START)
    live = await queues.get("InferenceService", "m")
    assert condition(live, "Ready")["status"] == "True"
    assert live["status"]["url"] == "http://m.vision-dev.sandbox.local"
    assert live["status"]["observedGeneration"] == live["metadata"]["generation"]
    assert [row["percent"] for row in live["status"]["components"]["predictor"]["traffic"]] == [100]
    assert queues.told.at("m") == {"1": 1.0}


async def test_a_first_release_gets_all_the_traffic_whatever_its_canary_field_says(queues: Life) -> None:
    await up(queues, service("1", canaryTrafficPercent=10))
    assert queues.told.at("m") == {"1": 1.0}


async def test_a_knative_canary_takes_its_share_once_it_is_ready_and_is_promoted(queues: Life) -> None:
    await up(queues, service("1"))
    first = (await component(queues))["latestRolledoutRevision"]
    await release(queues, "2", 10, "1")
    assert queues.told.at("m") == {"1": 1.0}  # the new one is still starting
    await queues.settle(START)
    during = await component(queues)
    assert during["latestRolledoutRevision"] == first
    assert during["latestReadyRevision"] != first
    assert [(row["percent"], row["latestRevision"]) for row in during["traffic"]] == [(10, True), (90, False)]
    assert queues.told.at("m") == {"1": 0.9, "2": 0.1}
    await queues.change("InferenceService", "m", {"spec": {"predictor": {"canaryTrafficPercent": None}}})
    await queues.settle()
    after = await component(queues)
    assert after["latestRolledoutRevision"] == during["latestReadyRevision"]
    assert after["previousRolledoutRevision"] == first
    assert queues.told.at("m") == {"2": 1.0}


async def test_a_canary_of_nothing_is_rolled_back(queues: Life) -> None:
    await up(queues, service("1"))
    first = (await component(queues))["latestRolledoutRevision"]
    await release(queues, "2", 10, "1")
    await queues.settle(START)
    await queues.change("InferenceService", "m", {"spec": {"predictor": {"canaryTrafficPercent": 0}}})
    await queues.settle()
    after = await component(queues)
    assert after["latestRolledoutRevision"] == first
    assert [row["percent"] for row in after["traffic"]] == [0, 100]
    assert queues.told.at("m") == {"1": 1.0}


async def test_a_release_all_at_once_keeps_the_old_one_serving_until_the_new_one_is_ready(queues: Life) -> None:
    await up(queues, service("1"))
    await release(queues, "2")
    assert condition(await queues.get("InferenceService", "m"), "Ready")["status"] == "False"
    assert queues.told.at("m") == {"1": 1.0}
    await queues.settle(START)
    assert queues.told.at("m") == {"2": 1.0}


async def test_a_standard_canary_starts_beside_a_predictor_that_stays_ready(queues: Life) -> None:
    await up(queues, service("1", mode="Standard"))
    canary = {"name": "canary-v2", "model": {"name": "m", "modelFormat": {"name": "onnx"}, "storageUri": "oci://r/m:2"}}
    meta = {"annotations": {"aiplatform.dev/stable-version": "1"}, "labels": {"aiplatform.dev/version": "2"}}
    spec = {"canary": [{"predictor": canary, "trafficPercent": 20}]}
    await queues.change("InferenceService", "m", {"metadata": meta, "spec": spec})
    await queues.settle()
    live = await queues.get("InferenceService", "m")
    assert condition(live, "Ready")["status"] == "True"
    assert live["status"]["canaryStatuses"] == [{"name": "canary-v2", "trafficPercent": 20, "ready": False}]
    assert queues.told.at("m") == {"1": 1.0}
    await queues.settle(START)
    assert (await queues.get("InferenceService", "m"))["status"]["canaryStatuses"][0]["ready"] is True
    assert queues.told.at("m") == {"1": 0.8, "2": 0.2}
    back = {"metadata": {"labels": {"aiplatform.dev/version": "1"}}, "spec": {"canary": None}}
    await queues.change("InferenceService", "m", back)
    await queues.settle()
    assert "canaryStatuses" not in (await queues.get("InferenceService", "m"))["status"]
    assert queues.told.at("m") == {"1": 1.0}


async def test_a_service_that_is_deleted_is_measured_no_more(life: Life) -> None:
    assert life.told.at("vision-v2", "vision-prod") == {"4": 1.0}
    await life.delete("InferenceService", "vision-v2", "vision-prod")
    await life.settle()
    assert life.told.at("vision-v2", "vision-prod") == {}
    assert life.told.at("fraud", "platform-prod") == {"2": 1.0}


async def test_a_language_model_takes_longer_and_keeps_serving_while_it_is_changed(life: Life) -> None:
    assert life.told.at("llama-3.3-70b", "nlp-prod") == {"1": 1.0}
    body = {"metadata": {"labels": {"aiplatform.dev/version": "2"}}, "spec": {"replicas": 3}}
    await life.change("LLMInferenceService", "llama-3-3-70b", body, "nlp-prod")
    await life.settle(START)
    assert condition(await life.get("LLMInferenceService", "llama-3-3-70b", "nlp-prod"), "Ready")["status"] == "False"
    assert life.told.at("llama-3.3-70b", "nlp-prod") == {"1": 1.0}
    await life.settle(START)
    assert condition(await life.get("LLMInferenceService", "llama-3-3-70b", "nlp-prod"), "Ready")["status"] == "True"
    assert life.told.at("llama-3.3-70b", "nlp-prod") == {"2": 1.0}


async def test_releases_of_a_language_model_share_its_traffic_by_weight_once_they_are_ready(life: Life) -> None:
    def share(weight: int) -> dict[str, Any]:
        return {"spec": {"router": {"route": {"group": "llama", "weight": weight}}}}

    stable = await life.get("LLMInferenceService", "llama-3-3-70b", "nlp-prod")
    await life.change("LLMInferenceService", "llama-3-3-70b", share(90), "nlp-prod")
    meta = {"name": "llama-canary", "namespace": "nlp-prod"}
    meta |= {"labels": {**stable["metadata"]["labels"], "aiplatform.dev/version": "2"}}
    spec = {"model": stable["spec"]["model"], "router": {"route": {"group": "llama", "weight": 10}}}
    await life.store.create({**{k: stable[k] for k in ("apiVersion", "kind")}, "metadata": meta, "spec": spec})
    await life.settle()
    assert condition(await life.get("LLMInferenceService", "llama-3-3-70b", "nlp-prod"), "Ready")["status"] == "True"
    assert life.told.at("llama-3.3-70b", "nlp-prod") == {"1": 1.0}
    for _ in range(3):
        await life.settle(START)
    assert life.told.at("llama-3.3-70b", "nlp-prod") == {"1": 0.9, "2": 0.1}
    live = await life.get("LLMInferenceService", "llama-canary", "nlp-prod")
    assert [row["weight"] for row in live["status"]["router"]["group"]["members"]] == [90, 10]
    assert live["metadata"]["labels"]["serving.kserve.io/routing-group"] == "llama"
    await life.delete("LLMInferenceService", "llama-canary", "nlp-prod")
    await life.settle()
    assert life.told.at("llama-3.3-70b", "nlp-prod") == {"1": 1.0}


async def test_a_release_that_is_bad_everywhere_is_measured_bad_in_the_cloud_and_the_stable_one_is_not(
    queues: Life,
) -> None:
    await up(queues, service("1"))
    await release(queues, "2", percent=20, stable="1")
    await queues.settle(START)
    faults = '[{"kind": "errors", "model": "m", "version": "2", "share": 0.3}, {"kind": "slow", "model": "other"}]'
    meta = {"name": "sandbox-faults", "namespace": "aiplatform-system"}
    await queues.store.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"bad": faults}})
    await queues.settle()
    assert queues.told.at("m") == {"2": 0.2, "1": 0.8}
    assert queues.told.conduct[Place("m", "vision-dev")] == {"2": Conduct(error_share=0.3)}
    await queues.store.delete("v1", "ConfigMap", "sandbox-faults", "aiplatform-system")
    await queues.settle()
    assert queues.told.conduct[Place("m", "vision-dev")] == {}
