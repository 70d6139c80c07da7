"""KServe: InferenceServices become ready, split traffic between a stable and a canary release, and promote.

Knative mode keeps revisions: the newest takes ``canaryTrafficPercent`` (100 where absent) and the last promoted one the
rest. Standard mode (from v0.20) keeps ``spec.canary[]`` beside the stable predictor.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.life.world import Json, Place, World, annotations_of, labels_of, with_condition

SERVING = "serving.kserve.io/v1beta1"
MODE = "serving.kserve.io/deploymentMode"
DEFAULT_MODE = "Standard"
LLM = "serving.kserve.io/v1alpha2"
START_SECONDS = 90
LLM_START_SECONDS = 180
MODEL, VERSION = "aiplatform.dev/model", "aiplatform.dev/version"
STABLE_VERSION = "aiplatform.dev/stable-version"
PREDICTOR_SEEN = "sandbox.aiplatform.dev/predictor-seen"
CANARY_SEEN = "sandbox.aiplatform.dev/canary-seen"


async def step(world: World) -> None:
    """Bring every service to where KServe would have it by now."""
    await world.each(await world.all(SERVING, "InferenceService"), lambda service: _move(world, service))
    await world.each(await world.all(LLM, "LLMInferenceService"), lambda service: _llm(world, service))


def mode_of(service: Json) -> str:
    """The deployment mode: the annotation, old names included, else the sandbox's default."""
    named = annotations_of(service).get(MODE, DEFAULT_MODE)
    return {"Serverless": "Knative", "RawDeployment": "Standard"}.get(named, named)


def _mark(body: Any) -> str:
    """Five characters that change when what is served changes."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:5]


async def _since(world: World, service: Json, note: str, mark: str) -> str | None:
    """When this release was first seen, kept in an annotation; None where that is only now."""
    seen = annotations_of(service).get(note, "")
    if seen.startswith(f"{mark} "):
        return seen.split(" ", 1)[1]
    await world.patch(service, {"metadata": {"annotations": {note: f"{mark} {stamp(world.now())}"}}})
    return None


async def _move(world: World, service: Json) -> None:
    if service["metadata"].get("deletionTimestamp"):
        return
    meta, now = service["metadata"], world.now()
    predictor = {key: value for key, value in service["spec"]["predictor"].items() if key != "canaryTrafficPercent"}
    mark = _mark(predictor)
    since = await _since(world, service, PREDICTOR_SEEN, mark)
    host = f"{meta['name']}.{meta['namespace']}.sandbox.local"
    status: Json = {
        **(service.get("status") or {}),
        "observedGeneration": meta["generation"],
        "url": f"http://{host}",
        "address": {"url": f"http://{meta['name']}-predictor.{meta['namespace']}.svc.cluster.local"},
        "deploymentMode": mode_of(service),
    }
    if since is None or not world.passed(since, START_SECONDS):
        await world.status(service, _starting(status, now))
        world.signals.keeps(_place(service))  # until the new one is ready, what served before goes on
        return
    if mode_of(service) == "Knative":
        status["components"] = {"predictor": _knative(service, status, mark)}
    else:
        status["components"] = {"predictor": {"url": f"http://{meta['name']}-predictor.{host.split('.', 1)[1]}"}}
    status = await _canaries(world, service, status)
    status["modelStatus"] = {
        "copies": {"failedCopies": 0, "totalCopies": int(predictor.get("minReplicas") or 1)},
        "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        "transitionStatus": "UpToDate",
    }
    for kind in ("PredictorReady", "IngressReady", "Ready"):
        status = with_condition(status, kind, True, "", "", now)
    await world.status(service, status)
    _signal(world, service, status)


def _starting(status: Json, now: datetime) -> Json:
    served = bool(status.get("components"))
    status = {
        **status,
        "modelStatus": {
            "copies": {"failedCopies": 0},
            "states": {"activeModelState": "Loaded" if served else "Pending", "targetModelState": "Loading"},
            "transitionStatus": "InProgress",
        },
    }
    status = with_condition(status, "PredictorReady", False, "RevisionMissing", "Waiting for the new revision", now)
    return with_condition(status, "Ready", False, "PredictorNotReady", "The new revision is starting", now)


def _knative(service: Json, status: Json, mark: str) -> Json:
    name = f"{service['metadata']['name']}-predictor-{mark}"
    old: Json = (status.get("components") or {}).get("predictor") or {}
    stable = old.get("latestRolledoutRevision") or name
    percent = service["spec"]["predictor"].get("canaryTrafficPercent")
    component: Json = {"latestCreatedRevision": name, "latestReadyRevision": name, "url": status["url"]}
    before = old.get("previousRolledoutRevision")
    if percent is None or int(percent) >= 100 or stable == name:
        component["latestRolledoutRevision"] = name
        component["traffic"] = [{"latestRevision": True, "percent": 100, "revisionName": name}]
        before = stable if stable != name else before
    else:
        component["latestRolledoutRevision"] = before = stable
        component["traffic"] = [
            {"latestRevision": True, "percent": int(percent), "revisionName": name},
            {"latestRevision": False, "percent": 100 - int(percent), "revisionName": stable, "tag": "prev"},
        ]
    return {**component, "previousRolledoutRevision": before} if before else component


async def _canaries(world: World, service: Json, status: Json) -> Json:
    """Add what KServe says of the canaries of Standard mode; each starts beside the stable predictor, which stays ready."""
    canaries: list[Json] = service["spec"].get("canary") or []
    kept = {key: value for key, value in status.items() if key != "canaryStatuses"}
    if not canaries or mode_of(service) == "Knative":
        return kept
    since = await _since(world, service, CANARY_SEEN, _mark([row.get("predictor") for row in canaries]))
    ready = since is not None and world.passed(since, START_SECONDS)
    rows = [
        {"name": row["predictor"]["name"], "trafficPercent": int(row.get("trafficPercent") or 0), "ready": ready}
        for row in canaries
    ]
    return {**kept, "canaryStatuses": rows}


def shares(service: Json, status: Json) -> dict[str, float]:
    """Which version takes which share of the traffic by now: the canary what it has, the stable release the rest."""
    version = labels_of(service).get(VERSION, "unknown")
    stable = annotations_of(service).get(STABLE_VERSION, "previous")
    rows: list[Json] = ((status.get("components") or {}).get("predictor") or {}).get("traffic") or []
    if rows:
        taken: dict[str, float] = {}
        for row in rows:
            which = version if row.get("latestRevision") else stable
            taken[which] = taken.get(which, 0.0) + row["percent"] / 100
        return taken
    canaries = {
        str(row["name"]).rsplit("-v", 1)[-1]: row["trafficPercent"] / 100
        for row in status.get("canaryStatuses") or []
        if row["ready"]
    }
    if not canaries:
        return {stable if service["spec"].get("canary") else version: 1.0}
    return {**canaries, annotations_of(service).get(STABLE_VERSION, version): 1 - sum(canaries.values())}


def _signal(world: World, service: Json, status: Json) -> None:
    if MODEL in labels_of(service):
        world.signals.serves(_place(service), shares(service, status))


def _place(service: Json) -> Place:
    return Place(labels_of(service).get(MODEL, ""), service["metadata"]["namespace"])


async def _llm(world: World, service: Json) -> None:
    meta, now = service["metadata"], world.now()
    if meta.get("deletionTimestamp"):
        return
    status: Json = {**(service.get("status") or {}), "observedGeneration": meta["generation"]}
    since = await _since(world, service, PREDICTOR_SEEN, _mark(service["spec"]))
    if since is None or not world.passed(since, LLM_START_SECONDS):
        status = with_condition(status, "Ready", False, "WorkloadNotReady", "The model is loading", now)
        world.signals.keeps(_place(service))
    else:
        status["url"] = f"http://{meta['name']}.{meta['namespace']}.sandbox.local"
        status = with_condition(status, "Ready", True, "Ready", "", now)
        if MODEL in labels_of(service):
            world.signals.serves(_place(service), {labels_of(service).get(VERSION, "unknown"): 1.0})
    await world.status(service, status)
