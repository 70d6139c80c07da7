"""Who may change an object may not always read where it is declared: the dry run then stands, and says whose it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ai_platform_mcp.adapters.kubernetes.build import Kubernetes, kubernetes_adapter
from ai_platform_mcp.adapters.kubernetes.gitops import keeper
from ai_platform_mcp.core.acting import acting_for
from ai_platform_mcp.core.errors import Forbidden
from ai_platform_mcp.core.plan import Apply
from ai_platform_mcp.core.rows import DryRun, Page
from gitops_support import declare_with_argo, declare_with_flux, flux_labels, install_argo, install_flux
from support.identities import caller, grant, group, rule

from .conftest import Cluster, WallClock, config_for

ISVC = "serving.kserve.io/v1beta1"
SERVICES = rule("serving.kserve.io", "inferenceservices", "get list create patch")


@pytest.fixture
async def limited(cluster: Cluster) -> AsyncIterator[Kubernetes]:
    """The adapter for callers that the cluster tells apart."""
    opened = kubernetes_adapter([config_for(cluster.server.kubeconfig, access="impersonate")], WallClock())
    yield opened
    await opened.aclose()


def service(cluster: Cluster, replicas: int, **meta: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "onnx"}, "storageUri": "s3://models/fraud"}
    return {
        "apiVersion": ISVC,
        "kind": "InferenceService",
        "metadata": {"name": "fraud", "namespace": cluster.namespace, **meta},
        "spec": {"predictor": {"model": model, "minReplicas": replicas}},
    }


async def dry_run(cluster: Cluster, limited: Kubernetes, *further: dict[str, Any]) -> DryRun:
    """Plan another number of replicas as somebody with rights on services, and with these beside."""
    team = f"t-{cluster.namespace}"
    grant(cluster.server, cluster.namespace, group(f"aiplatform:team:{team}"), SERVICES, *further)
    step = Apply(id="s1", title="apply", cluster="c1", manifest=service(cluster, 5))
    with acting_for(caller("ada", team)):
        return await limited.reader.dry_run(step)


def kept_by_flux(cluster: Cluster) -> None:
    install_flux(cluster.server)
    declare_with_flux(cluster.server, cluster.namespace)
    body = service(cluster, 2, labels=flux_labels(cluster.namespace))
    cluster.server.apply(cluster.group(ISVC, "inferenceservices/fraud"), body, manager="kustomize-controller")


async def test_without_rights_on_flux_the_owner_is_told_and_the_place_is_not(
    cluster: Cluster, limited: Kubernetes
) -> None:
    kept_by_flux(cluster)
    told = await dry_run(cluster, limited)
    assert told.gitops is not None
    assert (told.gitops.owner, told.gitops.state) == (f"Kustomization {cluster.namespace}/apps", "reverted")
    assert not told.gitops.repository and not told.gitops.path
    assert {row.path for row in told.diff.changes} >= {"/spec/predictor/minReplicas"}


async def test_with_rights_on_the_kustomization_alone_its_path_is_told(cluster: Cluster, limited: Kubernetes) -> None:
    kept_by_flux(cluster)
    told = await dry_run(cluster, limited, rule("kustomize.toolkit.fluxcd.io", "kustomizations", "get"))
    assert told.gitops is not None
    assert (told.gitops.path, told.gitops.repository) == ("./prod", None)


async def test_without_rights_on_applications_argo_is_named_all_the_same(cluster: Cluster, limited: Kubernetes) -> None:
    install_argo(cluster.server)
    tracking = f"shop:serving.kserve.io/InferenceService:{cluster.namespace}/fraud"
    body = service(cluster, 2, annotations={"argocd.argoproj.io/tracking-id": tracking})
    live = cluster.server.apply(cluster.group(ISVC, "inferenceservices/fraud"), body, manager="argocd-controller")
    declare_with_argo(cluster.server, cluster.namespace, "shop", live)
    told = await dry_run(cluster, limited)
    assert told.gitops is not None
    assert (told.gitops.tool, told.gitops.owner) == ("argocd", "Application shop")
    assert not told.gitops.repository


class HelmAlone:
    """A cluster whose HelmRelease may be read, and nothing that brings it."""

    async def get(
        self, cluster: str, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        if kind != "HelmRelease":
            raise Forbidden(f"You may not read {kind}.", remedy="Ask for the right.")
        meta = {"name": name, "namespace": namespace, "labels": flux_labels("flux-system")}
        return {"kind": kind, "metadata": meta, "spec": {"chart": {"spec": {"chart": "fraud", "version": "1.2"}}}}

    async def list(self, cluster: str, api_version: str, kind: str, **_more: Any) -> Page:
        raise Forbidden(f"You may not list {kind}.", remedy="Ask for the right.")

    async def serves(self, cluster: str, api_version: str, kind: str) -> bool:
        return True


async def test_what_a_helm_release_says_of_itself_is_told_although_what_brings_it_cannot_be_read() -> None:
    live = {"metadata": {"name": "fraud", "namespace": "a", "labels": flux_labels("a", "fraud", "helm")}}
    found = await keeper(HelmAlone(), "c1", live)
    assert found is not None and found.mark.kind == "HelmRelease"
    assert "chart fraud" in found.declared.note
