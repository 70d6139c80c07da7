"""A release that is only model bytes is served on a node by a KServe runtime, as KServe itself would."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.manifests.common import Compute, Origin, Toleration
from ai_platform_mcp.manifests.edge import Release, SiteService, prepull_daemon_set, release_name
from ai_platform_mcp.manifests.edge_runtime import MODEL_PATH, Parts, runtime_daemon_set

RUNTIME = {
    "kind": "ClusterServingRuntime",
    "spec": {
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "containers": [
            {
                "name": "kserve-container",
                "image": "kserve/sklearnserver:v0.19.0",
                "args": ["--model_name={{.Name}}", "--model_dir=/mnt/models", "--http_port=8080"],
                "ports": [{"containerPort": 8080, "protocol": "TCP", "name": "h2c"}],
            }
        ],
    },
}
STORAGE = {
    "spec": {
        "container": {
            "name": "storage-initializer",
            "image": "kserve/storage-initializer:v0.19.0",
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
        }
    }
}


def built(uri: str, minor: int = 36, **parts: Any) -> dict[str, Any]:
    release = Release(
        model="m", version="2", digest="sha256:" + "d" * 64, storage_uri=uri, runtime="kserve-sklearnserver"
    )
    compute = Compute(tolerations=(Toleration(key="edge"),))
    service = SiteService(release=release, namespace="e", compute=compute)
    made = runtime_daemon_set(
        service, Parts.model_validate({"runtime": RUNTIME, **parts}), Origin(model="m", version="2"), minor
    )
    assert made["metadata"]["name"] == release_name(release)
    return made["spec"]["template"]["spec"]


def test_a_bucket_is_fetched_by_the_clusters_own_storage_initializer():
    pod = built("s3://models/m/2", storage=STORAGE)
    fetch, server = pod["initContainers"][0], pod["containers"][0]
    assert fetch["args"] == ["s3://models/m/2", MODEL_PATH] and fetch["image"] == "kserve/storage-initializer:v0.19.0"
    assert fetch["volumeMounts"] == [{"name": "model-bytes", "mountPath": MODEL_PATH}]
    assert pod["volumes"] == [{"name": "model-bytes", "emptyDir": {}}]
    assert server["volumeMounts"] == [{"name": "model-bytes", "mountPath": MODEL_PATH, "readOnly": True}]


def test_the_runtimes_container_answers_as_the_model_under_the_port_that_the_site_asks_for():
    pod = built("s3://models/m/2", storage=STORAGE)
    server = pod["containers"][0]
    assert (server["name"], server["args"][0]) == ("model", "--model_name=m")
    assert server["ports"] == [{"containerPort": 8080, "protocol": "TCP", "name": "http"}]
    assert server["readinessProbe"]["tcpSocket"]["port"] == "http"
    assert [row["key"] for row in pod["tolerations"]] == ["edge", "nvidia.com/gpu"]
    assert pod["nodeSelector"] == {"edge.aiplatform.dev/release.m": "2"}


def test_a_model_image_is_mounted_and_nothing_fetches_it():
    pod = built("oci://r.example/m@sha256:" + "a" * 64)
    assert pod["volumes"][0]["image"]["reference"].startswith("r.example/m@sha256:") and "initContainers" not in pod


def test_an_artifact_is_fetched_to_nodes_ahead_as_a_volume_and_a_bucket_is_not():
    release = Release(model="m", version="2", digest="sha256:" + "d" * 64, storage_uri="oci://r.example/m:2")
    made = prepull_daemon_set(release, "e", "pause", {}, Origin(model="m", version="2"), 36)
    pod = made["spec"]["template"]["spec"]
    assert pod["volumes"] == [
        {"name": "release", "image": {"reference": "r.example/m:2", "pullPolicy": "IfNotPresent"}}
    ]
    assert release.fetchable and not release.model_copy(update={"storage_uri": "s3://m/2"}).fetchable


@pytest.mark.parametrize(
    ("uri", "minor", "cause"),
    [
        ("oci://r.example/m:2", 34, "off by default"),
        ("s3://models/m/2", 36, "no ClusterStorageContainer"),
    ],
)
def test_what_cannot_be_brought_to_a_node_is_refused_with_the_reason(uri: str, minor: int, cause: str):
    with pytest.raises(InvalidInput) as refused:
        built(uri, minor)
    assert cause in refused.value.cause


def test_a_runtime_of_another_form_is_refused():
    with pytest.raises(InvalidInput, match="kserve-container"):
        built("oci://r.example/m:2", runtime={"spec": {"containers": [{"name": "worker", "image": "x"}]}})
