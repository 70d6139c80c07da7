"""What an action does to a CanaryRollout that is under way."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.plan import Patch
from ai_platform_mcp.domain.progress import progress_of
from ai_platform_mcp.tools._canaries import shares_from
from ai_platform_mcp.tools._canary_steering import rolling
from ai_platform_mcp.tools._steered import Action, Moment

HERE = Moment("c1", "op-0123456789abcdef")


def rollout(phase: str = "Running", reason: str = "step", step: int = 1, **spec: Any) -> dict[str, Any]:
    steps = [{"percent": share} for share in (10, 50, 100)]
    return {
        "apiVersion": "serving.aiplatform.dev/v1alpha1",
        "kind": "CanaryRollout",
        "metadata": {"name": "m-2", "namespace": "n", "uid": "u"},
        "spec": {"model": "m", "version": "2", "stable": {"version": "1"}, "steps": steps, **spec},
        "status": {"phase": phase, "reason": reason, "step": step, "percent": 50, "message": "Why."},
    }


def change(live: dict[str, Any], action: Action) -> dict[str, Any]:
    (step,) = rolling(live, action, HERE).steps
    assert isinstance(step, Patch) and isinstance(step.patch, dict)
    assert {row.kind for row in step.preconditions} == {"uid", "owned"}
    return step.patch["spec"]


def test_promoting_lets_every_step_pass_and_says_what_is_given_up():
    assert change(rollout(), "promote") == {"paused": False, "accepted": {"step": 2}}
    green = rollout(strategy="BlueGreen", steps=[{"percent": 0}])
    assert change(green, "promote")["accepted"] == {"step": 1}, (
        "its second step is the one in which the old one is kept"
    )
    assert "no analysis" in rolling(rollout(), "promote", HERE).risks[0].text


@pytest.mark.parametrize("action", ["rollback", "cancel"])
def test_both_ways_back_are_the_rollouts_own(action: Action):
    assert change(rollout(), action) == {"rollBack": True, "paused": False}


def test_what_analysis_could_not_tell_is_accepted_by_resuming_and_a_persons_pause_is_not():
    assert change(rollout("Paused", "inconclusive"), "resume") == {"paused": False, "accepted": {"step": 1}}
    assert change(rollout("Paused", "user", paused=True), "resume") == {"paused": False}
    with pytest.raises(Conflict, match="not paused"):
        rolling(rollout(), "resume", HERE)


def test_it_is_paused_once():
    assert change(rollout(), "pause") == {"paused": True}
    with pytest.raises(Conflict, match="paused already"):
        rolling(rollout(paused=True), "pause", HERE)


@pytest.mark.parametrize(
    ("first", "shares"),
    [(1, (1, 5, 10, 25, 50, 100)), (10, (10, 25, 50, 100)), (20, (20, 50, 100)), (40, (40, 100)), (99, (99, 100))],
)
def test_shares_rise_in_few_steps_to_everything(first: int, shares: tuple[int, ...]):
    assert shares_from(first) == shares


def test_its_progress_is_told_as_a_share():
    told = progress_of(rollout())
    assert (told.state, told.percent, told.said) == ("running", 50, "Why.")
    assert progress_of({**rollout(), "status": {}}).state == "queued", "no controller has seen it"
    assert progress_of(rollout("RolledBack")).state == "failed" and progress_of(rollout("Succeeded")).percent == 100
