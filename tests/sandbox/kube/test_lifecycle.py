from __future__ import annotations

from typing import Any

import pytest

from .conftest import Sandbox


def config_map(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}}


def owner(obj: dict[str, Any], **more: Any) -> dict[str, Any]:
    meta = obj["metadata"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": meta["name"], "uid": meta["uid"], **more}


def test_a_finalizer_holds_an_object_until_it_is_taken_off(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    sandbox.post(path, config_map("a", finalizers=["x.dev/hold"]))
    held = sandbox.send("DELETE", f"{path}/a").json()
    assert held["metadata"]["deletionTimestamp"]
    late = sandbox.patch(f"{path}/a", {"metadata": {"finalizers": ["x.dev/hold", "x.dev/more"]}})
    assert late.status_code == 422
    assert "no new finalizers can be added if the object is being deleted" in late.json()["message"]
    sandbox.patch(f"{path}/a", {"metadata": {"finalizers": None}})
    assert sandbox.get(f"{path}/a").status_code == 404


def test_what_an_object_owns_goes_with_it(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    top = sandbox.post(path, config_map("top")).json()
    other = sandbox.post(path, config_map("other")).json()
    middle = sandbox.post(path, config_map("middle", ownerReferences=[owner(top)])).json()
    sandbox.post(path, config_map("leaf", ownerReferences=[owner(middle)]))
    sandbox.post(path, config_map("shared", ownerReferences=[owner(top), owner(other)]))
    sandbox.send("DELETE", f"{path}/top")
    assert sandbox.get(f"{path}/middle").status_code == 404
    assert sandbox.get(f"{path}/leaf").status_code == 404
    left = sandbox.get(f"{path}/shared").json()
    assert [entry["name"] for entry in left["metadata"]["ownerReferences"]] == ["other"]


def test_orphans_stay_and_forget_their_owner(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    top = sandbox.post(path, config_map("top")).json()
    sandbox.post(path, config_map("leaf", ownerReferences=[owner(top)]))
    sandbox.send("DELETE", f"{path}/top", {"propagationPolicy": "Orphan"})
    assert sandbox.get(f"{path}/top").status_code == 404
    assert "ownerReferences" not in sandbox.get(f"{path}/leaf").json()["metadata"]


def test_a_foreground_deletion_waits_for_what_blocks_it(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    top = sandbox.post(path, config_map("top")).json()
    reference = owner(top, blockOwnerDeletion=True)
    sandbox.post(path, config_map("leaf", ownerReferences=[reference], finalizers=["x.dev/hold"]))
    sandbox.send("DELETE", f"{path}/top", {"propagationPolicy": "Foreground"})
    assert sandbox.get(f"{path}/top").json()["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert sandbox.get(f"{path}/leaf").json()["metadata"]["deletionTimestamp"]
    sandbox.patch(f"{path}/leaf", {"metadata": {"finalizers": None}})
    assert sandbox.get(f"{path}/leaf").status_code == 404
    assert sandbox.get(f"{path}/top").status_code == 404


def test_an_object_whose_owner_is_gone_does_not_live(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    top = sandbox.post(path, config_map("top")).json()
    sandbox.send("DELETE", f"{path}/top")
    assert sandbox.post(path, config_map("late", ownerReferences=[owner(top)])).status_code == 201
    assert sandbox.get(f"{path}/late").status_code == 404


@pytest.mark.parametrize("held", [False, True])
def test_a_namespace_ends_when_its_content_has(sandbox: Sandbox, namespace: str, held: bool) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    sandbox.post(path, config_map("a", finalizers=["x.dev/hold"] if held else []))
    answer = sandbox.send("DELETE", f"/api/v1/namespaces/{namespace}").json()
    assert answer["status"]["phase"] == "Terminating"
    if held:
        refused = sandbox.post(path, config_map("b"))
        assert refused.status_code == 403
        assert "because it is being terminated" in refused.json()["message"]
        assert refused.json()["details"]["causes"][0]["reason"] == "NamespaceTerminating"
        sandbox.patch(f"{path}/a", {"metadata": {"finalizers": None}})
    assert sandbox.get(f"/api/v1/namespaces/{namespace}").status_code == 404
    assert sandbox.get(f"{path}/a").status_code == 404


def test_a_new_namespace_has_its_account_and_label(sandbox: Sandbox, namespace: str) -> None:
    assert sandbox.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default").status_code == 200
    labels = sandbox.get(f"/api/v1/namespaces/{namespace}").json()["metadata"]["labels"]
    assert labels == {"kubernetes.io/metadata.name": namespace}
