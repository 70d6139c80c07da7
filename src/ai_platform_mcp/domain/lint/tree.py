"""The places of a YAML document: which characters each value and key stand on. Aliases are kept as such."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Node:
    """A value on the characters ``start`` to ``end``. For block collections ``end`` says nothing: see ``last``."""

    kind: Literal["scalar", "map", "seq", "alias"]
    start: int
    end: int
    column: int
    line: int
    flow: bool = False
    block_text: bool = False
    """Whether it is a literal or folded text."""
    empty: bool = False
    """Whether nothing is written: the null after a bare ``key:``."""
    value: str = ""
    entries: list[tuple[Node, Node]] = field(default_factory=list["tuple[Node, Node]"])
    items: list[Node] = field(default_factory=list["Node"])

    @property
    def last(self) -> int:
        """Where the last character of the value is followed."""
        if self.flow or self.kind in ("scalar", "alias"):
            return self.end
        if self.kind == "map":
            return max((child.last for pair in self.entries for child in pair), default=self.end)
        return max((child.last for child in self.items), default=self.end)

    def entry(self, key: str) -> int:
        """Return the place of a key's entry, -1 where there is none."""
        return next((place for place, (name, _) in enumerate(self.entries) if name.value == key), -1)

    def child(self, part: str) -> Node | None:
        """Return the value under one part of a pointer."""
        if self.kind == "map":
            place = self.entry(part)
            return self.entries[place][1] if place >= 0 else None
        if self.kind == "seq" and part.isdigit() and int(part) < len(self.items):
            return self.items[int(part)]
        return None


def parse(text: str) -> list[tuple[int, Node | None]]:
    """Return each document's start and root; None for an empty document.

    Raises:
        yaml.YAMLError: the text is no YAML.
    """
    found: list[tuple[int, Node | None]] = []
    stack: list[Node] = []
    pending: list[Node | None] = []
    start = 0

    def put(node: Node) -> None:
        """Give the node to the collection that is open: as an item, as a key, or as the value of the waiting key."""
        if not stack:
            found.append((start, None if node.empty else node))
        elif stack[-1].kind == "seq":
            stack[-1].items.append(node)
        elif (key := pending[-1]) is None:
            pending[-1] = node
        else:
            stack[-1].entries.append((key, node))
            pending[-1] = None

    events: Any = yaml.parse(text, Loader=Loader)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            start = _index(event.start_mark)
        elif isinstance(event, yaml.CollectionStartEvent):
            kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
            node = _node(kind, event)
            node.flow = bool(event.flow_style)
            put(node)
            stack.append(node)
            pending.append(None)
        elif isinstance(event, yaml.CollectionEndEvent):
            stack.pop().end = _index(event.end_mark)
            pending.pop()
        elif isinstance(event, yaml.AliasEvent):
            put(_node("alias", event))
        elif isinstance(event, yaml.ScalarEvent):
            node = _node("scalar", event)
            node.value, node.block_text = event.value, event.style in ("|", ">")
            node.empty = node.start == node.end
            put(node)
    return found


def _index(mark: Any) -> int:
    return int(mark.index)


def _node(kind: Any, event: Any) -> Node:
    mark = event.start_mark
    return Node(kind, _index(mark), _index(event.end_mark), mark.column, mark.line)


def duplicates(node: Node | None, path: str = "") -> list[tuple[str, str, int]]:
    """Return every key that an object has twice: pointer of the object, key, line (from 0)."""
    if node is None:
        return []
    found: list[tuple[str, str, int]] = []
    seen: set[str] = set()
    for key, value in node.entries:
        if key.kind == "scalar" and key.value in seen and key.value != "<<":
            found.append((path, key.value, key.line))
        seen.add(key.value)
        found += duplicates(value, f"{path}/{key.value.replace('~', '~0').replace('/', '~1')}")
    for place, item in enumerate(node.items):
        found += duplicates(item, f"{path}/{place}")
    return found
