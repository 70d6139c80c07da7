"""A release with golden inputs has the check in its pods: a native sidecar with the least rights, and its file brought there."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.cli import golden
from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.manifests.common import Compute, Origin
from ai_platform_mcp.manifests.edge import GoldenInputs, Release, SiteService, release_daemon_set
from ai_platform_mcp.manifests.edge_golden import GOLDEN_PORT, GoldenCheck, with_golden
from ai_platform_mcp.manifests.edge_runtime import Parts, runtime_daemon_set

DIGEST = "sha256:" + "d" * 64
RELEASE = Release(model="m", version="2", digest=DIGEST, image=f"r.example/m@{DIGEST}")
CONTAINER = {"name": "kserve-container", "image": "x", "ports": [{"containerPort": 9000, "name": "h2c"}]}
STORAGE = {"spec": {"container": {"name": "storage-initializer", "image": "kserve/storage-initializer:v0.19.0"}}}


def daemon_set(release: Release = RELEASE) -> dict[str, Any]:
    service = SiteService(release=release, namespace="e", compute=Compute(), port=8081)
    if release.image:
        return release_daemon_set(service, Origin(model="m", version="2"))
    parts = Parts(runtime={"spec": {"containers": [CONTAINER]}}, storage=STORAGE)
    return runtime_daemon_set(service, parts, Origin(model="m", version="2"), 36)


def checked(uri: str = "oci://r.example/golden:1", minor: int = 36, image: str = "us@x", **more: Any) -> dict[str, Any]:
    release = more.pop("release", RELEASE)
    check = GoldenCheck(inputs=GoldenInputs(uri=uri, digest=DIGEST, min_agreement_percent=90), image=image, **more)
    return with_golden(daemon_set(release), release, check, minor)["spec"]["template"]


def test_an_image_of_golden_inputs_is_mounted_read_only_for_the_sidecar_alone():
    pod = checked()["spec"]
    (sidecar,), (model,) = pod["initContainers"], pod["containers"]
    assert pod["volumes"][0] == {
        "name": "golden-inputs",
        "image": {"reference": "r.example/golden:1", "pullPolicy": "IfNotPresent"},
    }
    assert sidecar["volumeMounts"][0] == {"name": "golden-inputs", "mountPath": "/mnt/golden", "readOnly": True}
    assert "volumeMounts" not in model


def test_it_asks_the_models_own_port_and_is_ready_only_for_itself():
    template = checked()
    (sidecar,) = template["spec"]["initContainers"]
    assert sidecar["restartPolicy"] == "Always" and sidecar["command"] == ["ai-platform-mcp"]
    assert {"--endpoint=http://127.0.0.1:8081", f"--digest={DIGEST}", "--min-agreement=90"} < set(sidecar["args"])
    assert sidecar["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "golden"}
    assert "startupProbe" not in sidecar, (
        "the model starts after it: it must not wait for the model to count as started"
    )
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(GOLDEN_PORT)


def test_it_has_no_rights_and_no_token():
    (sidecar,) = checked()["spec"]["initContainers"]
    rights = sidecar["securityContext"]
    assert rights["runAsNonRoot"] and rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"]
    assert rights["capabilities"] == {"drop": ["ALL"]} and rights["runAsUser"] > 0
    mounts = {row["mountPath"]: row["name"] for row in sidecar["volumeMounts"]}
    assert mounts["/var/run/secrets/kubernetes.io/serviceaccount"] == "no-token"


def test_a_bucket_of_golden_inputs_is_fetched_after_the_model_and_before_the_check():
    release = Release(model="m", version="2", digest=DIGEST, storage_uri="s3://m/2", runtime="r")
    pod = checked("s3://golden/m.jsonl", release=release, storage=STORAGE)["spec"]
    names = [row["name"] for row in pod["initContainers"]]
    assert names == ["storage-initializer", "golden-inputs", "golden"]
    assert pod["initContainers"][1]["args"] == ["s3://golden/m.jsonl", "/mnt/golden"]
    assert "--endpoint=http://127.0.0.1:9000" in pod["initContainers"][2]["args"]
    assert [row["name"] for row in pod["volumes"]] == ["model-bytes", "golden-inputs", "no-token"]


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"image": ""}, "does not know the image"),
        ({"minor": 28}, "native sidecars are off"),
        ({"minor": 34}, "image volumes are off"),
        ({"uri": "s3://golden/m"}, "no ClusterStorageContainer"),
    ],
)
def test_golden_inputs_that_cannot_be_asked_are_refused_with_the_reason(changed: dict[str, Any], cause: str):
    with pytest.raises(InvalidInput) as refused:
        checked(**changed)
    assert cause in refused.value.cause


def test_the_command_takes_the_options_that_the_sidecar_gives():
    (sidecar,) = checked()["spec"]["initContainers"]
    command, *options = sidecar["args"]
    assert command == "golden"
    here = [row for row in options if not row.startswith(("--termination-log", "--listen"))]
    assert golden.run(here) == 4, "they are understood; what is missing on this machine is the file"
