"""A release without an image: model bytes from a storage URI, served by a KServe ServingRuntime on the node itself.

KServe makes such pods for its own InferenceServices only; a DaemonSet needs the same pod, so it is put together here from the
same parts: the runtime's container, and the cluster's ClusterStorageContainer as an init container.
Source: https://kserve.github.io/website/docs/concepts/resources/servingruntime
"""

from __future__ import annotations

from typing import Any, cast

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.bringing import bring
from ai_platform_mcp.manifests.common import Origin
from ai_platform_mcp.manifests.edge import Release, SiteService, daemon_set_of

MODEL_PATH = "/mnt/models"
"""Where KServe's runtimes look for the model."""
_RUNTIME_CONTAINER = "kserve-container"


class Parts(Value):
    """What the cluster has to put such a pod together: both objects as read."""

    runtime: type_json
    """A ServingRuntime or ClusterServingRuntime."""
    storage: type_json | None = None
    """The ClusterStorageContainer that fetches such URIs; not needed for ``oci://``."""


def runtime_daemon_set(service: SiteService, parts: Parts, origin: Origin, minor: int) -> type_json:
    """Return the DaemonSet of a release that is served by a runtime (``apps/v1``).

    Raises:
        InvalidInput: the runtime has no container of its own, or nothing here can bring such a URI to a node.
    """
    container = _server(service.release, parts.runtime)
    container["volumeMounts"] = [
        *container.get("volumeMounts", []),
        {"name": "model-bytes", "mountPath": MODEL_PATH, "readOnly": True},
    ]
    container["ports"] = _ports(container, service.port)
    port = container["ports"][0]["name"]
    if "readinessProbe" not in container:  # KServe leaves it to Knative; on a node somebody has to ask
        container["readinessProbe"] = {"tcpSocket": {"port": port}, "periodSeconds": 5}
    release = service.release
    what = f"release {release.model} {release.version}"
    uri = release.storage_uri or ""
    spec = bring(uri, what, "model-bytes", MODEL_PATH, "storage-initializer", parts.storage, minor)
    for key in ("tolerations", "imagePullSecrets", "volumes"):
        own = cast("list[Any]", (parts.runtime.get("spec") or {}).get(key) or [])
        if own:
            spec[key] = [*own, *spec.get(key, [])]
    return daemon_set_of(service, {**spec, "containers": [container]}, origin)


def _server(release: Release, runtime: type_json) -> type_json:
    containers = cast("list[type_json]", (runtime.get("spec") or {}).get("containers") or [])
    found = next((row for row in containers if row.get("name") == _RUNTIME_CONTAINER), None)
    if found is None:
        raise InvalidInput(
            f"runtime {release.runtime} has no container called {_RUNTIME_CONTAINER}",
            remedy="name a runtime of KServe's form, or give the release an image",
        )
    return {**cast("type_json", _filled(found, release)), "name": "model"}


def _filled(value: Any, release: Release) -> Any:
    """Return the container with KServe's placeholder for the service's name filled in, as KServe does."""
    if isinstance(value, str):
        return value.replace("{{.Name}}", release.model).replace("{{ .Name }}", release.model)
    if isinstance(value, list):
        return [_filled(row, release) for row in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _filled(row, release) for key, row in cast("type_json", value).items()}
    return value


def _ports(container: type_json, port: int) -> list[type_json]:
    """Return the container's ports with the first one called ``http``: the site's Service asks for that name."""
    rows = cast("list[type_json]", container.get("ports") or [{"containerPort": port, "protocol": "TCP"}])
    rest = [row for row in rows[1:] if row.get("name") != "http"]
    return [{**rows[0], "name": "http"}, *rest]
