"""Built-in kinds: verdicts seen on a real API server, list rules, the server's words."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.sandbox.kube.schema import FieldError, ListRule, Schema, kinds, schema_for, schema_from_crd


def schema(api_version: str, kind: str) -> Schema:
    found = schema_for(api_version, kind)
    assert found is not None
    return found


def requests(request: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "one-gpu"}, "spec": {"spec": {"devices": {"requests": [request]}}}}


def test_fields_of_older_apis_are_unknown_as_on_a_real_server() -> None:
    service = {"metadata": {"name": "a"}, "spec": {"topologyKeys": ["zone"], "trafficDistribution": "PreferSameZone"}}
    assert schema("v1", "Service").unknown_fields(service) == ["spec.topologyKeys"]
    pod = {"spec": {"containers": [], "resourceClaims": [{"name": "gpu", "source": {"resourceClaimName": "a"}}]}}
    assert schema("v1", "Pod").unknown_fields(pod) == ["spec.resourceClaims[0].source"]
    template = schema("resource.k8s.io/v1", "ResourceClaimTemplate")
    flat = requests({"name": "gpu", "deviceClassName": "gpu.nvidia.com"})
    assert template.unknown_fields(flat) == ["spec.spec.devices.requests[0].deviceClassName"]
    exact = requests({"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com"}})
    assert (template.unknown_fields(exact), template.errors(exact)) == ([], [])


def test_every_kind_of_the_catalogue_has_a_schema_and_unknown_ones_have_none() -> None:
    for info in kinds():
        found = schema(info.api_version, info.kind)
        assert found.info == info
        assert (
            found.unknown_fields({"apiVersion": info.api_version, "kind": info.kind, "metadata": {"name": "a"}}) == []
        )
    assert schema_for("v1", "Nothing") is None
    assert schema_for("../core/v1", "Pod") is None
    assert schema_for("kueue.x-k8s.io/v1", "ClusterQueue") is None


def test_a_deprecated_version_carries_the_servers_warning() -> None:
    info = schema("kueue.x-k8s.io/v1beta1", "ClusterQueue").info
    assert info is not None and info.warning is not None and "v1beta2" in info.warning
    current = schema("kueue.x-k8s.io/v1beta2", "ClusterQueue").info
    assert current is not None and current.warning is None and current.storage


@pytest.mark.parametrize(
    ("path", "merge", "rule"),
    [
        (["spec", "template", "spec", "containers"], "name", ListRule("map", ("name",))),
        (
            ["spec", "template", "spec", "containers", 0, "ports"],
            "containerPort",
            ListRule("map", ("containerPort", "protocol")),
        ),
        (["spec", "template", "spec", "containers", 0, "env"], "name", ListRule("map", ("name",))),
        (["spec", "template", "spec", "containers", 0, "volumeMounts"], "mountPath", ListRule("map", ("mountPath",))),
        (["spec", "template", "spec", "containers", 0, "args"], None, ListRule("atomic")),
        (["spec", "template", "spec", "tolerations"], None, ListRule("atomic")),
        (["spec", "template", "spec", "imagePullSecrets"], "name", ListRule("map", ("name",))),
        (["spec", "template", "spec", "hostAliases"], "ip", ListRule("map", ("ip",))),
        (["status", "conditions"], "type", ListRule("map", ("type",))),
        (["metadata", "ownerReferences"], "uid", ListRule("map", ("uid",))),
        (["metadata", "finalizers"], "", ListRule("set")),
    ],
)
def test_lists_merge_by_the_keys_of_the_api_reference(path: list[str | int], merge: str | None, rule: ListRule) -> None:
    deployment = schema("apps/v1", "Deployment")
    assert (deployment.merge_keys(path), deployment.list_rule(path)) == (merge, rule)


def test_service_ports_merge_by_port_and_are_owned_by_port_and_protocol() -> None:
    service = schema("v1", "Service")
    assert service.merge_keys(["spec", "ports"]) == "port"
    assert service.list_rule(["spec", "ports"]) == ListRule("map", ("port", "protocol"))
    assert service.atomic_map(["spec", "selector"])


def test_errors_are_told_in_the_servers_words() -> None:
    pod = {"spec": {"restartPolicy": "Sometimes", "containers": [{"image": "a", "ports": [{"containerPort": "web"}]}]}}
    assert schema("v1", "Pod").errors(pod) == [
        FieldError("spec.containers[0].name", "FieldValueRequired", "Required value"),
        FieldError(
            "spec.containers[0].ports[0].containerPort",
            "FieldValueTypeInvalid",
            'Invalid value: "string": spec.containers[0].ports[0].containerPort in body must be of type integer: "string"',
            "string",
        ),
        FieldError(
            "spec.restartPolicy",
            "FieldValueNotSupported",
            'Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
            "Sometimes",
        ),
    ]


def test_a_null_is_absent_in_a_built_in_kind_and_wrong_in_a_custom_one() -> None:
    assert schema("v1", "Pod").errors({"spec": {"containers": [{"name": "a", "image": None}]}}) == []
    queue = {"spec": {"clusterQueue": None}}
    assert [e.path for e in schema("kueue.x-k8s.io/v1beta2", "LocalQueue").errors(queue)] == ["spec.clusterQueue"]


def test_defaults_fill_what_is_absent_and_leave_what_is_given() -> None:
    given = {"spec": {"selector": {}, "strategy": {"type": "Recreate"}, "template": {"spec": {"containers": [{}]}}}}
    filled = schema("apps/v1", "Deployment").default(given)
    assert filled["spec"]["replicas"] == 1
    assert filled["spec"]["strategy"] == {"type": "Recreate"}
    assert filled["spec"]["template"]["spec"]["dnsPolicy"] == "ClusterFirst"
    assert given["spec"].get("replicas") is None


def test_a_crd_of_a_user_is_judged_like_any_other() -> None:
    made = schema_from_crd(
        {
            "name": "v1",
            "schema": {
                "openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "required": ["size"],
                            "properties": {
                                "size": {"type": "integer", "minimum": 1, "default": 3},
                                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            },
                        }
                    },
                }
            },
        }
    )
    bad = {
        "metadata": {"name": "a", "nick": "b"},
        "spec": {"size": 0, "tags": ["a", "a"], "free": {"x": 1}, "bogus": 1},
    }
    assert made.unknown_fields(bad) == ["metadata.nick", "spec.bogus"]
    assert [(e.path, e.reason) for e in made.errors(bad)] == [
        ("spec.size", "FieldValueInvalid"),
        ("spec.tags[1]", "FieldValueDuplicate"),
    ]
    assert made.default({"spec": {}}) == {"spec": {"size": 3}}
    assert made.list_rule(["spec", "tags"]) == ListRule("set")
    assert schema_from_crd({"name": "v1"}).unknown_fields({"anything": {"goes": 1}}) == []


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("^a$", "a\n", False),
        ("^a$", "a", True),
        ("^(?i)a$", "A", True),
        ("^[$|]+$", "$|", True),
        ("^[$|]+$", "a", False),
        (r"^\pL+$", "anything", True),  # Go's engine alone knows this class
    ],
)
def test_patterns_are_read_as_go_reads_them(pattern: str, value: str, fits: bool) -> None:
    node = {"type": "object", "properties": {"spec": {"type": "string", "pattern": pattern}}}
    made = schema_from_crd({"name": "v1", "schema": {"openAPIV3Schema": node}})
    assert (made.errors({"spec": value}) == []) == fits
