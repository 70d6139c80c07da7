"""PromQL trees back to text, safely: the parser's own printer does not escape label values, so it is never used.

Printing `a{b="\\"} or up{x=\\""}` with it gives two selectors where there was one: a way past any tenant matcher.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from ai_platform_mcp.core.errors import InvalidInput

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_OPS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_MATH = ("+", "-", "*", "/", "%", "^", "atan2")
_LOGIC = ("==", "!=", ">", "<", ">=", "<=", "and", "or", "unless")
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


def refuse(code: str, message: str, remedy: str) -> InvalidInput:
    """A refusal of the guard: its stable code is in the details."""
    return InvalidInput(message, cause="The PromQL guard refuses it.", remedy=remedy, details={"code": code})


def parse(text: str) -> Any:
    """The parser's tree. Raises `InvalidInput` (`promql_syntax`) with the parser's message."""
    import promql_parser

    try:
        return promql_parser.parse(text)
    except ValueError as error:
        raise InvalidInput(
            f"This is not PromQL: {str(error)[:300]}.",
            remedy="Correct the expression, or ask for a named signal instead.",
            details={"code": "promql_syntax"},
        ) from error


def kind(node: Any) -> str:
    """The node's type by name: the parser's module is not imported before it is needed."""
    return type(node).__name__


def children(node: Any) -> list[Any]:
    """The nodes directly below one."""
    match kind(node):
        case "AggregateExpr":
            return [node.expr] if node.param is None else [node.param, node.expr]
        case "BinaryExpr":
            return [node.lhs, node.rhs]
        case "Call":
            return list(node.args)
        case "MatrixSelector":
            return [node.vector_selector]
        case "UnaryExpr" | "ParenExpr" | "SubqueryExpr":
            return [node.expr]
        case _:
            return []


def walk(node: Any) -> Iterator[Any]:
    """Every node, parents first."""
    stack = [node]
    while stack:
        one = stack.pop()
        yield one
        stack.extend(reversed(children(one)))


def metric_name(selector: Any) -> str | None:
    """The metric a selector names exactly, None when it names none."""
    if selector.name:
        return selector.name
    return next((m.value for m in selector.matchers.matchers if m.name == "__name__" and operator(m) == "="), None)


def operator(matcher: Any) -> str:
    """A matcher's operator as PromQL writes it."""
    return _OPS[str(matcher.op).rpartition(".")[2]]


def quoted(text: str) -> str:
    """A string literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'


def matchers_text(matchers: Mapping[str, str]) -> str:
    """Equality matchers, joined by commas. Raises `InvalidInput` (`unsupported`) for a name that is no label name."""
    return ",".join(f"{label_name(name)}={quoted(value)}" for name, value in matchers.items())


def label_name(name: str) -> str:
    """The name itself when it can be written without quotes; everything else could be read as syntax."""
    if not _LABEL.fullmatch(name):
        raise refuse("unsupported", f"{name!r} is not a plain label name.", "Use names of letters, digits and _.")
    return name


def milliseconds(delta: timedelta | None) -> int:
    """A duration of the parser in milliseconds."""
    return 0 if delta is None else round(delta.total_seconds() * 1000)


def duration_text(delta: timedelta) -> str:
    """A duration as PromQL writes it: `1h30m`."""
    rest = abs(milliseconds(delta))
    sign = "-" if delta < timedelta(0) else ""
    text = ""
    for unit, size in _UNITS:
        amount, rest = divmod(rest, size)
        text += f"{amount}{unit}" if amount else ""
    return sign + (text or "0s")


class Printer:
    """Writes a tree as text, with extra matchers put into every selector."""

    def __init__(self, extra: Mapping[str, str]) -> None:
        self._extra = matchers_text(extra)

    def text(self, node: Any) -> str:
        """The text of any node. Raises `InvalidInput` (`unsupported`) for what cannot be printed safely."""
        writer: Callable[[Any], str] | None = {
            "VectorSelector": self.selector,
            "MatrixSelector": self._matrix,
            "SubqueryExpr": self._subquery,
            "AggregateExpr": self._aggregate,
            "BinaryExpr": self._binary,
            "Call": self._call,
            "NumberLiteral": self._number,
            "StringLiteral": self._string,
            "UnaryExpr": self._negated,
            "ParenExpr": self._grouped,
        }.get(kind(node))
        if writer is None:
            raise refuse("unsupported", f"{kind(node)} is not supported.", "Write the expression without it.")
        return writer(node)

    def selector(self, node: Any, window: str = "") -> str:
        """A selector with the extra matchers; `window` goes between the braces and the offset."""
        inner = [f"{label_name(m.name)}{operator(m)}{quoted(m.value)}" for m in node.matchers.matchers]
        name = node.name or ""
        if name and not _METRIC.fullmatch(name):
            inner.insert(0, f"__name__={quoted(name)}")
            name = ""
        braces = ",".join([*inner, *([self._extra] if self._extra else [])])
        offset = "" if node.offset is None else f" offset {duration_text(node.offset)}"
        return f"{name}{{{braces}}}{window}{offset}" if braces or not name else f"{name}{window}{offset}"

    def _matrix(self, node: Any) -> str:
        return self.selector(node.vector_selector, f"[{duration_text(node.range)}]")

    def _subquery(self, node: Any) -> str:
        step = "" if node.step is None else duration_text(node.step)
        offset = "" if node.offset is None else f" offset {duration_text(node.offset)}"
        return f"{self._operand(node.expr)}[{duration_text(node.range)}:{step}]{offset}"

    def _aggregate(self, node: Any) -> str:
        grouping = ""
        if node.modifier is not None:
            word = "without" if str(node.modifier.type).endswith("Without") else "by"
            grouping = f" {word} ({_names(node.modifier.labels)}) "
        param = "" if node.param is None else f"{self.text(node.param)}, "
        return f"{node.op}{grouping}({param}{self.text(node.expr)})"

    def _binary(self, node: Any) -> str:
        op = str(node.op).strip()
        if op not in _MATH and op not in _LOGIC:
            raise refuse("unsupported", f"The operator {op} is not supported.", "Write the expression without it.")
        return f"{self._operand(node.lhs)} {op}{_modifier(node.modifier)} {self._operand(node.rhs)}"

    def _operand(self, node: Any) -> str:
        text = self.text(node)
        return f"({text})" if kind(node) in ("BinaryExpr", "UnaryExpr", "SubqueryExpr") else text

    def _call(self, node: Any) -> str:
        return f"{node.func.name}({', '.join(self.text(arg) for arg in node.args)})"

    def _number(self, node: Any) -> str:
        if math.isnan(node.val):
            return "NaN"
        text = repr(node.val).removesuffix(".0") if math.isfinite(node.val) else "Inf"
        if math.isinf(node.val) and node.val < 0:
            return "(-Inf)"
        return f"({text})" if text.startswith("-") else text

    def _string(self, node: Any) -> str:
        return quoted(node.val)

    def _negated(self, node: Any) -> str:
        return f"-{self._operand(node.expr)}"

    def _grouped(self, node: Any) -> str:
        return f"({self.text(node.expr)})"


def _names(labels: list[str]) -> str:
    return ", ".join(label_name(name) for name in labels)


def _modifier(modifier: Any) -> str:
    if modifier is None:
        return ""
    fill = modifier.fill_values
    if fill is not None and (fill.lhs, fill.rhs) != (None, None):
        raise refuse("unsupported", "fill modifiers are not supported.", "Use `or` with a default instead.")
    text = " bool" if modifier.return_bool else ""
    if modifier.matching is not None:
        word = "on" if str(modifier.matching.type).endswith("Include") else "ignoring"
        text += f" {word} ({_names(modifier.matching.labels)})"
    card = str(modifier.card).rpartition(".")[2]
    side = {"ManyToOne": "group_left", "OneToMany": "group_right"}.get(card)
    return f"{text} {side} ({_names(modifier.group_labels or [])})" if side else text
