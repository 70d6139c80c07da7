"""What a CanaryRollout asks for, and what its status remembers, in the words of the rules."""

from __future__ import annotations

from typing import get_args

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.canary.changes import Stable
from ai_platform_mcp.domain.canary.state import Canary, Phase, Progress, Step
from ai_platform_mcp.domain.objects import MODEL_DIGEST_ANNOTATION, metadata_of, parse_time, rows, section, whole
from ai_platform_mcp.manifests.common import label_value

PHASES: tuple[str, ...] = get_args(Phase)
HOLD, KEEP, DEADLINE = 600, 600, 1800
"""Seconds where the spec leaves them out."""

LEAST_DEADLINE = 20
"""Seconds that a step is given in any time scale."""


def canary_of(live: type_json, speed: float = 1.0) -> Canary:
    """Return the canary as the rules read it; ``speed`` is how many of the spec's seconds pass in one."""
    spec = section(live, "spec")
    return Canary(
        version=label_value(str(spec.get("version", ""))),
        stable=label_value(str(section(spec, "stable").get("version", ""))),
        digest=str(spec.get("digest") or ""),
        steps=steps_of(spec, speed),
        on_failure=spec.get("onFailure") or "RollBack",
        progress_deadline=_deadline(spec, speed),
        observed=whole(metadata_of(live).get("generation")),
        paused=spec.get("paused") is True,
        roll_back=spec.get("rollBack") is True,
        restorable=bool(section(spec, "stable", "predictor")),
        accepted_step=_number(section(spec, "accepted"), "step", -1),
    )


def steps_of(spec: type_json, speed: float = 1.0) -> tuple[Step, ...]:
    """Return the steps in rising order.

    BlueGreen is a canary of two steps: nothing, while the new version warms up, and everything, while the old one is kept. Calls
    come only with the second, so that only this one is judged.
    """
    found = sorted(
        (
            Step(percent=whole(row.get("percent")), hold=_seconds(row, "holdSeconds", HOLD, speed))
            for row in rows(spec, "steps")
        ),
        key=lambda step: step.percent,
    )
    if spec.get("strategy") != "BlueGreen":
        return tuple(found)
    warm = found[0].model_copy(update={"judged": False})
    return warm, Step(percent=100, hold=_seconds(spec, "keepSeconds", KEEP, speed))


def _number(fields: type_json, key: str, default: int) -> int:
    value = fields.get(key)
    return default if value is None else int(value)


def _deadline(spec: type_json, speed: float) -> int:
    """Return the deadline: where time runs faster, the cluster's own machinery does not."""
    given = _seconds(spec, "progressDeadlineSeconds", DEADLINE, 1.0)
    return max(_seconds(spec, "progressDeadlineSeconds", DEADLINE, speed), min(given, LEAST_DEADLINE))


def _seconds(fields: type_json, key: str, default: int, speed: float) -> int:
    asked = _number(fields, key, default)
    return max(1, round(asked / speed)) if asked else 0


def stable_of(live: type_json) -> Stable:
    """Return the version to go back to."""
    stable = section(live, "spec", "stable")
    return Stable(
        version=label_value(str(stable.get("version", ""))),
        notes={MODEL_DIGEST_ANNOTATION: stable.get("digest")},
        predictor=section(stable, "predictor"),
    )


def progress_of(live: type_json) -> Progress:
    """Return what the last look left in the status."""
    status = section(live, "status")
    phase = status.get("phase")
    percent = status.get("percent")
    return Progress(
        observed=whole(status.get("observedGeneration")),
        phase=phase if phase in PHASES else "Ready",
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or ""),
        step=whole(status.get("step")),
        percent=percent if isinstance(percent, int) else None,
        moved=parse_time(status.get("movedAt")),
        started=parse_time(status.get("stepStartedAt")),
        revision=str(status.get("revision") or ""),
    )
