"""One look at a canary: from what is asked for and what is seen to the next status and at most one change.

``advance`` is called again and again and may be stopped after any write. A step is first decided (in the status) and then written
to the InferenceService: whoever takes over sees from the share that is asked for there which of the two has happened. A share
that is neither the step's nor the one before it was written by somebody else, and then the canary is theirs.

Rules: a share only rises when the one before was held and judged; what cannot be told pauses (Argo Rollouts' Inconclusive);
silence has a deadline; the way back begins with the traffic.
"""

from __future__ import annotations

from datetime import datetime

from ai_platform_mcp.domain.canary.reverting import revert
from ai_platform_mcp.domain.canary.state import OVER, Canary, Next, Progress, Seen, Verdict

LOOK_AGAIN, SOON = 15.0, 1.0
"""Seconds until the next look where nothing says that one is due earlier, and where a write follows."""


def advance(canary: Canary, before: Progress, seen: Seen | None, verdict: Verdict, now: datetime) -> Next:
    """Return what follows from this look.

    Args:
        canary: what is asked for.
        before: what the last look left in the status.
        seen: the InferenceService; None where it is not there.
        verdict: what analysis says of the step under way.
        now: the moment of the look.
    """
    progress = _taken_up(canary, before, now)
    if progress.phase in OVER:
        return Next(progress=progress)
    ended = _elsewhere(canary, progress, seen, now)
    if ended is not None:
        return Next(progress=_at(progress, "Stopped", *ended))
    if progress.phase == "RollingBack" or canary.roll_back:
        if progress.phase != "RollingBack":
            text = "Rolled back by its spec."
            progress = _at(progress, "RollingBack", "user", text).model_copy(update={"moved": now, "started": None})
            return Next(progress=progress, look_again=SOON)
        assert seen is not None  # only a canary that waits to begin may lack its service
        return revert(canary, progress, seen, now)
    if seen is None or (progress.phase == "Ready" and not _is_new(canary, seen)):
        text = f"Waits for the InferenceService to bring {canary.version}."
        return Next(progress=progress.model_copy(update={"message": text}), look_again=LOOK_AGAIN)
    progress = _confirmed(canary, progress, seen)
    if progress.phase == "Paused":
        return Next(progress=progress, look_again=LOOK_AGAIN)
    if canary.paused:
        return Next(progress=_at(progress, "Paused", "user", "Paused by its spec."))
    if progress.step >= len(canary.steps):
        return _promoted(canary, progress, seen, now)
    return _stepped(canary, progress, seen, verdict, now)


def _is_new(canary: Canary, seen: Seen) -> bool:
    return seen.version == canary.version and (not canary.digest or seen.digest in ("", canary.digest))


def _taken_up(canary: Canary, before: Progress, now: datetime) -> Progress:
    """Return where the last look stopped; a pause ends when the spec was changed to allow it, and its deadline begins again."""
    fresh = before.model_copy(update={"observed": canary.observed, "moved": before.moved or now})
    if before.phase != "Paused" or canary.paused:
        return fresh
    changed = before.observed != canary.observed
    if before.reason != "user" and not (changed and canary.accepted_step >= min(before.step, len(canary.steps) - 1)):
        return fresh
    phase = "Promoting" if before.step >= len(canary.steps) else "Running"
    return _at(fresh, phase, "step", "").model_copy(update={"moved": now, "started": None})


def _elsewhere(canary: Canary, progress: Progress, seen: Seen | None, now: datetime) -> tuple[str, str] | None:
    """Return why the canary is no longer this rollout's to move, None where it is."""
    waits = progress.phase == "Ready"
    late = progress.moved is not None and (now - progress.moved).total_seconds() >= canary.progress_deadline
    if seen is None:
        if waits and not late:
            return None
        return "deleted", "The InferenceService is not there."
    if seen.kept_by:
        text = f"{seen.kept_by} keeps the InferenceService as it is declared elsewhere; move the canary there."
        return "gitops", text
    if not _is_new(canary, seen):
        if waits and seen.version == canary.stable:
            return ("not_deployed", f"{canary.version} was not deployed in time.") if late else None
        if progress.phase != "RollingBack" or seen.version != canary.stable:
            return "superseded", f"The InferenceService now brings {seen.version or 'something else'}."
        return None
    return None if progress.phase == "RollingBack" else _changed(canary, progress, seen)


def _changed(canary: Canary, progress: Progress, seen: Seen) -> tuple[str, str] | None:
    """Return what somebody else did to the share, None where it is one that this rollout asked for."""
    if progress.step >= len(canary.steps):
        return None
    if seen.percent is None:
        return "changed", f"The InferenceService names no canary of {canary.version} any more."
    if progress.percent is None or seen.percent in (progress.percent, canary.steps[progress.step].percent):
        return None
    text = f"Somebody set the share to {seen.percent} %, where {progress.percent} % was left."
    return "changed", text


def _confirmed(canary: Canary, progress: Progress, seen: Seen) -> Progress:
    phase = "Running" if progress.phase == "Ready" else progress.phase
    found: dict[str, object] = {"phase": phase, "reason": progress.reason or "step"}
    if seen.percent is not None:
        found["percent"] = seen.percent
    if seen.ready:
        found["revision"] = seen.revision
    return progress.model_copy(update=found)


def _at(progress: Progress, phase: str, reason: str, message: str) -> Progress:
    return progress.model_copy(update={"phase": phase, "reason": reason, "message": message})


# --------------------------------------------------------------------------------------------------------------- steps


def _stepped(canary: Canary, progress: Progress, seen: Seen, verdict: Verdict, now: datetime) -> Next:
    step, number = canary.steps[progress.step], f"{progress.step + 1} of {len(canary.steps)}"
    accepted = progress.step <= canary.accepted_step
    judged = step.judged and not accepted
    if judged and verdict == "fail":
        return _failed(canary, progress, "analysis", f"Analysis: {canary.version} is worse than {canary.stable}.", now)
    if seen.failure:
        return _failed(canary, progress, "not_loaded", f"{canary.version} does not load: {seen.failure}", now)
    moving = seen.percent != step.percent
    if moving or not (seen.applied and seen.ready):
        return _awaited(canary, progress, seen, now)
    started = progress.started or now
    progress = progress.model_copy(update={"started": started})
    left = 0.0 if accepted else step.hold - (now - started).total_seconds()
    text = f"Step {number}: {canary.version} has {step.percent} % of the traffic."
    running = _at(progress, "Running", "step", text)
    if judged and verdict == "inconclusive":
        text = f"Analysis at {step.percent} % could not tell; a person decides."
        return Next(progress=_at(progress, "Paused", "inconclusive", text))
    if left > 0:
        return Next(progress=running, look_again=max(SOON, min(LOOK_AGAIN, left)))
    if judged and verdict == "pending":
        text = f"Step {number} waits for its analysis."
        return Next(progress=_at(running, "Running", "analysis", text), look_again=LOOK_AGAIN)
    onward = running.model_copy(update={"step": progress.step + 1, "moved": now, "started": None})
    if onward.step == len(canary.steps):
        onward = _at(onward, "Promoting", "steps", f"Every step passed; {canary.version} becomes the stable version.")
    return Next(progress=onward, look_again=SOON)


def _awaited(canary: Canary, progress: Progress, seen: Seen, now: datetime) -> Next:
    """Return what follows while the step's share does not flow: it is asked for, and has a deadline."""
    step = canary.steps[progress.step]
    if progress.started is not None:  # it had flowed: the deadline begins again
        progress = progress.model_copy(update={"started": None, "moved": now})
    late = (now - (progress.moved or now)).total_seconds() >= canary.progress_deadline
    if late:
        text = f"{canary.version} was not ready at {step.percent} % within {canary.progress_deadline} s."
        return _failed(canary, progress, "deadline", text, now)
    number = f"{progress.step + 1} of {len(canary.steps)}"
    text = f"Step {number}: {canary.version} is not ready for {step.percent} % yet."
    running = _at(progress, "Running", "step", text)
    # Knative gives the share to the newest revision that is ready: while this one is not, to the canary that it supersedes.
    may = seen.ready or not seen.knative or step.percent < (seen.percent or 0)
    if seen.percent != step.percent and may:
        return Next(progress=running, change="move", percent=step.percent, look_again=LOOK_AGAIN)
    return Next(progress=running, look_again=LOOK_AGAIN)


def _failed(canary: Canary, progress: Progress, reason: str, text: str, now: datetime) -> Next:
    if canary.on_failure == "Pause":
        return Next(progress=_at(progress, "Paused", reason, text).model_copy(update={"started": None}))
    back = _at(progress, "RollingBack", reason, text).model_copy(update={"moved": now, "started": None})
    return Next(progress=back, look_again=SOON)


# ----------------------------------------------------------------------------------------------------------- promotion


def _promoted(canary: Canary, progress: Progress, seen: Seen, now: datetime) -> Next:
    """Return how the new version becomes the stable one.

    Standard mode takes two writes: were the canary taken away together with the change of the predictor, the old version's pods
    would answer until the last of them is replaced. A promotion that does not come about waits for a person: by then every
    step has passed, and the new version answers.
    """
    if seen.percent is None:
        text = f"{canary.version} has all the traffic."
        return Next(progress=_at(progress, "Succeeded", "complete", text).model_copy(update={"percent": 100}))
    promoting = _at(progress, "Promoting", "steps", f"{canary.version} becomes the stable version.")
    if seen.knative:
        return Next(progress=promoting, change="finish", look_again=LOOK_AGAIN)
    if seen.predictor != canary.version:
        return Next(progress=promoting, change="promote", look_again=LOOK_AGAIN)
    if seen.settled:
        return Next(progress=promoting, change="finish", look_again=LOOK_AGAIN)
    if (now - (progress.moved or now)).total_seconds() >= canary.progress_deadline:
        text = (
            f"The predictor of {canary.version} was not ready within {canary.progress_deadline} s; its canary answers."
        )
        return Next(progress=_at(progress, "Paused", "deadline", text))
    return Next(progress=promoting, look_again=LOOK_AGAIN)
