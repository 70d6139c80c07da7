"""How a value may be merged: the structural facts that patches and field ownership walk along.

A shape is a schema node seen through the `x-kubernetes-*` keywords. Where no schema is declared (free-form parts of
custom resources) objects merge key by key and lists are replaced whole, as the real server deduces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ai_platform_mcp.sandbox.kube.status import Json

ListKind: TypeAlias = Literal["atomic", "set", "map"]
Path: TypeAlias = tuple[str, ...]
"""Elements in the coding of `fieldsV1`: `f:name`, `k:{"name":"x"}`, `v:"x"`."""


@dataclass(frozen=True)
class Shape:
    """One node of a schema, with `$ref` followed."""

    node: Json
    resolve: Callable[[Json], Json]

    def field(self, key: str) -> Shape:
        """The shape under a key; free-form where nothing is declared."""
        found = self.node.get("properties", {}).get(key)
        if found is None:
            extra = self.node.get("additionalProperties")
            found = extra if isinstance(extra, dict) else {}
        return Shape(self.resolve(found), self.resolve)

    def item(self) -> Shape:
        """The shape of a list's elements."""
        return Shape(self.resolve(self.node.get("items") or {}), self.resolve)

    def declares(self, key: str) -> bool:
        """Whether the key is a named field rather than an entry of a map."""
        return key in self.node.get("properties", {})

    @property
    def atomic_map(self) -> bool:
        """Whether an object here is replaced whole."""
        return self.node.get("x-kubernetes-map-type") == "atomic"

    @property
    def list_kind(self) -> ListKind:
        """Whether a list here is replaced whole, merged as a set, or merged by keys."""
        declared = self.node.get("x-kubernetes-list-type")
        return declared if declared in ("set", "map") else "atomic"

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that tell the elements of a `map` list apart."""
        return tuple(self.node.get("x-kubernetes-list-map-keys") or ())

    @property
    def patch_key(self) -> str | None:
        """The key by which a strategic merge patch merges this list; "" merges plain values, None replaces."""
        return self.node.get("x-kubernetes-patch-merge-key")

    def element(self, value: Any) -> str:
        """The path element of a list entry."""
        if self.list_kind == "set":
            return "v:" + _compact(value)
        item = self.item()
        found: Json = {}
        for key in self.keys:
            fallback = item.field(key).node.get("default")
            if isinstance(value, dict) and (key in value or fallback is not None):
                found[key] = value.get(key, fallback)
        return "k:" + _compact(found)


FREE = Shape({}, lambda node: node)
"""No schema: objects merge key by key, lists are replaced."""


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def entries(value: Any, shape: Shape) -> Iterator[tuple[str, Any, Shape, bool]]:
    """The parts of a granular value: path element, value, shape, and whether the element itself is a field.

    Entries of maps and elements of lists are fields of their own; named fields are only the sum of their parts.
    """
    if isinstance(value, dict):
        for key, part in value.items():
            yield f"f:{key}", part, shape.field(key), not shape.declares(key)
    else:
        item = shape.item()
        for part in value:
            yield shape.element(part), part, item, True


def granular(value: Any, shape: Shape) -> bool:
    """Whether a value has parts that can be owned one by one."""
    if isinstance(value, dict):
        return not shape.atomic_map
    return isinstance(value, list) and shape.list_kind != "atomic"


def told(path: Path) -> str:
    """A path as messages write it: `.spec.containers[name="main"].image`."""
    text = ""
    for element in path:
        kind, _, rest = element.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "v":
            text += f"[={rest}]"
        else:
            pairs = json.loads(rest).items()
            text += "[" + ",".join(f"{key}={_compact(value)}" for key, value in pairs) + "]"
    return text
