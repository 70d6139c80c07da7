"""From PromQL text to our tree. The grammar is `promql_parser`'s; this module only carries its answer over."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from ai_platform_mcp.sandbox.prometheus.model import NAME, BadData, Matcher
from ai_platform_mcp.sandbox.prometheus.nodes import (
    Aggregate,
    At,
    Binary,
    Call,
    Matching,
    Negate,
    Node,
    Number,
    Range,
    Selector,
    Subquery,
    Text,
)


@lru_cache(maxsize=512)
def parse(text: str) -> Node:
    """The tree of a PromQL expression. Raises `BadData` with the parser's message when it is not one."""
    import promql_parser

    try:
        tree = promql_parser.parse(text)
    except ValueError as error:
        raise BadData(f'invalid parameter "query": parse error: {error}') from error
    return _node(tree)


def parse_selector(text: str) -> Selector:
    """The selector of a `match[]` parameter. Raises `BadData` when it is anything else."""
    try:
        node = parse(text)
    except BadData as error:
        raise BadData(str(error).replace('"query"', '"match[]"', 1)) from error
    if not isinstance(node, Selector) or node.offset_ms or node.at is not None:
        raise BadData('invalid parameter "match[]": parse error: expected a plain vector selector')
    return node


def _ms(delta: timedelta | None) -> int:
    return 0 if delta is None else round(delta.total_seconds() * 1000)


def _at(at: Any) -> At:
    if at is None:
        return None
    kind = str(at).removeprefix("@").strip()
    if kind in ("start()", "end()"):
        return "start" if kind == "start()" else "end"
    moment: datetime = at.at
    return round(moment.timestamp() * 1000)


_OPS: dict[str, Literal["=", "!=", "=~", "!~"]] = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def _matcher(matcher: Any) -> Matcher:
    op = _OPS[str(matcher.op).removeprefix("MatchOp.")]
    try:
        return Matcher.of(matcher.name, op, matcher.value)
    except re.error as error:
        raise BadData(f'invalid parameter "query": parse error: error parsing regexp: {error}') from error


def _selector(node: Any) -> Selector:
    if node.matchers.or_matchers:
        raise BadData('invalid parameter "query": parse error: unexpected identifier "or" in label matching')
    matchers = [_matcher(matcher) for matcher in node.matchers.matchers]
    if node.name:
        matchers.insert(0, Matcher.of(NAME, "=", node.name))
    return Selector(tuple(matchers), _ms(node.offset), _at(node.at))


def _aggregate(node: Any) -> Aggregate:
    modifier = node.modifier
    return Aggregate(
        op=str(node.op),
        expr=_node(node.expr),
        param=None if node.param is None else _node(node.param),
        labels=() if modifier is None else tuple(modifier.labels),
        without=modifier is not None and str(modifier.type).endswith("Without"),
    )


def _binary(node: Any) -> Binary:
    modifier = node.modifier
    matching = Matching(False, (), "", ())
    as_bool = False
    if modifier is not None:
        if modifier.fill_values is not None and (modifier.fill_values.lhs, modifier.fill_values.rhs) != (None, None):
            raise BadData('invalid parameter "query": parse error: fill modifiers are not supported')
        as_bool = modifier.return_bool
        card = str(modifier.card).rpartition(".")[2]
        group: Literal["", "left", "right"] = "left" if card == "ManyToOne" else "right" if card == "OneToMany" else ""
        label_matching = modifier.matching
        matching = Matching(
            on=label_matching is not None and str(label_matching.type).endswith("Include"),
            labels=() if label_matching is None else tuple(label_matching.labels),
            group=group,
            include=tuple(modifier.group_labels or ()),
        )
    return Binary(str(node.op).strip(), _node(node.lhs), _node(node.rhs), as_bool, matching)


def _node(node: Any) -> Node:
    kind = type(node).__name__
    if kind == "ParenExpr":
        return _node(node.expr)
    if kind == "MatrixSelector":
        return Range(_selector(node.vector_selector), _ms(node.range))
    if kind == "SubqueryExpr":
        step = None if node.step is None else _ms(node.step)
        return Subquery(_node(node.expr), _ms(node.range), step, _ms(node.offset), _at(node.at))
    build = _BUILDERS.get(kind)
    if build is None:
        raise BadData(f'invalid parameter "query": parse error: unsupported expression {kind}')
    return build(node)


def _number(node: Any) -> Number:
    return Number(node.val)


def _text(node: Any) -> Text:
    return Text(node.val)


def _negate(node: Any) -> Negate:
    return Negate(_node(node.expr))


def _call(node: Any) -> Call:
    return Call(node.func.name, tuple(_node(arg) for arg in node.args))


_BUILDERS: dict[str, Callable[[Any], Node]] = {
    "VectorSelector": _selector,
    "AggregateExpr": _aggregate,
    "BinaryExpr": _binary,
    "NumberLiteral": _number,
    "StringLiteral": _text,
    "UnaryExpr": _negate,
    "Call": _call,
}
