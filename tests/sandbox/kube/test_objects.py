from __future__ import annotations

import pytest

from .conftest import Sandbox, deployment, pod


def config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_a_created_object_gets_its_identity_and_reads_back_the_same(sandbox: Sandbox, namespace: str) -> None:
    made = sandbox.post(f"/api/v1/namespaces/{namespace}/configmaps", config_map("a", k="v"))
    assert made.status_code == 201
    body = made.json()
    assert {"uid", "resourceVersion", "creationTimestamp"} <= body["metadata"].keys()
    assert (body["kind"], body["apiVersion"]) == ("ConfigMap", "v1")
    assert sandbox.get(f"/api/v1/namespaces/{namespace}/configmaps/a").json() == body


def test_a_name_is_taken_only_once(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    sandbox.post(path, config_map("a"))
    again = sandbox.post(path, config_map("a"))
    assert again.status_code == 409
    assert again.json()["reason"] == "AlreadyExists"
    assert again.json()["message"] == 'configmaps "a" already exists'


def test_a_missing_object_is_a_status_with_details(sandbox: Sandbox, namespace: str) -> None:
    found = sandbox.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/none")
    assert found.status_code == 404
    assert found.json()["message"] == 'deployments.apps "none" not found'
    assert found.json()["details"] == {"name": "none", "group": "apps", "kind": "deployments"}


def test_a_missing_namespace_takes_no_objects(sandbox: Sandbox) -> None:
    made = sandbox.post("/api/v1/namespaces/nowhere/configmaps", config_map("a"))
    assert made.status_code == 404
    assert made.json()["message"] == 'namespaces "nowhere" not found'


def test_a_path_that_serves_nothing_is_404_and_a_verb_it_lacks_405(sandbox: Sandbox) -> None:
    assert sandbox.get("/apis/resource.k8s.io/v1beta1/deviceclasses").status_code == 404
    assert sandbox.get("/apis/serving.kubeflow.org/v1alpha2/inferenceservices").status_code == 404
    assert sandbox.send("PUT", "/api/v1/namespaces", {}).status_code == 405


def test_generate_name_makes_a_new_name_each_time(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    names = {sandbox.post(path, {"metadata": {"generateName": "x-"}}).json()["metadata"]["name"] for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("x-") and len(name) == 7 for name in names)


def test_a_put_replaces_everything_and_moves_the_version(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    old = sandbox.post(path, config_map("a", gone="1")).json()
    new = sandbox.send("PUT", f"{path}/a", config_map("a", kept="1")).json()
    assert new["data"] == {"kept": "1"}
    assert int(new["metadata"]["resourceVersion"]) > int(old["metadata"]["resourceVersion"])
    assert new["metadata"]["uid"] == old["metadata"]["uid"]


def test_a_write_that_changes_nothing_keeps_the_version(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    old = sandbox.post(path, config_map("a", k="1")).json()
    assert (
        sandbox.send("PUT", f"{path}/a", old).json()["metadata"]["resourceVersion"]
        == old["metadata"]["resourceVersion"]
    )


def test_a_stale_put_is_a_conflict(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    old = sandbox.post(path, config_map("a", k="1")).json()
    sandbox.send("PUT", f"{path}/a", config_map("a", k="2"))
    stale = sandbox.send("PUT", f"{path}/a", old | {"data": {"k": "3"}})
    assert stale.status_code == 409
    assert "the object has been modified; please apply your changes to the latest version" in stale.json()["message"]


def test_generation_counts_changes_of_the_spec_only(sandbox: Sandbox, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    assert sandbox.post(path, deployment()).json()["metadata"]["generation"] == 1
    labelled = sandbox.patch(f"{path}/web", {"metadata": {"labels": {"x": "y"}}}).json()
    assert labelled["metadata"]["generation"] == 1
    assert sandbox.patch(f"{path}/web", {"spec": {"replicas": 4}}).json()["metadata"]["generation"] == 2


def test_a_deployment_is_filled_in_as_clients_expect(sandbox: Sandbox, namespace: str) -> None:
    spec = sandbox.post(f"/apis/apps/v1/namespaces/{namespace}/deployments", deployment()).json()["spec"]
    assert spec["replicas"] == 1
    assert spec["revisionHistoryLimit"] == 10
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    template = spec["template"]["spec"]
    assert (template["restartPolicy"], template["dnsPolicy"]) == ("Always", "ClusterFirst")
    assert template["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_status_and_spec_have_doors_of_their_own(sandbox: Sandbox, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    body = deployment() | {"status": {"replicas": 9}}
    assert "replicas" not in sandbox.post(path, body).json().get("status", {})
    through_main = sandbox.patch(f"{path}/web", {"status": {"replicas": 9}}).json()
    assert "replicas" not in through_main.get("status", {})
    through_status = sandbox.patch(f"{path}/web/status", {"status": {"replicas": 3}, "spec": {"replicas": 7}}).json()
    assert through_status["status"]["replicas"] == 3
    assert through_status["spec"]["replicas"] == 1
    assert through_status["metadata"]["generation"] == 1


def test_scale_reads_and_writes_replicas(sandbox: Sandbox, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    sandbox.post(path, deployment(replicas=2))
    scale = sandbox.get(f"{path}/web/scale").json()
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == ("Scale", 2, "app=web")
    assert sandbox.send("PUT", f"{path}/web/scale", scale | {"spec": {"replicas": 5}}).json()["spec"]["replicas"] == 5
    assert sandbox.get(f"{path}/web").json()["spec"]["replicas"] == 5
    stale = sandbox.send("PUT", f"{path}/web/scale", scale | {"spec": {"replicas": 6}})
    assert stale.status_code == 409


@pytest.mark.parametrize("verb", ["create", "delete", "patch"])
def test_a_dry_run_answers_and_changes_nothing(sandbox: Sandbox, namespace: str, verb: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    before = sandbox.post(path, config_map("a", k="1")).json()
    dry = {"params": {"dryRun": "All"}}
    answers = {
        "create": lambda: sandbox.post(path, config_map("b"), **dry),
        "delete": lambda: sandbox.send("DELETE", f"{path}/a", **dry),
        "patch": lambda: sandbox.patch(f"{path}/a", {"data": {"k": "2"}}, **dry),
    }
    assert answers[verb]().status_code in (200, 201)
    assert sandbox.get(f"{path}/a").json() == before
    assert sandbox.get(f"{path}/b").status_code == 404


def test_a_deletion_with_a_wrong_uid_is_refused(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    sandbox.post(path, config_map("a"))
    refused = sandbox.send("DELETE", f"{path}/a", {"preconditions": {"uid": "other"}})
    assert refused.status_code == 409
    assert "Precondition failed: UID in precondition: other" in refused.json()["message"]


def test_deletecollection_takes_what_the_selector_names(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    for name, app in (("a", "x"), ("b", "x"), ("c", "y")):
        sandbox.post(path, pod(name, {"app": app}))
    gone = sandbox.send("DELETE", path, params={"labelSelector": "app=x"})
    assert gone.status_code == 200
    assert [item["metadata"]["name"] for item in sandbox.get(path).json()["items"]] == ["c"]


def test_secrets_keep_plain_text_as_base64(sandbox: Sandbox, namespace: str) -> None:
    body = {"metadata": {"name": "s"}, "stringData": {"k": "v"}}
    made = sandbox.post(f"/api/v1/namespaces/{namespace}/secrets", body).json()
    assert made["data"] == {"k": "dg=="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made


def test_a_pod_is_bound_once_and_its_log_is_text(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    sandbox.post(path, pod("a"))
    bound = sandbox.post(f"{path}/a/binding", {"target": {"kind": "Node", "name": "n1"}})
    assert bound.status_code == 201
    assert sandbox.get(f"{path}/a").json()["spec"]["nodeName"] == "n1"
    assert sandbox.post(f"{path}/a/binding", {"target": {"name": "n2"}}).status_code == 400
    told = sandbox.get(f"{path}/a/log")
    assert told.headers["content-type"].startswith("text/plain")


def test_yaml_is_read_and_written(sandbox: Sandbox, namespace: str) -> None:
    headers = {
        "Authorization": f"Bearer {sandbox.token}",
        "Content-Type": "application/yaml",
        "Accept": "application/yaml",
    }
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {k: v}\n"
    made = sandbox.http.post(f"/api/v1/namespaces/{namespace}/configmaps", content=text, headers=headers)
    assert made.status_code == 201
    assert made.text.startswith("apiVersion: v1") or "kind: ConfigMap" in made.text


def test_protobuf_that_is_not_spoken_is_said_so(sandbox: Sandbox) -> None:
    told = sandbox.get("/api/v1/nodes", headers={"Accept": "application/vnd.kubernetes.protobuf"})
    assert told.status_code == 406
    sent = sandbox.send("POST", "/api/v1/nodes", {"a": 1}, media="application/vnd.kubernetes.protobuf")
    assert sent.status_code == 415
