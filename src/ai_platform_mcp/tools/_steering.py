"""How each kind of followed object is stopped, let go on, promoted, rolled back or cancelled, as plan steps."""

from __future__ import annotations

from typing import Any, cast

from ai_platform_mcp.core.errors import Conflict, InvalidInput
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.canary.changes import turning
from ai_platform_mcp.domain.objects import (
    VERSION_LABEL,
    annotations_of,
    labels_of,
    metadata_of,
    ref_of,
    rows,
    section,
)
from ai_platform_mcp.domain.progress import STABLE_VERSION, canary_percent, progress_of
from ai_platform_mcp.manifests import canaries, llm, serverless
from ai_platform_mcp.manifests.common import (
    MODEL_DIGEST_ANNOTATION,
    MODEL_LABEL,
)
from ai_platform_mcp.manifests.kueue import workload_selector
from ai_platform_mcp.tools._canary_steering import canary, cancel_new, moved_service, share_under_way
from ai_platform_mcp.tools._edge_steering import edge
from ai_platform_mcp.tools._reading import kueue_api, list_all
from ai_platform_mcp.tools._serverless_steering import function, run_service
from ai_platform_mcp.tools._steered import Action, Moment, Steered, delete, patch

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_SUSPEND: dict[str, tuple[str, ...]] = {
    "TrainJob": ("spec", "suspend"),
    "Job": ("spec", "suspend"),
    "RayJob": ("spec", "suspend"),
    "PyTorchJob": ("spec", "runPolicy", "suspend"),
    "Workflow": ("spec", "suspend"),
}


async def steer(live: type_json, action: Action, moment: Moment, readers: Readers) -> Steered:
    """Return the steps of an action on one live object.

    Raises:
        Conflict: the object is not in a state that the action fits.
        InvalidInput: its kind does not know the action.
    """
    kind = str(live.get("kind", ""))
    if kind == "EdgeRollout":
        return await edge(live, action, moment, readers)
    if kind == llm.KIND:
        return await language(live, action, moment, readers)
    if kind == "InferenceService":
        return await moved_service(live, action, moment, readers)
    if kind == canaries.KIND:
        return await canary(live, action, moment, readers)
    if kind == serverless.RUN_KIND:
        return run_service(live, action, moment)
    if kind == serverless.LAMBDA_KIND:
        return function(live, action, moment)
    if kind == "Workload":
        return _workload(live, action, moment)
    if kind in _SUSPEND:
        return await _job(live, action, moment, readers)
    raise InvalidInput(
        f"{kind} cannot be steered.",
        remedy="Steer TrainJobs, Jobs, Workflows, InferenceServices, RunServices, Functions, CanaryRollouts or EdgeRollouts.",
    )


# --- work in queues --------------------------------------------------------------------------------------------------


async def _job(live: type_json, action: Action, moment: Moment, readers: Readers) -> Steered:
    ref = ref_of(live)
    if progress_of(live).settled:
        raise Conflict(f"{ref} is over.", remedy="Nothing is left to steer; start new work.")
    if action == "cancel":
        lost = Risk(severity="warning", text=f"Work of {ref} after its last checkpoint is lost.")
        if ref.kind == "Workflow":
            return Steered((patch(live, f"Terminate {ref}", {"spec": {"shutdown": "Terminate"}}, moment),), (lost,))
        return Steered((delete(live, moment),), (lost,))
    if action not in ("pause", "resume"):
        raise InvalidInput(f"{ref} cannot {action}.", remedy="Work in queues knows cancel, pause and resume.")
    if labels_of(live).get(QUEUE_LABEL):
        return _workload(await _workload_of(live, moment, readers), action, moment)
    body: Any = action == "pause"
    for key in reversed(_SUSPEND[ref.kind]):
        body = {key: body}
    return Steered((patch(live, f"{action.capitalize()} {ref}", cast("type_json", body), moment),))


async def _workload_of(live: type_json, moment: Moment, readers: Readers) -> type_json:
    """Return the Workload that Kueue made for a job: a queued job's own ``suspend`` belongs to Kueue, which would set it back."""
    meta = metadata_of(live)
    version = await kueue_api(readers, moment.cluster)
    label = workload_selector(str(meta.get("uid", "")))
    found = await list_all(readers, moment.cluster, version, "Workload", namespace=meta.get("namespace"), labels=label)
    for row in found:
        if any(owner.get("uid") == meta.get("uid") for owner in rows(row, "metadata", "ownerReferences")):
            return row
    raise Conflict(f"Kueue has no Workload for {ref_of(live)} yet.", remedy="Try again in a few seconds.")


def _workload(live: type_json, action: Action, moment: Moment) -> Steered:
    ref = ref_of(live)
    if progress_of(live).settled:
        raise Conflict(f"{ref} is over.", remedy="Nothing is left to steer; start new work.")
    if action == "cancel":
        return Steered((delete(live, moment),))
    if action not in ("pause", "resume"):
        raise InvalidInput(f"{ref} cannot {action}.", remedy="Work in queues knows cancel, pause and resume.")
    active = section(live, "spec").get("active", True) is not False
    if active == (action == "resume"):
        raise Conflict(f"{ref} is {'active' if active else 'paused'} already.", remedy="Nothing needs to be done.")
    note = "it gives its quota back" if action == "pause" else "it queues for quota again"
    step = patch(live, f"{action.capitalize()} {ref}: {note}", {"spec": {"active": action == "resume"}}, moment)
    lost = Risk(severity="warning", text="Its pods are evicted: work after the last checkpoint is lost.")
    return Steered((step,), (lost,) if action == "pause" else ())


# --- serving ---------------------------------------------------------------------------------------------------------


async def language(live: type_json, action: Action, moment: Moment, readers: Readers) -> Steered:
    """Return the steps for a language model. Its canary is an object of its own, which goes either way.

    Promoting moves the canary's version into the stable object, whose name and address clients know.
    """
    if action == "cancel" and canary_percent(live) is None:
        return cancel_new(live, moment)
    share, ref = share_under_way(live, action), ref_of(live)
    stable = await _stable_beside(live, moment, readers)
    whole = {"router": {"route": {"weight": llm.WHOLE}}}
    if action != "promote":
        title = f"Roll back {ref_of(stable)}: all traffic to the version before (the canary has {share} %)"
        return Steered((patch(stable, title, {"spec": whole}, moment), delete(live, moment)), (), (ref_of(stable),))
    text = "Its replicas are replaced one after another, and the old version answers until the last one is."
    risks = [Risk(severity="info", text=text)]
    if progress_of(live).sentence.startswith("Not ready"):
        text = "The canary is not ready yet: promoting it now may interrupt serving."
        risks = [Risk(severity="danger", text=text)]
    labels = {key: labels_of(live).get(key) for key in (VERSION_LABEL,)}
    notes = {key: annotations_of(live).get(key) for key in (MODEL_DIGEST_ANNOTATION,)}
    old = section(stable, "spec")
    fresh = {key: value for key, value in section(live, "spec").items() if key not in ("replicas", "router")}
    # What the canary does not say (baseRefs, a worker, a service account) is somebody else's, and stays.
    fresh["template"] = {**section(old, "template"), **section(fresh, "template")}
    spec = turning({key: old[key] for key in fresh if key in old}, fresh)
    body = {"metadata": {"labels": labels, "annotations": notes}, "spec": {**spec, **whole}}
    title = f"Promote the canary {ref.name} to {ref_of(stable)}, from {share} % to all traffic"
    return Steered((patch(stable, title, body, moment), delete(live, moment)), tuple(risks), (ref_of(stable),))


async def _stable_beside(live: type_json, moment: Moment, readers: Readers) -> type_json:
    """Return the LLMInferenceService that the canary shares its traffic with.

    Raises:
        Conflict: it is gone.
    """
    ref = ref_of(live)
    label = f"{MODEL_LABEL}={labels_of(live).get(MODEL_LABEL, '')}"
    found = await list_all(readers, moment.cluster, ref.api_version, ref.kind, namespace=ref.namespace, labels=label)
    for row in found:
        if STABLE_VERSION not in annotations_of(row):
            return {"apiVersion": ref.api_version, "kind": ref.kind, **row}
    raise Conflict(f"The stable version beside {ref} is gone.", remedy="Deploy the version you want with deploy_model.")
