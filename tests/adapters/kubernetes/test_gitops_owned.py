"""What Flux or Argo CD keeps is told by the dry run, with where it is declared; conflicts name manager, field and time."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import Conflict, FieldConflict, Rejected
from ai_platform_mcp.core.plan import Apply, Delete, ObjectRef, Patch
from ai_platform_mcp.core.rows import DryRun
from gitops_support import (
    REPOSITORY,
    declare_with_argo,
    declare_with_flux,
    flux_labels,
    install_argo,
    install_flux,
)

from .conftest import Cluster

ISVC = "serving.kserve.io/v1beta1"
MODEL = {"modelFormat": {"name": "onnx"}, "storageUri": "s3://models/fraud"}


def isvc(cluster: Cluster, predictor: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": ISVC,
        "kind": "InferenceService",
        "metadata": {"name": "fraud", "namespace": cluster.namespace, **meta},
        "spec": {"predictor": predictor},
    }


def path(cluster: Cluster) -> str:
    return cluster.group(ISVC, "inferenceservices/fraud")


def apply(cluster: Cluster, *, force: bool = False, **predictor: Any) -> Apply:
    manifest = isvc(cluster, {"model": MODEL, **predictor})
    return Apply(id="s1", title="apply", cluster="c1", manifest=manifest, force=force)


def where(cluster: Cluster) -> ObjectRef:
    return ObjectRef(api_version=ISVC, kind="InferenceService", name="fraud", namespace=cluster.namespace)


def by_flux(cluster: Cluster, **annotations: str) -> dict[str, Any]:
    """What kustomize-controller writes: the manifest of its source, with its labels."""
    notes = {f"kustomize.toolkit.fluxcd.io/{key}": value for key, value in annotations.items()}
    body = isvc(cluster, {"model": MODEL, "minReplicas": 2}, labels=flux_labels(cluster.namespace), annotations=notes)
    return cluster.server.apply(path(cluster), body, manager="kustomize-controller")


async def dry_run(cluster: Cluster, step: Any) -> DryRun:
    return await cluster.adapter.reader.dry_run(step)


async def test_a_field_that_flux_declares_is_told_with_owner_repository_path_and_revision(cluster: Cluster) -> None:
    install_flux(cluster.server)
    declare_with_flux(cluster.server, cluster.namespace)
    before = by_flux(cluster)

    told = await dry_run(cluster, apply(cluster, minReplicas=5))

    assert told.gitops is not None
    assert told.gitops.state == "reverted"
    assert told.gitops.owner == f"Kustomization {cluster.namespace}/apps"
    assert (told.gitops.repository, told.gitops.path) == (REPOSITORY, "./prod")
    assert told.gitops.revision == "main@sha1:4f2a"
    assert told.gitops.fields == (".spec.predictor.minReplicas",)
    assert {row.path for row in told.diff.changes} >= {"/spec/predictor/minReplicas"}
    assert told.taken == ()
    assert cluster.server.get(path(cluster)) == before, "a dry run changes nothing"


async def test_a_field_that_flux_leaves_out_is_ours_to_set(cluster: Cluster) -> None:
    install_flux(cluster.server)
    declare_with_flux(cluster.server, cluster.namespace)
    by_flux(cluster)

    told = await dry_run(cluster, apply(cluster, maxReplicas=9))

    assert told.gitops is not None
    assert (told.gitops.state, told.gitops.fields) == ("kept", ())


async def test_a_deletion_and_a_patch_of_what_flux_declares_are_undone(cluster: Cluster) -> None:
    by_flux(cluster)
    uid = (cluster.server.get(path(cluster)) or {})["metadata"]["uid"]
    body = {"spec": {"predictor": {"minReplicas": 0}}}

    deleted = await dry_run(cluster, Delete(id="s1", title="d", cluster="c1", ref=where(cluster), uid=uid))
    patched = await dry_run(cluster, Patch(id="s1", title="p", cluster="c1", ref=where(cluster), patch=body))

    for told in (deleted, patched):
        assert told.gitops is not None
        assert told.gitops.state == "reverted"
        assert told.gitops.owner == f"Kustomization {cluster.namespace}/apps"
        assert told.gitops.repository is None, "no Kustomization is there to be read"


@pytest.mark.parametrize("how", ["suspend", "annotation"])
async def test_while_flux_stands_still_the_conflict_is_told_and_force_takes_the_field(
    cluster: Cluster, how: str
) -> None:
    install_flux(cluster.server)
    declare_with_flux(cluster.server, cluster.namespace, suspend=how == "suspend")
    by_flux(cluster, **({"reconcile": "disabled"} if how == "annotation" else {}))

    with pytest.raises(FieldConflict) as caught:
        await dry_run(cluster, apply(cluster, minReplicas=5))
    assert REPOSITORY in caught.value.remedy
    assert "./prod" in caught.value.remedy
    assert caught.value.details["gitops"]["state"] == "paused"

    told = await dry_run(cluster, apply(cluster, minReplicas=5, force=True))
    assert told.gitops is not None
    assert told.gitops.state == "paused"


async def test_an_application_of_argo_cd_is_found_by_the_tracking_id(cluster: Cluster) -> None:
    install_argo(cluster.server)
    tracking = {"argocd.argoproj.io/tracking-id": f"shop:serving.kserve.io/InferenceService:{cluster.namespace}/fraud"}
    live = isvc(cluster, {"model": MODEL, "minReplicas": 2}, annotations=tracking)
    cluster.server.apply(path(cluster), live, manager="argocd-controller")
    declare_with_argo(cluster.server, cluster.namespace, "shop", live, syncPolicy={"automated": {"selfHeal": True}})

    told = await dry_run(cluster, apply(cluster, minReplicas=5))

    assert told.gitops is not None
    assert (told.gitops.state, told.gitops.owner) == ("reverted", f"Application {cluster.namespace}/shop")
    assert (told.gitops.repository, told.gitops.path, told.gitops.revision) == (REPOSITORY, "overlays/prod", "main")


async def test_the_instance_label_counts_only_where_an_application_lists_the_object(cluster: Cluster) -> None:
    install_argo(cluster.server)
    live = isvc(cluster, {"model": MODEL, "minReplicas": 2}, labels={"app.kubernetes.io/instance": "billing"})
    cluster.server.apply(path(cluster), live, manager="someone")

    unlisted = await dry_run(cluster, apply(cluster, maxReplicas=9))
    declare_with_argo(cluster.server, cluster.namespace, "billing", live)
    listed = await dry_run(cluster, apply(cluster, maxReplicas=9))

    assert unlisted.gitops is None
    assert listed.gitops is not None
    assert listed.gitops.owner == f"Application {cluster.namespace}/billing"


async def test_what_nobody_keeps_is_nobodys_and_costs_no_further_read(cluster: Cluster) -> None:
    await cluster.do(apply(cluster, minReplicas=1), "op-1")

    told = await dry_run(cluster, apply(cluster, minReplicas=2))

    assert (told.gitops, told.taken, told.drift) == (None, (), ())


async def test_drift_names_who_changed_which_field_and_when(cluster: Cluster) -> None:
    await cluster.do(apply(cluster, minReplicas=1), "op-1")
    edit = {"spec": {"predictor": {"minReplicas": 4, "maxReplicas": 7}}}
    cluster.server.send("PATCH", path(cluster), edit, "application/merge-patch+json", fieldManager="kubectl-edit")

    with pytest.raises(FieldConflict) as caught:
        await dry_run(cluster, apply(cluster, minReplicas=2))
    forced = await dry_run(cluster, apply(cluster, minReplicas=2, force=True))

    (row,) = caught.value.details["conflicts"]
    assert (row["manager"], row["field"]) == ("kubectl-edit", ".spec.predictor.minReplicas")
    assert row["since"] in caught.value.message
    assert "eave the field" in caught.value.remedy
    assert [(row.manager, row.field) for row in forced.taken] == [("kubectl-edit", ".spec.predictor.minReplicas")]
    assert ("kubectl-edit", ".spec.predictor.maxReplicas") in [(row.manager, row.field) for row in forced.drift]
    assert all(row.since.endswith("Z") for row in (*forced.taken, *forced.drift))


async def test_a_patch_that_takes_somebodys_field_says_so(cluster: Cluster) -> None:
    await cluster.do(apply(cluster, minReplicas=1), "op-1")
    edit = {"spec": {"predictor": {"maxReplicas": 7}}}
    cluster.server.send("PATCH", path(cluster), edit, "application/merge-patch+json", fieldManager="kubectl-edit")
    body = {"spec": {"predictor": {"maxReplicas": 9}}}

    told = await dry_run(cluster, Patch(id="s1", title="p", cluster="c1", ref=where(cluster), patch=body))

    assert [(row.manager, row.field) for row in told.taken] == [("kubectl-edit", ".spec.predictor.maxReplicas")]


async def test_whoever_may_not_read_the_kustomization_still_learns_the_owner(cluster: Cluster) -> None:
    from ai_platform_mcp.adapters.kubernetes.gitops import keeper
    from ai_platform_mcp.core.errors import Forbidden

    live = by_flux(cluster)

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            async def refuse(*_: Any, **__: Any) -> Any:
                raise Forbidden(f"may not {name}")

            return refuse

    kept = await keeper(Refusing(), "c1", live)  # pyright: ignore[reportArgumentType]

    assert kept is not None
    assert kept.mark.title == f"Kustomization {cluster.namespace}/apps"
    assert kept.declared.repository is None


async def test_no_remedy_is_to_delete_and_make_anew(cluster: Cluster) -> None:
    job: dict[str, Any] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "train", "namespace": cluster.namespace},
        "spec": {
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.local/a:1"}]}
            }
        },
    }
    queue = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "LocalQueue",
        "metadata": {"name": "gpu", "namespace": cluster.namespace},
        "spec": {"clusterQueue": "one"},
    }
    changed = {
        **job,
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "b"}]}}},
    }
    moved = {**queue, "spec": {"clusterQueue": "two"}}
    for first, second, word in ((job, changed, "another name"), (queue, moved, "another LocalQueue")):
        await cluster.do(Apply(id="s1", title="a", cluster="c1", manifest=first), "op-1")
        with pytest.raises((Rejected, Conflict)) as caught:
            await dry_run(cluster, Apply(id="s1", title="a", cluster="c1", manifest=second))
        assert word in caught.value.remedy
        assert "delete" not in caught.value.remedy.lower()
        assert "recreate" not in caught.value.remedy.lower()
