"""The way back: the traffic first, then the predictor, then what is left of the canary.

In Knative mode the order is everything. Without ``canaryTrafficPercent`` all traffic goes to the newest revision that is
ready, which is the bad one until the stable predictor's own new revision is: so the percentage stays at nought until then.
"""

from __future__ import annotations

from datetime import datetime

from ai_platform_mcp.domain.canary.state import Canary, Change, Next, Progress, Seen

LOOK_AGAIN, SETTLE = 15.0, 60.0
"""Seconds between looks, and those that a predictor gets to make a revision where the bad one's name was never seen."""


def revert(canary: Canary, progress: Progress, seen: Seen, now: datetime) -> Next:
    """Return the next step of the way back."""
    progress = progress.model_copy(update={"phase": "RollingBack", "percent": seen.percent})
    if seen.version == canary.version:
        return _withdrawn(canary, progress, seen, now)
    if seen.percent is None:
        return _over(canary, progress, f"{canary.stable} has all the traffic again.")
    if _restored(progress, seen, now):
        return Next(progress=progress, change="finish", look_again=LOOK_AGAIN)
    return Next(progress=progress, look_again=LOOK_AGAIN)


def _withdrawn(canary: Canary, progress: Progress, seen: Seen, now: datetime) -> Next:
    """Return how the traffic leaves a version that is asked for still."""

    def do(change: Change) -> Next:
        return Next(progress=progress, change=change, look_again=LOOK_AGAIN)

    if not seen.knative and seen.predictor != canary.version:
        return do("withdraw")
    if seen.knative and seen.percent != 0:
        return do("withdraw")
    if canary.restorable:
        # In Standard mode the new version is the predictor already: its canary answers until the old one is back.
        progress = progress.model_copy(update={"moved": now})
        return do("restore")
    if seen.knative:
        return _over(canary, progress, f"{canary.stable} has all the traffic; its predictor is not known here.")
    text = f"The predictor of {canary.stable} is not known here: deploy that version. {progress.message}"
    return Next(progress=progress.model_copy(update={"phase": "Stopped", "message": text}))


def _restored(progress: Progress, seen: Seen, now: datetime) -> bool:
    """Whether the stable version's predictor, asked for again, answers."""
    if not seen.settled:
        return False
    if not seen.knative:
        return True
    if progress.revision:
        return seen.revision != progress.revision
    return progress.moved is not None and (now - progress.moved).total_seconds() >= SETTLE


def _over(canary: Canary, progress: Progress, text: str) -> Next:
    message = f"{text} {progress.message}".strip()
    return Next(progress=progress.model_copy(update={"phase": "RolledBack", "message": message, "percent": 0}))
