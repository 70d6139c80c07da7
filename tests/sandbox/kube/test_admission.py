from __future__ import annotations

from typing import Any

from .conftest import Sandbox, deployment, pod

VAP = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
VAPB = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"


def test_a_quota_refuses_what_would_exceed_it_and_tells_its_use(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1", "count/deployments.apps": "1"}}}
    sandbox.post(f"{path}/resourcequotas", quota)
    assert sandbox.post(f"{path}/pods", pod("a")).status_code == 201
    refused = sandbox.post(f"{path}/pods", pod("b"))
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'pods "b" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
    )
    assert sandbox.get(f"{path}/resourcequotas/q").json()["status"]["used"]["pods"] == "1"
    dry = sandbox.post(f"{path}/pods", pod("b"), params={"dryRun": "All"})
    assert dry.status_code == 403
    sandbox.send("DELETE", f"{path}/pods/a")
    assert sandbox.post(f"{path}/pods", pod("b")).status_code == 201


def test_a_quota_of_gpus_adds_up_requests(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    sandbox.post(
        f"{path}/resourcequotas", {"metadata": {"name": "g"}, "spec": {"hard": {"requests.nvidia.com/gpu": "8"}}}
    )

    def asking(name: str, gpus: int) -> dict[str, Any]:
        body = pod(name)
        body["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
        return body

    assert sandbox.post(f"{path}/pods", asking("a", 6)).status_code == 201
    refused = sandbox.post(f"{path}/pods", asking("b", 4)).json()
    assert "requested: requests.nvidia.com/gpu=4, used: requests.nvidia.com/gpu=6, limited:" in refused["message"]


def test_a_policy_in_cel_denies_with_its_message(sandbox: Sandbox, namespace: str) -> None:
    rules = [
        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}
    ]
    validations = [
        {
            "expression": "object.spec.replicas <= variables.most",
            "messageExpression": "'at most ' + string(variables.most)",
        }
    ]
    policy = {
        "metadata": {"name": "small"},
        "spec": {
            "matchConstraints": {"resourceRules": rules},
            "variables": [{"name": "most", "expression": "2 + 3"}],
            "validations": validations,
        },
    }
    only_here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": "small", "validationActions": ["Deny"], "matchResources": only_here}
    assert sandbox.post(VAP, policy).status_code == 201
    assert sandbox.post(VAPB, {"metadata": {"name": "small-here"}, "spec": binding}).status_code == 201
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    refused = sandbox.post(path, deployment(replicas=9))
    assert refused.status_code == 422
    assert refused.json()["message"] == (
        "deployments.apps \"web\" is forbidden: ValidatingAdmissionPolicy 'small' with binding 'small-here' "
        "denied request: at most 5"
    )
    assert sandbox.post(path, deployment(replicas=3)).status_code == 201
    assert sandbox.patch(f"{path}/web", {"spec": {"replicas": 6}}).status_code == 422
    assert sandbox.post("/apis/apps/v1/namespaces/default/deployments", deployment(replicas=9)).status_code == 201


def test_a_policy_that_errors_fails_closed_unless_it_says_ignore(sandbox: Sandbox, namespace: str) -> None:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]
    spec = {
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": "object.nothing.there == 1"}],
    }
    only_here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    sandbox.post(VAP, {"metadata": {"name": "broken"}, "spec": spec})
    bound = {"policyName": "broken", "validationActions": ["Deny"], "matchResources": only_here}
    sandbox.post(VAPB, {"metadata": {"name": "broken"}, "spec": bound})
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    refused = sandbox.post(path, {"metadata": {"name": "a"}})
    assert refused.status_code == 422
    assert "resulted in error" in refused.json()["message"]
    sandbox.patch(f"{VAP}/broken", {"spec": {"failurePolicy": "Ignore"}})
    assert sandbox.post(path, {"metadata": {"name": "a"}}).status_code == 201


def test_an_eviction_honours_the_budget(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    for name in ("a", "b"):
        sandbox.post(path, pod(name, {"app": "db"}))
        ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
        sandbox.patch(f"{path}/{name}/status", ready)
    budget = {"metadata": {"name": "db"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "db"}}}}
    sandbox.post(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets", budget)
    wish = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}
    assert sandbox.post(f"{path}/a/eviction", wish | {"deleteOptions": {"dryRun": ["All"]}}).status_code == 201
    assert sandbox.get(f"{path}/a").status_code == 200
    assert sandbox.post(f"{path}/a/eviction", wish).status_code == 201
    assert sandbox.get(f"{path}/a").status_code == 404
    refused = sandbox.post(f"{path}/b/eviction", wish)
    assert refused.status_code == 429
    assert refused.json()["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refused.json()["details"]["causes"] == [
        {"reason": "DisruptionBudget", "message": "The disruption budget db needs 1 healthy pods and has 1 currently"}
    ]


def test_a_definition_is_served_as_soon_as_it_is_made(sandbox: Sandbox, namespace: str) -> None:
    names = {"plural": "lamps", "singular": "lamp", "kind": "Lamp", "shortNames": ["lp"]}
    colour = {"type": "string", "enum": ["red", "green"]}
    spec_schema = {"type": "object", "required": ["colour"], "properties": {"colour": colour}}
    schema = {"type": "object", "properties": {"spec": spec_schema, "status": {"type": "object"}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    version["subresources"] = {"status": {}}
    crd = {
        "metadata": {"name": "lamps.example.dev"},
        "spec": {"group": "example.dev", "names": names, "scope": "Namespaced", "versions": [version]},
    }
    made = sandbox.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    assert made.status_code == 201, made.text
    assert {c["type"] for c in made.json()["status"]["conditions"]} == {"Established", "NamesAccepted"}
    path = f"/apis/example.dev/v1/namespaces/{namespace}/lamps"
    refused = sandbox.post(path, {"metadata": {"name": "a"}, "spec": {"colour": "blue"}})
    assert refused.status_code == 422
    assert "spec.colour: Unsupported value" in refused.json()["message"]
    taken = sandbox.post(path, {"metadata": {"name": "a"}, "spec": {"colour": "red", "watt": 5}})
    assert taken.json()["spec"] == {"colour": "red"}, "what the schema does not know is pruned"
    sandbox.send("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/lamps.example.dev")
    assert sandbox.get(path).status_code == 404
