"""How far an object has come, told from its status: one state, a percentage where there is an honest one, one sentence.

Sources of the fields: TrainJob status (trainer.kubeflow.org/v1alpha1), Kueue Workload conditions (v1beta2), InferenceService
status (serving.kserve.io/v1beta1), RunService status (run.cnrm.cloud.google.com/v1beta1), Function status
(lambda.services.k8s.aws/v1alpha1), and the CRDs of this platform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.domain.objects import annotations_of, condition, metadata_of, rows, section, whole

DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
STABLE_VERSION = "aiplatform.dev/stable-version"
"""Annotation: which version keeps the rest of the traffic while a canary is under way."""
MESSAGE_BUDGET = 160
_UNSEEN = "Waits for the controller: a running `ai-platform-mcp controller`."

State = Literal["queued", "running", "paused", "succeeded", "failed", "unknown"]


class Progress(Value):
    """Where an object stands. ``percent`` is None where the object does not say; ``said`` is untrusted cluster text."""

    state: State
    percent: int | None = None
    sentence: str
    said: str = ""

    def text(self) -> str:
        """Return the sentence, with the cluster's own words marked as such."""
        return f'{self.sentence} Cluster says (untrusted): "{self.said}"' if self.said else self.sentence

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.state in ("succeeded", "failed")


def progress_of(live: type_json | None) -> Progress:
    """Return the progress of one followed object; None stands for an object that is not there (any more)."""
    if live is None:
        return Progress(state="unknown", sentence="The object is not there: deleted, or not created yet.")
    if metadata_of(live).get("deletionTimestamp"):
        return Progress(state="running", sentence="Being deleted.")
    return _KINDS.get(str(live.get("kind", "")), _generic)(live)


def overall(parts: list[Progress]) -> Progress | None:
    """Return the progress of several objects as one: the most urgent state, the mean of what percentages there are."""
    if not parts:
        return None
    order: tuple[State, ...] = ("failed", "paused", "queued", "running", "unknown", "succeeded")
    first = min(parts, key=lambda part: order.index(part.state))
    known = [part.percent for part in parts if part.percent is not None]
    return first.model_copy(update={"percent": sum(known) // len(known) if len(known) == len(parts) else None})


# --- training and batch ----------------------------------------------------------------------------------------------


def _trainjob(live: type_json) -> Progress:
    trainer = section(live, "status", "trainerStatus")
    percent = trainer.get("progressPercentage")
    share = int(percent) if isinstance(percent, int) else None
    ended = _ended(live, complete="Complete", failed="Failed")
    if ended is not None:
        return ended.model_copy(update={"percent": 100 if ended.state == "succeeded" else share})
    if section(live, "spec").get("suspend") is True or _is(live, "Suspended"):
        return _said("queued", "Suspended: waits for its queue to admit it, or was paused.", live, "Suspended", share)
    jobs = rows(live, "status", "jobsStatus")
    active = sum(whole(row.get("active")) for row in jobs)
    if share is None and not active:
        return Progress(state="queued", sentence="Submitted; nothing runs yet.")
    told = [f"Training, {share} % done" if share is not None else "Training"]
    remaining = trainer.get("estimatedRemainingSeconds")
    if isinstance(remaining, int):
        told.append(f"about {duration(remaining)} left")
    metrics = [f"{row.get('name')} {row.get('value')}" for row in rows(trainer, "metrics")[:4]]
    said = untrusted(", ".join(metrics), MESSAGE_BUDGET)
    return Progress(state="running", percent=share, sentence=", ".join(told) + ".", said=said)


def _workload(live: type_json) -> Progress:
    ended = condition(live, "Finished")
    if ended.get("status") == "True":
        failed = str(ended.get("reason", "")) in ("Failed", "JobFailed")
        state: State = "failed" if failed else "succeeded"
        return _said(state, "Finished with a failure." if failed else "Finished.", live, "Finished")
    if section(live, "spec").get("active") is False:
        return Progress(state="paused", sentence="Deactivated: it holds no quota until it is resumed.")
    if _is(live, "Admitted"):
        started = _is(live, "PodsReady")
        flavors = sorted({str(flavor) for row in _assignments(live) for flavor in section(row, "flavors").values()})
        where = f" on {', '.join(flavors)}" if flavors else ""
        return Progress(state="running", sentence=f"Admitted{where}; pods {'run' if started else 'are starting'}.")
    if _is(live, "Evicted"):
        reason = str(condition(live, "Evicted").get("reason", "")) or "unknown reason"
        return _said("queued", f"Evicted ({untrusted(reason, 40)}) and queued again.", live, "Evicted")
    if _is(live, "QuotaReserved"):
        return Progress(state="queued", sentence="Quota is reserved; admission checks are under way.")
    return _said("queued", "Waits for quota.", live, "QuotaReserved")


def _assignments(live: type_json) -> list[type_json]:
    return rows(live, "status", "admission", "podSetAssignments")


def _job(live: type_json) -> Progress:
    ended = _ended(live, complete="Complete", failed="Failed")
    if ended is not None:
        return ended
    if section(live, "spec").get("suspend") is True:
        return Progress(state="queued", sentence="Suspended: waits for its queue to admit it, or was paused.")
    wanted = whole(section(live, "spec").get("completions")) or 1
    done, active = whole(section(live, "status").get("succeeded")), whole(section(live, "status").get("active"))
    if not active and not done:
        return Progress(state="queued", sentence="No pod runs yet.")
    return Progress(
        state="running", percent=100 * done // wanted, sentence=f"{done} of {wanted} pods done, {active} run."
    )


def _pytorchjob(live: type_json) -> Progress:
    ended = _ended(live, complete="Succeeded", failed="Failed")
    if ended is not None:
        return ended
    if section(live, "spec", "runPolicy").get("suspend") is True or _is(live, "Suspended"):
        return Progress(state="queued", sentence="Suspended: waits for its queue to admit it, or was paused.")
    running = _is(live, "Running")
    return Progress(
        state="running" if running else "queued", sentence="Running." if running else "Created; not running yet."
    )


def _rayjob(live: type_json) -> Progress:
    status = section(live, "status")
    word = str(status.get("jobDeploymentStatus") or status.get("jobStatus") or "")
    if section(live, "spec").get("suspend") is True:
        return Progress(state="queued", sentence="Suspended: waits for its queue to admit it, or was paused.")
    state: State = {"Complete": "succeeded", "Failed": "failed", "Running": "running"}.get(word, "queued")  # pyright: ignore[reportAssignmentType]  # values are States
    said = untrusted(str(status.get("message") or ""), MESSAGE_BUDGET)
    return Progress(state=state, sentence=f"Ray job: {untrusted(word, 40) or 'not started'}.", said=said)


def _workflow(live: type_json) -> Progress:
    status = section(live, "status")
    phase = str(status.get("phase") or "Pending")
    percent: int | None = None
    done, _, wanted = str(status.get("progress") or "").partition("/")
    if done.isdigit() and wanted.isdigit() and int(wanted):
        percent = 100 * int(done) // int(wanted)
    if section(live, "spec").get("suspend") is True and phase in ("Pending", "Running"):
        return Progress(state="paused", percent=percent, sentence="Workflow suspended.")
    state: State = {"Succeeded": "succeeded", "Failed": "failed", "Error": "failed", "Running": "running"}.get(  # pyright: ignore[reportAssignmentType]  # values are States
        phase, "queued"
    )
    said = untrusted(str(status.get("message") or ""), MESSAGE_BUDGET)
    return Progress(state=state, percent=percent, sentence=f"Workflow {untrusted(phase, 20).lower()}.", said=said)


# --- serving ---------------------------------------------------------------------------------------------------------


def canary_percent(live: type_json) -> int | None:
    """Return the share of traffic that a canary is to get, None where no canary is under way.

    An InferenceService says it in ``spec.predictor.canaryTrafficPercent`` (Knative mode) or ``spec.canary[]`` (Standard
    mode). A language model's canary is an LLMInferenceService of its own, which says it by its weight. A RunService says it
    by the share of its newest revision, the only one that its traffic does not name.
    """
    if live.get("kind") == "LLMInferenceService":
        return traffic_weight(live) if STABLE_VERSION in annotations_of(live) else None
    if live.get("kind") == "RunService":
        newest = [row for row in rows(live, "spec", "traffic") if not row.get("revision")]
        return sum(whole(row.get("percent")) for row in newest) if STABLE_VERSION in annotations_of(live) else None
    asked = section(live, "spec", "predictor").get("canaryTrafficPercent")
    if isinstance(asked, int):
        return asked if asked < 100 else None
    canaries = rows(live, "spec", "canary")
    return sum(whole(row.get("trafficPercent")) for row in canaries) if canaries else None


def traffic_weight(live: type_json) -> int | None:
    """Return an LLMInferenceService's weight among the releases of its model, None where it shares no traffic."""
    weight = section(live, "spec", "router", "route").get("weight")
    return weight if isinstance(weight, int) else None


def _llminferenceservice(live: type_json) -> Progress:
    ready, canary = condition(live, "Ready"), canary_percent(live)
    if ready.get("status") != "True":
        said = untrusted(str(ready.get("message") or ready.get("reason") or ""), MESSAGE_BUDGET)
        return Progress(state="running", sentence="Not ready yet: the model is being loaded.", said=said)
    if canary is not None:
        text = f"Ready; the canary gets {canary} % of the traffic until it is promoted or rolled back."
        return Progress(state="running", percent=canary, sentence=text)
    weight = traffic_weight(live)
    if weight is not None and weight < 100:
        return Progress(
            state="succeeded", percent=100, sentence=f"Ready; it keeps {weight} % of the traffic beside a canary."
        )
    return Progress(state="succeeded", percent=100, sentence="Ready; all traffic goes to this version.")


def _inferenceservice(live: type_json) -> Progress:
    ready = condition(live, "Ready")
    canary = canary_percent(live)
    failure = section(live, "status", "modelStatus", "lastFailureInfo")
    if ready.get("status") != "True":
        said = untrusted(str(failure.get("message") or ready.get("message") or ""), MESSAGE_BUDGET)
        blocked = section(live, "status", "modelStatus").get("transitionStatus") in (
            "BlockedByFailedLoad",
            "InvalidSpec",
        )
        if blocked:
            return Progress(
                state="failed", sentence="The model does not load; the last good one keeps serving.", said=said
            )
        return Progress(state="running", sentence="Not ready yet: the new model is being loaded.", said=said)
    if canary is not None and canary > 0:
        return Progress(
            state="running",
            percent=canary,
            sentence=f"Ready; the canary gets {canary} % of the traffic until it is promoted or rolled back.",
        )
    if canary == 0:
        return Progress(state="succeeded", sentence="Rolled back: the previous revision gets all the traffic.")
    return Progress(state="succeeded", percent=100, sentence="Ready; all traffic goes to this version.")


def _edgerollout(live: type_json) -> Progress:
    status = section(live, "status")
    phase = str(status.get("phase"))
    total, healthy = whole(status.get("total")), whole(status.get("healthy"))
    failed, offline = whole(status.get("failed")), whole(status.get("offline"))
    if not status.get("phase"):
        held = section(live, "spec").get("paused") is True
        return Progress(state="paused" if held else "queued", sentence=_UNSEEN)
    waves = rows(live, "spec", "waves")
    wave = min(whole(status.get("wave")) + 1, len(waves) or 1)
    counts = f"{healthy} of {total} nodes healthy on the release, {failed} failed, {offline} offline"
    if left := whole(section(status, "nodes").get("superseded")):
        counts += f"; {left} more went on to a newer rollout"
    state: State = {  # pyright: ignore[reportAssignmentType]  # values are States
        "Draft": "queued", "WaitingForApproval": "queued", "Ready": "queued", "Running": "running", "Paused": "paused",
        "Completing": "running", "Succeeded": "succeeded", "RollingBack": "running", "RolledBack": "failed",
        "Stopped": "failed",
    }.get(phase, "unknown")  # fmt: skip
    if section(live, "spec").get("paused") is True and state in ("queued", "running"):
        state = "paused"
    told = f"{untrusted(phase, 20)}, wave {wave} of {len(waves)}: {counts}." if total else f"{untrusted(phase, 20)}."
    percent = 100 if state == "succeeded" else 100 * healthy // total if total else None
    return Progress(state=state, percent=percent, sentence=told, said=_told(status))


def _told(status: type_json) -> str:
    """Return what a rollout's controller says, with the comparisons where analysis is why it stands where it does."""
    measured = (
        section(status, "analysis").get("message") if status.get("reason") in ("analysis", "inconclusive") else ""
    )
    text = " ".join(str(part) for part in (status.get("message") or status.get("reason"), measured) if part)
    return untrusted(text, 2 * MESSAGE_BUDGET if measured else MESSAGE_BUDGET)


def _canaryrollout(live: type_json) -> Progress:
    status, spec = section(live, "status"), section(live, "spec")
    phase = str(status.get("phase") or "")
    if not phase:
        return Progress(state="queued", sentence=_UNSEEN)
    state: State = {  # pyright: ignore[reportAssignmentType]  # values are States
        "Ready": "queued", "Running": "running", "Paused": "paused", "Promoting": "running", "Succeeded": "succeeded",
        "RollingBack": "running", "RolledBack": "failed", "Stopped": "failed",
    }.get(phase, "unknown")  # fmt: skip
    share = whole(status.get("percent"))
    steps = 2 if spec.get("strategy") == "BlueGreen" else len(rows(spec, "steps"))
    step = min(whole(status.get("step")) + 1, steps)
    told = f"{untrusted(phase, 20)}, step {step} of {steps}: {untrusted(str(spec.get('version')), 40)} has {share} %."
    if phase in ("Succeeded", "RolledBack", "Stopped"):
        told = f"{untrusted(phase, 20)}."
    return Progress(state=state, percent=100 if phase == "Succeeded" else share, sentence=told, said=_told(status))


# --- serverless services beside the cluster --------------------------------------------------------------------------


def _runservice(live: type_json) -> Progress:
    status, ready, share = section(live, "status"), condition(live, "Ready"), canary_percent(live)
    final = section(status, "terminalCondition")
    if whole(status.get("observedGeneration")) < whole(metadata_of(live).get("generation")):
        return Progress(state="queued", sentence="Waits for Config Connector.")
    if ready.get("status") != "True":
        broken = ready.get("reason") == "UpdateFailed" or final.get("state") == "CONDITION_FAILED"
        text = "Cloud Run refused it, or it does not start; what served before goes on." if broken else "Not ready yet."
        said = untrusted(str(final.get("message") or ready.get("message") or ""), MESSAGE_BUDGET)
        return Progress(state="failed" if broken else "running", sentence=text, said=said)
    if share is not None:
        text = f"Ready; the canary gets {share} % of the traffic until it is promoted or rolled back."
        return Progress(state="running", percent=share, sentence=text)
    return Progress(state="succeeded", percent=100, sentence="Ready.", said=untrusted(str(status.get("uri") or ""), 80))


def _function(live: type_json) -> Progress:
    """ACK says no generation: what it calls synced may still be what was there before the last change, for some seconds."""
    status = section(live, "status")
    if _is(live, "ACK.Terminal"):
        return _said("failed", "ACK gave up: its spec must be changed.", live, "ACK.Terminal")
    if status.get("state") == "Failed" or status.get("lastUpdateStatus") == "Failed":
        said = status.get("lastUpdateStatusReason") or status.get("stateReason") or ""
        return Progress(state="failed", sentence="Lambda failed to take it.", said=untrusted(str(said), MESSAGE_BUDGET))
    synced = _is(live, "ACK.ResourceSynced") or _is(live, "Ready")
    settled = status.get("lastUpdateStatus") in (None, "", "Successful")
    if synced and settled and status.get("state") in ("Active", "Inactive"):
        return Progress(state="succeeded", percent=100, sentence="Active, and in sync as ACK last looked.")
    if not rows(live, "status", "conditions"):
        return Progress(state="queued", sentence="Waits for ACK's Lambda controller.")
    return _said("running", "Lambda is taking it.", live, "ACK.Recoverable")


# --- shared ----------------------------------------------------------------------------------------------------------


def _generic(live: type_json) -> Progress:
    ready = next((row for kind in ("Ready", "Available") if (row := condition(live, kind))), {})
    if not ready:
        return Progress(state="unknown", sentence="In place; it reports no readiness.")
    if ready.get("status") == "True":
        return Progress(state="succeeded", percent=100, sentence="Ready.")
    said = untrusted(str(ready.get("message") or ready.get("reason") or ""), MESSAGE_BUDGET)
    return Progress(state="running", sentence="Not ready yet.", said=said)


def _ended(live: type_json, *, complete: str, failed: str) -> Progress | None:
    if _is(live, complete):
        return Progress(state="succeeded", percent=100, sentence="Finished.")
    return _said("failed", "Failed.", live, failed) if _is(live, failed) else None


def _said(state: State, sentence: str, live: type_json, kind: str, percent: int | None = None) -> Progress:
    said = untrusted(str(condition(live, kind).get("message") or ""), MESSAGE_BUDGET)
    return Progress(state=state, percent=percent, sentence=sentence, said=said)


def _is(live: type_json, kind: str) -> bool:
    return condition(live, kind).get("status") == "True"


def knative_mode(live: type_json) -> bool:
    """Tell whether an InferenceService runs on Knative: its status knows best, its annotation next, and a canary field shows."""
    said = section(live, "status").get("deploymentMode") or annotations_of(live).get(DEPLOYMENT_MODE)
    if said:
        return str(said) in ("Knative", "Serverless")
    return "canaryTrafficPercent" in section(live, "spec", "predictor")


def duration(seconds: int) -> str:
    """Return a span of time as people say it, in the largest unit that leaves a whole number above zero."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


_KINDS: dict[str, Callable[[type_json], Progress]] = {
    "TrainJob": _trainjob,
    "Workload": _workload,
    "Job": _job,
    "PyTorchJob": _pytorchjob,
    "RayJob": _rayjob,
    "Workflow": _workflow,
    "InferenceService": _inferenceservice,
    "LLMInferenceService": _llminferenceservice,
    "EdgeRollout": _edgerollout,
    "CanaryRollout": _canaryrollout,
    "RunService": _runservice,
    "Function": _function,
}
