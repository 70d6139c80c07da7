"""Whose fields a change touches, and what others changed since we applied: read from ``managedFields``. Pure.

The server moves a field to whoever sets it last by ``kubectl edit`` and the like, and notes the time in that manager's entry.
Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#ownership-example
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import HeldField
from ai_platform_mcp.domain.objects import FIELD_MANAGER, metadata_of, rows, section

Path = tuple[str, ...]
"""Segments of a field's path: names, and for items of lists the server's own ``[name="x"]``."""

MOST_TOLD = 10
"""Fields that are told of one object."""
_BODIES = frozenset({"f:spec", "f:data", "f:binaryData", "f:stringData"})
_CONTROLLERS = frozenset(
    {"kueue", "kueue-admission", "manager", "kube-controller-manager", "kube-scheduler", "kubelet", "karpenter"}
)
"""Managers whose work is to write into specs (Kueue suspends jobs): what they set is no drift."""


def dotted(path: Path) -> str:
    """Return a path as the API server writes it in conflicts: ``.spec.containers[name="x"].image``."""
    return untrusted("".join(part if part.startswith("[") else f".{part}" for part in path), 200)


def touched(before: Any, after: Any, fields: type_json, path: Path = ()) -> Iterator[Path]:
    """Yield the paths among ``fields`` (a ``fieldsV1`` node) whose value differs between the two objects."""
    children = {key: cast("type_json", child) for key, child in fields.items() if key != "."}
    if not children:
        gone = before is not None and after is None
        filled = before == {} and isinstance(
            after, dict
        )  # whoever wrote an empty map holds nothing of what is put into it
        if gone if "." in fields else before != after and not filled:
            yield path
        return
    for key, child in children.items():
        name, old, new = _step_into(key, before, after)
        yield from touched(old, new, child, (*path, name))


def _step_into(key: str, before: Any, after: Any) -> tuple[str, Any, Any]:
    """Return the path's segment for a key of ``fieldsV1``, and what both objects hold there."""
    kind, _, name = key.partition(":")
    if kind == "f":
        return name, section(before).get(name), section(after).get(name)
    if kind == "k":
        wanted = cast("type_json", json.loads(name))
        told = ",".join(f"{field}={json.dumps(value)}" for field, value in wanted.items())
        return f"[{told}]", _item(before, wanted), _item(after, wanted)
    if kind == "v":
        value = json.loads(name)
        return f"[={name}]", value if _has(before, value) else None, value if _has(after, value) else None
    return f"[{name}]", _at(before, name), _at(after, name)


def _item(found: Any, wanted: type_json) -> type_json | None:
    for row in rows(found):
        if all(row.get(field) == value for field, value in wanted.items()):
            return row
    return None


def _has(found: Any, value: Any) -> bool:
    return isinstance(found, list) and value in found


def _at(found: Any, place: str) -> Any:
    items = cast("list[Any]", found) if isinstance(found, list) else []
    return items[int(place)] if place.isdigit() and int(place) < len(items) else None


def fields_of(shape: Any) -> type_json:
    """Return the ``fieldsV1`` node of everything that a manifest says; a list counts as one field."""
    if not isinstance(shape, dict):
        return {}
    return {f"f:{key}": fields_of(value) for key, value in cast("type_json", shape).items()}


def leaves(fields: type_json, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of the fields that a ``fieldsV1`` node owns by value."""
    children = {key: child for key, child in fields.items() if key != "."}
    if not children and "." not in fields:
        yield path
    for key, child in children.items():
        yield from leaves(cast("type_json", child), (*path, _step_into(key, None, None)[0]))


def taken(live: type_json, after: type_json, others_than: frozenset[str]) -> tuple[HeldField, ...]:
    """Return the fields of other managers, ``others_than`` left out, that a change from ``live`` to ``after`` takes over."""
    held = [
        HeldField(manager=_name(entry), field=dotted(path), since=_time(entry))
        for entry in _foreign(live, others_than)
        for path in touched(live, after, section(entry, "fieldsV1"))
    ]
    return tuple(held[:MOST_TOLD])


def drift(live: type_json, others_than: frozenset[str]) -> tuple[HeldField, ...]:
    """Return what others set in the object's body since we applied it last; nothing where we never did.

    Times in ``managedFields`` are whole seconds, so what was set in the second of our apply counts as after it.
    """
    own = [row for row in _entries(live) if row.get("manager") == FIELD_MANAGER]
    last = max((_time(row) for row in own), default="")
    if not last:
        return ()
    ours = {path for row in own for path in leaves(section(row, "fieldsV1"))}
    held = [
        HeldField(manager=_name(entry), field=dotted(path), since=_time(entry))
        for entry in _foreign(live, others_than | _CONTROLLERS)
        if _time(entry) >= last
        for path in leaves({key: child for key, child in section(entry, "fieldsV1").items() if key in _BODIES})
        if path and path not in ours
    ]
    return tuple(held[:MOST_TOLD])


def since(live: type_json | None, manager: str) -> str:
    """Return when a manager last set anything in the object, empty where it has no entry."""
    return max((_time(row) for row in _entries(live or {}) if row.get("manager") == manager), default="")


def _entries(live: type_json) -> list[type_json]:
    return [row for row in rows(metadata_of(live), "managedFields") if not row.get("subresource")]


def _foreign(live: type_json, others_than: frozenset[str]) -> list[type_json]:
    known = {FIELD_MANAGER, *others_than}
    return [row for row in _entries(live) if row.get("manager") not in known]


def _name(entry: type_json) -> str:
    return untrusted(str(entry.get("manager") or "unknown"), 80)


def _time(entry: type_json) -> str:
    return untrusted(str(entry.get("time") or ""), 40)
