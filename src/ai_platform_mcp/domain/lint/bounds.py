"""How large and deep a document may be: anchors make short texts of endless documents."""

from __future__ import annotations

from typing import Any, cast

MOST_VALUES = 1_000_000
"""Values of one document with every alias written out; the largest object that a cluster holds has fewer."""
MOST_LEVELS = 100
"""Levels of nesting; schemas of custom resources, the deepest manifests there are, stay below 60."""


class Unbounded(ValueError):
    """The document is too large, too deep, or contains itself."""


def hold(document: Any) -> None:
    """Raise Unbounded for a document that rules could not walk through in bounded time."""
    if _size(document, {}, 0) > MOST_VALUES:
        raise Unbounded(f"the document has more than {MOST_VALUES} values once its anchors are followed")


def _size(value: Any, known: dict[int, int], level: int) -> int:
    """Count the values below, each shared collection once per mention but looked through once only."""
    if not isinstance(value, dict | list):
        return 1
    if level > MOST_LEVELS:
        raise Unbounded(f"the document is nested more than {MOST_LEVELS} levels deep, or contains itself")
    if id(value) not in known:
        inner = list(cast("dict[Any, Any]", value).values()) if isinstance(value, dict) else cast("list[Any]", value)
        known[id(value)] = 1 + sum(_size(row, known, level + 1) for row in inner)
    return known[id(value)]
