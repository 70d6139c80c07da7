"""How a canary of an InferenceService is stopped, let go on, promoted and rolled back: by its CanaryRollout where it has one."""

from __future__ import annotations

from ai_platform_mcp.core.errors import Conflict, InvalidInput
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.canary.changes import Stable, promoted_at_once, withdrawn
from ai_platform_mcp.domain.objects import annotations_of, ref_of, rows, section, whole
from ai_platform_mcp.domain.progress import STABLE_VERSION, canary_percent, progress_of
from ai_platform_mcp.manifests import kserve
from ai_platform_mcp.manifests.common import MODEL_DIGEST_ANNOTATION, label_value
from ai_platform_mcp.tools._canaries import is_over, rollouts_of, under_way
from ai_platform_mcp.tools._steered import Action, Moment, Steered, delete, patch


async def moved_service(live: type_json, action: Action, moment: Moment, readers: Readers) -> Steered:
    """Return the steps for an InferenceService: on the rollout that moves it, else on itself."""
    ref = ref_of(live)
    rollout = under_way(await rollouts_of(readers, moment.cluster, str(ref.namespace), ref.name))
    if rollout is None:
        return serving(live, action, moment)
    if section(rollout, "status").get("phase") or action in ("pause", "resume"):
        return rolling(rollout, action, moment)
    direct = serving(live, action, moment)
    text = f"No controller has seen {ref_of(rollout)} yet: this acts on the service itself and takes the rollout away."
    risks = (*direct.risks, Risk(severity="warning", text=text))
    return Steered((*direct.steps, delete(rollout, moment)), risks, (ref,))


async def canary(live: type_json, action: Action, moment: Moment, readers: Readers) -> Steered:
    """Return the steps for a CanaryRollout; one that is over, or that nobody moves, leaves it to its service."""
    if not is_over(live) and section(live, "status").get("phase"):
        return rolling(live, action, moment)
    ref, name = ref_of(live), str(section(live, "spec").get("inferenceService"))
    service = await readers.clusters.get(moment.cluster, kserve.API, "InferenceService", name, ref.namespace)
    if service is None:
        raise Conflict(f"{ref} is over, and its InferenceService is gone.", remedy="Nothing is left to steer.")
    return await moved_service(
        {"apiVersion": kserve.API, "kind": "InferenceService", **service}, action, moment, readers
    )


def rolling(live: type_json, action: Action, moment: Moment) -> Steered:
    """Return the steps for a CanaryRollout under way."""
    ref, spec = ref_of(live), section(live, "spec")
    if action in ("rollback", "cancel"):
        to = section(spec, "stable").get("version")
        title = f"Roll {ref} back: all traffic to {to}, {spec.get('version')} goes"
        return Steered((patch(live, title, {"spec": {"rollBack": True, "paused": False}}, moment),))
    if action == "promote":
        last = 1 if spec.get("strategy") == "BlueGreen" else len(rows(spec, "steps")) - 1
        text = "The remaining steps follow as soon as the version is ready for them: none is held, and no analysis is asked."
        title = f"Let {ref} go on to all traffic"
        step = patch(live, title, {"spec": {"paused": False, "accepted": {"step": last}}}, moment)
        return Steered((step,), (Risk(severity="warning", text=text),))
    if action == "resume":
        return _resume(live, moment)
    if spec.get("paused") is True:
        raise Conflict(f"{ref} is paused already.", remedy="Nothing needs to be done.")
    return Steered((patch(live, f"Pause {ref}", {"spec": {"paused": True}}, moment),))


def _resume(live: type_json, moment: Moment) -> Steered:
    """Let a canary go on, whoever paused it; what it could not decide counts as accepted for its step."""
    ref, status = ref_of(live), section(live, "status")
    paused = status.get("phase") == "Paused"
    if section(live, "spec").get("paused") is not True and not paused:
        raise Conflict(f"{ref} is not paused.", remedy="Nothing needs to be done.")
    if not paused or status.get("reason") == "user":
        return Steered((patch(live, f"Resume {ref}", {"spec": {"paused": False}}, moment),))
    step = whole(status.get("step"))
    text = f"What paused it is accepted for this step: {status.get('message') or status.get('reason')}"
    change = patch(live, f"Resume {ref}", {"spec": {"paused": False, "accepted": {"step": step}}}, moment)
    return Steered((change,), (Risk(severity="warning", text=text[:300]),))


# --- without a rollout -----------------------------------------------------------------------------------------------


def serving(live: type_json, action: Action, moment: Moment) -> Steered:
    """Return the steps for an endpoint. A canary goes on only when somebody says so; there is nothing to pause."""
    ref, share = ref_of(live), canary_percent(live)
    if action == "cancel" and share is None:
        return cancel_new(live, moment)
    share = share_under_way(live, action)
    if action == "promote":
        return _promote(live, share, moment)
    title = f"Roll back {ref}: all traffic to the version before (the canary has {share} %)"
    return Steered((patch(live, title, withdrawn(live, _stable(live)), moment),))


def _stable(live: type_json) -> Stable:
    """Return what the service is to say of the version that has all the traffic again."""
    version = annotations_of(live).get(STABLE_VERSION)
    return Stable(version=label_value(version) if version else "", notes={MODEL_DIGEST_ANNOTATION: None})


def share_under_way(live: type_json, action: Action) -> int:
    """Return the share of the canary that the action is about."""
    ref, share = ref_of(live), canary_percent(live)
    if action in ("pause", "resume"):
        raise InvalidInput(f"{ref} does not move by itself.", remedy="Its canary waits for promote or rollback.")
    if share is None:
        raise Conflict(f"{ref} has no canary.", remedy="Deploy the version you want with deploy_model.")
    return share


def cancel_new(live: type_json, moment: Moment) -> Steered:
    """Return the step that takes an endpoint away again which does not serve yet."""
    ref = ref_of(live)
    if not moment.created_here:
        raise Conflict(
            f"{ref} was there before this operation.", remedy="Deploy the version you want with deploy_model."
        )
    if progress_of(live).state == "succeeded":
        raise Conflict(
            f"{ref} serves: there is nothing left to cancel.",
            remedy="Deploy another version with deploy_model to replace it.",
        )
    return Steered((delete(live, moment),))


def _promote(live: type_json, share: int, moment: Moment) -> Steered:
    ref = ref_of(live)
    risks: tuple[Risk, ...] = ()
    if progress_of(live).state == "failed" or share == 0:
        why = "it was rolled back" if share == 0 else "it does not load"
        raise Conflict(f"The canary of {ref} cannot be promoted: {why}.", remedy="Deploy a version that loads.")
    if progress_of(live).sentence.startswith("Not ready"):
        risks = (Risk(severity="danger", text="The canary is not ready yet: promoting it now may interrupt serving."),)
    title = f"Promote the canary of {ref} from {share} % to all traffic"
    return Steered((patch(live, title, promoted_at_once(live), moment),), risks)
