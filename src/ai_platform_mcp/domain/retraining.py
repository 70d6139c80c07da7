"""What is known of a model's training runs when another one is asked for: how many are active, how long ago, how much in vain.

The guards (one run at a time, a pause between runs, a breaker after runs in vain, drift *and* loss of performance for an
automatic start, since drift tests alone fire on windows without drift) are law, and their numbers live with the policies.
Here is what they are judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from ai_platform_mcp.core.facts import RetrainFacts
from ai_platform_mcp.core.model import Value

Reason = Literal["manual", "drift", "performance", "schedule", "data"]


class TrainingRun(Value):
    """A past or present run of one model. ``score`` is its primary metric, higher is better; None where it has none."""

    name: str
    started: datetime | None
    active: bool
    score: float | None = None


def facts_of(
    reason: Reason,
    runs: Sequence[TrainingRun],
    now: datetime,
    *,
    drift_milli: int | None = None,
    performance_drop_milli: int | None = None,
) -> RetrainFacts:
    """Read the history of a model's runs into the facts that the guards judge.

    ``active_runs`` are those that a new one would run beside. Where the answer is a run that is active already, the caller
    leaves it out: nothing new starts, so there is nothing to guard against.
    """
    started = [row.started for row in runs if row.started is not None and row.started <= now]
    return RetrainFacts(
        reason=reason,
        active_runs=sum(row.active for row in runs),
        seconds_since_last=int((now - max(started)).total_seconds()) if started else None,
        consecutive_without_gain=runs_without_gain(runs),
        drift_milli=drift_milli,
        performance_drop_milli=performance_drop_milli,
    )


def rise(values: Sequence[float | None], recent: int) -> float | None:
    """Return by how much the mean of the last ``recent`` values is above that of those before; None without both."""
    after = [value for value in values[-recent:] if value is not None]
    before = [value for value in values[:-recent] if value is not None]
    return sum(after) / len(after) - sum(before) / len(before) if after and before else None


def runs_without_gain(runs: Sequence[TrainingRun]) -> int:
    """Return how many of the newest finished runs in a row did not beat the best score before them.

    Runs without a score say nothing either way and are left out. The very first scored run is a gain.
    """
    scored = [
        (row.started, row.name, row.score)
        for row in runs
        if not row.active and row.started is not None and row.score is not None
    ]
    best: float | None = None
    in_vain = 0
    for _, _, score in sorted(scored):
        if best is None or score > best:
            best, in_vain = score, 0
        else:
            in_vain += 1
    return in_vain


def running(runs: Sequence[TrainingRun]) -> TrainingRun | None:
    """Return the run that is active, the oldest where there are several: a second one is never started beside it."""
    active = [row for row in runs if row.active]
    return min(active, key=lambda row: (row.started is None, row.started, row.name)) if active else None


def history(facts: RetrainFacts) -> tuple[str, ...]:
    """Say what the guards are judged by, in sentences."""
    lines: list[str] = []
    if facts.seconds_since_last is None:
        lines.append("No earlier run of this model is known.")
    else:
        lines.append(f"The last run began {_ago(facts.seconds_since_last)} ago.")
    if facts.consecutive_without_gain:
        count = facts.consecutive_without_gain
        lines.append(f"The last {count} runs brought no gain." if count > 1 else "The last run brought no gain.")
    if facts.reason in ("drift", "performance"):
        drift, drop = _measured(facts.drift_milli), _measured(facts.performance_drop_milli)
        lines.append(f"Measured: drift {drift}, loss of performance {drop}; an automatic run needs both.")
    return tuple(lines)


def _ago(seconds: int) -> str:
    hours = seconds // 3600
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours" if hours >= 2 else f"{seconds // 60} minutes"


def _measured(milli: int | None) -> str:
    return "not measured" if milli is None else f"{milli / 1000:g}"
