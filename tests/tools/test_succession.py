"""What a deployment meets where a canary of the same service is under way, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.tools._cloud import LiveService, Strategy
from ai_platform_mcp.tools._succession import Succession, succession

Json = dict[str, Any]


def service(percent: int | None, *, brings: str = "2", knative: bool = True) -> LiveService:
    """Version 1 is stable beside what the service brings; without a percentage that has everything."""
    notes = {"serving.kserve.io/deploymentMode": "Knative" if knative else "Standard"}
    spec: Json = {"predictor": {}}
    if percent is not None:
        notes["aiplatform.dev/stable-version"] = "1"
        spec = (
            {"predictor": {"canaryTrafficPercent": percent}} if knative else {"canary": [{"trafficPercent": percent}]}
        )
    meta = {"name": "m", "namespace": "n", "labels": {"aiplatform.dev/version": brings}, "annotations": notes}
    return LiveService("m", {"kind": "InferenceService", "metadata": meta, "spec": spec})


def rollout(phase: str, *, step: int = 0, version: str = "2", **spec: Any) -> Json:
    meta = {"name": f"m-{version}", "namespace": "n", "labels": {"aiplatform.dev/operation": "op-7"}}
    steps = [{"percent": share} for share in (10, 50, 100)]
    status = {"phase": phase, "step": step} if phase else {}
    spec = {"version": version, "steps": steps, **spec}
    return {"apiVersion": "a/v1", "kind": "CanaryRollout", "metadata": meta, "spec": spec, "status": status}


def met(live: LiveService, rollouts: list[Json], version: str, strategy: Strategy = "canary") -> Succession:
    return succession(live, rollouts, version, strategy, 10)


@pytest.mark.parametrize("knative", [True, False], ids=["Knative", "Standard"])
@pytest.mark.parametrize(
    ("share", "rollouts", "version", "strategy", "why"),
    [
        (50, [rollout("Running", step=1)], "2", "canary", "brings 2 already: it has 50 %"),
        (50, [rollout("Paused", step=1)], "2", "all_at_once", "brings 2 already"),
        (50, [rollout("Running", step=1)], "1", "none", "1 is the stable version beside CanaryRollout n/m-2 of 2"),
        (50, [rollout("Running", step=1)], "3", "all_at_once", "3 would replace both versions at once"),
        (50, [], "3", "all_at_once", "A canary of 2 is under way with 50 %"),
        (99, [rollout("Promoting", step=3)], "3", "canary", "has all the traffic"),
        (None, [rollout("Promoting", step=3)], "3", "canary", "has all the traffic"),
        (None, [rollout("Running", step=1, strategy="BlueGreen")], "2", "none", "brings 2 already: it has 100 %"),
        (0, [rollout("RollingBack")], "3", "canary", "on its way back"),
    ],
)
def test_what_must_end_first_is_named_with_how_to_end_it(
    knative: bool, share: int | None, rollouts: list[Json], version: str, strategy: Strategy, why: str
):
    with pytest.raises(Conflict, match=why) as caught:
        met(service(share, knative=knative), rollouts, version, strategy)
    assert "action=rollback" in caught.value.remedy or "Wait until it is over" in caught.value.remedy
    if rollouts and "Wait" not in caught.value.remedy:
        assert "operation_id=op-7" in caught.value.remedy


def test_the_stable_predictor_that_is_loading_again_is_not_deployed_over():
    """By then the service speaks of the stable version, and the bad one's revision is still the newest that is ready."""
    with pytest.raises(Conflict, match="on its way back"):
        met(service(0, brings="1"), [rollout("RollingBack")], "1", "none")


@pytest.mark.parametrize("strategy", ["canary", "blue_green"])
def test_another_version_takes_over_with_a_canary_of_its_own(strategy: Strategy):
    found = met(service(50), [rollout("Running", step=1), rollout("Stopped", version="0")], "3", strategy)
    assert found.superseded
    assert [row.severity for row in found.risks] == ["warning"]
    assert "1 gets its traffic, until 3 is ready" in found.risks[0].text


def test_without_a_controller_the_plan_tells_whose_the_share_is_until_the_new_one_is_ready():
    found = met(service(50), [], "3")
    assert "it has 10 % until 3 is ready" in found.risks[0].text


@pytest.mark.parametrize(
    ("live", "rollouts", "version"),
    [
        (service(None), [], "3"),
        (service(None), [rollout("Succeeded"), rollout("RolledBack", version="1")], "3"),
        (service(None), [rollout("")], "3"),  # promoted by hand, and its rollout left behind
        (service(20), [], "2"),  # the next share, by hand
        (LiveService("m", None), [rollout("Running")], "2"),
    ],
)
def test_nothing_is_met_where_nothing_moves(live: LiveService, rollouts: list[Json], version: str):
    assert met(live, rollouts, version, "all_at_once") == Succession()


@pytest.mark.parametrize(("knative", "severities"), [(True, ["danger"]), (False, [])])
def test_what_was_rolled_back_by_hand_is_replaced_and_its_danger_told(knative: bool, severities: list[str]):
    found = met(service(0, knative=knative), [], "1", "none")
    assert [row.severity for row in found.risks] == severities
