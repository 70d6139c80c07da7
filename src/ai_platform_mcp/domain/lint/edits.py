"""Edits on plain documents. The text of a document is edited elsewhere and must come to the same."""

from __future__ import annotations

from typing import Any, cast

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.lint.model import Edit


class NotApplicable(Exception):
    """The document does not have what the edit changes, or has already what it would make."""


def split(path: str) -> list[str]:
    """Return the parts of a JSON pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def apply(document: Any, edit: Edit) -> None:
    """Perform one edit in place; what an anchor shares changes everywhere, as it does in the text.

    Raises:
        NotApplicable: see the class; the document may then be half changed.
    """
    parts = split(edit.path)
    if edit.op == "set":
        _set(document, parts, edit.value)
    elif edit.op == "remove":
        _take(document, parts)
    elif edit.op == "rename":
        _rename(_mapping(_at(document, parts[:-1])), parts[-1], edit.to)
    else:
        target = split(edit.to)
        if target[: len(parts)] == parts:
            raise NotApplicable(f"{edit.path} cannot move into itself")  # RFC 6902 §4.4
        if _has(document, target):
            raise NotApplicable(f"{edit.to} is there already")
        _at(document, parts)
        _set(document, target, _take(document, parts, prune_above=_shared(parts, target)))


def _shared(one: list[str], other: list[str]) -> int:
    """How many leading parts two pointers share: what holds the target is not emptied by the move."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _step(value: Any, part: str) -> Any:
    if isinstance(value, dict) and part in value:
        return cast(type_json, value)[part]
    if isinstance(value, list) and part.isdigit() and int(part) < len(cast("list[Any]", value)):
        return cast("list[Any]", value)[int(part)]
    raise NotApplicable(f"there is no {part}")


def _at(document: Any, parts: list[str]) -> Any:
    for part in parts:
        document = _step(document, part)
    return document


def _has(document: Any, parts: list[str]) -> bool:
    try:
        _at(document, parts)
    except NotApplicable:
        return False
    return True


def _mapping(value: Any) -> type_json:
    if not isinstance(value, dict):
        raise NotApplicable("not an object")
    return cast(type_json, value)


def _set(document: Any, parts: list[str], value: Any) -> None:
    *above, last = parts
    for part in above:
        if isinstance(document, dict):
            data = cast(type_json, document)
            if data.get(part) is None:
                data[part] = {}
        document = _step(document, part)
    _mapping(document)[last] = value


def _take(document: Any, parts: list[str], prune_above: int = 0) -> Any:
    """Take a field out; objects that it leaves empty go too, down to ``prune_above`` parts (and never an item of a list)."""
    value = _at(document, parts)
    for depth in range(len(parts) - 1, prune_above - 1, -1):
        holder = _at(document, parts[:depth])
        if not isinstance(holder, dict):
            break
        del cast(type_json, holder)[parts[depth]]
        if holder or depth == 0:
            break
    return value


def _rename(holder: type_json, name: str, to: str) -> None:
    if name not in holder or to in holder:
        raise NotApplicable(f"{name} is not there, or {to} is")
    items = [(to if key == name else key, value) for key, value in holder.items()]
    holder.clear()
    holder.update(items)
