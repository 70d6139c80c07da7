"""The check of golden inputs in a release's pod: our own image as a native sidecar beside the model.

A native sidecar (an init container with ``restartPolicy: Always``, KEP-753, on by default since Kubernetes 1.29) has a readiness
of its own that the pod's includes, and runs before and after the model's container without holding up its end.
"""

from __future__ import annotations

from typing import Any, cast

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.bringing import bring
from ai_platform_mcp.manifests.edge import GoldenInputs, Release

GOLDEN_CONTAINER = "golden"
GOLDEN_PATH = "/mnt/golden"
GOLDEN_PORT = 18090
"""Where the sidecar answers probes and is scraped: no model server listens there by default."""
NATIVE_SIDECARS = 29
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  a path, no token
_USER = 65532
"""The user of our image, and of distroless ones: neither root nor one that owns anything on a node."""
_ZONE = "metadata.labels['topology.kubernetes.io/zone']"
"""The pod's zone, which is its site where edge nodes carry it; empty before Kubernetes 1.35, which copies it (KEP-4742)."""


class GoldenCheck(Value):
    """What is asked, and what asks it."""

    inputs: GoldenInputs
    image: str
    """Our own image; empty where the controller was not told."""
    storage: type_json | None = None
    """The cluster's ClusterStorageContainer; not needed for ``oci://``."""


def with_golden(daemon_set: type_json, release: Release, check: GoldenCheck, minor: int) -> type_json:
    """Return the DaemonSet of a release with the check in its pods.

    Raises:
        InvalidInput: no image of ours is known, the cluster has no native sidecars, or nothing brings the inputs to a node.
    """
    if not check.image:
        raise InvalidInput(
            f"release {release.model} {release.version} has golden inputs, and nothing can ask them",
            cause="the controller does not know the image of ai-platform-mcp",
            remedy="start it with --image or AI_PLATFORM_IMAGE, or take spec.goldenInputs away",
        )
    if minor < NATIVE_SIDECARS:
        raise InvalidInput(
            f"release {release.model} {release.version} has golden inputs, which need Kubernetes 1.{NATIVE_SIDECARS}",
            cause=f"this cluster is 1.{minor}: native sidecars are off by default",
            remedy="upgrade the cluster, or take spec.goldenInputs away",
        )
    what = f"the file of golden inputs of {release.model} {release.version}"
    brought = bring(check.inputs.uri, what, "golden-inputs", GOLDEN_PATH, "golden-inputs", check.storage, minor)
    spec = daemon_set["spec"]
    template = spec["template"]
    pod = template["spec"]
    volumes = [*pod.get("volumes", []), *brought["volumes"], {"name": "no-token", "emptyDir": {}}]
    sidecar = _sidecar(release, check, _port(pod))
    first = [*pod.get("initContainers", []), *brought.get("initContainers", []), sidecar]
    meta = template["metadata"]
    scraped = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(GOLDEN_PORT),
        "prometheus.io/path": "/metrics",
    }
    fresh = {
        **template,
        "metadata": {**meta, "annotations": {**meta.get("annotations", {}), **scraped}},
        "spec": {**pod, "initContainers": first, "volumes": volumes},
    }
    return {**daemon_set, "spec": {**spec, "template": fresh}}


def _port(pod: type_json) -> int:
    """Return the port of the model's container that is called ``http``."""
    ports = cast("list[type_json]", pod["containers"][0].get("ports") or [])
    return next(int(row["containerPort"]) for row in ports if row.get("name") == "http")


def _sidecar(release: Release, check: GoldenCheck, port: int) -> type_json:
    """Return the sidecar. It runs as nobody, writes nothing, and sees no token: the empty mount keeps the API's from it."""
    probe: type_json = {"timeoutSeconds": 5}
    options: dict[str, Any] = {
        "inputs": GOLDEN_PATH,
        "digest": check.inputs.digest,
        "model": release.model,
        "version": release.version,
        "endpoint": f"http://127.0.0.1:{port}",
        "min-agreement": check.inputs.min_agreement_percent,
        "listen": f":{GOLDEN_PORT}",
        "termination-log": "/dev/termination-log",
    }
    return {
        "name": GOLDEN_CONTAINER,
        "image": check.image,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "command": ["ai-platform-mcp"],
        "args": ["golden", *(f"--{key}={value}" for key, value in options.items())],
        "env": [
            {"name": "AIPLATFORM_NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "AIPLATFORM_SITE", "valueFrom": {"fieldRef": {"fieldPath": _ZONE}}},
        ],
        "ports": [{"name": "golden", "containerPort": GOLDEN_PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "golden"}, "periodSeconds": 5, **probe},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "golden"}, "periodSeconds": 20, **probe},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "golden-inputs", "mountPath": GOLDEN_PATH, "readOnly": True},
            {"name": "no-token", "mountPath": _TOKEN_PATH, "readOnly": True},
        ],
    }
