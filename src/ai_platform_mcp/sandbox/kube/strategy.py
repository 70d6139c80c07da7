"""What each kind does to its objects before they are stored: status, generation, identity, and a kind's own rules.

The registry strategies of kube-apiserver (`PrepareForCreate`, `PrepareForUpdate`, `ValidateUpdate`).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from ai_platform_mcp.sandbox.kube.objects import dig, labels_of, meta, name_of
from ai_platform_mcp.sandbox.kube.resources import Resource
from ai_platform_mcp.sandbox.kube.selectors import matches_selector
from ai_platform_mcp.sandbox.kube.status import Json, cause, invalid
from ai_platform_mcp.sandbox.kube.validation import quoted

# Kinds whose status a client may give when creating (their strategies keep it).
_STATUS_KEPT = {"nodes"}
# Kinds with a spec but without metadata.generation.
_NO_GENERATION = {"nodes", "namespaces", "services", "persistentvolumeclaims", "persistentvolumes", "resourcequotas"}
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_FIXED_SELECTOR = {"deployments.apps", "daemonsets.apps", "replicasets.apps", "statefulsets.apps", "jobs.batch"}


def _has_generation(resource: Resource, obj: Json) -> bool:
    if resource.custom is not None:
        return True
    return "spec" in obj and resource.bucket not in _NO_GENERATION


def on_create(resource: Resource, obj: Json, now: str) -> None:
    """Put a new object into the state that its kind starts from."""
    if resource.has_status and resource.bucket not in _STATUS_KEPT:
        obj.pop("status", None)
    if _has_generation(resource, obj):
        meta(obj)["generation"] = 1
    if prepare := _CREATE.get(resource.bucket):
        prepare(obj, now)


def on_update(resource: Resource, old: Json, new: Json) -> None:
    """Carry over what an update may not change, and count the generation."""
    if resource.has_status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    if resource.bucket == "secrets":
        _secret(new, "")
    if _has_generation(resource, new):
        generation = int(meta(old).get("generation") or 1)
        meta(new)["generation"] = generation + (_wish(resource, old) != _wish(resource, new))


def _wish(resource: Resource, obj: Json) -> Json:
    """What a generation counts: all but metadata, and but status where that has its own door."""
    if resource.custom is None:
        return obj.get("spec") or {}
    hidden = ("metadata", "apiVersion", "status") if resource.has_status else ("metadata", "apiVersion")
    return {key: value for key, value in obj.items() if key not in hidden}


def _namespace(obj: Json, now: str) -> None:
    meta(obj).setdefault("labels", {})["kubernetes.io/metadata.name"] = name_of(obj)
    obj["spec"] = {"finalizers": ["kubernetes"]}
    obj["status"] = {"phase": "Active"}


def _pod(obj: Json, now: str) -> None:
    spec = obj.get("spec") or {}
    containers = [entry for entry in spec.get("containers") or [] if isinstance(entry, dict)]
    resources: list[Json] = [entry.get("resources") or {} for entry in containers]
    if not any(entry.get("requests") or entry.get("limits") for entry in resources):
        quality = "BestEffort"
    elif all(entry.get("limits") and entry.get("requests") == entry.get("limits") for entry in resources):
        quality = "Guaranteed"
    else:
        quality = "Burstable"
    obj["status"] = {"phase": "Pending", "qosClass": quality}


def _claim(obj: Json, now: str) -> None:
    obj["status"] = {"phase": "Pending"}


def _service(obj: Json, now: str) -> None:
    spec = obj.get("spec") or {}
    if spec.get("type", "ClusterIP") != "ExternalName" and not spec.get("clusterIP"):
        digest = hashlib.sha256(str(meta(obj).get("uid")).encode()).digest()
        spec["clusterIP"] = f"10.96.{digest[0]}.{digest[1] or 1}"
    if spec.get("clusterIP"):
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
    obj["status"] = {"loadBalancer": {}}


def _secret(obj: Json, now: str) -> None:
    plain: Any = obj.pop("stringData", None)
    for key, value in (plain or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(str(value).encode()).decode()


def _definition(obj: Json, now: str) -> None:
    moment = now
    accepted = {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found"}
    established = {"type": "Established", "status": "True", "reason": "InitialNamesAccepted"}
    established["message"] = "the initial names have been accepted"
    stored = [entry["name"] for entry in dig(obj, "spec", "versions", default=[]) if entry.get("storage")]
    conditions = [entry | {"lastTransitionTime": moment} for entry in (accepted, established)]
    names = dig(obj, "spec", "names", default={})
    obj["status"] = {"conditions": conditions, "acceptedNames": names, "storedVersions": stored}


_CREATE: dict[str, Callable[[Json, str], None]] = {
    "namespaces": _namespace,
    "pods": _pod,
    "persistentvolumeclaims": _claim,
    "services": _service,
    "secrets": _secret,
    "customresourcedefinitions.apiextensions.k8s.io": _definition,
}


def check_kind(resource: Resource, old: Json | None, new: Json, warnings: list[str]) -> None:
    """A kind's own rules that no schema states; raises Invalid."""
    causes: list[Json] = []
    if resource.bucket == "services":
        causes += _service_causes(new, warnings)
    if resource.bucket in _FIXED_SELECTOR:
        causes += _selector_causes(resource, old, new)
    if resource.bucket == "customresourcedefinitions.apiextensions.k8s.io":
        causes += _definition_causes(new)
    if resource.bucket in ("configmaps", "secrets") and old and old.get("immutable"):
        changed = [key for key in ("data", "binaryData", "immutable") if old.get(key) != new.get(key)]
        causes += [_fixed(key, "field is immutable when `immutable` is set") for key in changed]
    if resource.bucket == "pods" and old:
        causes += _pod_causes(old, new)
    if old:
        causes += _immutable_causes(resource, old, new)
    if causes:
        raise invalid(resource, name_of(new), causes)


def _fixed(field: str, why: str) -> Json:
    return cause("FieldValueForbidden", f"Forbidden: {why}", field)


def _service_causes(obj: Json, warnings: list[str]) -> list[Json]:
    field = "spec.trafficDistribution"
    chosen = dig(obj, "spec", "trafficDistribution")
    if chosen == "PreferClose":
        warnings.append(f'{field}: "PreferClose" is deprecated; use "PreferSameZone"')
    if chosen is None or chosen in _DISTRIBUTIONS:
        return []
    supported = ", ".join(quoted(name) for name in _DISTRIBUTIONS)
    text = f"Unsupported value: {quoted(chosen)}: supported values: {supported}"
    return [cause("FieldValueNotSupported", text, field)]


def _selector_causes(resource: Resource, old: Json | None, new: Json) -> list[Json]:
    selector = dig(new, "spec", "selector")
    before = dig(old, "spec", "selector")
    if old and before != selector:
        text = f"Invalid value: {quoted(selector)}: field is immutable"
        return [cause("FieldValueInvalid", text, "spec.selector")]
    labels = labels_of(dig(new, "spec", "template", default={}))
    if isinstance(selector, dict) and not matches_selector(selector, labels):
        text = f"Invalid value: {quoted(labels)}: `selector` does not match template `labels`"
        return [cause("FieldValueInvalid", text, "spec.template.metadata.labels")]
    return []


_FIXED_FIELDS = {
    "jobs.batch": ("template", "completionMode"),
    "localqueues.kueue.x-k8s.io": ("clusterQueue",),
}
"""Fields of a spec that keep their first value. Job: batch validation; LocalQueue: a CEL rule of Kueue's CRD."""
_OPEN_WHILE_SUSPENDED = ("nodeSelector", "tolerations", "affinity", "schedulingGates")


def _immutable_causes(resource: Resource, old: Json, new: Json) -> list[Json]:
    causes: list[Json] = []
    for field in _FIXED_FIELDS.get(resource.bucket, ()):
        before, after = dig(old, "spec", field), dig(new, "spec", field)
        if field == "template" and dig(old, "spec", "suspend"):
            before, after = _fixed_template(before), _fixed_template(after)
        if before != after:
            causes.append(
                cause("FieldValueInvalid", f"Invalid value: {quoted(after)}: field is immutable", f"spec.{field}")
            )
    return causes


def _fixed_template(template: Json) -> Json:
    """Return what of a suspended Job's pod template stays fixed: where it may run is open until it starts."""
    spec = {key: value for key, value in dig(template, "spec", default={}).items() if key not in _OPEN_WHILE_SUSPENDED}
    return {"spec": spec}


def _definition_causes(obj: Json) -> list[Json]:
    wanted = f"{dig(obj, 'spec', 'names', 'plural')}.{dig(obj, 'spec', 'group')}"
    causes: list[Json] = []
    if name_of(obj) != wanted:
        text = f'Invalid value: {quoted(name_of(obj))}: must be spec.names.plural+"."+spec.group'
        causes.append(cause("FieldValueInvalid", text, "metadata.name"))
    versions = dig(obj, "spec", "versions", default=[]) or []
    if sum(bool(entry.get("storage")) for entry in versions) != 1:
        text = "Invalid value: must have exactly one version marked as storage version"
        causes.append(cause("FieldValueInvalid", text, "spec.versions"))
    return causes


_POD_MAY_CHANGE = ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates")


def _pod_causes(old: Json, new: Json) -> list[Json]:
    def settled(obj: Json) -> Json:
        spec: Json = {key: value for key, value in (obj.get("spec") or {}).items() if key not in _POD_MAY_CHANGE}
        for group in ("containers", "initContainers"):
            if group in spec:
                spec[group] = [{k: v for k, v in entry.items() if k != "image"} for entry in spec[group]]
        return spec

    before, after = settled(old), settled(new)
    if "nodeName" not in before:
        after.pop("nodeName", None)
    if before == after:
        return []
    allowed = (
        "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations`"
    )
    return [
        _fixed(
            "spec", f"pod updates may not change fields other than {allowed} (only additions to existing tolerations)"
        )
    ]
