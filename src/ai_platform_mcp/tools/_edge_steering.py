"""How an EdgeRollout is stopped, let go on, promoted and rolled back, as plan steps."""

from __future__ import annotations

from typing import Any

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply, Risk
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.domain.namespaces import ENVIRONMENTS
from ai_platform_mcp.domain.objects import labels_of, parse_time, preconditions, ref_of, rows, section, whole
from ai_platform_mcp.domain.progress import progress_of
from ai_platform_mcp.domain.rollout.engine import NOBODY_ONLINE
from ai_platform_mcp.manifests.common import ENVIRONMENT_LABEL, TEAM_LABEL, Origin, object_name
from ai_platform_mcp.manifests.edge import Release, Rollout, Wave, edge_rollout
from ai_platform_mcp.tools._reading import capabilities
from ai_platform_mcp.tools._steered import Action, Moment, Steered, delete, patch


async def edge(live: type_json, action: Action, moment: Moment, readers: Readers) -> Steered:
    """Return the steps for an EdgeRollout. A rollback is a new rollout of the release before, of a higher generation."""
    ref, spec = ref_of(live), section(live, "spec")
    progress = progress_of(live)
    if action == "rollback":
        return await _edge_rollback(live, moment, readers)
    if progress.settled:
        raise Conflict(f"{ref} is over: {progress.sentence}", remedy="Roll it back, or start another rollout.")
    if action == "cancel":
        text = "Nodes keep the release that they have now; those that were reached run the new one. Rollback would undo it."
        return Steered((delete(live, moment, orphan=True),), (Risk(severity="warning", text=text),))
    if action == "promote":
        return _promote(live, moment)
    if action == "resume":
        return _resume(live, moment)
    if spec.get("paused") is True:
        raise Conflict(f"{ref} is paused already.", remedy="Nothing needs to be done.")
    return Steered((patch(live, f"Pause {ref}", {"spec": {"paused": True}}, moment),))


def _promote(live: type_json, moment: Moment) -> Steered:
    """Let the remaining waves follow at once, whatever analysis says of them."""
    ref, spec = ref_of(live), section(live, "spec")
    changes, risks = _accepted(live, moment)
    changes |= {"paused": False, "soakSeconds": 0}
    text = "The remaining waves follow without soaking in between."
    if section(spec, "analysis"):
        changes["accepted"] = {**changes.get("accepted", {}), "wave": max(0, len(rows(spec, "waves")) - 1)}
        text = "The remaining waves follow without soaking in between, and no analysis holds them up."
    step = patch(live, f"Let {ref} go on without soaking", {"spec": changes}, moment)
    return Steered((step,), (*risks, Risk(severity="warning", text=text)))


def _resume(live: type_json, moment: Moment) -> Steered:
    """Let a rollout go on, whoever paused it."""
    ref = ref_of(live)
    if section(live, "spec").get("paused") is not True and section(live, "status").get("phase") != "Paused":
        raise Conflict(f"{ref} is not paused.", remedy="Nothing needs to be done.")
    changes, risks = _accepted(live, moment)
    step = patch(live, f"Resume {ref}", {"spec": {"paused": False, **changes}}, moment)
    return Steered((step,), risks)


def _accepted(live: type_json, moment: Moment) -> tuple[type_json, tuple[Risk, ...]]:
    """Return what of the spec changes so that what paused the rollout does so no more, and what that means.

    It is accepted as it is now: another failed node, or another wave that analysis speaks against, pauses it again.
    """
    spec, status = section(live, "spec"), section(live, "status")
    reason = str(status.get("reason") or "") if status.get("phase") == "Paused" else ""
    if reason in ("max_failures", "no_quorum"):
        failed = max(whole(status.get("failed")), whole(section(spec, "accepted").get("failures")))
        text = (
            f"{failed} failed nodes are accepted: they hold it up no longer, and keep the release that they had before."
        )
        return {"accepted": {"failures": failed}}, (Risk(severity="warning", text=text),)
    if reason in ("analysis", "inconclusive"):
        wave = whole(status.get("wave"))
        said = "says that the release is worse" if reason == "analysis" else "could not tell"
        text = f"Analysis of wave {wave + 1} {said}; it is overridden for this wave."
        severity = "danger" if reason == "analysis" else "warning"
        return {"accepted": {"wave": wave}}, (Risk(severity=severity, text=text),)
    if reason == NOBODY_ONLINE:
        wave = whole(status.get("wave"))
        text = f"Wave {wave + 1} proved nothing, since none of its nodes could: the next wave runs the release first."
        return {"accepted": {"absentWave": wave}}, (Risk(severity="danger", text=text),)
    if reason == "no_progress":
        deadline = whole(spec.get("progressDeadlineSeconds")) or 3600
        began = parse_time(status.get("waveStartedAt"))
        passed = int((moment.now - began).total_seconds()) if moment.now and began else 0
        longer = deadline + max(deadline, passed)
        text = f"Nodes that did not get there get {deadline} s more: {longer} s online since the wave began."
        return {"progressDeadlineSeconds": longer}, (Risk(severity="info", text=text),)
    return {}, ()


def _selector(spec: type_json) -> dict[str, str] | None:
    """Return the labels that a rollout selects its nodes by, None where it leaves that to what makes a node an edge node."""
    if spec.get("selector") is None:
        return None
    return {str(key): str(value) for key, value in section(spec, "selector", "matchLabels").items()}


async def _edge_rollback(live: type_json, moment: Moment, readers: Readers) -> Steered:
    ref, spec, target = ref_of(live), section(live, "spec"), section(live, "spec", "rollbackTo")
    if not target:
        raise Conflict(
            f"{ref} names no release to return to.",
            remedy="Roll out the version you want: action=rollout with model and version.",
        )
    labels = labels_of(live)
    said = labels.get(ENVIRONMENT_LABEL, "")
    model = str(spec["model"])
    name = object_name(model, "rollback", seed=moment.operation_id)
    rollout = Rollout(
        name=name,
        namespace=str(ref.namespace),
        release=_release(model, target, spec.get("runtime")),
        waves=(Wave(name="all", percent=100),),
        selector=_selector(spec),
        sites=tuple(spec.get("sites") or ()),
        regions=tuple(spec.get("regions") or ()),
        soak_seconds=0,
        on_failure="Pause",  # what it came from was bad: going back there by itself would be a circle
        generation=max(whole(section(live, "status").get("generation")), whole(spec.get("generationOf")), 1) + 1,
        rollback_to=_release(model, spec, None),
    )
    origin = Origin(
        model=model,
        version=str(target["version"]),
        model_digest=str(target["digest"]),
        team=labels.get(TEAM_LABEL),
        environment=said if said in ENVIRONMENTS else None,
        operation=moment.operation_id,
    )
    manifest = edge_rollout(rollout, origin, await capabilities(readers, moment.cluster))
    back = (
        f"Roll {model} back from {spec.get('version')} to {target['version']} on the nodes of {ref.name}, all at once"
    )
    new = Apply(title=back, cluster=moment.cluster, manifest=manifest)
    new = new.model_copy(update={"preconditions": preconditions(new, None)})
    # An unfinished rollout is taken away first: left there, even paused, it would fight over the same nodes and keep the
    # next release out.
    stop = () if progress_of(live).settled else (delete(live, moment, orphan=True),)
    return Steered((*stop, new), (), (ref_of(manifest),))


def _release(model: str, fields: type_json, runtime: Any) -> Release:
    return Release(
        model=model,
        version=str(fields["version"]),
        digest=str(fields["digest"]),
        image=fields.get("image"),
        storage_uri=fields.get("storageUri"),
        runtime=runtime,
    )
