"""Where a GitOps tool's own object says that things are declared, and whether it is told to stand still. Pure.

Sources: the released CRDs of kustomize-controller v1.9 and source-controller v1.9; Argo CD's Application
(https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/ and …/diffing/); HelmRelease v2
(https://fluxcd.io/flux/components/helm/helmreleases/#drift-detection).
"""

from __future__ import annotations

import re

from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.domain.objects import annotations_of, metadata_of, ref_of, rows, section

_TEXT = 200
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


class Declaration(Value):
    """What is known of the place an object is declared in. None: it cannot be read here."""

    repository: str | None = None
    path: str | None = None
    revision: str | None = None
    paused: str = ""
    """Why the tool stands still, empty where it does not."""
    when: str = ""
    """When the tool puts back what it declares, as the end of a sentence; empty: at its next reconciliation."""
    ignored: tuple[str, ...] = ()
    """JSON pointers of this object that the tool leaves alone."""
    note: str = ""


UNREAD = Declaration()


def shown(text: object) -> str | None:
    """Return a text of the cluster as it may be shown: cut, without credentials; None where there is none."""
    return untrusted(_CREDENTIALS.sub("", str(text)), _TEXT) if text else None


# --- Flux --------------------------------------------------------------------------------------------------------------


def of_kustomization(kustomization: type_json, source: type_json | None, live: type_json) -> Declaration:
    """Return what a Flux Kustomization and its source say of an object."""
    spec = section(kustomization, "spec")
    suspended = spec.get("suspend") is True
    name = f"Kustomization {metadata_of(kustomization).get('name')}"
    return Declaration(
        repository=_source_url(source),
        path=shown(spec.get("path")) or "./",
        revision=shown(section(kustomization, "status").get("lastAppliedRevision")) or _reference(source),
        paused=f"{untrusted(name, 120)} is suspended" if suspended else "",
        ignored=_ignored_by_flux(rows(spec, "ignore"), live),
    )


def of_helm_release(release: type_json, source: type_json | None, declared: Declaration | None) -> Declaration:
    """Return what a Flux HelmRelease says; ``declared`` is where the HelmRelease itself comes from, where that is known."""
    spec = section(release, "spec")
    chart = section(spec, "chart", "spec")
    values = [f"{row.get('kind')} {row.get('name')}" for row in rows(spec, "valuesFrom")]
    what = shown(chart.get("chart")) or shown(section(spec, "chartRef").get("name")) or "its chart"
    origin = _source_url(source)
    told = f"It comes from chart {what}{f' of {origin}' if origin else ''}; its values are set in the HelmRelease"
    told += f" and in {', '.join(values)}." if values else "."
    corrects = section(spec, "driftDetection").get("mode") == "enabled"
    home = declared or Declaration(repository=origin, path=what, revision=shown(chart.get("version")))
    return home.model_copy(
        update={
            "paused": "the HelmRelease is suspended" if spec.get("suspend") is True else "",
            "when": "" if corrects else "at the next upgrade of the release (its drift detection is not enabled)",
            "ignored": (),
            "note": untrusted(told, 300),
        }
    )


def source_reference(holder: type_json) -> tuple[str, str, str, str] | None:
    """Return apiVersion, kind, name and namespace of the source that a Kustomization or HelmRelease names."""
    spec = section(holder, "spec")
    found = section(spec, "sourceRef") or section(spec, "chartRef") or section(spec, "chart", "spec", "sourceRef")
    if not found.get("kind") or not found.get("name"):
        return None
    namespace = found.get("namespace") or metadata_of(holder).get("namespace") or ""
    version = found.get("apiVersion") or "source.toolkit.fluxcd.io/v1"
    return str(version), str(found["kind"]), str(found["name"]), str(namespace)


def _source_url(source: type_json | None) -> str | None:
    """Return the place a Flux source reads: the URL, or for a Bucket its endpoint and name."""
    spec = section(source, "spec")
    if spec.get("bucketName"):
        prefix = f"/{spec['prefix']}" if spec.get("prefix") else ""
        return shown(f"{spec.get('endpoint')}/{spec['bucketName']}{prefix}")
    return shown(spec.get("url"))


def _reference(source: type_json | None) -> str | None:
    ref = section(source, "spec", "ref")
    return next(
        (shown(ref[key]) for key in ("commit", "digest", "name", "semver", "tag", "branch") if ref.get(key)), None
    )


def _ignored_by_flux(rules: list[type_json], live: type_json) -> tuple[str, ...]:
    """Return the paths of the rules that certainly select the object; selectors by label are not followed."""
    ref = ref_of(live)
    group, _, version = ref.api_version.rpartition("/")
    own = {"group": group, "version": version, "kind": ref.kind, "name": ref.name, "namespace": ref.namespace or ""}
    found: list[str] = []
    for rule in rules:
        target = section(rule, "target")
        plain = {key: value for key, value in target.items() if value}
        if all(own.get(key) == value for key, value in plain.items()):
            found += _texts(rule, "paths")
    return tuple(found)


# --- Argo CD -----------------------------------------------------------------------------------------------------------


def of_application(application: type_json, live: type_json) -> Declaration:
    """Return what an Argo CD Application says of an object that it manages."""
    spec = section(application, "spec")
    sources = rows(spec, "sources") or [section(spec, "source")]
    files = [row for row in sources if not row.get("ref")] or sources
    first = files[0]
    synced = section(application, "status", "sync")
    revisions = synced.get("revision") or next(iter(_texts(synced, "revisions")), "")
    where = [_argo_place(row) for row in files[1:3]]
    note = f"The Application has more sources: {'; '.join(where)}." if where else ""
    skipped = annotations_of(application).get("argocd.argoproj.io/skip-reconcile") == "true"
    options = _texts(section(spec, "syncPolicy"), "syncOptions")
    return Declaration(
        repository=shown(first.get("repoURL")),
        path=shown(first.get("path")) or (f"chart {shown(first['chart'])}" if first.get("chart") else None),
        revision=shown(first.get("targetRevision")) or shown(revisions),
        paused="the Application is told to skip reconciling" if skipped else "",
        when=_argo_when(section(spec, "syncPolicy")),
        # Without that option the rules quiet the comparison only, and a sync writes the declared values all the same.
        ignored=_ignored_by_argo(rows(spec, "ignoreDifferences"), live)
        if "RespectIgnoreDifferences=true" in options
        else (),
        note=" ".join(text for text in (note, _helm_values(first)) if text),
    )


def _argo_place(source: type_json) -> str:
    what = shown(source.get("path")) or shown(source.get("chart")) or ""
    return f"{shown(source.get('repoURL'))} {what}".strip()


def _helm_values(source: type_json) -> str:
    files = _texts(section(source, "helm"), "valueFiles")
    return untrusted(f"Its Helm values are in {', '.join(files)}.", _TEXT) if files else ""


def _argo_when(policy: type_json) -> str:
    automated = policy.get("automated")
    if not isinstance(automated, dict) or section(policy, "automated").get("enabled") is False:
        return "at the next sync (automated sync is off)"
    return "" if section(policy, "automated").get("selfHeal") is True else "at the next sync (selfHeal is off)"


def _ignored_by_argo(rules: list[type_json], live: type_json) -> tuple[str, ...]:
    ref = ref_of(live)
    group = ref.api_version.rpartition("/")[0]
    found: list[str] = []
    for rule in rules:
        of_kind = rule.get("kind") in (ref.kind, "*") and (rule.get("group") or "") in (group, "*")
        of_name = rule.get("name") in (None, "", ref.name) and rule.get("namespace") in (None, "", ref.namespace)
        if of_kind and of_name:
            found += _texts(rule, "jsonPointers")
    return tuple(found)


def _texts(holder: type_json, key: str) -> list[str]:
    found = holder.get(key)
    return [str(item) for item in found] if isinstance(found, list) else []  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
