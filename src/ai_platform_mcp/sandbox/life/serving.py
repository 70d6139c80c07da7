"""KServe: InferenceServices become ready, split traffic between a stable and a canary release, and promote.

Knative mode keeps revisions: the newest takes ``canaryTrafficPercent`` (100 where absent) and the last promoted one the
rest. Standard mode (from v0.20) keeps ``spec.canary[]`` beside the stable predictor.
"""

from __future__ import annotations

import hashlib
import json

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.life.world import Json, World, annotations_of, labels_of, with_condition

SERVING = "serving.kserve.io/v1beta1"
MODE = "serving.kserve.io/deploymentMode"
DEFAULT_MODE = "Standard"
START_SECONDS = 90
MODEL, VERSION = "aiplatform.dev/model", "aiplatform.dev/version"
FIRST_SEEN = "sandbox.aiplatform.dev/revision-seen"


async def step(world: World) -> None:
    """Bring every service to where KServe would have it by now."""
    for service in await world.all(SERVING, "InferenceService"):
        if not service["metadata"].get("deletionTimestamp"):
            await _move(world, service)
    for service in await world.all("serving.kserve.io/v1alpha2", "LLMInferenceService"):
        await _llm(world, service)


def mode_of(service: Json) -> str:
    """The deployment mode: the annotation, old names included, else the sandbox's default."""
    named = annotations_of(service).get(MODE, DEFAULT_MODE)
    return {"Serverless": "Knative", "RawDeployment": "Standard"}.get(named, named)


def _fingerprint(service: Json) -> str:
    """Five characters that change when what is served changes: the template, not the traffic."""
    predictor = {key: value for key, value in service["spec"]["predictor"].items() if key != "canaryTrafficPercent"}
    canary = service["spec"].get("canary") or []
    body = json.dumps([predictor, [row.get("predictor") for row in canary]], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()[:5]


async def _move(world: World, service: Json) -> None:
    now, status = world.now(), dict(service.get("status") or {})
    meta = service["metadata"]
    mark = _fingerprint(service)
    seen = annotations_of(service).get(FIRST_SEEN, "")
    if not seen.startswith(f"{mark} "):
        await world.patch(service, {"metadata": {"annotations": {FIRST_SEEN: f"{mark} {stamp(now)}"}}})
        status = with_condition(status, "PredictorReady", False, "RevisionMissing", "Waiting for the new revision", now)
        status = with_condition(status, "Ready", False, "PredictorNotReady", "The new revision is starting", now)
        await world.status(service, status)
        return
    ready = world.passed(seen.split(" ", 1)[1], START_SECONDS)
    host = f"{meta['name']}.{meta['namespace']}.sandbox.local"
    status |= {
        "observedGeneration": meta["generation"],
        "url": f"http://{host}",
        "address": {"url": f"http://{meta['name']}-predictor.{meta['namespace']}.svc.cluster.local"},
        "deploymentMode": mode_of(service),
    }
    if not ready:
        await world.status(service, status)
        return
    status |= _knative(service, status, mark) if mode_of(service) == "Knative" else _standard(service, host)
    status["modelStatus"] = {
        "copies": {"failedCopies": 0, "totalCopies": int(service["spec"]["predictor"].get("minReplicas") or 1)},
        "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        "transitionStatus": "UpToDate",
    }
    for kind in ("PredictorReady", "IngressReady", "Ready"):
        status = with_condition(status, kind, True, "", "", now)
    await world.status(service, status)
    _signal(world, service)


def _knative(service: Json, status: Json, mark: str) -> Json:
    name = f"{service['metadata']['name']}-predictor-{mark}"
    old: Json = (status.get("components") or {}).get("predictor") or {}
    stable = old.get("latestRolledoutRevision") or name
    percent = service["spec"]["predictor"].get("canaryTrafficPercent")
    component: Json = {"latestCreatedRevision": name, "latestReadyRevision": name, "url": status["url"]}
    if percent is None or int(percent) >= 100 or stable == name:
        component["latestRolledoutRevision"] = name
        component["traffic"] = [{"latestRevision": True, "percent": 100, "revisionName": name}]
        if stable != name:
            component["previousRolledoutRevision"] = stable
    else:
        component["latestRolledoutRevision"] = stable
        component["previousRolledoutRevision"] = stable
        component["traffic"] = [
            {"latestRevision": True, "percent": int(percent), "revisionName": name},
            {"latestRevision": False, "percent": 100 - int(percent), "revisionName": stable, "tag": "prev"},
        ]
    return {"components": {"predictor": component}}


def _standard(service: Json, host: str) -> Json:
    component = {"url": f"http://{service['metadata']['name']}-predictor.{host.split('.', 1)[1]}"}
    body: Json = {"components": {"predictor": component}}
    canaries = service["spec"].get("canary") or []
    if canaries:
        body["canaryStatuses"] = [
            {"name": row["predictor"]["name"], "trafficPercent": int(row.get("trafficPercent") or 0), "ready": True}
            for row in canaries
        ]
    return body


def shares(service: Json) -> dict[str, float]:
    """Which version takes which share of the traffic: the canary its percent, the stable release the rest."""
    labels, spec = labels_of(service), service["spec"]
    version = labels.get(VERSION, "unknown")
    if mode_of(service) == "Knative":
        percent = spec["predictor"].get("canaryTrafficPercent")
        if percent is None:
            return {version: 1.0}
        stable = annotations_of(service).get("aiplatform.dev/stable-version", "previous")
        return {version: int(percent) / 100, stable: 1 - int(percent) / 100}
    canaries = spec.get("canary") or []
    taken = {
        str((row.get("predictor") or {}).get("name", "canary")).rsplit("-v", 1)[-1]: int(row.get("trafficPercent") or 0)
        / 100
        for row in canaries
    }
    stable = annotations_of(service).get("aiplatform.dev/stable-version", version)
    return {**taken, stable: 1 - sum(taken.values())} if taken else {version: 1.0}


def _signal(world: World, service: Json) -> None:
    model, namespace = labels_of(service).get(MODEL), service["metadata"]["namespace"]
    if model is None:
        return
    region = labels_of(service).get("topology.kubernetes.io/region", "us-east-1")
    world.signals.traffic(model, namespace, "cloud", region, shares(service))


async def _llm(world: World, service: Json) -> None:
    status = dict(service.get("status") or {})
    if not world.passed(service["metadata"]["creationTimestamp"], START_SECONDS * 2):
        status = with_condition(status, "Ready", False, "WorkloadNotReady", "The model is loading", world.now())
    else:
        meta = service["metadata"]
        status["url"] = f"http://{meta['name']}.{meta['namespace']}.sandbox.local"
        status = with_condition(status, "Ready", True, "Ready", "", world.now())
        _signal_llm(world, service)
    status["observedGeneration"] = service["metadata"]["generation"]
    await world.status(service, status)


def _signal_llm(world: World, service: Json) -> None:
    labels = labels_of(service)
    if MODEL in labels:
        version = labels.get(VERSION, "unknown")
        world.signals.traffic(labels[MODEL], service["metadata"]["namespace"], "cloud", "us-east-1", {version: 1.0})
