"""An InferenceService as the rules see it.

Sources: KServe v0.20, pkg/apis/serving/v1beta1/inference_service_status.go (revisions and traffic of Knative mode) and
pkg/controller/v1beta1/inferenceservice/components/predictor.go (``canaryStatuses``). ``status.observedGeneration`` is there the
generation of the Knative Service or Deployment below and tells nothing of the service's own spec; so that what was asked for is
looked for in what is reported.
"""

from __future__ import annotations

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.domain.canary.state import Seen
from ai_platform_mcp.domain.gitops_owner import recognise
from ai_platform_mcp.domain.gitops_source import UNREAD
from ai_platform_mcp.domain.gitops_verdict import judge, titled
from ai_platform_mcp.domain.objects import (
    MODEL_DIGEST_ANNOTATION,
    VERSION_LABEL,
    annotations_of,
    condition,
    labels_of,
    metadata_of,
    rows,
    section,
    whole,
)
from ai_platform_mcp.domain.progress import canary_percent, knative_mode

_BLOCKED = ("BlockedByFailedLoad", "InvalidSpec")
_MESSAGE = 300


def keeper_of(live: type_json) -> str:
    """Return the GitOps tool and object that would put back what is changed in ``live``, empty where there is none."""
    mark = recognise(live)
    if mark is None:
        return ""
    without = {**live, "spec": {**section(live, "spec"), "predictor": {}, "canary": []}}
    undone = judge(mark, live, without, UNREAD).state == "reverted"
    return f"{titled(mark.tool)} ({mark.title})" if undone else ""


def seen_of(
    live: type_json,
    *,
    revision: str = "",
    deployment: type_json | None = None,
    kept_by: str = "",
    others: frozenset[str] = frozenset(),
) -> Seen:
    """Return what is to be known of an InferenceService.

    Args:
        live: the service.
        revision: the new version's Knative revision, where it has been seen.
        deployment: the predictor's Deployment in Standard mode, None where it could not be read.
        kept_by: what ``keeper_of`` said of it.
        others: Knative revisions that were another version's. The status goes on naming the one before for some seconds.
    """
    asked, knative = canary_percent(live), knative_mode(live)
    if knative and asked is None:
        percent = section(live, "spec", "predictor").get("canaryTrafficPercent")
        asked = percent if isinstance(percent, int) else None
    label = section(live, "spec", "predictor", "labels").get(VERSION_LABEL)
    found = {
        "version": labels_of(live).get(VERSION_LABEL, ""),
        "digest": annotations_of(live).get(MODEL_DIGEST_ANNOTATION, ""),
        "knative": knative,
        "percent": asked,
        "predictor": str(label or ""),
        "kept_by": kept_by,
    }
    more = _knative(live, asked, revision, others) if knative else _standard(live, asked, deployment)
    return Seen.model_validate({**found, **more})


def _knative(live: type_json, asked: int | None, revision: str, others: frozenset[str]) -> type_json:
    predictor = section(live, "status", "components", "predictor")
    created, ready = predictor.get("latestCreatedRevision") or "", predictor.get("latestReadyRevision") or ""
    newest = bool(created) and created == ready and created not in others
    share = sum(whole(row.get("percent")) for row in rows(predictor, "traffic") if row.get("latestRevision") is True)
    serves = condition(live, "Ready").get("status") == "True"
    return {
        # Of the first seconds, when the revision is the stable one's still, its name tells.
        "ready": newest and serves and (created != predictor.get("latestRolledoutRevision") or created == revision),
        "applied": share == (100 if asked is None else asked),
        "settled": newest and serves,
        "revision": created,
        "failure": _failure(section(live, "status", "modelStatus")),
    }


def _standard(live: type_json, asked: int | None, deployment: type_json | None) -> type_json:
    canaries = rows(live, "spec", "canary")
    name = section(canaries[-1], "predictor").get("name") if canaries else None
    said = next((row for row in rows(live, "status", "canaryStatuses") if name and row.get("name") == name), {})
    return {
        "ready": said.get("ready") is True,
        "applied": asked is not None and whole(said.get("trafficPercent")) == asked,
        "settled": _replaced(live, deployment),
        "failure": _failure(section(said, "modelStatus")),
    }


def _failure(model: type_json) -> str:
    if model.get("transitionStatus") not in _BLOCKED:
        return ""
    text = section(model, "lastFailureInfo").get("message") or model.get("transitionStatus")
    return untrusted(str(text), _MESSAGE)


def _replaced(live: type_json, deployment: type_json | None) -> bool:
    """Whether every replica runs the predictor that is asked for.

    The Deployment knows, and its pods' label says for which version it was made. Without it the service must say that it is ready
    under its own generation.
    """
    if deployment is None:
        meta, status = metadata_of(live), section(live, "status")
        current = whole(status.get("observedGeneration")) >= whole(meta.get("generation"))
        moving = section(status, "modelStatus").get("transitionStatus") == "InProgress"
        return current and not moving and condition(live, "Ready").get("status") == "True"
    spec, status = section(deployment, "spec"), section(deployment, "status")
    made = section(spec, "template", "metadata", "labels").get(VERSION_LABEL)
    wanted = section(live, "spec", "predictor", "labels").get(VERSION_LABEL)
    replicas = whole(spec.get("replicas") if spec.get("replicas") is not None else 1)
    counts = [whole(status.get(key)) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    current = whole(status.get("observedGeneration")) >= whole(metadata_of(deployment).get("generation"))
    return made == wanted and current and counts == [replicas] * 3
