"""Questions with one fact deleted or set to null: no such loss may make a decision milder."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
SEVERITY = {"allow": 0, "require_approval": 1, "deny": 2}

MEANT_TO_BE_EMPTY = ("approval",)
"""Paths whose null is the ordinary case and no lost fact."""


def paths(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every field and of every list element."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*at, key)
        yield from paths(inner, (*at, key))


def mutations(root: Document) -> Iterator[tuple[str, Document]]:
    """Yield (what was done, document). Fields are deleted and nulled, elements of lists nulled.

    An element that is missing altogether leaves no trace in a document, so that is not asked of policy.
    """
    for path in paths(root):
        name = ".".join(map(str, path))
        if path[0] in MEANT_TO_BE_EMPTY and len(path) == 1:
            continue
        yield f"null {name}", _changed(root, path, delete=False)
        if isinstance(path[-1], str):
            yield f"drop {name}", _changed(root, path, delete=True)


def _changed(root: Document, path: tuple[str | int, ...], *, delete: bool) -> Document:
    copied = copy.deepcopy(root)
    at: Any = copied
    for step in path[:-1]:
        at = at[step]
    if delete:
        del at[path[-1]]
    else:
        at[path[-1]] = None
    return copied
