"""KServe: InferenceServices become ready, split traffic between a stable and a canary release, and promote.

Knative mode keeps revisions: the newest takes ``canaryTrafficPercent`` (100 where absent) and the last promoted one the
rest. Standard mode (from v0.20) keeps ``spec.canary[]`` beside the stable predictor.
"""

from __future__ import annotations

from datetime import datetime

from ai_platform_mcp.sandbox.life import language
from ai_platform_mcp.sandbox.life.conduct import in_cloud
from ai_platform_mcp.sandbox.life.faults import Faults, faults_of
from ai_platform_mcp.sandbox.life.release import MODEL, STABLE_VERSION, VERSION, first_seen, mark_of
from ai_platform_mcp.sandbox.life.world import Json, Place, World, annotations_of, labels_of, with_condition

SERVING = "serving.kserve.io/v1beta1"
MODE = "serving.kserve.io/deploymentMode"
DEFAULT_MODE = "Standard"
START_SECONDS = 90
PREDICTOR_SEEN = "sandbox.aiplatform.dev/predictor-seen"
CANARY_SEEN = "sandbox.aiplatform.dev/canary-seen"


async def step(world: World) -> None:
    """Bring every service to where KServe would have it by now."""
    faults = await faults_of(world, ())
    await world.each(await world.all(SERVING, "InferenceService"), lambda service: _move(world, service, faults))
    await language.step(world, faults)


def mode_of(service: Json) -> str:
    """The deployment mode: the annotation, old names included, else the sandbox's default."""
    named = annotations_of(service).get(MODE, DEFAULT_MODE)
    return {"Serverless": "Knative", "RawDeployment": "Standard"}.get(named, named)


async def _move(world: World, service: Json, faults: Faults) -> None:
    if service["metadata"].get("deletionTimestamp"):
        return
    meta, now = service["metadata"], world.now()
    predictor = {key: value for key, value in service["spec"]["predictor"].items() if key != "canaryTrafficPercent"}
    mark = mark_of(predictor)
    since = await first_seen(world, service, PREDICTOR_SEEN, mark)
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
    _signal(world, service, status, faults)


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
    since = await first_seen(world, service, CANARY_SEEN, mark_of([row.get("predictor") for row in canaries]))
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


def _signal(world: World, service: Json, status: Json, faults: Faults) -> None:
    if MODEL in labels_of(service):
        place, taken = _place(service), shares(service, status)
        world.signals.serves(place, taken, in_cloud(faults, place.model, taken))


def _place(service: Json) -> Place:
    return Place(labels_of(service).get(MODEL, ""), service["metadata"]["namespace"])
