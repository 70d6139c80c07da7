"""Kubernetes objects as plain JSON: quantities, what we own, and how two objects differ."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.plan import Apply, Patch
from ai_platform_mcp.domain.objects import (
    at_pointer,
    contains,
    diff_objects,
    differences,
    owned_digest,
    owned_fields,
    preconditions,
    quantity,
    step_digest,
    whole,
)

LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab/~", max_size=3)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3)
)
OBJECTS = st.dictionaries(st.text("ab/~", max_size=2), JSON, max_size=4)


def live(**changes: Any) -> dict[str, Any]:
    owned = {"f:metadata": {"f:annotations": {"f:aiplatform.dev/operation": {}}}}
    fields = {"f:spec": {"f:replicas": {}, "f:ports": {'k:{"port":80}': {".": {}, "f:name": {}}}}, **owned}
    return {
        "apiVersion": "v1",
        "kind": "Thing",
        "metadata": {
            "name": "x",
            "uid": "u-1",
            "resourceVersion": "5",
            "annotations": {"aiplatform.dev/operation": "op-1"},
            "managedFields": [
                {"manager": "ai-platform-mcp", "operation": "Apply", "fieldsV1": fields},
                {"manager": "other", "operation": "Update", "fieldsV1": {"f:spec": {"f:image": {}}}},
            ],
        },
        "spec": {"replicas": 2, "image": "a", "ports": [{"port": 80, "name": "web"}, {"port": 81, "name": "theirs"}]},
        "status": {"ready": 1},
        **changes,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", "0.5"), ("2Gi", "2147483648"), ("1e3", "1000"), ("8", "8"), (8, "8"), ("1.5k", "1500"), ("-2", "-2")],
)
def test_quantities_read_as_kubernetes_writes_them(text: Any, value: str) -> None:
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "Gi", "1x", "NaN", "Infinity", "1 000"])
def test_what_is_no_quantity_is_refused_and_counts_as_no_device(text: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes quantity"):
        quantity(text)
    assert whole(text) == 0


def test_we_own_what_managed_fields_say_less_our_stamp() -> None:
    assert owned_fields(live()) == {"metadata": {}, "spec": {"replicas": 2, "ports": [{"port": 80, "name": "web"}]}}
    assert owned_fields(live(), "other") == {"spec": {"image": "a"}}


@pytest.mark.parametrize(
    ("changes", "moves"),
    [
        ({"status": {"ready": 2}}, False),
        ({"spec": {**live()["spec"], "image": "b"}}, False),
        ({"spec": {**live()["spec"], "replicas": 3}}, True),
    ],
    ids=["status", "another manager's field", "our field"],
)
def test_the_owned_digest_moves_with_our_fields_only(changes: dict[str, Any], moves: bool) -> None:
    assert (owned_digest(live(**changes)) != owned_digest(live())) is moves


def test_the_digest_of_a_step_covers_what_it_replaces_even_if_another_owns_it() -> None:
    other = live(spec={**live()["spec"], "image": "b"})
    manifest = {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": {"image": "c"}}
    apply = Apply(title="a", cluster="c", manifest=manifest)
    patch = Patch(
        title="p",
        cluster="c",
        ref={"api_version": "v1", "kind": "Thing", "name": "x"},
        patch={"spec": {"image": "c"}},  # type: ignore[arg-type]
    )
    for step in (apply, patch):
        assert step_digest(step, live()) != step_digest(step, other)
        assert step_digest(step, live()) == step_digest(step, live(status={}))
        assert {row.kind for row in preconditions(step, live())} == {"uid", "owned"}
        assert [row.kind for row in preconditions(step, None)] == ["absent"]


def test_a_diff_leaves_out_what_servers_fill_in_and_counts_what_it_does_not_show() -> None:
    later = live(status={"ready": 9})
    later["metadata"] = {**later["metadata"], "resourceVersion": "6", "generation": 3}
    assert diff_objects(live(), later).action == "none"
    many = diff_objects(live(), live(spec={f"k{number}": number for number in range(60)}))
    assert (len(many.changes), many.omitted) == (40, 23)
    assert diff_objects(None, live()).action == "create"
    assert diff_objects(live(), None).action == "delete"


@given(OBJECTS, OBJECTS)
def test_differences_name_every_place_and_value_that_differs(before: dict[str, Any], after: dict[str, Any]) -> None:
    changes = differences(before, after)
    for change in changes:
        assert at_pointer(before, change.path) == change.before or change.before == {}
        assert at_pointer(after, change.path) == change.after
    if not changes:
        assert _bare(before) == _bare(after)


@given(OBJECTS)
def test_an_object_contains_itself_and_not_itself_with_a_further_field(found: dict[str, Any]) -> None:
    assert contains(found, _bare(found))
    assert not contains(found, {**_bare(found), "further": 1})


def _bare(value: Any) -> Any:
    """Return the value without nulls and without objects that hold nothing else: Kubernetes drops both."""
    if isinstance(value, dict):
        kept = {key: _bare(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None and item != {}}
    return value
