"""Reading the engine's syntax tree of Rego modules: packages, imports, rules, calls, with their places.

The tree is JSON of one-key nodes (``{"Call": {...}}``); every span has line, column and byte offsets.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

type_node = dict[str, Any]


@dataclass(frozen=True)
class Node:
    """One node: its kind (``Call``, ``Var`` …), body, place, and the kinds of the nodes around it, outermost first."""

    kind: str
    body: type_node
    line: int
    column: int
    around: tuple[str, ...]


@dataclass(frozen=True)
class Module:
    """One parsed file."""

    file: str
    source: str
    package: str
    imports: Mapping[str, str]
    """Name in the module to path, such as ``say`` to ``aiplatform.lib.say``; input imports excluded."""
    rules: Mapping[str, int]
    """Each rule's name with the line of its first definition."""
    functions: frozenset[str]
    defaults: frozenset[str]
    tree: type_node

    @property
    def is_test(self) -> bool:
        """Tell whether this is a test file, which only ever runs in the embedded engine or ``opa test``."""
        return self.file.endswith("_test.rego")

    def nodes(self) -> Iterator[Node]:
        """Yield every node of the rules, parents before children."""
        for rule in self.tree["rules"]:
            yield from _walk(rule, ())


@functools.lru_cache(maxsize=512)
def parse(file: str, source: str) -> Module:
    """Return the module.

    Raises:
        RuntimeError: it does not parse; the text says where.
    """
    os.environ["RUST_LIB_BACKTRACE"] = "0"
    engine = importlib.import_module("regorus").Engine()
    engine.add_policy(file, source)
    tree: type_node = json.loads(engine.get_ast_as_json())[0]["ast"]
    heads = [_head(rule) for rule in tree["rules"]]
    rules: dict[str, int] = {}
    for name, _, line in heads:
        rules.setdefault(name, line)
    return Module(
        file=file,
        source=source,
        package=path_of(tree["package"]["refr"]) or "",
        imports=dict(_imports(tree, source.encode())),
        rules=rules,
        functions=frozenset(name for name, kind, _ in heads if kind == "Func"),
        defaults=frozenset(name for name, kind, _ in heads if kind == "Default"),
        tree=tree,
    )


def path_of(expression: type_node) -> str | None:
    """Return the dotted path of a reference made of names and literal texts only, else None."""
    kind, body = next(iter(expression.items()))
    if kind == "Var":
        return str(body["value"])
    if kind == "RefDot":
        base = path_of(body["refr"])
        return f"{base}.{body['field'][1]}" if base else None
    if kind == "RefBrack" and "String" in body["index"]:
        base = path_of(body["refr"])
        return f"{base}.{body['index']['String']['value']}" if base else None
    return None


def _head(rule: type_node) -> tuple[str, str, int]:
    kind, body = next(iter(rule.items()))
    if kind == "Default":
        return path_of(body["refr"]) or "", "Default", int(body["span"]["line"])
    shape, head = next(iter(body["head"].items()))
    return path_of(head["refr"]) or "", shape, int(body["span"]["line"])


def _imports(tree: type_node, source: bytes) -> Iterator[tuple[str, str]]:
    for item in tree["imports"]:
        path = path_of(item["refr"]) or ""
        alias: type_node | None = item.get("as")
        name = source[alias["start"] : alias["end"]].decode() if alias else path.rsplit(".", 1)[-1]
        if path.startswith("data."):
            yield name, path.removeprefix("data.")


def _walk(value: Any, around: tuple[str, ...]) -> Iterator[Node]:
    if isinstance(value, list):
        items: list[Any] = value
        for item in items:
            yield from _walk(item, around)
    elif isinstance(value, dict):
        members: type_node = value
        for kind, body in members.items():
            inside = around
            if kind[:1].isupper() and isinstance(body, dict) and "span" in body:
                node: type_node = body
                yield Node(kind, node, int(node["span"]["line"]), int(node["span"]["col"]), around)
                inside = (*around, kind)
            yield from _walk(body, inside)
