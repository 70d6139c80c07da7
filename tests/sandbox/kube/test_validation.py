"""The verdicts of a real 1.36 server with the released CRDs, on the objects tried there."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Sandbox, deployment

STRICT = {"fieldValidation": "Strict"}


def create(sandbox: Sandbox, path: str, spec: dict[str, Any], name: str = "x", **params: str) -> Any:
    body = {"metadata": {"name": name}, "spec": spec}
    return sandbox.post(path, body, params=STRICT | params | {"dryRun": "All"})


PREDICTOR = {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://m/1"}}
ISVC = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"
QUEUE = "/apis/kueue.x-k8s.io/v1beta2/clusterqueues"
CLAIM = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaimtemplates"
SERVICE = "/api/v1/namespaces/default/services"
ONE_PORT = {"ports": [{"port": 80}], "selector": {"a": "b"}}


@pytest.mark.parametrize(
    ("path", "spec", "unknown"),
    [
        (ISVC, {"predictor": PREDICTOR, "canaryTrafficPercent": 10}, "spec.canaryTrafficPercent"),
        (
            ISVC,
            {"predictor": {"model": PREDICTOR["model"] | {"nodeSelector": {"a": "b"}}}},
            "spec.predictor.model.nodeSelector",
        ),
        (ISVC, {"predictor": PREDICTOR, "nodeSelector": {"a": "b"}}, "spec.nodeSelector"),
        (QUEUE, {"cohort": "all"}, "spec.cohort"),
        (SERVICE, ONE_PORT | {"topologyKeys": ["*"]}, "spec.topologyKeys"),
        (
            CLAIM,
            {"spec": {"devices": {"requests": [{"name": "gpu", "deviceClassName": "gpu.nvidia.com"}]}}},
            "spec.spec.devices.requests[0].deviceClassName",
        ),
    ],
)
def test_fields_that_are_not_there_any_more_are_refused_by_name(
    sandbox: Sandbox, path: str, spec: dict[str, Any], unknown: str
) -> None:
    refused = create(sandbox, path, spec)
    assert refused.status_code == 400
    assert f'strict decoding error: unknown field "{unknown}"' in refused.json()["message"]
    assert refused.json()["message"].split(" in version ")[0] in (
        "InferenceService",
        "ClusterQueue",
        "Service",
        "ResourceClaimTemplate",
    )


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        (ISVC, {"predictor": PREDICTOR | {"canaryTrafficPercent": 10, "nodeSelector": {"a": "b"}}}),
        (QUEUE, {"cohortName": "all", "namespaceSelector": {}}),
        (CLAIM, {"spec": {"devices": {"requests": [{"name": "g", "exactly": {"deviceClassName": "gpu.nvidia.com"}}]}}}),
        (SERVICE, ONE_PORT | {"trafficDistribution": "PreferSameNode"}),
    ],
)
def test_todays_forms_are_taken(sandbox: Sandbox, path: str, spec: dict[str, Any]) -> None:
    assert create(sandbox, path, spec).status_code == 201, create(sandbox, path, spec).text


def test_an_unsupported_traffic_distribution_lists_the_supported_ones(sandbox: Sandbox) -> None:
    refused = create(sandbox, SERVICE, ONE_PORT | {"trafficDistribution": "Bogus"}, name="svc-bogus")
    assert refused.status_code == 422
    assert refused.json()["message"] == (
        'Service "svc-bogus" is invalid: spec.trafficDistribution: Unsupported value: "Bogus": '
        'supported values: "PreferClose", "PreferSameZone", "PreferSameNode"'
    )


def test_deprecations_warn(sandbox: Sandbox) -> None:
    told = create(sandbox, SERVICE, ONE_PORT | {"trafficDistribution": "PreferClose"})
    warning = '299 - "spec.trafficDistribution: \\"PreferClose\\" is deprecated; use \\"PreferSameZone\\""'
    assert (told.status_code, told.headers["warning"]) == (201, warning)
    old = sandbox.get("/apis/kueue.x-k8s.io/v1beta1/clusterqueues")
    assert old.headers["warning"] == '299 - "This version is deprecated. Use v1beta2 instead."'


def test_unknown_fields_warn_or_pass_in_silence_and_are_dropped(sandbox: Sandbox, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    body = deployment()
    body["spec"]["replicaz"] = 3
    warned = sandbox.post(path, body, params={"fieldValidation": "Warn"})
    assert warned.headers["warning"] == '299 - "unknown field \\"spec.replicaz\\""'
    assert "replicaz" not in warned.json()["spec"]
    body["metadata"]["name"] = "two"
    silent = sandbox.post(path, body, params={"fieldValidation": "Ignore"})
    assert (silent.status_code, "warning" in silent.headers) == (201, False)


def test_a_wrong_type_is_400_for_built_in_kinds_and_422_for_custom_ones(sandbox: Sandbox) -> None:
    body = deployment(replicas="three")  # type: ignore[arg-type]
    refused = sandbox.post("/apis/apps/v1/namespaces/default/deployments", body)
    assert refused.status_code == 400
    assert "cannot be handled as a Deployment" in refused.json()["message"]
    custom = create(sandbox, QUEUE, {"cohortName": 3})
    assert custom.status_code == 422
    assert custom.json()["details"]["causes"][0]["field"] == "spec.cohortName"


def test_bad_names_and_labels_are_422_with_their_causes(sandbox: Sandbox) -> None:
    body = {"metadata": {"name": "Bad_Name", "labels": {"a": "b c"}}}
    refused = sandbox.post("/api/v1/namespaces/default/configmaps", body).json()
    assert (refused["code"], refused["reason"]) == (422, "Invalid")
    assert [cause["field"] for cause in refused["details"]["causes"]] == ["metadata.name", "metadata.labels"]
    nameless = sandbox.post("/api/v1/namespaces/default/configmaps", {"metadata": {}}).json()
    assert "metadata.name: Required value: name or generateName is required" in nameless["message"]


def test_a_selector_stays_and_fits_its_template(sandbox: Sandbox, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    wrong = deployment()
    wrong["spec"]["selector"]["matchLabels"] = {"app": "other"}
    assert "`selector` does not match template `labels`" in sandbox.post(path, wrong).json()["message"]
    sandbox.post(path, deployment())
    moved = sandbox.patch(f"{path}/web", {"spec": {"selector": {"matchLabels": {"app": "new"}}}})
    assert moved.status_code == 422
    assert "field is immutable" in moved.json()["message"]


def test_the_old_kueue_version_converts_both_ways(sandbox: Sandbox) -> None:
    old = "/apis/kueue.x-k8s.io/v1beta1/clusterqueues"
    spec = {"cohort": "all", "namespaceSelector": {}, "flavorFungibility": {"whenCanBorrow": "Borrow"}}
    assert sandbox.post(old, {"metadata": {"name": "cq"}, "spec": spec}).status_code == 201
    new = sandbox.get(f"{QUEUE}/cq").json()
    assert new["spec"]["cohortName"] == "all"
    assert new["spec"]["flavorFungibility"]["whenCanBorrow"] == "MayStopSearch"
    back = sandbox.get(f"{old}/cq").json()
    assert (back["apiVersion"], back["spec"]["cohort"]) == ("kueue.x-k8s.io/v1beta1", "all")


def test_events_are_one_thing_in_two_groups(sandbox: Sandbox, namespace: str) -> None:
    event = {
        "metadata": {"name": "e1"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": namespace},
        "reason": "Started",
        "message": "hello",
        "type": "Normal",
    }
    assert sandbox.post(f"/api/v1/namespaces/{namespace}/events", event).status_code == 201
    seen = sandbox.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events/e1").json()
    assert (seen["note"], seen["regarding"]["name"]) == ("hello", "p")
    options = {"fieldSelector": "involvedObject.name=p,involvedObject.kind=Pod"}
    assert len(sandbox.get(f"/api/v1/namespaces/{namespace}/events", params=options).json()["items"]) == 1
