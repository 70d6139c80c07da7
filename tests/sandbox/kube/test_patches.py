from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.sandbox.kube import patches

from .conftest import Sandbox, deployment

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def test_a_merge_patch_removes_by_null(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    sandbox.post(path, {"metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}})
    assert sandbox.patch(f"{path}/a", {"data": {"x": None, "z": "3"}}).json()["data"] == {"y": "2", "z": "3"}


def test_a_merge_patch_with_a_stale_version_is_a_conflict(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    sandbox.post(path, {"metadata": {"name": "a"}})
    refused = sandbox.patch(f"{path}/a", {"metadata": {"resourceVersion": "1"}, "data": {"x": "1"}})
    assert refused.status_code == 409


def test_a_json_patch_does_its_operations_or_says_why_not(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    sandbox.post(path, {"metadata": {"name": "a"}, "data": {"x": "1"}})
    done = sandbox.patch(f"{path}/a", [{"op": "replace", "path": "/data/x", "value": "2"}], JSON)
    assert done.json()["data"] == {"x": "2"}
    failed = sandbox.patch(f"{path}/a", [{"op": "test", "path": "/data/x", "value": "9"}], JSON)
    assert failed.status_code == 422
    assert sandbox.patch(f"{path}/a", {"op": "add"}, JSON).status_code == 400


def test_a_strategic_patch_merges_containers_by_name(sandbox: Sandbox, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    sandbox.post(path, deployment())
    containers = [{"name": "side", "image": "side:1"}, {"name": "main", "env": [{"name": "A", "value": "1"}]}]
    change = {"spec": {"template": {"spec": {"containers": containers}}}}
    done = sandbox.patch(f"{path}/web", change, STRATEGIC).json()["spec"]["template"]["spec"]["containers"]
    assert {entry["name"]: entry["image"] for entry in done} == {"main": "nginx:1.29", "side": "side:1"}
    removed = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    left = sandbox.patch(f"{path}/web", removed, STRATEGIC).json()["spec"]["template"]["spec"]["containers"]
    assert [entry["name"] for entry in left] == ["main"]


def test_a_strategic_patch_adds_to_lists_of_plain_values(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    sandbox.post(path, {"metadata": {"name": "a", "finalizers": ["x.dev/one"]}})
    more = sandbox.patch(f"{path}/a", {"metadata": {"finalizers": ["x.dev/two"]}}, STRATEGIC).json()
    assert more["metadata"]["finalizers"] == ["x.dev/one", "x.dev/two"]
    less = sandbox.patch(f"{path}/a", {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.dev/one"]}}, STRATEGIC)
    assert less.json()["metadata"]["finalizers"] == ["x.dev/two"]


def test_custom_resources_take_no_strategic_patch(sandbox: Sandbox) -> None:
    path = "/apis/kueue.x-k8s.io/v1beta2/resourceflavors"
    sandbox.post(path, {"metadata": {"name": "plain"}, "spec": {}})
    refused = sandbox.patch(f"{path}/plain", {"metadata": {"labels": {"a": "b"}}}, STRATEGIC)
    assert refused.status_code == 415
    assert "application/apply-patch+yaml" in refused.json()["message"]


values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.integers(), st.text(max_size=3), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)
trees = st.dictionaries(st.sampled_from("abc"), values, max_size=3)
changes = st.dictionaries(st.sampled_from("abc"), st.one_of(st.none(), values), max_size=3)


@given(trees, changes)
def test_a_merge_patch_applied_twice_is_applied_once(tree: dict[str, Any], change: dict[str, Any]) -> None:
    once = patches.merge_patch(tree, change)
    assert patches.merge_patch(once, change) == once
    assert all(key not in once for key, value in change.items() if value is None)
