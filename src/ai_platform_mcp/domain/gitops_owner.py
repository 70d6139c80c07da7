"""Which tool keeps an object as it is declared elsewhere, by the marks that the tool leaves on it. Pure: nothing is read here.

A label or an annotation is copied easily (KServe and Knative hand theirs down to what they create), so a mark counts only
where it is certain: a tracking id must name the very object, an object that another object controls is that one's, and the
label ``app.kubernetes.io/instance``, which every Helm chart sets, means nothing without Argo CD among the field managers.

Sources: https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources
https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/ · Fleet: rancher/fleet, agent/deployer/desiredset ·
Helm: https://helm.sh/docs/topics/charts_tips_and_tricks/ (``meta.helm.sh/release-name``) · the field managers are those that
fluxcd/kustomize-controller, argoproj/argo-cd, hashicorp/terraform-provider-kubernetes and pulumi/pulumi-kubernetes set.
"""

from __future__ import annotations

import re

from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import GitOpsTool
from ai_platform_mcp.domain.objects import annotations_of, labels_of, metadata_of, ref_of, rows

KUSTOMIZE_GROUP = "kustomize.toolkit.fluxcd.io"
HELM_GROUP = "helm.toolkit.fluxcd.io"
ARGO_INSTANCE = "app.kubernetes.io/instance"
ARGO_GROUP = "argoproj.io"
_ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
_ARGO_CUSTOM_INSTANCE = "argocd.argoproj.io/instance"
_ARGO_MANAGERS = ("argocd-controller", "argocd-application-controller")
_FLEET = "objectset.rio.cattle.io"
_HELM_RELEASE = "meta.helm.sh/release-name"
_PULUMI = re.compile(r"pulumi-kubernetes(-[0-9a-f]+)?")

GITOPS_MANAGERS = frozenset({"kustomize-controller", "helm-controller", *_ARGO_MANAGERS, "fleetagent"})
"""Field managers of tools that put back what they declare."""


class Mark(Value):
    """Who keeps an object. ``name`` is empty where the object does not say which one of the tool's own objects it is."""

    tool: GitOpsTool
    kind: str
    name: str = ""
    namespace: str = ""
    managers: tuple[str, ...] = ()
    """The field managers by which the tool writes."""

    @property
    def continuous(self) -> bool:
        """Whether the tool compares and puts back by itself, rather than when somebody runs it."""
        return self.tool in ("flux", "argocd", "fleet")

    @property
    def title(self) -> str:
        """The owner as people write it, such as ``Kustomization flux-system/apps``; cut, since it comes from labels."""
        where = f"{self.namespace}/{self.name}" if self.namespace and self.name else self.name
        return untrusted(f"{self.kind} {where}".strip() if where else f"{self._article} {self.kind}", 160)

    @property
    def _article(self) -> str:
        return "an unnamed" if self.continuous else "a"


def recognise(live: type_json) -> Mark | None:
    """Return who keeps the object, None where nobody certainly does."""
    return _flux(live) or _argo(live) or _rancher(live) or _helm(live) or _provisioner(live)


def presumed_application(live: type_json) -> str:
    """Return the Argo CD Application that the instance label may name, empty where it is certainly no such name.

    The label alone proves nothing: the caller must see in the Application's ``status.resources`` that it lists the object.
    """
    if _is_controlled(live) or _HELM_RELEASE in annotations_of(live):
        return ""
    return labels_of(live).get(ARGO_INSTANCE, "")


def application_mark(name: str, namespace: str = "") -> Mark:
    """Return the mark of an Argo CD Application; its namespace is empty where only its name is known."""
    return Mark(tool="argocd", kind="Application", name=name, namespace=namespace, managers=_ARGO_MANAGERS)


def lists_object(application: type_json, live: type_json) -> bool:
    """Tell whether an Argo CD Application says that it manages the object."""
    ref = ref_of(live)
    own = (ref.api_version.rpartition("/")[0], ref.kind, ref.namespace or "", ref.name)
    return any(
        (row.get("group") or "", row.get("kind"), row.get("namespace") or "", row.get("name")) == own
        for row in rows(application, "status", "resources")
    )


def entries_of(live: type_json, managers: tuple[str, ...] | frozenset[str]) -> list[type_json]:
    """Return the ``managedFields`` entries of these managers on the object itself (subresources left out)."""
    return [
        row
        for row in rows(metadata_of(live), "managedFields")
        if row.get("manager") in managers and not row.get("subresource")
    ]


def _flux(live: type_json) -> Mark | None:
    labels = labels_of(live)
    found: list[Mark] = []
    for kind, group, manager in (
        ("HelmRelease", HELM_GROUP, "helm-controller"),
        ("Kustomization", KUSTOMIZE_GROUP, "kustomize-controller"),
    ):
        name, namespace = labels.get(f"{group}/name", ""), labels.get(f"{group}/namespace", "")
        mark = Mark(tool="flux", kind=kind, name=name, namespace=namespace, managers=(manager,))
        if name and entries_of(live, mark.managers):
            return mark
        if name and not _is_controlled(live):
            found.append(mark)
    if found:
        return found[0]
    applied = any(row.get("operation") == "Apply" for row in entries_of(live, ("kustomize-controller",)))
    return Mark(tool="flux", kind="Kustomization", managers=("kustomize-controller",)) if applied else None


def _argo(live: type_json) -> Mark | None:
    ref = ref_of(live)
    if ref.api_version.startswith(f"{ARGO_GROUP}/") and ref.kind in ("Application", "AppProject"):
        writes = bool(entries_of(live, ("argocd-controller",)))  # the other manager keeps status in these very objects
    else:
        writes = bool(entries_of(live, _ARGO_MANAGERS))
    tracked = _tracked(live)
    if tracked:
        return tracked
    labels = labels_of(live)
    custom = labels.get(_ARGO_CUSTOM_INSTANCE, "")
    if custom and (writes or not _is_controlled(live)):
        return application_mark(custom)
    return application_mark(labels.get(ARGO_INSTANCE, "")) if writes else None


def _tracked(live: type_json) -> Mark | None:
    """Read ``<application>:<group>/<kind>:<namespace>/<name>``; an id that names another object was copied and tells nothing."""
    parts = annotations_of(live).get(_ARGO_TRACKING, "").split(":", 2)
    if len(parts) != 3:
        return None
    ref = ref_of(live)
    group, _, kind = parts[1].partition("/")
    namespace, _, name = parts[2].partition("/")
    same_place = namespace == ref.namespace if ref.namespace else True  # cluster-wide objects carry the app's namespace
    if (group, kind, name) != (ref.api_version.rpartition("/")[0], ref.kind, ref.name) or not same_place:
        return None
    home, _, short = parts[0].rpartition("_")  # applications outside of Argo CD's own namespace: <namespace>_<name>
    return application_mark(short, home)


def _rancher(live: type_json) -> Mark | None:
    """Fleet and Rancher's other appliers share the marks; the others name the object that they apply for."""
    notes = annotations_of(live)
    identity = notes.get(f"{_FLEET}/id", "")
    if not identity or f"{_FLEET}/hash" not in labels_of(live) or _is_controlled(live):
        return None
    kind = re.search(r"Kind=(\w+)", notes.get(f"{_FLEET}/owner-gvk", ""))
    if kind is not None:
        name, namespace = notes.get(f"{_FLEET}/owner-name", ""), notes.get(f"{_FLEET}/owner-namespace", "")
        return Mark(tool="rancher", kind=kind.group(1), name=name, namespace=namespace)
    return Mark(tool="fleet", kind="Bundle", name=identity, managers=("fleetagent",))


def _helm(live: type_json) -> Mark | None:
    notes = annotations_of(live)
    release = notes.get(_HELM_RELEASE, "")
    if not release or labels_of(live).get("app.kubernetes.io/managed-by") != "Helm" or _is_controlled(live):
        return None
    namespace = notes.get("meta.helm.sh/release-namespace", "")
    return Mark(tool="helm", kind="release", name=release, namespace=namespace, managers=("helm",))


def _provisioner(live: type_json) -> Mark | None:
    for row in rows(metadata_of(live), "managedFields"):
        manager = str(row.get("manager", ""))
        if manager == "Terraform":
            return Mark(tool="terraform", kind="Terraform configuration", managers=(manager,))
        if _PULUMI.fullmatch(manager):
            return Mark(tool="pulumi", kind="Pulumi program", managers=(manager,))
    return None


def _is_controlled(live: type_json) -> bool:
    """Tell whether another object controls this one: a controller made it, whatever labels were handed down to it."""
    return any(row.get("controller") is True for row in rows(metadata_of(live), "ownerReferences"))
