"""Edits on the text of one YAML document: only the characters that an edit is about change.

Comments, order, quotes, anchors and line ends of everything else stay as they were written. What an edit would have to do to
a text that is laid out in an unforeseen way is not guessed: ``Unwritable`` is raised, and whoever calls compares what the new
text says with what the edit means before it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from ai_platform_mcp.domain.lint.edits import split
from ai_platform_mcp.domain.lint.model import Edit
from ai_platform_mcp.domain.lint.tree import Node, parse

INDENT = 2
Entry = Callable[[int], str | None]
"""Gives the lines of a field at a column; None where they are to be written anew."""


class Unwritable(Exception):
    """The text is laid out in a way that this edit cannot be written into."""


def rewrite(text: str, edit: Edit) -> str:
    """Return the text of one document with the edit performed.

    Raises:
        Unwritable: see the class.
    """
    written = _Writer(text).perform(edit)
    return written if text.endswith("\n") else written.removesuffix("\n").removesuffix("\r")


class _Writer:
    def __init__(self, text: str):
        roots = parse(text)
        if len(roots) != 1 or roots[0][1] is None:
            raise Unwritable("not one document")
        self.text = text
        self.root = roots[0][1]
        self.newline = "\r\n" if "\r\n" in text else "\n"

    def perform(self, edit: Edit) -> str:
        parts = split(edit.path)
        if edit.op == "rename":
            holder, place = self._entry(parts)
            key = holder.entries[place][0]
            return self._replaced(key.start, key.end, _inline(edit.to))
        if edit.op == "remove":
            return self._removed(parts, 0)
        if edit.op == "set":
            return self._set(parts, edit.value)
        return self._moved(parts, split(edit.to))

    # ------------------------------------------------------------------------------------------------------- places

    def _node(self, parts: list[str]) -> Node | None:
        node: Node | None = self.root
        for part in parts:
            if node is not None and node.kind == "alias":
                raise Unwritable("shared through an anchor")
            node = node.child(part) if node is not None else None
        return node

    def _entry(self, parts: list[str]) -> tuple[Node, int]:
        holder = self._node(parts[:-1])
        place = holder.entry(parts[-1]) if holder is not None and holder.kind == "map" else -1
        if holder is None or place < 0:
            raise Unwritable("the field is not written here")
        return holder, place

    def _replaced(self, start: int, end: int, new: str) -> str:
        return self.text[:start] + new + self.text[end:]

    def _line_start(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        """Return where the next line starts; at a line's start that is here."""
        if index > 0 and self.text[index - 1] == "\n":
            return index
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1

    # ------------------------------------------------------------------------------------------------------- removing

    def _removed(self, parts: list[str], prune_above: int) -> str:
        depth = len(parts)
        while depth - 1 > prune_above:
            holder = self._node(parts[: depth - 1])
            above = self._node(parts[: depth - 2]) if depth >= 2 else None
            if holder is None or len(holder.entries) != 1 or above is None or above.kind != "map":
                break
            depth -= 1
        holder, place = self._entry(parts[:depth])
        if holder.flow:
            return self._flow_without(holder, place)
        key, value = holder.entries[place]
        if len(holder.entries) == 1:
            return self._replaced(key.start, value.last, "{}")
        if place == 0 and self.text[self._line_start(key.start) : key.start].strip():
            return self._first_removed(holder)
        return self._replaced(self._line_start(key.start), self._line_end(value.last), "")

    def _first_removed(self, holder: Node) -> str:
        """Remove the first entry of an item («- a: 1»): what follows it moves up to the dash, comments included."""
        key, value = holder.entries[0]
        end = self._line_end(value.last)
        while self.text[end : end + 1] in (" ", "\r", "\n"):
            end += 1
        return self._replaced(key.start, end, "")

    def _flow_without(self, holder: Node, place: int) -> str:
        entries = holder.entries
        if place + 1 < len(entries):
            return self._replaced(entries[place][0].start, entries[place + 1][0].start, "")
        if place > 0:
            return self._replaced(entries[place - 1][1].end, entries[place][1].end, "")
        return self._replaced(entries[0][0].start, entries[0][1].end, "")

    # ------------------------------------------------------------------------------------------------------- setting

    def _set(self, parts: list[str], value: Any) -> str:
        node = self._node(parts)
        if node is None:
            return self._added(parts, _anew, value)
        if node.kind == "alias" or node.block_text or not (node.flow or node.kind == "scalar"):
            raise Unwritable("a block of text or a collection would be replaced")
        space = " " if node.empty else ""
        return self._replaced(node.start, node.end, space + _inline(value))

    def _added(self, parts: list[str], entry: Entry, value: Any) -> str:
        """Add a field, with what is missing above it. ``entry`` gives its lines at a column where there are lines to keep."""
        depth = len(parts) - 1
        while (holder := self._node(parts[:depth])) is None or holder.empty:
            depth -= 1
            if depth < 0:
                raise Unwritable("there is nothing to add to")
        for part in reversed(parts[depth + 1 :]):
            value = {part: value}
        above = parts[depth + 1 :]
        if holder.kind != "map":
            raise Unwritable("it would be added to what is no object")
        if holder.flow:
            return self._flow_with(holder, parts[depth], value)
        if (place := holder.entry(parts[depth])) >= 0:  # a bare «key:», or only a comment under it
            return self._filled(holder, place, above, entry, value)
        column = holder.entries[0][0].column
        lines = self._lines(parts[depth:], entry, {parts[depth]: value}, column)
        end = self._line_end(holder.last)
        gap = "" if end == 0 or self.text[end - 1] == "\n" else self.newline
        return self._replaced(end, end, gap + lines)

    def _filled(self, holder: Node, place: int, above: list[str], entry: Entry, value: Any) -> str:
        key, empty = holder.entries[place]
        lines = self._lines(above, entry, value, key.column + INDENT)
        end = self._line_end(empty.last)
        gap = "" if self.text[end - 1] == "\n" else self.newline
        return self._replaced(end, end, gap + lines)

    def _lines(self, parts: list[str], entry: Entry, value: Any, column: int) -> str:
        """Return the lines of a field at a column: kept ones under the keys that are new, else written anew."""
        depth = len(parts) - 1
        kept = entry(column + INDENT * depth)
        if kept is None:
            lines = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10**6).splitlines()
            return "".join(f"{' ' * column}{line}{self.newline}" for line in lines)
        heads = (
            f"{' ' * (column + INDENT * place)}{_inline(part)}:{self.newline}" for place, part in enumerate(parts[:-1])
        )
        return "".join(heads) + kept

    def _flow_with(self, holder: Node, key: str, value: Any) -> str:
        at = holder.entries[-1][1].end if holder.entries else self.text.index("{", holder.start) + 1
        comma = ", " if holder.entries else ""
        return self._replaced(at, at, f"{comma}{_inline(key)}: {_inline(value)}")

    # ------------------------------------------------------------------------------------------------------- moving

    def _moved(self, parts: list[str], target: list[str]) -> str:
        holder, place = self._entry(parts)
        key, value = holder.entries[place]
        shared = 0
        while shared < min(len(parts), len(target)) and parts[shared] == target[shared]:
            shared += 1
        entry = self._mover(key, value, target[-1], holder.flow)
        moved = _Writer(self._added(target, entry, self._said(value)))
        return moved._removed(parts, shared)

    def _said(self, value: Node) -> Any:
        """Return what a value says where it has to be written anew; None where it needs an anchor, which the caller notices."""
        try:
            return yaml.safe_load(" " * value.column + self.text[value.start : value.last])
        except yaml.YAMLError:
            return None

    def _mover(self, key: Node, value: Node, name: str, flow: bool) -> Entry:
        """Return what gives the entry's own lines at another column, under another name."""
        if flow:
            return _anew
        block = self.text[key.end : self._line_end(value.last)]
        block = block if block.endswith("\n") else block + self.newline

        def at(column: int) -> str:
            return _shifted(f"{' ' * column}{_inline(name)}{block}", column - key.column)

        return at


def _shifted(block: str, by: int) -> str:
    """Return the lines, the first as it is, the others moved by some columns; empty lines stay empty."""
    first, *others = block.splitlines(keepends=True)
    if by >= 0:
        return first + "".join(line if not line.strip() else " " * by + line for line in others)
    if any(line[:-by].strip() for line in others if line.strip()):
        raise Unwritable("a line stands further left than what it belongs to")
    return first + "".join(line if not line.strip() else line[-by:] for line in others)


def _anew(column: int) -> str | None:
    """No lines to keep: the value is written anew."""
    return None


_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9./_-]*\Z")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"])


def _inline(value: Any) -> str:
    """Return a value as it is written on one line."""
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    flow = not isinstance(value, str)
    text = yaml.safe_dump(value, default_flow_style=flow, sort_keys=False, allow_unicode=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...").removesuffix("\n")
