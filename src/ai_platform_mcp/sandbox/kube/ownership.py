"""Server-side apply: who owns which field, and what happens when two want it.

The algorithm of sigs.k8s.io/structured-merge-diff: an applier owns exactly the fields of its last configuration; a field
whose value another manager holds is a conflict unless forced; a field that an applier leaves out and nobody else owns goes
away. Every other write takes the fields that it changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ai_platform_mcp.sandbox.kube.objects import meta, private
from ai_platform_mcp.sandbox.kube.shape import FREE, Path, Shape, entries, granular, told
from ai_platform_mcp.sandbox.kube.status import ApiError, Json, cause

FieldSet: TypeAlias = set[Path]

# Fields that the server keeps; nobody owns them (k8s.io/apimachinery managedfields, stripmeta).
_NEVER_OWNED = {
    ("f:apiVersion",),
    ("f:kind",),
    ("f:metadata",),
    *(
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
        )
    ),
}


@dataclass(frozen=True)
class Manager:
    """Who writes, how, and through which subresource: the identity of a managedFields entry."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


@dataclass
class Ownership:
    """The decoded `managedFields` of an object."""

    fields: dict[Manager, FieldSet] = field(default_factory=dict)
    times: dict[Manager, str] = field(default_factory=dict)


@dataclass
class Comparison:
    """The fields in which two states of an object differ."""

    added: FieldSet = field(default_factory=set)
    modified: FieldSet = field(default_factory=set)
    removed: FieldSet = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.added or self.modified or self.removed)


def field_set(value: Any, shape: Shape, path: Path = ()) -> FieldSet:
    """Every field that a value sets."""
    if not granular(value, shape) or not value:
        return {path} if path else set()
    found: FieldSet = set()
    for element, part, inner, is_field in entries(value, shape):
        where = (*path, element)
        if is_field:
            found.add(where)
        found |= field_set(part, inner, where)
    return found if path else found - _NEVER_OWNED


def compare(old: Any, new: Any, shape: Shape, path: Path = ()) -> Comparison:
    """What was added, modified and removed between two states."""
    result = Comparison()
    _compare(old, new, shape, path, result)
    for found in (result.added, result.modified, result.removed):
        found -= _NEVER_OWNED
        found -= {entry for entry in found if entry[:2] == ("f:metadata", "f:managedFields")}
    return result


def _compare(old: Any, new: Any, shape: Shape, path: Path, into: Comparison) -> None:
    if old == new:
        return
    same_kind = type(old) is type(new)
    if not same_kind or not granular(old, shape):
        into.modified.add(path)
        return
    before = {element: (part, inner) for element, part, inner, _ in entries(old, shape)}
    after = {element: (part, inner) for element, part, inner, _ in entries(new, shape)}
    for element, (part, inner) in after.items():
        where = (*path, element)
        if element in before:
            _compare(before[element][0], part, inner, where, into)
        else:
            into.added |= field_set(part, inner, where) | {where}
    for element, (part, inner) in before.items():
        if element not in after:
            where = (*path, element)
            into.removed |= field_set(part, inner, where) | {where}


def merged(live: Any, config: Any, shape: Shape) -> Any:
    """`live` with the fields of `config` laid over it."""
    if isinstance(live, dict) and isinstance(config, dict) and not shape.atomic_map:
        result = dict(live)
        for key, part in config.items():
            result[key] = merged(live[key], part, shape.field(key)) if key in live else private(part)
        return result
    if isinstance(live, list) and isinstance(config, list) and shape.list_kind != "atomic":
        item = shape.item()
        place = {shape.element(part): index for index, part in enumerate(live)}
        result_list = list(live)
        for part in config:
            index = place.get(shape.element(part))
            if index is None:
                result_list.append(private(part))
            elif shape.list_kind == "map":
                result_list[index] = merged(live[index], part, item)
        return result_list
    return private(config)


def pruned(value: Any, shape: Shape, gone: FieldSet) -> Any:
    """`value` without the fields in `gone`."""
    if not gone or not granular(value, shape):
        return value
    below: dict[str, FieldSet] = {}
    dropped: set[str] = set()
    for path in gone:
        if len(path) == 1:
            dropped.add(path[0])
        else:
            below.setdefault(path[0], set()).add(path[1:])
    kept = [
        (element, pruned(part, inner, below.get(element, set())))
        for element, part, inner, _ in entries(value, shape)
        if element not in dropped
    ]
    if isinstance(value, dict):
        return {element[2:]: part for element, part in kept}
    return [part for _, part in kept]


def prefixes(paths: Iterable[Path]) -> FieldSet:
    """Every path and all that it lies in."""
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


def apply(live: Json | None, config: Json, shape: Shape, manager: Manager, force: bool) -> tuple[Json, Ownership]:
    """The object after `manager` applies `config`, and its owners; raises Conflict unless `force`."""
    owners = decode(live) if live else Ownership()
    base = live or {}
    last = owners.fields.get(manager, set())
    mine = field_set(config, shape)
    result: Json = merged(base, config, shape)
    owners.fields[manager] = mine
    held = prefixes(path for paths in owners.fields.values() for path in paths)
    given_up = prefixes(last) - held - _NEVER_OWNED
    result = pruned(result, shape, given_up)
    changed = compare(base, result, shape)
    contested = changed.added | changed.modified
    clashes = {
        other: paths & contested for other, paths in owners.fields.items() if other != manager and paths & contested
    }
    if clashes and not force:
        raise _conflict(clashes, owners)
    for other, paths in clashes.items():
        owners.fields[other] -= paths
    _forget(owners, changed.removed, keep=manager)
    return result, owners


def settle(owners: Ownership, old: Json, new: Json, shape: Shape, manager: Manager) -> bool:
    """Give `manager` what a write other than apply changed; says whether anything did."""
    changed = compare(old, new, shape)
    taken = changed.added | changed.modified
    for other in owners.fields:
        if other != manager:
            owners.fields[other] -= taken
    _forget(owners, changed.removed, keep=None)
    if taken:
        owners.fields[manager] = owners.fields.get(manager, set()) | taken
    return bool(changed)


def _forget(owners: Ownership, removed: FieldSet, keep: Manager | None) -> None:
    for manager, paths in owners.fields.items():
        if removed and manager != keep:
            owners.fields[manager] = {path for path in paths if prefixes([path]).isdisjoint(removed)}


def _conflict(clashes: dict[Manager, FieldSet], owners: Ownership) -> ApiError:
    causes: list[Json] = []
    lines: list[str] = []
    for manager in sorted(clashes, key=lambda entry: entry.name):
        who = _who(manager, owners.times.get(manager))
        paths = sorted(told(path) for path in clashes[manager])
        causes += [cause("FieldManagerConflict", f"conflict with {who}", path) for path in paths]
        lines += [f"conflicts with {who}:", *(f"- {path}" for path in paths)]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, details={"causes": causes})


def _who(manager: Manager, time: str | None) -> str:
    text = f'"{manager.name}"'
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    if manager.operation == "Update":
        text += f" using {manager.api_version}" + (f" at {time}" if time else "")
    return text


def decode(obj: Json) -> Ownership:
    """Read `metadata.managedFields`."""
    owners = Ownership()
    for entry in meta(obj).get("managedFields") or []:
        manager = Manager(entry["manager"], entry["operation"], entry["apiVersion"], entry.get("subresource", ""))
        owners.fields[manager] = set(_paths(entry.get("fieldsV1") or {}))
        owners.times[manager] = entry.get("time", "")
    return owners


def carried(old: Json, new: Json) -> Ownership:
    """The ownership that a write starts from: what the writer says in `managedFields`, else what the live object has.

    A single empty entry resets it; what cannot be read, or names nobody, counts as not said.
    """
    if meta(new).get("managedFields") == [{}]:
        return Ownership()
    try:
        said = decode(new)
    except (KeyError, TypeError, AttributeError):
        return decode(old)
    return said if any(said.fields.values()) else decode(old)


def _paths(tree: Json, path: Path = ()) -> Iterable[Path]:
    for element, below in tree.items():
        if element == ".":
            yield path
        elif below:
            yield from _paths(below, (*path, element))
        else:
            yield (*path, element)


def encode(owners: Ownership, before: Ownership, now: str) -> list[Json]:
    """`metadata.managedFields`; an entry keeps its time while its fields stay the same."""
    found: list[Json] = []
    for manager, paths in owners.fields.items():
        if not paths:
            continue
        same = before.fields.get(manager) == paths
        entry: Json = {"manager": manager.name, "operation": manager.operation, "apiVersion": manager.api_version}
        entry["time"] = before.times.get(manager, now) if same else now
        entry |= {"fieldsType": "FieldsV1", "fieldsV1": _tree(paths)}
        found.append(entry | ({"subresource": manager.subresource} if manager.subresource else {}))
    return found


def _tree(paths: FieldSet) -> Json:
    root: Json = {}
    inner = {path[:length] for path in paths for length in range(1, len(path))}
    for path in sorted(paths):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        if path in inner:
            node["."] = {}
    return root


__all__ = ["FREE", "Manager", "Ownership", "apply", "carried", "compare", "decode", "encode", "field_set", "settle"]
