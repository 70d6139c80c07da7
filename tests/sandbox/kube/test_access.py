from __future__ import annotations

import stat

import pytest

from .conftest import Sandbox, pod

SSAR = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def viewer(sandbox: Sandbox) -> str:
    token = sandbox.run(sandbox.access.add_user("vera", ("viewers",)))
    subject = {"kind": "Group", "name": "viewers"}
    binding = {
        "metadata": {"name": "viewers"},
        "subjects": [subject],
        "roleRef": {"kind": "ClusterRole", "name": "view"},
    }
    assert sandbox.post(f"{RBAC}/clusterrolebindings", binding).status_code == 201
    return token


@pytest.mark.parametrize("header", ["", "Bearer nonsense", "Basic YTpi"])
def test_nobody_gets_in_without_a_token(sandbox: Sandbox, header: str) -> None:
    told = sandbox.http.get("/api/v1/pods", headers={"Authorization": header} if header else {})
    assert told.status_code == 401
    assert (told.json()["reason"], told.json()["message"]) == ("Unauthorized", "Unauthorized")


def test_health_and_version_are_open(sandbox: Sandbox) -> None:
    assert [sandbox.http.get(path).status_code for path in ("/healthz", "/livez", "/readyz")] == [200] * 3
    assert sandbox.http.get("/version/").json()["minor"] == "36"


def test_the_kubeconfig_is_for_its_owner_only(sandbox: Sandbox) -> None:
    assert stat.S_IMODE(sandbox.kubeconfig.stat().st_mode) == 0o600


def test_a_role_allows_what_it_lists_and_the_rest_is_refused_in_words(sandbox: Sandbox, viewer: str) -> None:
    assert sandbox.get("/api/v1/namespaces/default/pods", token=viewer).status_code == 200
    refused = sandbox.post("/api/v1/namespaces/default/pods", pod("a"), token=viewer)
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'pods is forbidden: User "vera" cannot create resource "pods" in API group "" in the namespace "default"'
    )
    cluster = sandbox.get("/api/v1/nodes/n1", token=viewer)
    assert cluster.json()["message"] == (
        'nodes "n1" is forbidden: User "vera" cannot get resource "nodes" in API group "" at the cluster scope'
    )


def test_access_reviews_tell_what_would_happen(sandbox: Sandbox, viewer: str) -> None:
    def may(verb: str, token: str | None = None) -> bool:
        asked = {"resourceAttributes": {"verb": verb, "resource": "pods", "namespace": "default"}}
        return sandbox.post(SSAR, {"spec": asked}, token=token).json()["status"]["allowed"]

    assert (may("list", viewer), may("create", viewer), may("create")) == (True, False, True)
    asked = {"user": "nobody", "resourceAttributes": {"verb": "list", "resource": "pods"}}
    told = sandbox.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": asked})
    assert (told.status_code, told.json()["status"]["allowed"]) == (201, False)
    rules = sandbox.post(
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": "default"}}, token=viewer
    )
    assert any("pods" in rule["resources"] for rule in rules.json()["status"]["resourceRules"])


def test_impersonation_is_for_those_who_may(sandbox: Sandbox, viewer: str) -> None:
    headers = {"Impersonate-User": "nobody"}
    assert sandbox.get("/api/v1/namespaces/default/pods", headers=headers).status_code == 403
    as_viewer = {"Impersonate-User": "someone", "Impersonate-Group": "viewers"}
    assert sandbox.get("/api/v1/namespaces/default/pods", headers=as_viewer).status_code == 200
    refused = sandbox.get("/api/v1/namespaces/default/pods", headers=headers, token=viewer)
    assert refused.status_code == 403
    assert 'cannot impersonate resource "users"' in refused.json()["message"]


def test_an_impersonated_user_has_the_uid_and_extras_that_were_asked_for_and_each_is_granted_by_itself(
    sandbox: Sandbox,
) -> None:
    headers = {"Impersonate-User": "ada", "Impersonate-Uid": "u-1", "Impersonate-Extra-example.org%2Fissuer": "x"}
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    seen = sandbox.post(review, {}, headers=headers).json()["status"]["userInfo"]
    assert (seen["username"], seen["uid"], seen["extra"]) == ("ada", "u-1", {"example.org/issuer": ["x"]})
    gate = sandbox.run(sandbox.access.add_user("gate", ("gates",)))
    rules = [{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}]
    sandbox.post(f"{RBAC}/clusterroles", {"metadata": {"name": "gate"}, "rules": rules})
    subjects = [{"kind": "User", "name": "gate"}]
    role = {"kind": "ClusterRole", "name": "gate"}
    sandbox.post(f"{RBAC}/clusterrolebindings", {"metadata": {"name": "gate"}, "subjects": subjects, "roleRef": role})
    assert sandbox.post(review, {}, token=gate, headers={"Impersonate-User": "ada"}).status_code == 201
    refused = sandbox.post(review, {}, token=gate, headers=headers)
    assert 'cannot impersonate resource "uids"' in refused.json()["message"]
    assert sandbox.post(review, {}, headers={"Impersonate-Uid": "u-1"}).status_code == 500


def test_a_service_account_works_with_its_token_until_it_ends(sandbox: Sandbox, namespace: str) -> None:
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
    issued = sandbox.post(f"{account}/token", {"spec": {"expirationSeconds": 600}})
    assert issued.status_code == 201
    token = issued.json()["status"]["token"]
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    assert sandbox.get(path, token=token).status_code == 403
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    role = {"kind": "ClusterRole", "name": "edit"}
    sandbox.post(
        f"{RBAC}/namespaces/{namespace}/rolebindings",
        {"metadata": {"name": "e"}, "subjects": [subject], "roleRef": role},
    )
    assert sandbox.get(path, token=token).status_code == 200
    assert sandbox.get("/api/v1/namespaces/default/configmaps", token=token).status_code == 403
    review = sandbox.post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token}}).json()
    assert review["status"]["user"]["username"] == f"system:serviceaccount:{namespace}:default"
    elsewhere = sandbox.post(f"{account}/token", {"spec": {"audiences": ["https://other.example"]}})
    assert sandbox.get(path, token=elsewhere.json()["status"]["token"]).status_code == 401
    sandbox.clock.advance(seconds=601)
    assert sandbox.get(path, token=token).status_code == 401


def test_whoami_answers(sandbox: Sandbox, viewer: str) -> None:
    told = sandbox.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, token=viewer).json()
    assert told["status"]["userInfo"] == {"username": "vera", "groups": ["viewers", "system:authenticated"]}
