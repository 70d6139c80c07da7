"""A decision as writes: the InferenceService, the status, Kubernetes Events. Pure; only what changes is written."""

from __future__ import annotations

from datetime import datetime

from ai_platform_mcp.controllers.canary.asked import stable_of
from ai_platform_mcp.controllers.edge.carry_out import condition_row, stamp, told
from ai_platform_mcp.controllers.edge.ports import Write
from ai_platform_mcp.core.model import digest_of, type_json
from ai_platform_mcp.domain.canary.changes import change_body
from ai_platform_mcp.domain.canary.state import Canary, Change, Next, Progress
from ai_platform_mcp.domain.objects import metadata_of, rows, section
from ai_platform_mcp.domain.progress import knative_mode
from ai_platform_mcp.manifests import kserve
from ai_platform_mcp.manifests.canaries import API, KIND
from ai_platform_mcp.manifests.common import compact

_WARNINGS = frozenset({"Paused", "RollingBack", "RolledBack", "Stopped"})
_WORDS: dict[Change, str] = {
    "move": "move traffic of",
    "withdraw": "take the canary's traffic of",
    "restore": "bring the stable predictor back to",
    "promote": "promote the canary of",
    "finish": "end the canary of",
}


def service_write(live: type_json, rollout: type_json, decided: Next) -> Write | None:
    """Return the write to the InferenceService, None where nothing is to be done.

    It holds for the service that was looked at: with another resourceVersion the server refuses it, and the next look decides.
    """
    if decided.change is None:
        return None
    meta = metadata_of(live)
    body = change_body(live, decided.change, decided.percent, stable_of(rollout))
    guard = {key: meta[key] for key in ("resourceVersion", "uid")}
    body = {**body, "metadata": {**section(body, "metadata"), **guard}}
    path = f"/apis/{kserve.API}/namespaces/{meta['namespace']}/inferenceservices/{meta['name']}"
    why = f"{_WORDS[decided.change]} InferenceService {meta['name']}"
    return Write(verb="merge", path=path, body=body, why=why)


# -------------------------------------------------------------------------------------------------------------- status


def status_of(
    live: type_json, service: type_json | None, progress: Progress, said: type_json, now: datetime
) -> type_json:
    """Return the whole status; ``said`` is what analysis says, empty where nothing is said."""
    status: type_json = {
        "phase": progress.phase,
        "reason": progress.reason,
        "message": progress.message,
        "step": progress.step,
        "percent": progress.percent,
        "revision": progress.revision,
        "address": address_of(service) if service is not None and progress.phase == "Running" else "",
        "observedGeneration": progress.observed,
        "analysis": said,
        "conditions": _conditions(rows(live, "status", "conditions"), progress, now),
    }
    for key, moment in (("movedAt", progress.moved), ("stepStartedAt", progress.started)):
        if moment is not None:
            status[key] = stamp(moment)
    return compact(status)


def _conditions(before: list[type_json], progress: Progress, now: datetime) -> list[type_json]:
    phase = progress.phase
    degraded = phase in ("RollingBack", "RolledBack", "Stopped") or (phase == "Paused" and progress.reason != "user")
    facts = {
        "Progressing": (phase in ("Running", "Promoting", "RollingBack"), phase, progress.message),
        "Complete": (phase == "Succeeded", phase, progress.message),
        "Degraded": (
            degraded,
            progress.reason or phase if degraded else "AsExpected",
            progress.message if degraded else "",
        ),
    }
    known = {row.get("type"): row for row in before}
    return [
        condition_row(known.get(kind, {}), kind, holds, reason, text, progress.observed, now)
        for kind, (holds, reason, text) in facts.items()
    ]


def status_write(live: type_json, status: type_json) -> Write | None:
    """Return the write of the status, None where the object has it already."""
    if compact(section(live, "status")) == status:
        return None
    meta = metadata_of(live)
    body = {
        "apiVersion": API,
        "kind": KIND,
        "metadata": {key: meta[key] for key in ("name", "namespace", "resourceVersion", "uid")},
        "status": status,
    }
    path = f"/apis/{API}/namespaces/{meta['namespace']}/canaryrollouts/{meta['name']}/status"
    return Write(verb="apply", path=path, body=body, why=f"write the status of {meta['name']}")


def address_of(service: type_json) -> str:
    """Return where the new version can be called by itself, empty where nothing says so.

    Knative mode has an address of its own for the newest revision where tags are routed (annotation
    ``serving.kserve.io/enable-tag-routing``); in Standard mode each canary has a Service (KServe's PredictorServiceName).
    """
    meta = metadata_of(service)
    if knative_mode(service):
        traffic = rows(service, "status", "components", "predictor", "traffic")
        newest = (str(row.get("url") or "") for row in traffic if row.get("latestRevision") is True and row.get("tag"))
        return next(newest, "")
    names = [section(row, "predictor").get("name") for row in rows(service, "spec", "canary")]
    return f"http://{meta['name']}-{names[-1]}-predictor.{meta['namespace']}.svc.cluster.local" if names else ""


# -------------------------------------------------------------------------------------------------------------- events


def event_write(
    live: type_json, canary: Canary, before: Progress, after: Progress, said: type_json, now: datetime
) -> Write | None:
    """Return the Event of a change that a person wants to see: a step that begins, a pause, the way back, an end.

    Its name follows from what happened, so that a controller that was killed after writing it does not write it twice.
    """
    if (before.phase, before.step) == (after.phase, after.step):
        return None
    begins = after.phase == "Running"
    reason, text = ("StepStarted" if begins else after.phase), after.message or after.phase
    if begins and after.step < len(canary.steps):
        text = f"{canary.version} gets {canary.steps[after.step].percent} % (step {after.step + 1} of {len(canary.steps)})."
    if after.reason in ("analysis", "inconclusive") and not begins:
        text = f"{text} {said.get('message') or ''}".strip()
    uid = metadata_of(live)["uid"]
    salt = digest_of([uid, after.observed, reason, after.step, "" if begins else after.reason])[:16]
    return told(live, API, KIND, reason, text, salt, now, warning=after.phase in _WARNINGS)
