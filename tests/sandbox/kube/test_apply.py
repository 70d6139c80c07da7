from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ai_platform_mcp.sandbox.kube import ownership
from ai_platform_mcp.sandbox.kube.ownership import Manager, Ownership
from ai_platform_mcp.sandbox.kube.shape import FREE
from ai_platform_mcp.sandbox.kube.status import ApiError

from .conftest import Sandbox, deployment


def path_of(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/web"


def only(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def test_apply_creates_and_records_who_owns_what(sandbox: Sandbox, namespace: str) -> None:
    made = sandbox.apply(path_of(namespace), deployment(replicas=2), manager="team-a")
    assert made.status_code == 201
    [entry] = made.json()["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("team-a", "Apply", "apps/v1")
    containers = entry["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert containers == {'k:{"name":"main"}': {".": {}, "f:image": {}, "f:name": {}}}
    again = sandbox.apply(path_of(namespace), deployment(replicas=2), manager="team-a")
    assert again.status_code == 200
    assert again.json() == made.json()


def test_a_field_of_another_manager_is_a_conflict_that_names_both(sandbox: Sandbox, namespace: str) -> None:
    sandbox.apply(path_of(namespace), deployment(replicas=2), manager="team-a")
    refused = sandbox.apply(path_of(namespace), only(replicas=3), manager="team-b")
    assert refused.status_code == 409
    body = refused.json()
    assert body["message"] == 'Apply failed with 1 conflict: conflict with "team-a": .spec.replicas'
    expected = {"reason": "FieldManagerConflict", "message": 'conflict with "team-a"', "field": ".spec.replicas"}
    assert body["details"]["causes"] == [expected]
    assert sandbox.get(path_of(namespace)).json()["spec"]["replicas"] == 2


def test_conflicts_with_other_writes_name_the_version_and_time(sandbox: Sandbox, namespace: str) -> None:
    sandbox.apply(path_of(namespace), deployment(), manager="team-a")
    params = {"fieldManager": "hand"}
    sandbox.patch(path_of(namespace), {"spec": {"replicas": 8, "minReadySeconds": 3}}, params=params)
    refused = sandbox.apply(path_of(namespace), only(replicas=3, minReadySeconds=4), manager="team-a").json()
    assert refused["message"].startswith('Apply failed with 2 conflicts: conflicts with "hand" using apps/v1 at ')
    assert refused["message"].endswith(":\n- .spec.minReadySeconds\n- .spec.replicas")


def test_the_same_value_is_shared_and_force_takes_it(sandbox: Sandbox, namespace: str) -> None:
    sandbox.apply(path_of(namespace), deployment(replicas=2), manager="team-a")
    assert sandbox.apply(path_of(namespace), only(replicas=2), manager="team-b").status_code == 200
    forced = sandbox.apply(path_of(namespace), only(replicas=5), manager="team-b", force="true").json()
    assert forced["spec"]["replicas"] == 5
    owners = {entry["manager"]: entry["fieldsV1"] for entry in forced["metadata"]["managedFields"]}
    assert "f:replicas" in owners["team-b"]["f:spec"]
    assert "f:replicas" not in owners["team-a"]["f:spec"]


def test_what_is_left_out_goes_away_unless_somebody_else_has_it(sandbox: Sandbox, namespace: str) -> None:
    body = deployment(replicas=4) | {"metadata": {"name": "web", "labels": {"mine": "1", "shared": "1"}}}
    sandbox.apply(path_of(namespace), body, manager="team-a")
    shared = only() | {"metadata": {"name": "web", "labels": {"shared": "1"}}}
    sandbox.apply(path_of(namespace), shared, manager="team-b")
    left = sandbox.apply(path_of(namespace), deployment(), manager="team-a").json()
    assert left["metadata"]["labels"] == {"shared": "1"}
    assert left["spec"]["replicas"] == 1, "the default comes back when the owner lets go"


def test_list_items_are_owned_by_key(sandbox: Sandbox, namespace: str) -> None:
    sandbox.apply(path_of(namespace), deployment(), manager="team-a")
    side = only(template={"spec": {"containers": [{"name": "side", "image": "s:1"}]}})
    both = sandbox.apply(path_of(namespace), side, manager="team-b").json()["spec"]["template"]["spec"]["containers"]
    assert [entry["name"] for entry in both] == ["main", "side"]
    left = sandbox.apply(path_of(namespace), only(), manager="team-b").json()["spec"]["template"]["spec"]["containers"]
    assert [entry["name"] for entry in left] == ["main"]


def test_an_undeclared_field_is_the_real_servers_500(sandbox: Sandbox, namespace: str) -> None:
    refused = sandbox.apply(path_of(namespace), only(nonsense=1))
    assert refused.status_code == 500
    assert refused.json()["message"] == (
        f"failed to create typed patch object ({namespace}/web; apps/v1, Kind=Deployment): "
        ".spec.nonsense: field not declared in schema"
    )


def test_apply_needs_a_manager(sandbox: Sandbox, namespace: str) -> None:
    refused = sandbox.send("PATCH", path_of(namespace), only(), media="application/apply-patch+yaml")
    assert refused.status_code == 422
    assert "fieldManager: Required value: is required for apply patch" in refused.json()["message"]


def test_a_dry_run_of_apply_shows_the_result_and_keeps_nothing(sandbox: Sandbox, namespace: str) -> None:
    shown = sandbox.apply(path_of(namespace), deployment(replicas=2), dryRun="All")
    assert shown.json()["spec"]["strategy"]["type"] == "RollingUpdate"
    assert sandbox.get(path_of(namespace)).status_code == 404


def test_a_status_applied_through_its_door_is_owned_apart(sandbox: Sandbox, namespace: str) -> None:
    sandbox.apply(path_of(namespace), deployment(), manager="team-a")
    status = {"apiVersion": "apps/v1", "kind": "Deployment", "status": {"replicas": 2}}
    told = sandbox.apply(path_of(namespace) + "/status", status, manager="controller").json()
    assert told["status"]["replicas"] == 2
    entries = {(entry["manager"], entry.get("subresource")) for entry in told["metadata"]["managedFields"]}
    assert entries == {("team-a", None), ("controller", "status")}


fields = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 2), max_size=4)
steps = st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), fields, st.booleans()), min_size=1, max_size=12)


@settings(max_examples=40)
@given(steps)
def test_a_field_belongs_to_its_last_applier_and_is_never_stolen_without_force(steps: list[Any]) -> None:
    live: dict[str, Any] = {"metadata": {}}
    owners = Ownership()
    for name, config, force in steps:
        manager = Manager(name, "Apply", "v1")
        before = {other: paths for other, paths in owners.fields.items() if other != manager}
        live["metadata"]["managedFields"] = ownership.encode(owners, Ownership(), "t")
        try:
            result, after = ownership.apply(live, {"spec": config}, FREE, manager, force)
        except ApiError as refused:
            assert not force
            assert refused.code == 409
            for entry in refused.details["causes"]:
                field = entry["field"].removeprefix(".spec.")
                assert any(("f:spec", f"f:{field}") in paths for paths in before.values())
                assert live["spec"][field] != config[field]
            continue
        spec = result.get("spec") or {}
        mine = {path[1][2:] for path in after.fields[manager] if len(path) == 2}
        assert mine == set(config), "an applier owns exactly what it applied"
        assert {key: spec[key] for key in config} == config
        owned = {path[1][2:] for paths in after.fields.values() for path in paths if len(path) == 2}
        assert set(spec) == owned, "nothing lives that nobody owns"
        if not force:
            for other, paths in before.items():
                assert after.fields.get(other) == paths
        live, owners = {**result, "metadata": {}}, after
