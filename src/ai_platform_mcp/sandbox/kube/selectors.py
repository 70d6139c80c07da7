"""Label and field selectors, as `k8s.io/apimachinery` reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ai_platform_mcp.sandbox.kube.objects import dig, json_path, labels_of
from ai_platform_mcp.sandbox.kube.resources import Resource, crd_version
from ai_platform_mcp.sandbox.kube.status import Json, bad_request

Test: TypeAlias = Callable[[Json], bool]

_SET = re.compile(r"^\s*([^\s!=,()]+)\s+(in|notin)\s*\(([^()]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([^\s!=,()]+)\s*(==|=|!=)\s*([^\s=!,()]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s!=,()]+)\s*$")
_TERMS = re.compile(r",(?![^(]*\))")

# Field labels that a kind can be selected by, besides its name and namespace (each registry's GetAttrs).
_FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        *(f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion")),
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "jobs.batch": ("status.successful",),
    "replicasets.apps": ("status.replicas",),
    "resourceslices.resource.k8s.io": ("spec.nodeName", "spec.driver"),
}
_EMPTY_MEANS_FALSE = {"spec.unschedulable", "spec.hostNetwork"}


@dataclass(frozen=True)
class Selection:
    """Which objects of a kind are meant; compiled once, asked often."""

    tests: Sequence[Test] = ()
    name: str | None = None
    """Set when the selection can only be this one object."""

    def __call__(self, obj: Json) -> bool:
        """Whether an object is selected."""
        return all(test(obj) for test in self.tests)


def selection(resource: Resource, labels: str | None, fields: str | None) -> Selection:
    """Compile both selectors; raises BadRequest when one cannot be read or selects by an unsupported field."""
    tests = [_label_test(term) for term in _TERMS.split(labels)] if labels and labels.strip() else []
    name = None
    for term in filter(None, (fields or "").split(",")):
        field, equal, value = _field_term(term)
        tests.append(_field_test(resource, field, equal, value))
        if field == "metadata.name" and equal:
            name = value
    return Selection(tests, name)


def _label_test(term: str) -> Test:
    if found := _SET.match(term):
        key, how, text = found.groups()
        values = {value.strip() for value in text.split(",")}
        if how == "in":
            return lambda obj: labels_of(obj).get(key) in values
        return lambda obj: labels_of(obj).get(key) not in values
    if found := _EQUAL.match(term):
        key, how, value = found.groups()
        if how == "!=":
            return lambda obj: labels_of(obj).get(key) != value
        return lambda obj: labels_of(obj).get(key) == value
    if found := _EXISTS.match(term):
        absent, key = found.groups()
        return lambda obj: (key in labels_of(obj)) != bool(absent)
    raise bad_request(f"unable to parse requirement: found '{term}', expected: a label selector")


def _field_term(term: str) -> tuple[str, bool, str]:
    for sign, equal in (("!=", False), ("==", True), ("=", True)):
        field, found, value = term.partition(sign)
        if found:
            return field.strip(), equal, value.strip()
    raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")


def _field_test(resource: Resource, field: str, equal: bool, value: str) -> Test:
    selectable = {entry["jsonPath"].lstrip(".") for entry in crd_version(resource).get("selectableFields") or []}
    known = ("metadata.name", *(("metadata.namespace",) if resource.namespaced else ()))
    if field not in (*known, *_FIELDS.get(resource.bucket, ()), *selectable):
        raise bad_request(f"field label not supported: {field}")
    path = field.split(".")
    empty = "false" if field in _EMPTY_MEANS_FALSE else ""

    def text_of(obj: Json) -> str:
        found = next(json_path(obj, "." + field), None) if field in selectable else dig(obj, *path)
        if resource.bucket == "events" and field == "source":
            found = dig(obj, "source", "component") or obj.get("reportingComponent")
        if isinstance(found, bool):
            return str(found).lower()
        return empty if found is None else str(found)

    return lambda obj: (text_of(obj) == value) == equal


def matches_selector(selector: Json | None, labels: dict[str, str]) -> bool:
    """A `metav1.LabelSelector` against labels: null selects nothing, an empty one everything."""
    if selector is None:
        return False
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(_expression(entry, labels) for entry in selector.get("matchExpressions") or [])


def _expression(entry: Json, labels: dict[str, str]) -> bool:
    have = labels.get(entry["key"])
    values = entry.get("values") or []
    match entry.get("operator"):
        case "In":
            return have in values
        case "NotIn":
            return have not in values
        case "Exists":
            return have is not None
        case "DoesNotExist":
            return have is None
        case _:
            return False


def selector_text(selector: Json | None) -> str:
    """A LabelSelector in the form of a query parameter, as the scale subresource tells it."""
    parts = [f"{key}={value}" for key, value in sorted(((selector or {}).get("matchLabels") or {}).items())]
    for entry in (selector or {}).get("matchExpressions") or []:
        key, values = entry["key"], ",".join(entry.get("values") or [])
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(forms.get(entry.get("operator", ""), f"!{key}"))
    return ",".join(parts)
