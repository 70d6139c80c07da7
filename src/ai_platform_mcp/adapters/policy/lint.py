"""The portable profile of Rego, held by reading the syntax tree: what both engines are known to judge alike.

The embedded engine checks almost nothing when it loads (an unknown function fails only when it is reached), so this
finds such mistakes too. Each rule here stands for a difference that was measured between the engines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ai_platform_mcp.adapters.policy.bundle import load_bundle
from ai_platform_mcp.adapters.policy.syntax import Module, Node, parse, path_of, type_node

ROOT = "aiplatform"
MAX_COLUMNS = 1_023

BUILTINS = frozenset(
    re.split(
        r"\s+",
        """abs array.concat array.reverse array.slice ceil concat contains count endswith floor indexof intersection
        is_array is_boolean is_null is_number is_object is_set is_string lower max min numbers.range
        object.filter object.get object.keys object.remove object.union regex.match replace sort split startswith
        substring sum time.clock time.date time.parse_rfc3339_ns time.weekday trim trim_left trim_prefix
        trim_right trim_space trim_suffix type_name union upper""",
    )
)
"""Builtins that both engines have, that are pure, and whose results agreed over the values that the contract admits."""

_UNPORTABLE = re.compile(r"\\[dDwWsSbB]|&&|--|~~|\[\^?\[|\\p")
_OUTER = ("NotExpr",)


@dataclass(frozen=True)
class Finding:
    """One breach of the profile."""

    file: str
    line: int
    column: int
    rule: str
    message: str


def lint(directory: Path) -> list[Finding]:
    """Return every breach of the portable profile in a folder of policies, tests included, in order of place.

    Raises:
        Misconfigured: the folder holds no policies.
    """
    bundle = load_bundle(directory)
    findings: list[Finding] = []
    modules: dict[str, Module] = {}
    for path in sorted(directory.rglob("*.rego")):
        name = path.relative_to(directory).as_posix()
        try:
            source = path.read_text(encoding="utf-8")
            findings += _lines(name, source)
            modules[name] = parse(name, source)
        except (RuntimeError, UnicodeDecodeError) as error:
            findings.append(Finding(name, 1, 1, "syntax", str(error).strip()[:400]))
    law = _law(modules.values(), frozenset(bundle.data.get(ROOT, {})))
    for module in modules.values():
        findings += _heads(module, law)
        for node in module.nodes():
            findings += _node(module, node, law)
        findings += _references(module, law)
    if not bundle.stamped:
        findings.append(
            Finding("data.json", 1, 1, "stale_revision", f"aiplatform.revision should be {bundle.revision}")
        )
    return sorted(findings, key=lambda found: (found.file, found.line, found.column, found.rule))


@dataclass(frozen=True)
class _Law:
    """What exists: each package's rules and functions, and the top keys of the data document."""

    rules: Mapping[str, frozenset[str]]
    functions: Mapping[str, frozenset[str]]
    data: frozenset[str]

    def resolve(self, module: Module, path: str) -> tuple[str | None, str]:
        """Return the package that a dotted path leads into, and the rule's name in it; None for no package."""
        head, _, rest = path.partition(".")
        full = rest if head == "data" else f"{module.imports[head]}.{rest}" if head in module.imports else ""
        parts = full.strip(".").split(".")
        for place in range(len(parts), 0, -1):
            package = ".".join(parts[:place])
            if package in self.rules:
                return package, ".".join(parts[place : place + 1])
        return None, ""


def _law(modules: Iterable[Module], data: frozenset[str]) -> _Law:
    rules: dict[str, frozenset[str]] = {}
    functions: dict[str, frozenset[str]] = {}
    for module in modules:
        rules[module.package] = rules.get(module.package, frozenset()) | frozenset(module.rules)
        functions[module.package] = functions.get(module.package, frozenset()) | module.functions
    return _Law(rules, functions, data)


def _lines(file: str, source: str) -> Iterator[Finding]:
    for number, text in enumerate(source.splitlines(), 1):
        if len(text) > MAX_COLUMNS:
            yield Finding(file, number, 1, "line_too_long", f"{len(text)} columns; {MAX_COLUMNS} at most")


def _heads(module: Module, law: _Law) -> Iterator[Finding]:
    if module.package.split(".")[0] != ROOT:
        yield Finding(module.file, 1, 1, "package_outside_root", f"{module.package} is not under {ROOT}")
    if module.package == f"{ROOT}.main" and "decision" not in module.defaults and "decision" in module.rules:
        yield Finding(module.file, 1, 1, "default_missing", "main.decision has no default, so it may be undefined")
    for name, path in module.imports.items():
        if path not in law.rules:
            yield Finding(module.file, 1, 1, "import_unknown", f"{name} imports {path}, which no file defines")


def _node(module: Module, node: Node, law: _Law) -> Iterator[Finding]:
    def found(rule: str, message: str) -> Finding:
        return Finding(module.file, node.line, node.column, rule, message)

    if node.kind == "Call":
        name = path_of(node.body["fcn"]) or "?"
        problem = _call(module, name, law)
        if problem:
            yield found(*problem)
        if "NotExpr" in _nearest_literal(node.around) and _nearest_literal(node.around) != _OUTER:
            yield found("call_nested_in_not", f"{name} is evaluated outside of the not; its error would drop the rule")
    elif node.kind == "RefBrack" and _root(node, module) and "String" not in node.body["index"]:
        yield found(
            "dynamic_reference", "packages and data are named, not computed; use object.get on a named document"
        )
    elif node.kind == "Number" and isinstance(node.body["value"], float):
        yield found("fraction", "engines disagree on fractions; use whole numbers of a smaller unit")
    elif node.kind in ("String", "RawString") and _UNPORTABLE.search(str(node.body["value"])):
        yield found("pattern_not_portable", r"\d \w \s \b, && and -- mean other things in the other engine")


def _nearest_literal(around: tuple[str, ...]) -> tuple[str, ...]:
    """Return the kinds from the innermost ``not`` on; empty where there is none in this statement."""
    for place in range(len(around) - 1, -1, -1):
        if around[place] == "NotExpr":
            return around[place:]
        if around[place] in ("SetCompr", "ArrayCompr", "ObjectCompr"):
            return ()
    return ()


def _call(module: Module, name: str, law: _Law) -> tuple[str, str] | None:
    """Check that a call means a builtin of the profile or a function that exists."""
    if name in BUILTINS or name in law.rules.get(module.package, {}):
        return None
    package, rule = law.resolve(module, name)
    if package is None:
        return "builtin_not_allowed", f"{name} is not in the profile"
    return None if rule in law.rules[package] else ("rule_unknown", f"{package} has no {rule}")


def _references(module: Module, law: _Law) -> Iterator[Finding]:
    """Check each whole path once: its beginnings, and the name of a called function, are no references of their own."""
    seen: set[int] = set()
    for node in module.nodes():
        if node.kind == "Call":
            seen.update(_links(node.body["fcn"]))
        elif node.kind == "RefDot" and id(node.body) not in seen:
            path = path_of({"RefDot": node.body})
            seen.update(_links({"RefDot": node.body}) if path else ())
            problem = _reference(module, path, law) if path else None
            if problem:
                yield Finding(module.file, node.line, node.column, *problem)


def _links(expression: type_node) -> Iterator[int]:
    """Yield the identity of each link of a path, from its end to its beginning."""
    kind, body = next(iter(expression.items()))
    yield id(body)
    if kind in ("RefDot", "RefBrack"):
        yield from _links(body["refr"])


def _reference(module: Module, path: str, law: _Law) -> tuple[str, str] | None:
    """Check that a path names something that exists: an undefined one would drop its rule silently."""
    package, rule = law.resolve(module, path)
    head = path.split(".")[0]
    if package is None:
        key = path.split(".")[2:3]
        if head == "data" and key and key[0] not in law.data:
            return "rule_unknown", f"{path} is neither a rule nor in data.json"
        return None
    if rule and rule not in law.rules[package]:
        return "rule_unknown", f"{package} has no {rule}"
    if head != "data" and rule not in law.functions[package] and not module.is_test:
        return (
            "package_import",
            f"write data.{package}.{rule}: through an import the embedded engine runs all of its rules",
        )
    return None


def _root(node: Node, module: Module) -> bool:
    """Tell whether a bracket reference starts at ``data`` or at an imported package."""
    base = path_of(node.body["refr"]) or ""
    head, _, rest = base.partition(".")
    return head == "data" or (head in module.imports and not rest)
