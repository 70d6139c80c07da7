from __future__ import annotations

from .conftest import Sandbox

WANTED = {
    "kueue.x-k8s.io": {"v1beta2", "v1beta1"},
    "trainer.kubeflow.org": {"v1alpha1"},
    "serving.kserve.io": {"v1beta1", "v1alpha1", "v1alpha2"},
    "ray.io": {"v1"},
    "argoproj.io": {"v1alpha1"},
    "serving.knative.dev": {"v1"},
    "gateway.networking.k8s.io": {"v1"},
    "inference.networking.k8s.io": {"v1"},
    "keda.sh": {"v1alpha1"},
    "kustomize.toolkit.fluxcd.io": {"v1"},
    "source.toolkit.fluxcd.io": {"v1"},
    "jobset.x-k8s.io": {"v1alpha2"},
    "leaderworkerset.x-k8s.io": {"v1"},
    "edge.aiplatform.dev": {"v1alpha1"},
    "serving.aiplatform.dev": {"v1alpha1"},
    "resource.k8s.io": {"v1"},
    "apps": {"v1"},
    "policy": {"v1"},
}


def test_the_old_and_the_aggregated_discovery_agree(sandbox: Sandbox) -> None:
    assert sandbox.get("/api").json()["versions"] == ["v1"]
    groups = {group["name"]: group for group in sandbox.get("/apis").json()["groups"]}
    for name, versions in WANTED.items():
        assert versions <= {entry["version"] for entry in groups[name]["versions"]}, name
    accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"}
    told = sandbox.get("/apis", headers=accept)
    assert told.headers["content-type"] == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    for item in told.json()["items"]:
        name = item["metadata"]["name"]
        for version in item["versions"]:
            listed = sandbox.get(f"/apis/{name}/{version['version']}").json()["resources"]
            whole = {entry["name"]: entry["kind"] for entry in listed if "/" not in entry["name"]}
            assert whole == {entry["resource"]: entry["responseKind"]["kind"] for entry in version["resources"]}


def test_the_most_stable_version_is_preferred(sandbox: Sandbox) -> None:
    assert sandbox.get("/apis/kueue.x-k8s.io").json()["preferredVersion"]["version"] == "v1beta2"
    assert sandbox.get("/apis/serving.kserve.io").json()["preferredVersion"]["version"] == "v1beta1"


def test_every_listed_kind_can_be_listed(sandbox: Sandbox) -> None:
    for group in [{"versions": [{"groupVersion": "v1"}]}, *sandbox.get("/apis").json()["groups"]]:
        for version in group["versions"]:
            root = f"/apis/{version['groupVersion']}" if "/" in version["groupVersion"] else "/api/v1"
            for entry in sandbox.get(root).json()["resources"]:
                if "list" in entry["verbs"]:
                    found = sandbox.get(f"{root}/{entry['name']}")
                    assert found.status_code == 200, entry["name"]
                    assert found.json()["kind"] == entry["kind"] + "List"


def test_openapi_documents_hold_together(sandbox: Sandbox) -> None:
    paths = sandbox.get("/openapi/v3").json()["paths"]
    for path in ("api/v1", "apis/apps/v1", "apis/kueue.x-k8s.io/v1beta2", "apis/serving.kserve.io/v1beta1"):
        document = sandbox.get(paths[path]["serverRelativeURL"])
        schemas = document.json()["components"]["schemas"]
        used = {part.split('"')[0] for part in document.text.split("#/components/schemas/")[1:]}
        assert used <= schemas.keys()
        assert any("x-kubernetes-group-version-kind" in node for node in schemas.values())
    swagger = sandbox.get("/openapi/v2")
    used = {part.split('"')[0] for part in swagger.text.split("#/definitions/")[1:]}
    assert used <= swagger.json()["definitions"].keys()


def test_the_definitions_of_the_systems_are_listed(sandbox: Sandbox) -> None:
    crds = sandbox.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").json()["items"]
    names = {crd["metadata"]["name"] for crd in crds}
    assert {
        "clusterqueues.kueue.x-k8s.io",
        "edgerollouts.edge.aiplatform.dev",
        "inferenceservices.serving.kserve.io",
    } <= names
    assert all(crd["status"]["conditions"] for crd in crds)
