"""How bytes that a URI names get into a pod: as an image that is mounted, or fetched by the cluster's storage initializer."""

from __future__ import annotations

from typing import Any, cast

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import type_json

IMAGE_VOLUMES = 35
"""Minor version of Kubernetes from which image volumes are on by default (KEP-4639; since 1.33 behind a gate)."""


def bring(
    uri: str, what: str, volume: str, path: str, initializer: str, storage: type_json | None, minor: int
) -> type_json:
    """Return the volume that holds the bytes, and the init container that fills it where an image cannot be mounted.

    Args:
        uri: where they are; ``oci://`` is an image.
        what: what they are, for people.
        volume: name of the volume.
        path: where the init container puts them.
        initializer: name of the init container.
        storage: the ClusterStorageContainer that fetches such URIs; not needed for ``oci://``.
        minor: minor version of Kubernetes.

    Raises:
        InvalidInput: nothing here can bring such a URI to a node.
    """
    if uri.startswith("oci://"):
        if minor < IMAGE_VOLUMES:
            raise InvalidInput(
                f"{what} is an OCI image, which needs Kubernetes 1.{IMAGE_VOLUMES}",
                cause=f"this cluster is 1.{minor}: image volumes are off by default",
                remedy="give a storage URI that the storage initializer can fetch, or for a model a serving image",
            )
        image = {"reference": uri.removeprefix("oci://"), "pullPolicy": "IfNotPresent"}
        return {"volumes": [{"name": volume, "image": image}]}
    container = cast("type_json", ((storage or {}).get("spec") or {}).get("container") or {})
    if not container.get("image"):
        raise InvalidInput(
            f"nothing in this cluster fetches {uri.partition('://')[0]}:// to a node, and {what} is there",
            cause="there is no ClusterStorageContainer",
            remedy="install KServe's ClusterStorageContainer, or give an oci:// URI; for a model also an image",
        )
    mount = {"name": volume, "mountPath": path}
    fetch = {**container, "name": initializer, "args": [uri, path]}
    fetch["volumeMounts"] = [*cast("list[Any]", container.get("volumeMounts") or []), mount]
    return {"volumes": [{"name": volume, "emptyDir": {}}], "initContainers": [fetch]}
