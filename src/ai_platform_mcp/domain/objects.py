"""Kubernetes objects as plain JSON: reading them, digesting what matters in them, and telling how two of them differ.

Shared by tools (which write preconditions) and adapters (which check them), so both mean the same by «what we own».
Nothing here knows a server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from ai_platform_mcp.core.model import digest_of, type_json
from ai_platform_mcp.core.plan import Apply, Change, ClusterStep, Delete, Diff, ObjectRef, Patch, Precondition

FIELD_MANAGER = "ai-platform-mcp"
OPERATION_ANNOTATION = "aiplatform.dev/operation"
STEP_ANNOTATION = "aiplatform.dev/step"
PLAN_ANNOTATION = "aiplatform.dev/plan-digest"
STAMPED_ANNOTATION = "aiplatform.dev/stamped"
"""Names, separated by commas, of the further annotations that policy demanded of the operation."""
STAMP_ANNOTATIONS = frozenset({OPERATION_ANNOTATION, STEP_ANNOTATION, PLAN_ANNOTATION, STAMPED_ANNOTATION})
MODEL_LABEL = "aiplatform.dev/model"
VERSION_LABEL = "aiplatform.dev/version"
TEAM_LABEL = "aiplatform.dev/team"
ENVIRONMENT_LABEL = "aiplatform.dev/environment"
MODEL_DIGEST_ANNOTATION = "aiplatform.dev/model-digest"

_SERVER_OWNED = frozenset(
    {"managedFields", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "uid", "selfLink"}
)
_MAX_CHANGES = 40


# --- reading ---------------------------------------------------------------------------------------------------------


def section(value: Any, *path: str) -> type_json:
    """Return the object at ``path`` inside ``value``, empty where anything on the way is missing or no object."""
    for key in path:
        value = cast(type_json, value).get(key) if isinstance(value, dict) else None
    return cast(type_json, value) if isinstance(value, dict) else {}


def rows(value: Any, *path: str) -> list[type_json]:
    """Return the list of objects at ``path`` inside ``value``, empty where there is none."""
    found = section(value, *path[:-1]).get(path[-1]) if path else value
    items = cast(list[Any], found) if isinstance(found, list) else []
    return [cast(type_json, item) for item in items if isinstance(item, dict)]


def metadata_of(live: Mapping[str, Any]) -> type_json:
    """Return the object's metadata."""
    return section(live.get("metadata"))


def labels_of(live: Mapping[str, Any]) -> dict[str, str]:
    """Return the object's labels."""
    return {str(key): str(value) for key, value in section(metadata_of(live), "labels").items()}


def annotations_of(live: Mapping[str, Any]) -> dict[str, str]:
    """Return the object's annotations."""
    return {str(key): str(value) for key, value in section(metadata_of(live), "annotations").items()}


def ref_of(live: Mapping[str, Any]) -> ObjectRef:
    """Return the reference of an object or manifest."""
    meta = metadata_of(live)
    return ObjectRef(
        api_version=str(live.get("apiVersion", "")),
        kind=str(live.get("kind", "")),
        name=str(meta.get("name", "")),
        namespace=meta.get("namespace") or None,
    )


def step_ref(step: ClusterStep) -> ObjectRef:
    """Return the object that a step acts on; for a subresource, its parent."""
    if isinstance(step, Patch | Delete):
        return step.ref
    if not isinstance(step, Apply) and step.parent is not None:
        return step.parent
    return ref_of(step.manifest)


def condition(live: Mapping[str, Any], kind: str) -> type_json:
    """Return the status condition of this type, empty where the object has none."""
    return next((row for row in rows(live, "status", "conditions") if row.get("type") == kind), {})


def parse_time(text: Any) -> datetime | None:
    """Return an RFC 3339 time as Kubernetes writes it, None for anything else."""
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")) if text else None
    except ValueError:
        return None


_SUFFIXES = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def quantity(text: Any) -> Decimal:
    """Return the value of a Kubernetes quantity such as ``500m``, ``2Gi``, ``1e3`` or ``8``, in the unit without suffix.

    Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/

    Raises:
        ValueError: it is no quantity.
    """
    raw = str(text).strip()
    try:
        if raw[-2:] in _BINARY:
            value = Decimal(raw[:-2]) * Decimal(1024) ** _BINARY[raw[-2:]]
        else:
            suffix = raw[-1:] if raw[-1:] in _SUFFIXES and not raw[-1:].isdigit() else ""
            value = Decimal(raw.removesuffix(suffix) if suffix else raw).scaleb(_SUFFIXES[suffix])
    except InvalidOperation:
        raise ValueError(f"{raw[:40]!r} is not a Kubernetes quantity") from None
    if not value.is_finite():
        raise ValueError(f"{raw[:40]!r} is not a Kubernetes quantity")
    return value


def whole(text: Any) -> int:
    """Return a quantity rounded down to whole units; 0 for what is missing or no quantity."""
    try:
        return int(quantity(text)) if text is not None else 0
    except ValueError:
        return 0


# --- what we own -----------------------------------------------------------------------------------------------------


def owned_fields(live: Mapping[str, Any], manager: str = FIELD_MANAGER) -> type_json:
    """Return the part of ``live`` that ``manager`` owns, by its ``managedFields`` (status and scale entries left out).

    Stamp annotations are left out: they differ with every operation and say nothing about the object.
    """
    pruned: type_json = {}
    for entry in rows(metadata_of(live), "managedFields"):
        if entry.get("manager") == manager and not entry.get("subresource"):
            _merge(pruned, _owned(live, section(entry, "fieldsV1")))
    return _without_stamp(pruned)


def _owned(value: Any, fields: type_json) -> Any:
    """Return the parts of ``value`` named by a ``fieldsV1`` node; a node without children owns the whole value."""
    children = {key: cast(type_json, child) for key, child in fields.items() if key != "."}
    if not children or not isinstance(value, dict | list):
        return value
    if isinstance(value, dict):
        found = cast(type_json, value)
        return {
            key[2:]: _owned(found[key[2:]], child)
            for key, child in children.items()
            if key.startswith("f:") and key[2:] in found
        }
    # Items of a list are named by key fields (``k:``) or by value (``v:``). Whole items are kept: an item is the unit
    # that people think in, and a change to it is a change to what we wrote.

    keys = [json.loads(key[2:]) for key in children if key[:2] in ("k:", "v:")]
    return [item for item in cast(list[Any], value) if any(_is_item(item, key) for key in keys)]


def _is_item(item: Any, key: Any) -> bool:
    if isinstance(item, dict) and isinstance(key, dict):
        found = cast(type_json, item)
        return all(found.get(name) == value for name, value in cast(type_json, key).items())
    return item == key


def _merge(into: type_json, other: type_json) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], cast(type_json, value))
        else:
            into[key] = value


def _without_stamp(live: type_json) -> type_json:
    kept = {key: value for key, value in annotations_of(live).items() if key not in STAMP_ANNOTATIONS}
    if not section(live, "metadata", "annotations"):
        return live
    meta = {key: value for key, value in metadata_of(live).items() if key != "annotations"}
    return {**live, "metadata": {**meta, "annotations": kept} if kept else meta}


def owned_digest(live: Mapping[str, Any], manager: str = FIELD_MANAGER) -> str:
    """Return the SHA-256 of what ``manager`` owns in ``live``. Status updates and other managers' fields don't move it."""
    return digest_of(owned_fields(live, manager))


def replaced_fields(live: Any, shape: Any) -> Any:
    """Return the values that ``live`` has at the places a manifest or merge patch sets; None where it has none."""
    if not isinstance(shape, dict):
        return live
    found = section(live)
    return {key: replaced_fields(found.get(key), value) for key, value in cast(type_json, shape).items()}


def step_digest(step: ClusterStep, live: Mapping[str, Any]) -> str:
    """Return the digest behind an ``owned`` precondition: of the fields we own and of those the step replaces."""
    if isinstance(step, Patch):
        if isinstance(step.patch, list):
            operations = cast(list[type_json], step.patch)
            return digest_of({str(row.get("path")): at_pointer(live, str(row.get("path"))) for row in operations})
        return digest_of(replaced_fields(live, step.patch))
    if isinstance(step, Delete):
        return owned_digest(live)
    return digest_of({"owned": owned_fields(live), "replaced": replaced_fields(live, step.manifest)})


def preconditions(step: ClusterStep, live: Mapping[str, Any] | None) -> tuple[Precondition, ...]:
    """Return what must still hold when the step is applied: that it is absent still, or the same object, unchanged by others."""
    subject = subject_of(step_ref(step))
    if live is None:
        return (Precondition(kind="absent", subject=subject, expected=""),)
    same = Precondition(kind="uid", subject=subject, expected=str(metadata_of(live).get("uid", "")))
    if isinstance(step, Apply | Patch):
        return (same, Precondition(kind="owned", subject=subject, expected=step_digest(step, live)))
    return (same,)


def subject_of(ref: ObjectRef) -> str:
    """Return a precondition's subject for an object: ``apiVersion Kind [namespace/]name``."""
    return f"{ref.api_version} {ref}"


# --- comparing -------------------------------------------------------------------------------------------------------


def contains(live: Any, wanted: Any) -> bool:
    """Tell whether ``live`` has every value of ``wanted``; a None in ``wanted`` is a field that must not be there."""
    if isinstance(wanted, dict):
        found = section(live)
        return isinstance(live, dict) and all(
            found.get(key) is None if value is None else key in found and contains(found[key], value)
            for key, value in cast(type_json, wanted).items()
        )
    if isinstance(wanted, list) and isinstance(live, list):
        pairs = list(zip(cast(list[Any], live), cast(list[Any], wanted), strict=False))
        return len(cast(list[Any], live)) == len(cast(list[Any], wanted)) and all(contains(*pair) for pair in pairs)
    return live == wanted


def covers(owned: Any, shape: Any) -> bool:
    """Tell whether every field that ``shape`` sets is among ``owned``, whatever its value (servers normalise values)."""
    if not isinstance(shape, dict) or not shape:
        return owned is not None
    found = section(owned)
    return all(key in found and covers(found[key], value) for key, value in cast(type_json, shape).items())


def meaningful(live: Mapping[str, Any] | None, *, status: bool = False) -> type_json:
    """Return the object without what servers fill in by themselves and without our stamp; ``status`` keeps the status."""
    if live is None:
        return {}
    meta = {key: value for key, value in metadata_of(live).items() if key not in _SERVER_OWNED}
    kept = {key: value for key, value in live.items() if key != "metadata" and (status or key != "status")}
    return _without_stamp({**kept, "metadata": meta})


def differences(before: Any, after: Any, pointer: str = "") -> list[Change]:
    """Return each field that differs, by JSON pointer. Lists of equal length are compared item by item, others whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast(type_json, before), cast(type_json, after)
        keys = [*old, *(key for key in new if key not in old)]
        return [
            row for key in keys for row in differences(old.get(key), new.get(key), f"{pointer}/{escape_pointer(key)}")
        ]
    if isinstance(before, list) and isinstance(after, list):
        left, right = cast(list[Any], before), cast(list[Any], after)
        if len(left) == len(right):
            return [
                row
                for place in range(len(left))
                for row in differences(left[place], right[place], f"{pointer}/{place}")
            ]
    if before is None and isinstance(after, dict) and after:
        return differences({}, after, pointer)
    return [] if before == after else [Change(path=pointer, before=before, after=after)]


def diff_objects(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, *, status: bool = False) -> Diff:
    """Return what changes from ``before`` to ``after`` (None: the object is not there), noise left out.

    At most 40 changes are listed; ``omitted`` counts the others.
    """
    if after is None:
        return Diff(action="delete" if before is not None else "none")
    changes = differences(meaningful(before, status=status), meaningful(after, status=status))
    if before is None:
        identity = {"/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"}
        changes = [change for change in changes if change.path not in identity]
    action = "create" if before is None else "update" if changes else "none"
    return Diff(action=action, changes=tuple(changes[:_MAX_CHANGES]), omitted=max(0, len(changes) - _MAX_CHANGES))


def escape_pointer(key: str) -> str:
    """Return a key as a segment of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def at_pointer(document: Any, pointer: str) -> Any:
    """Return the value at a JSON pointer, None where there is none."""
    for raw in pointer.split("/")[1:]:
        key = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(document, list):
            items = cast(list[Any], document)
            document = items[int(key)] if key.isdigit() and int(key) < len(items) else None
        else:
            document = section(document).get(key)
    return document
