"""Which field of an InferenceService moves, in each deployment mode."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.errors import Conflict, InvalidInput
from ai_platform_mcp.core.plan import Delete, Patch
from ai_platform_mcp.domain.canary.changes import turning
from ai_platform_mcp.tools._canary_steering import serving
from ai_platform_mcp.tools._steered import Moment

HERE = Moment("c1", "op-0123456789abcdef")
json_values = st.recursive(
    st.one_of(st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3)),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(st.sampled_from("abcd"), json_values, max_size=4)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, as it is written there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(documents, documents)
def test_the_patch_turns_the_old_into_exactly_the_new(old: dict[str, Any], new: dict[str, Any]):
    assert merged(old, turning(old, new)) == new


def service(spec: dict[str, Any], *, ready: bool = True, mode: str = "Standard") -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "m", "namespace": "n", "uid": "u"},
        "spec": spec,
        "status": {"deploymentMode": mode, "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


KNATIVE = {"predictor": {"model": {"storageUri": "oci://new"}, "canaryTrafficPercent": 20}}
STANDARD = {
    "predictor": {
        "minReplicas": 4,
        "nodeSelector": {"pool": "old"},
        "model": {"storageUri": "oci://old", "args": ["x"]},
    },
    "canary": [
        {
            "trafficPercent": 10,
            "predictor": {"name": "canary-v4", "minReplicas": 1, "model": {"storageUri": "oci://new"}},
        }
    ],
}


def only_patch(live: dict[str, Any], action: Any) -> dict[str, Any]:
    (step,) = serving(live, action, HERE).steps
    assert isinstance(step, Patch)
    assert {row.kind for row in step.preconditions} == {"uid", "owned"}, "bound to this object and these fields"
    return merged(live, step.patch)["spec"]


def test_in_knative_mode_the_percentage_goes_or_becomes_nought():
    live = service(KNATIVE, mode="Knative")
    assert only_patch(live, "promote") == {"predictor": {"model": {"storageUri": "oci://new"}}}
    assert only_patch(live, "rollback")["predictor"]["canaryTrafficPercent"] == 0


def test_in_standard_mode_the_canary_takes_the_place_of_the_stable_one_with_its_replicas():
    promoted = only_patch(service(STANDARD), "promote")
    assert promoted == {"predictor": {"minReplicas": 4, "model": {"storageUri": "oci://new"}}}
    assert only_patch(service(STANDARD), "rollback") == {"predictor": STANDARD["predictor"]}


def test_a_canary_that_is_not_ready_is_promoted_only_with_a_danger_named():
    steered = serving(service(KNATIVE, ready=False, mode="Knative"), "promote", HERE)
    assert [risk.severity for risk in steered.risks] == ["danger"]


def test_a_canary_that_was_rolled_back_cannot_be_promoted():
    live = service({"predictor": {"canaryTrafficPercent": 0}}, mode="Knative")
    with pytest.raises(Conflict, match="rolled back"):
        serving(live, "promote", HERE)


def test_an_endpoint_without_a_canary_has_nothing_to_promote_or_pause():
    live = service({"predictor": {}})
    with pytest.raises(Conflict, match="no canary"):
        serving(live, "promote", HERE)
    with pytest.raises(InvalidInput, match="does not move by itself"):
        serving(live, "pause", HERE)


def test_cancelling_deletes_only_an_endpoint_that_this_operation_made_and_that_does_not_serve_yet():
    new = Moment("c1", "op-0123456789abcdef", created_here=True)
    (step,) = serving(service({"predictor": {}}, ready=False), "cancel", new).steps
    assert isinstance(step, Delete) and step.uid == "u"
    with pytest.raises(Conflict, match="serves"):
        serving(service({"predictor": {}}), "cancel", new)
    with pytest.raises(Conflict, match="before this operation"):
        serving(service({"predictor": {}}, ready=False), "cancel", HERE)
