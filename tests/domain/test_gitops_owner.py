"""Who keeps an object is told by certain marks only, and what becomes of a change by the fields that its keeper declares."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.elsewhere import holds_file, same_repository
from ai_platform_mcp.domain.field_owners import drift, fields_of, taken, touched
from ai_platform_mcp.domain.gitops_owner import GITOPS_MANAGERS, Mark, presumed_application, recognise
from ai_platform_mcp.domain.gitops_source import (
    UNREAD,
    Declaration,
    of_application,
    of_helm_release,
    of_kustomization,
    source_reference,
)
from ai_platform_mcp.domain.gitops_verdict import judge

FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
HELM = {"helm.toolkit.fluxcd.io/name": "serving", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
TRACKING = "argocd.argoproj.io/tracking-id"
SPEC: dict[str, Any] = {
    "replicas": 3,
    "template": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]},
}
REPLICAS = {"f:spec": {"f:replicas": {}}}
CONTAINER_A = {"f:spec": {"f:template": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:image": {}}}}}}


def entry(manager: str, fields: Any = REPLICAS, operation: str = "Apply", time: str = "2026-11-22T10:00:00Z") -> Any:
    return {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "time": time, "fieldsV1": fields}


def thing(*entries: Any, labels: Any = None, annotations: Any = None, controlled: bool = False) -> dict[str, Any]:
    meta: dict[str, Any] = {
        "name": "web",
        "namespace": "shop",
        "labels": labels or {},
        "annotations": annotations or {},
    }
    if entries:
        meta["managedFields"] = list(entries)
    if controlled:
        meta["ownerReferences"] = [{"kind": "Parent", "name": "p", "controller": True}]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": copy.deepcopy(SPEC)}


def changed(live: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {**copy.deepcopy(live), "spec": {**copy.deepcopy(live["spec"]), **spec}}


MARKED = {
    "a Kustomization": (thing(entry("kustomize-controller"), labels=FLUX), ("flux", "Kustomization flux-system/apps")),
    "a Kustomization, managers cut off": (thing(labels=FLUX), ("flux", "Kustomization flux-system/apps")),
    "a manager without labels": (thing(entry("kustomize-controller")), ("flux", "an unnamed Kustomization")),
    "a HelmRelease": (thing(entry("helm-controller"), labels=HELM), ("flux", "HelmRelease flux-system/serving")),
    "a HelmRelease brought by a Kustomization": (
        thing(entry("kustomize-controller"), labels=FLUX | HELM),
        ("flux", "Kustomization flux-system/apps"),
    ),
    "a tracking id": (
        thing(annotations={TRACKING: "shop:apps/Deployment:shop/web"}),
        ("argocd", "Application shop"),
    ),
    "a tracking id of an application elsewhere": (
        thing(annotations={TRACKING: "team-a_shop:apps/Deployment:shop/web"}),
        ("argocd", "Application team-a/shop"),
    ),
    "Argo CD's own label": (thing(labels={"argocd.argoproj.io/instance": "shop"}), ("argocd", "Application shop")),
    "the instance label with Argo CD's manager": (
        thing(entry("argocd-controller"), labels={"app.kubernetes.io/instance": "shop"}),
        ("argocd", "Application shop"),
    ),
    "Argo CD's manager alone": (thing(entry("argocd-controller")), ("argocd", "an unnamed Application")),
    "Fleet": (
        thing(
            labels={"objectset.rio.cattle.io/hash": "abc"}, annotations={"objectset.rio.cattle.io/id": "default-apps"}
        ),
        ("fleet", "Bundle default-apps"),
    ),
    "another of Rancher's appliers": (
        thing(
            labels={"objectset.rio.cattle.io/hash": "abc"},
            annotations={
                "objectset.rio.cattle.io/id": "",
                "objectset.rio.cattle.io/owner-gvk": "k3s.cattle.io/v1, Kind=Addon",
            }
            | {"objectset.rio.cattle.io/id": "x", "objectset.rio.cattle.io/owner-name": "coredns"},
        ),
        ("rancher", "Addon coredns"),
    ),
    "Helm": (
        thing(
            labels={"app.kubernetes.io/managed-by": "Helm"},
            annotations={"meta.helm.sh/release-name": "web", "meta.helm.sh/release-namespace": "shop"},
        ),
        ("helm", "release shop/web"),
    ),
    "Terraform": (thing(entry("Terraform")), ("terraform", "a Terraform configuration")),
    "Pulumi": (thing(entry("pulumi-kubernetes-1a2b3c4d")), ("pulumi", "a Pulumi program")),
}


@pytest.mark.parametrize("case", MARKED)
def test_a_tool_is_recognised_by_its_marks(case: str) -> None:
    live, (tool, owner) = MARKED[case]
    mark = recognise(live)
    assert mark is not None
    assert (mark.tool, mark.title) == (tool, owner)


NOBODYS = {
    "nothing at all": thing(entry("kubectl-edit", operation="Update")),
    "the instance label of a Helm chart": thing(entry("kubectl"), labels={"app.kubernetes.io/instance": "shop"}),
    "managed-by Helm without a release": thing(labels={"app.kubernetes.io/managed-by": "Helm"}),
    "a tracking id that was copied": thing(annotations={TRACKING: "shop:apps/Deployment:other/web"}),
    "a tracking id of another kind": thing(annotations={TRACKING: "shop:apps/StatefulSet:shop/web"}),
    "a tracking id that is none": thing(annotations={TRACKING: "shop"}),
    "labels handed down by the parent": thing(entry("manager"), labels=FLUX, controlled=True),
    "Argo CD's label handed down": thing(labels={"argocd.argoproj.io/instance": "shop"}, controlled=True),
    "Flux's status only": thing({**entry("kustomize-controller"), "subresource": "status"}),
    "k3s' helm-controller": thing(entry("helm-controller", operation="Update")),
    "a mark without a hash": thing(annotations={"objectset.rio.cattle.io/id": "x"}),
}


@pytest.mark.parametrize("case", NOBODYS)
def test_what_is_not_certain_is_nobodys(case: str) -> None:
    assert recognise(NOBODYS[case]) is None


def test_argo_cds_own_objects_are_not_kept_by_the_controller_that_writes_their_status() -> None:
    application = thing(entry("argocd-application-controller", operation="Update"))
    application |= {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application"}
    assert recognise(application) is None


def test_the_instance_label_only_presumes_an_application_where_no_release_set_it() -> None:
    labels = {"app.kubernetes.io/instance": "shop"}
    assert presumed_application(thing(labels=labels)) == "shop"
    assert presumed_application(thing(labels=labels, annotations={"meta.helm.sh/release-name": "shop"})) == ""
    assert presumed_application(thing(labels=labels, controlled=True)) == ""


def test_texts_of_labels_are_cut_and_cleaned() -> None:
    mark = Mark(tool="flux", kind="Kustomization", name="a\x1b[2J" + "x" * 500, namespace="n")
    assert "\x1b" not in mark.title
    assert len(mark.title) < 200


# --- verdicts ----------------------------------------------------------------------------------------------------------


def verdict(live: dict[str, Any], after: dict[str, Any] | None, declared: Declaration = UNREAD) -> Any:
    mark = recognise(live)
    assert mark is not None
    return judge(mark, live, after, declared)


def flux(*entries: Any, **annotations: str) -> dict[str, Any]:
    notes = {f"kustomize.toolkit.fluxcd.io/{key}": value for key, value in annotations.items()}
    return thing(*(entries or (entry("kustomize-controller"),)), labels=FLUX, annotations=notes)


def test_a_field_that_flux_declares_is_put_back_and_one_it_leaves_out_is_not() -> None:
    live = flux()
    undone = verdict(live, changed(live, replicas=5))
    assert (undone.state, undone.fields) == ("reverted", (".spec.replicas",))
    assert verdict(live, changed(live, paused=True)).state == "kept"


def test_of_a_list_only_the_items_and_fields_that_are_declared_count() -> None:
    live = flux(entry("kustomize-controller", CONTAINER_A))
    other = changed(live, template={"containers": [SPEC["template"]["containers"][0], {"name": "b", "image": "b:2"}]})
    resources = {"name": "a", "image": "a:1", "resources": {"limits": {"cpu": "1"}}}
    beside = changed(live, template={"containers": [resources, SPEC["template"]["containers"][1]]})
    own = changed(live, template={"containers": [{"name": "a", "image": "a:2"}, SPEC["template"]["containers"][1]]})
    assert verdict(live, other).state == "kept"
    assert verdict(live, beside).state == "kept"
    assert verdict(live, own).fields == ('.spec.template.containers[name="a"].image',)


def test_a_deletion_is_undone() -> None:
    owner = verdict(flux(), None)
    assert owner.state == "reverted"
    assert "create it again" in owner.note


@pytest.mark.parametrize(
    ("annotations", "change", "deletion"),
    [
        ({"reconcile": "disabled"}, "paused", "paused"),
        ({"reconcile": "Disabled"}, "paused", "paused"),
        ({"reconcile": "enabled"}, "reverted", "reverted"),
        ({"ssa": "Ignore"}, "paused", "paused"),
        ({"ssa": "IfNotPresent"}, "kept", "reverted"),
        ({"ssa": "Merge"}, "reverted", "reverted"),
        ({"ssa": "Override"}, "reverted", "reverted"),
    ],
)
def test_fluxs_annotations_mean_what_flux_takes_them_for(
    annotations: dict[str, str], change: str, deletion: str
) -> None:
    live = flux(**annotations)
    assert verdict(live, changed(live, replicas=5)).state == change
    assert verdict(live, None).state == deletion


def test_without_field_ownership_the_whole_object_counts_as_declared() -> None:
    live = thing(labels=FLUX)
    assert verdict(live, changed(live, paused=True)).state == "reverted"


def test_argo_cd_declares_what_its_client_side_apply_noted() -> None:
    noted = {"kubectl.kubernetes.io/last-applied-configuration": '{"apiVersion":"apps/v1","spec":{"replicas":3}}'}
    live = thing(annotations={TRACKING: "shop:apps/Deployment:shop/web", **noted})
    assert verdict(live, changed(live, replicas=5)).fields == (".spec.replicas",)
    assert verdict(live, changed(live, paused=True)).state == "kept"


@pytest.mark.parametrize("case", ["Helm", "Terraform", "Pulumi", "another of Rancher's appliers"])
def test_a_tool_that_somebody_runs_by_hand_is_told_and_does_not_undo(case: str) -> None:
    live = MARKED[case][0]
    owner = verdict(live, changed(live, replicas=5))
    assert owner.state == "kept"
    assert owner.note


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.recursive(st.integers(), lambda t: st.dictionaries(st.sampled_from("xy"), t))
    )
)
def test_a_change_touches_a_declared_field_exactly_if_it_differs(spec: dict[str, Any]) -> None:
    live = {"spec": {"a": 1, "b": {"x": 1, "y": {"x": 2}}}}
    declared = fields_of(live)
    assert not list(touched(live, copy.deepcopy(live), declared))
    paths = {".".join(path) for path in touched(live, {"spec": spec}, declared)}
    differs = {
        name
        for name, (before, after) in {
            "spec.a": (1, spec.get("a")),
            "spec.b.x": (1, _at(spec, "b", "x")),
            "spec.b.y.x": (2, _at(spec, "b", "y", "x")),
        }.items()
        if before != after
    }
    assert paths == differs


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


# --- where it is declared ----------------------------------------------------------------------------------------------

KUSTOMIZATION: dict[str, Any] = {
    "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
    "kind": "Kustomization",
    "metadata": {"name": "apps", "namespace": "flux-system"},
    "spec": {"path": "./prod", "sourceRef": {"kind": "GitRepository", "name": "fleet"}},
    "status": {"lastAppliedRevision": "main@sha1:4f2a"},
}
SOURCE = {"spec": {"url": "https://bot:hunter2@git.example.com/fleet.git", "ref": {"branch": "main"}}}


def test_a_kustomization_names_repository_path_and_revision_without_credentials() -> None:
    told = of_kustomization(KUSTOMIZATION, SOURCE, thing())
    assert (told.repository, told.path, told.revision) == (
        "https://git.example.com/fleet.git",
        "./prod",
        "main@sha1:4f2a",
    )
    assert source_reference(KUSTOMIZATION) == (
        "source.toolkit.fluxcd.io/v1",
        "GitRepository",
        "fleet",
        "flux-system",
    )


@pytest.mark.parametrize(
    ("source", "place", "revision"),
    [
        (
            {"spec": {"url": "oci://registry.example.com/apps", "ref": {"tag": "v3"}}},
            "oci://registry.example.com/apps",
            "v3",
        ),
        (
            {"spec": {"endpoint": "s3.example.com", "bucketName": "apps", "prefix": "prod"}},
            "s3.example.com/apps/prod",
            None,
        ),
        (None, None, None),
    ],
)
def test_other_sources_are_named_too(source: Any, place: str | None, revision: str | None) -> None:
    told = of_kustomization({**KUSTOMIZATION, "status": {}}, source, thing())
    assert (told.repository, told.revision) == (place, revision)


def test_a_suspended_kustomization_stands_still_and_ignored_paths_are_left_alone() -> None:
    live = flux()
    suspended = {**KUSTOMIZATION, "spec": {**KUSTOMIZATION["spec"], "suspend": True}}
    rule = {"paths": ["/spec/replicas"], "target": {"kind": "Deployment", "name": "web"}}
    ignoring = {**KUSTOMIZATION, "spec": {**KUSTOMIZATION["spec"], "ignore": [rule]}}
    other = {**KUSTOMIZATION, "spec": {**KUSTOMIZATION["spec"], "ignore": [{**rule, "target": {"name": "other"}}]}}
    after = changed(live, replicas=5)
    assert verdict(live, after, of_kustomization(suspended, SOURCE, live)).state == "paused"
    assert verdict(live, after, of_kustomization(ignoring, SOURCE, live)).state == "kept"
    assert verdict(live, after, of_kustomization(other, SOURCE, live)).state == "reverted"


def test_a_helm_release_is_changed_where_it_is_declared_itself() -> None:
    release = {
        "metadata": {"name": "serving", "namespace": "flux-system"},
        "spec": {
            "chart": {
                "spec": {"chart": "web", "version": "1.2", "sourceRef": {"kind": "HelmRepository", "name": "charts"}}
            },
            "valuesFrom": [{"kind": "ConfigMap", "name": "web-values"}],
        },
    }
    charts = {"spec": {"url": "https://charts.example.com"}}
    home = of_kustomization(KUSTOMIZATION, SOURCE, release)
    told = of_helm_release(release, charts, home)
    assert (told.repository, told.path) == ("https://git.example.com/fleet.git", "./prod")
    assert "ConfigMap web-values" in told.note
    assert "chart web of https://charts.example.com" in told.note
    assert "upgrade" in told.when
    alone = of_helm_release(release, charts, None)
    assert (alone.repository, alone.path, alone.revision) == ("https://charts.example.com", "web", "1.2")
    corrected = {**release, "spec": {**release["spec"], "driftDetection": {"mode": "enabled"}}}
    assert of_helm_release(corrected, charts, None).when == ""


def application(**spec: Any) -> dict[str, Any]:
    source = {"repoURL": "https://git.example.com/shop.git", "path": "overlays/prod", "targetRevision": "main"}
    return {"metadata": {"name": "shop", "namespace": "argocd"}, "spec": {"source": source, **spec}}


ARGO = thing(entry("argocd-controller"), annotations={TRACKING: "shop:apps/Deployment:shop/web"})


@pytest.mark.parametrize(
    ("policy", "when"),
    [
        ({"automated": {"selfHeal": True}}, "at its next reconciliation"),
        ({"automated": {}}, "selfHeal is off"),
        ({"automated": {"selfHeal": True, "enabled": False}}, "automated sync is off"),
        ({}, "automated sync is off"),
    ],
)
def test_argo_cd_puts_back_at_once_or_at_the_next_sync(policy: dict[str, Any], when: str) -> None:
    told = verdict(ARGO, changed(ARGO, replicas=5), of_application(application(syncPolicy=policy), ARGO))
    assert told.state == "reverted"
    assert when in told.note
    assert (told.repository, told.path, told.revision) == ("https://git.example.com/shop.git", "overlays/prod", "main")


def test_differences_that_argo_cd_ignores_are_kept_only_if_its_sync_respects_them() -> None:
    rules = [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]
    after = changed(ARGO, replicas=5)
    respected = application(ignoreDifferences=rules, syncPolicy={"syncOptions": ["RespectIgnoreDifferences=true"]})
    assert verdict(ARGO, after, of_application(respected, ARGO)).state == "kept"
    assert verdict(ARGO, after, of_application(application(ignoreDifferences=rules), ARGO)).state == "reverted"


def test_several_sources_and_value_files_of_an_application_are_named() -> None:
    chart = {"repoURL": "https://charts.example.com", "chart": "web", "targetRevision": "1.2"}
    chart |= {"helm": {"valueFiles": ["$values/web.yaml"]}}
    more = [chart, {"repoURL": "https://git.example.com/extra", "path": "x"}, {"repoURL": "https://v", "ref": "values"}]
    told = of_application({**application(), "spec": {"sources": more}}, ARGO)
    assert (told.repository, told.path) == ("https://charts.example.com", "chart web")
    assert "https://git.example.com/extra x" in told.note
    assert "$values/web.yaml" in told.note


def test_an_application_that_skips_reconciling_stands_still() -> None:
    skipping = application()
    skipping["metadata"]["annotations"] = {"argocd.argoproj.io/skip-reconcile": "true"}
    assert verdict(ARGO, changed(ARGO, replicas=5), of_application(skipping, ARGO)).state == "paused"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://github.com/acme/fleet", "git@github.com:acme/fleet.git", True),
        ("ssh://git@github.com:22/acme/fleet.git", "https://token@GitHub.com/acme/fleet/", True),
        ("https://github.com/acme/fleet", "https://github.com/acme/fleet2", False),
        ("https://a.example/acme/fleet", "https://b.example/acme/fleet", False),
        ("/srv/git/fleet.git", "file:///srv/git/fleet.git", True),
    ],
)
def test_one_repository_is_known_under_its_different_urls(one: str, other: str, same: bool) -> None:
    assert same_repository(one, other) is same
    assert same_repository(other, one) is same


@pytest.mark.parametrize(
    ("folder", "holds"),
    [("./clusters", True), ("clusters/prod/", True), ("./", True), (None, True), ("./cluster", False), ("apps", False)],
)
def test_a_folder_holds_the_files_below_it(folder: str | None, holds: bool) -> None:
    assert holds_file(folder, "clusters/prod/shop/deployment-web.yaml") is holds


# --- drift -------------------------------------------------------------------------------------------------------------

OURS = entry("ai-platform-mcp", {"f:spec": {"f:template": {}}}, time="2026-11-22T10:00:00Z")


def test_what_somebody_set_after_us_is_drift_with_name_field_and_time() -> None:
    edited = entry("kubectl-edit", operation="Update", time="2026-11-22T11:00:00Z")
    (told,) = drift(thing(OURS, edited), GITOPS_MANAGERS)
    assert (told.manager, told.field, told.since) == ("kubectl-edit", ".spec.replicas", "2026-11-22T11:00:00Z")


@pytest.mark.parametrize(
    "other",
    [
        entry("kubectl-create", operation="Update", time="2026-11-22T09:00:00Z"),
        entry("kueue", operation="Update", time="2026-11-22T11:00:00Z"),
        entry("kustomize-controller", time="2026-11-22T11:00:00Z"),
        entry("kubectl", {"f:metadata": {"f:labels": {"f:x": {}}}}, time="2026-11-22T11:00:00Z"),
        {**entry("hpa", operation="Update", time="2026-11-22T11:00:00Z"), "subresource": "scale"},
        entry("kubectl", {"f:spec": {"f:template": {}}}, time="2026-11-22T11:00:00Z"),
    ],
    ids=["before us", "a controller at work", "a GitOps tool", "labels", "a subresource", "what we own as well"],
)
def test_what_is_no_drift_is_not_called_so(other: Any) -> None:
    assert drift(thing(OURS, other), GITOPS_MANAGERS) == ()


def test_what_we_never_applied_has_no_drift() -> None:
    assert drift(thing(entry("kubectl-edit", operation="Update")), GITOPS_MANAGERS) == ()


def test_a_change_of_anothers_field_says_whose_it_was() -> None:
    live = thing(OURS, entry("kubectl-edit", operation="Update"))
    (row,) = taken(live, changed(live, replicas=9), GITOPS_MANAGERS)
    assert (row.manager, row.field) == ("kubectl-edit", ".spec.replicas")
    assert taken(live, changed(live, paused=True), GITOPS_MANAGERS) == ()
