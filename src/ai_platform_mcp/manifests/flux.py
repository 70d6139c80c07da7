"""Flux: the Kustomization that applies what this platform commits, and whether one does already.

Speaks ``kustomize.toolkit.fluxcd.io/v1`` and reads ``source.toolkit.fluxcd.io/v1``.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.manifests.common import Capabilities, Origin, manifest, object_name

API = "kustomize.toolkit.fluxcd.io/v1"
SOURCE_API = "source.toolkit.fluxcd.io/v1"
KIND = "Kustomization"
INTERVAL = "10m"
"""How often Flux compares; a push is seen as soon as its source is."""

_SCP = re.compile(r"^(?:[\w.-]+@)?([\w.-]+):(?!//)(.+)$")


def kustomization(folder: str, cluster: str, source: Mapping[str, Any], capabilities: Capabilities) -> type_json:
    """Return a Kustomization that applies a folder of a GitRepository to the cluster that the folder is named after.

    It stands in the source's namespace, where it may read it. ``prune`` is off: a file that goes by mistake does not take
    with it what serves.

    Raises:
        CapabilityMissing: Flux's kustomize-controller is not installed.
    """
    capabilities.require(API, KIND, remedy="install Flux, or apply the folder by other means")
    meta: Mapping[str, Any] = source["metadata"]
    spec = {
        "interval": INTERVAL,
        "path": f"./{_folder(folder, cluster)}",
        "prune": False,
        "sourceRef": {"kind": "GitRepository", "name": meta["name"]},
    }
    name = object_name("aiplatform", cluster)
    return manifest(API, KIND, name, str(meta["namespace"]), Origin(), {"spec": spec}, component="gitops")


def source_of(repository: str, sources: Iterable[type_json]) -> type_json | None:
    """Return the GitRepository that fetches a repository, None where there is none."""
    wanted = _address(repository)
    return next((row for row in sources if _address(str(row.get("spec", {}).get("url", ""))) == wanted), None)


def applies(kustomizations: Iterable[type_json], source: Mapping[str, Any], folder: str, cluster: str) -> bool:
    """Tell whether one of the Kustomizations applies the cluster's folder: its own path is that, or above it."""
    meta: Mapping[str, Any] = source["metadata"]
    ours = _folder(folder, cluster)
    for row in kustomizations:
        spec: Mapping[str, Any] = row.get("spec", {})
        ref: Mapping[str, Any] = spec.get("sourceRef", {})
        where = ref.get("namespace") or row.get("metadata", {}).get("namespace")
        same = (ref.get("kind"), ref.get("name"), where) == ("GitRepository", meta["name"], meta["namespace"])
        path = posixpath.normpath(str(spec.get("path") or ".").lstrip("/") or ".")
        if same and not spec.get("suspend") and (path == "." or ours == path or ours.startswith(f"{path}/")):
            return True
    return False


def _folder(folder: str, cluster: str) -> str:
    return posixpath.normpath(f"{folder.strip('/')}/{cluster}".lstrip("/"))


def _address(url: str) -> str:
    """Return host and path: the same repository is fetched over SSH and over HTTPS, with and without ``.git``."""
    short = _SCP.match(url)
    plain = f"{short[1]}/{short[2]}" if short else re.sub(r"^[a-z+]+://(?:[^@/]*@)?", "", url)
    return plain.rstrip("/").removesuffix(".git").lower()
