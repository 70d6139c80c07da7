"""What Flux and Argo CD leave in a cluster, written by their field managers; neither runs in tests."""

from __future__ import annotations

import functools
import time
from typing import Any

import pytest
import yaml

from kubernetes_servers import RELEASED_CRDS, Server

KUSTOMIZE = "kustomize.toolkit.fluxcd.io/v1"
SOURCE = "source.toolkit.fluxcd.io/v1"
ARGO = "argoproj.io/v1alpha1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
REPOSITORY = "https://git.example.com/fleet.git"

APPLICATION_CRD: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "applications.argoproj.io"},
    "spec": {
        "group": "argoproj.io",
        "names": {
            "kind": "Application",
            "listKind": "ApplicationList",
            "plural": "applications",
            "singular": "application",
        },
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            part: {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                            for part in ("spec", "status")
                        },
                    }
                },
            }
        ],
    },
}
"""As little of Argo CD's CRD as reading an Application takes; like the real one it has no status subresource."""


def install_flux(server: Server) -> None:
    """Serve the released CRDs of Kustomizations and GitRepositories where the server does not yet."""
    if not RELEASED_CRDS.is_dir():
        pytest.skip("the released CRDs are not beside the repository (../shared/crds)")
    for crd in _flux_crds():
        _install(server, crd)


@functools.cache
def _flux_crds() -> tuple[dict[str, Any], ...]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    files = [RELEASED_CRDS.glob(f"flux-*/*_{name}.yaml") for name in ("kustomizations", "gitrepositories")]
    return tuple(
        crd for found in files for file in found for crd in yaml.load_all(file.read_text(), Loader=loader) if crd
    )


def install_argo(server: Server) -> None:
    _install(server, APPLICATION_CRD)


def _install(server: Server, crd: dict[str, Any]) -> None:
    names, group = crd["spec"]["names"], crd["spec"]["group"]
    version = next(row["name"] for row in crd["spec"]["versions"] if row["served"])
    collection = f"/apis/{group}/{version}/{names['plural']}"
    if server.http.get(collection).status_code == 200:
        return
    answer = server.http.post(CRDS, json=crd)
    assert answer.status_code in (201, 409), answer.text
    deadline = time.monotonic() + 30
    while server.http.get(collection).status_code != 200:  # 404, then 429 while the storage is set up
        assert time.monotonic() < deadline, f"{collection} is not served"
        time.sleep(0.05)


def flux_labels(namespace: str, name: str = "apps", group: str = "kustomize") -> dict[str, str]:
    return {f"{group}.toolkit.fluxcd.io/name": name, f"{group}.toolkit.fluxcd.io/namespace": namespace}


def declare_with_flux(server: Server, namespace: str, url: str = REPOSITORY, path: str = "./prod", **spec: Any) -> None:
    """Write a Kustomization `apps` and its GitRepository `fleet` into the namespace."""
    git = {
        "apiVersion": SOURCE,
        "kind": "GitRepository",
        "metadata": {"name": "fleet", "namespace": namespace},
        "spec": {"interval": "1m", "url": url, "ref": {"branch": "main"}},
    }
    kustomization = {
        "apiVersion": KUSTOMIZE,
        "kind": "Kustomization",
        "metadata": {"name": "apps", "namespace": namespace},
        "spec": {
            "interval": "10m",
            "prune": True,
            "path": path,
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            **spec,
        },
    }
    server.apply(f"/apis/{SOURCE}/namespaces/{namespace}/gitrepositories/fleet", git, manager="kubectl")
    where = f"/apis/{KUSTOMIZE}/namespaces/{namespace}/kustomizations/apps"
    server.apply(where, kustomization, manager="kubectl")
    server.merge(f"{where}/status", {"status": {"lastAppliedRevision": "main@sha1:4f2a"}})


def declare_with_argo(server: Server, namespace: str, name: str, listed: dict[str, Any], **spec: Any) -> None:
    """Write an Application that says it manages `listed`."""
    group, _, _ = listed["apiVersion"].rpartition("/")
    meta = listed["metadata"]
    row = {"group": group, "kind": listed["kind"], "namespace": meta["namespace"], "name": meta["name"]}
    source = {"repoURL": REPOSITORY, "path": "overlays/prod", "targetRevision": "main"}
    body = {
        "apiVersion": ARGO,
        "kind": "Application",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": source, **spec},
        "status": {"resources": [row]},
    }
    server.apply(f"/apis/{ARGO}/namespaces/{namespace}/applications/{name}", body, manager="argocd-server")
