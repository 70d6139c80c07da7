"""When a retraining run may start: one at a time, not too soon, not in vain, and automatically only on double evidence.

The law that refuses is policy; these rules read the history into facts and say beforehand, in sentences, what stands in the
way. Defaults are the platform's: a day between runs, three runs in vain open the breaker, and an automatic start needs drift
*and* a loss of performance, since drift tests alone fire on windows without drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from ai_platform_mcp.core.facts import RetrainFacts
from ai_platform_mcp.core.model import Value

Reason = Literal["manual", "drift", "performance", "schedule", "data"]


class RetrainLimits(Value):
    """Thresholds of the guards. Effect sizes are in thousandths (drift as normalised Wasserstein distance)."""

    cooldown: timedelta = timedelta(hours=24)
    max_without_gain: int = 3
    drift_milli: int = 100
    performance_drop_milli: int = 20


class TrainingRun(Value):
    """A past or present run of one model. ``score`` is its primary metric, higher is better; None where it has none."""

    name: str
    started: datetime | None
    active: bool
    score: float | None = None


class Guard(Value):
    """One rule that stands in the way."""

    code: Literal["active_run", "cooldown", "breaker_open", "not_confirmed"]
    text: str


def facts_of(
    reason: Reason,
    runs: Sequence[TrainingRun],
    now: datetime,
    *,
    drift_milli: int | None = None,
    performance_drop_milli: int | None = None,
) -> RetrainFacts:
    """Read the history of a model's runs into the facts that guards and policy judge."""
    started = [row.started for row in runs if row.started is not None and row.started <= now]
    return RetrainFacts(
        reason=reason,
        active_runs=sum(row.active for row in runs),
        seconds_since_last=int((now - max(started)).total_seconds()) if started else None,
        consecutive_without_gain=runs_without_gain(runs),
        drift_milli=drift_milli,
        performance_drop_milli=performance_drop_milli,
    )


def runs_without_gain(runs: Sequence[TrainingRun]) -> int:
    """Return how many of the newest finished runs in a row did not beat the best score before them.

    A finished run without a score gained nothing. The very first scored run is a gain.
    """
    finished = sorted(
        (row for row in runs if not row.active and row.started is not None),
        key=lambda row: (row.started, row.name),
    )
    best: float | None = None
    in_vain = 0
    for row in finished:
        if row.score is not None and (best is None or row.score > best):
            best, in_vain = row.score, 0
        else:
            in_vain += 1
    return in_vain


def guards(facts: RetrainFacts, limits: RetrainLimits | None = None) -> tuple[Guard, ...]:
    """Return what stands in the way of a run. A person's own request (``manual``) is bound by the active run only."""
    bounds = limits or RetrainLimits()
    found: list[Guard] = []
    if facts.active_runs:
        found.append(
            Guard(code="active_run", text="A run of this model is active; a second one would waste its devices.")
        )
    if facts.reason == "manual":
        return tuple(found)
    since, pause = facts.seconds_since_last, int(bounds.cooldown.total_seconds())
    if since is not None and since < pause:
        found.append(
            Guard(
                code="cooldown", text=f"The last run began {since // 60} minutes ago; {pause // 3600} hours must pass."
            )
        )
    if facts.consecutive_without_gain >= bounds.max_without_gain:
        text = (
            f"The last {facts.consecutive_without_gain} runs brought no gain; a person must look before the next one."
        )
        found.append(Guard(code="breaker_open", text=text))
    if facts.reason in ("drift", "performance") and not _confirmed(facts, bounds):
        found.append(Guard(code="not_confirmed", text=_unconfirmed(facts, bounds)))
    return tuple(found)


def _confirmed(facts: RetrainFacts, bounds: RetrainLimits) -> bool:
    drifted = facts.drift_milli is not None and facts.drift_milli >= bounds.drift_milli
    worse = facts.performance_drop_milli is not None and facts.performance_drop_milli >= bounds.performance_drop_milli
    return drifted and worse


def _unconfirmed(facts: RetrainFacts, bounds: RetrainLimits) -> str:
    drift = _measured("drift", facts.drift_milli, bounds.drift_milli)
    drop = _measured("loss of performance", facts.performance_drop_milli, bounds.performance_drop_milli)
    return f"An automatic run needs both drift and a loss of performance: {drift}, {drop}."


def _measured(name: str, value: int | None, bound: int) -> str:
    shown = "not measured" if value is None else f"{value / 1000:g}"
    return f"{name} {shown} (from {bound / 1000:g})"
