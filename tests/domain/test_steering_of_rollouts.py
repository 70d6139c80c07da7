"""What of an EdgeRollout's spec changes when a person pauses it, lets it go on or promotes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.plan import Apply, Delete, Patch
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.tools._edge_steering import edge
from ai_platform_mcp.tools._steered import Action, Moment, Steered

HERE = Moment("c1", "op-0123456789abcdef", now=datetime(2026, 1, 5, 8, tzinfo=UTC))
NOBODY = cast("Readers", None)
"""Pausing and resuming read nothing but the rollout."""


def rollout(phase: str, reason: str = "", spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    waves = [{"name": "canary", "percent": 10, "canary": True}, {"name": "rest", "percent": 100}]
    return {
        "apiVersion": "edge.aiplatform.dev/v1alpha1",
        "kind": "EdgeRollout",
        "metadata": {"name": "m-2", "namespace": "e", "uid": "u", "generation": 1, "resourceVersion": "5"},
        "spec": {"model": "m", "version": "2", "digest": "sha256:" + "d" * 64, "waves": waves, **(spec or {})},
        "status": {"phase": phase, "reason": reason, "total": 10, **status},
    }


async def steered(live: dict[str, Any], action: Action) -> Steered:
    return await edge(live, action, HERE, NOBODY)


async def changes(live: dict[str, Any], action: Action) -> dict[str, Any]:
    (step,) = (await steered(live, action)).steps
    assert isinstance(step, Patch)
    return step.patch["spec"]


@pytest.mark.parametrize(
    ("live", "changed"),
    [
        (rollout("Paused", "user", {"paused": True}, failed=1), {}),
        (rollout("Running", "", {"paused": True}), {}),
        (rollout("Paused", "max_failures", failed=2), {"accepted": {"failures": 2}}),
        (rollout("Paused", "no_quorum", failed=3), {"accepted": {"failures": 3}}),
        (rollout("Paused", "max_failures", {"accepted": {"failures": 4}}, failed=1), {"accepted": {"failures": 4}}),
        (rollout("Paused", "inconclusive", wave=1), {"accepted": {"wave": 1}}),
        (rollout("Paused", "analysis", wave=0), {"accepted": {"wave": 0}}),
        (rollout("Paused", "nobody_online", wave=0), {"accepted": {"absentWave": 0}}),
        (rollout("Paused", "no_progress", {"progressDeadlineSeconds": 600}), {"progressDeadlineSeconds": 1200}),
        (
            rollout("Paused", "no_progress", {"progressDeadlineSeconds": 600}, waveStartedAt="2026-01-05T07:00:00Z"),
            {"progressDeadlineSeconds": 4200},
        ),
    ],
)
async def test_resuming_accepts_what_paused_it_and_nothing_else(live: dict[str, Any], changed: dict[str, Any]):
    assert await changes(live, "resume") == {"paused": False, **changed}


async def test_overriding_analysis_that_found_it_worse_is_a_danger():
    (worse,) = (await steered(rollout("Paused", "analysis"), "resume")).risks
    (unknown,) = (await steered(rollout("Paused", "inconclusive"), "resume")).risks
    assert (worse.severity, unknown.severity) == (
        "danger",
        "warning",
    ) and "says that the release is worse" in worse.text


async def test_going_on_without_a_wave_that_proved_nothing_is_a_danger():
    (unproven,) = (await steered(rollout("Paused", "nobody_online", wave=0), "resume")).risks
    assert unproven.severity == "danger" and "the next wave runs the release first" in unproven.text


@pytest.mark.parametrize(
    ("live", "action"),
    [
        (rollout("Running"), "resume"),
        (rollout("Completing"), "resume"),
        (rollout("Running", "", {"paused": True}), "pause"),
        (rollout("Succeeded"), "pause"),
        (rollout("RolledBack"), "resume"),
    ],
)
async def test_what_changes_nothing_is_refused(live: dict[str, Any], action: Action):
    with pytest.raises(Conflict):
        await steered(live, action)


async def test_a_rollout_that_paused_by_itself_can_be_held_by_a_person_too():
    assert await changes(rollout("Paused", "max_failures", failed=1), "pause") == {"paused": True}


async def test_promoting_leaves_soaking_and_every_wave_of_analysis_out():
    assert await changes(rollout("Running"), "promote") == {"paused": False, "soakSeconds": 0}
    measured = rollout("Paused", "max_failures", {"analysis": {"checks": [{"check": "errors"}]}}, failed=1)
    assert await changes(measured, "promote") == {
        "paused": False,
        "soakSeconds": 0,
        "accepted": {"failures": 1, "wave": 1},
    }


async def test_cancelling_leaves_nodes_as_they_are():
    (step,) = (await steered(rollout("Running"), "cancel")).steps
    assert isinstance(step, Delete) and step.propagation == "Orphan" and not isinstance(step, Apply)
