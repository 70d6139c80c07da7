"""What a tool that keeps an object would do about a change of ours: undo it, leave it, or stand still. Pure.

Flux puts back the fields that its source declares and leaves others alone (server-side apply), with three exceptions by
annotation: ``ssa: Ignore`` and ``reconcile: disabled`` leave the object, ``ssa: IfNotPresent`` only ever creates it.
Argo CD compares what its source declares and writes it at a sync, which comes by itself where ``selfHeal`` is on; fields
that the source leaves out are no difference. Helm, Terraform and Pulumi write when somebody runs them.
"""

from __future__ import annotations

import json

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.rows import GitOpsOwner, GitOpsState
from ai_platform_mcp.domain.field_owners import MOST_TOLD, Path, dotted, fields_of, touched
from ai_platform_mcp.domain.gitops_owner import HELM_GROUP, KUSTOMIZE_GROUP, Mark, entries_of
from ai_platform_mcp.domain.gitops_source import Declaration
from ai_platform_mcp.domain.objects import annotations_of, labels_of, section

_TITLES = {"flux": "Flux", "argocd": "Argo CD", "fleet": "Fleet", "rancher": "Rancher", "helm": "Helm",
           "terraform": "Terraform", "pulumi": "Pulumi"}  # fmt: skip
_RUN_BY_HAND = {
    "helm": "The next `helm upgrade` of the release overwrites it where the chart declares it.",
    "terraform": "The next `terraform apply` overwrites it where the configuration declares it.",
    "pulumi": "The next `pulumi up` overwrites it where the program declares it.",
    "rancher": "Rancher applies the object again when its owner changes.",
}


def titled(tool: str) -> str:
    """Return a tool's name as people write it."""
    return _TITLES.get(tool, tool)


def judge(mark: Mark, live: type_json, after: type_json | None, declared: Declaration) -> GitOpsOwner:
    """Return what becomes of a change from ``live`` to ``after`` (None: a deletion)."""
    fields = () if after is None else tuple(dotted(path) for path in _undone(mark, live, after, declared))
    state, note = _state(mark, live, deleted=after is None, touches=bool(fields), declared=declared)
    return GitOpsOwner(
        tool=mark.tool,
        owner=mark.title,
        repository=declared.repository,
        path=declared.path,
        revision=declared.revision,
        state=state,
        fields=fields[:MOST_TOLD],
        note=" ".join(text for text in (note, declared.note) if text),
    )


def standing(mark: Mark, live: type_json, declared: Declaration) -> str:
    """Return why the tool leaves the whole object alone for now, empty where it does not."""
    if mark.tool != "flux":
        return declared.paused
    if _flag(live, f"{KUSTOMIZE_GROUP}/reconcile") == "disabled":
        return "reconciling of this object is disabled by its annotation"
    if mark.kind == "Kustomization" and _flag(live, f"{KUSTOMIZE_GROUP}/ssa") == "ignore":
        return "the object carries ssa: Ignore"
    return declared.paused


def _state(
    mark: Mark, live: type_json, *, deleted: bool, touches: bool, declared: Declaration
) -> tuple[GitOpsState, str]:
    if not mark.continuous:
        return "kept", _RUN_BY_HAND[mark.tool]
    tool = titled(mark.tool)
    still = standing(mark, live, declared)
    if still:
        return "paused", f"{tool} leaves it for now: {still}; once that ends, {tool} puts back what it declares."
    when = declared.when or "at its next reconciliation"
    if mark.kind == "HelmRelease" and _flag(live, f"{HELM_GROUP}/driftdetection") == "disabled":
        when = "at the next upgrade of the release (drift detection is disabled for this object)"
    if deleted:
        return "reverted", f"{tool} would create it again {when}."
    if mark.kind == "Kustomization" and _flag(live, f"{KUSTOMIZE_GROUP}/ssa") == "ifnotpresent":
        return "kept", "Flux made the object once (ssa: IfNotPresent) and does not change it afterwards."
    if touches:
        return "reverted", f"{tool} would put it back {when}."
    return "kept", f"{tool} does not declare these fields, so it leaves them until its source does."


def _undone(mark: Mark, live: type_json, after: type_json, declared: Declaration) -> list[Path]:
    """Return the changed fields that the tool declares. Where nobody can tell its fields, the whole object counts as its own."""
    entries = entries_of(live, mark.managers)
    nodes = [section(entry, "fieldsV1") for entry in entries]
    if not nodes:
        declared_there = _last_applied(live) if mark.tool == "argocd" else None
        nodes = [declared_there] if declared_there else [fields_of(_body(live)), fields_of(_body(after))]
    paths = dict.fromkeys(path for node in nodes for path in touched(live, after, node))
    left = [_segments(pointer) for pointer in declared.ignored]
    return [path for path in paths if path and not any(path[: len(part)] == part for part in left)]


def _last_applied(live: type_json) -> type_json | None:
    """Return what a client-side apply declared, None where the object does not say."""
    try:
        found = json.loads(annotations_of(live).get("kubectl.kubernetes.io/last-applied-configuration", ""))
    except ValueError:
        return None
    return fields_of({key: value for key, value in section(found).items() if key not in ("apiVersion", "kind")}) or None


def _body(live: type_json) -> type_json:
    """Return the object without its identity and the server's bookkeeping."""
    return {key: value for key, value in live.items() if key not in ("metadata", "status")}


def _segments(pointer: str) -> Path:
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])


def _flag(live: type_json, key: str) -> str:
    """Return an annotation or label in lower case, as Flux compares them; its keys too are compared so here."""
    for found in (annotations_of(live), labels_of(live)):
        for name, value in found.items():
            if name.lower() == key.lower():
                return value.lower()
    return ""
