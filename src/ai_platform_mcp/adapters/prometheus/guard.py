"""Guarded PromQL: what a caller wrote becomes an expression that cannot leave its tenant or cost too much, or is refused.

Refusals are `InvalidInput` with a stable code in `details["code"]`: promql_syntax, promql_too_long, or_matchers,
name_regex, name_missing, at_modifier, info_function, range_too_long, subquery_cost, too_many_points,
metric_not_allowed, unsupported, tenant_lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from ai_platform_mcp.adapters.prometheus.promql import (
    Printer,
    children,
    kind,
    matchers_text,
    metric_name,
    milliseconds,
    operator,
    parse,
    refuse,
    walk,
)

MAX_RANGE_SECONDS = 7 * 86_400
MAX_POINTS = 11_000
"""Per series, of the query's own grid and of its subqueries' grids multiplied; Prometheus' own limit for the former."""
MAX_CHARACTERS = 4_000
MAX_DEPTH = 100
DEFAULT_SUBQUERY_STEP_MS = 60_000


@dataclass(frozen=True)
class GuardRules:
    """What expressions may do.

    `tenant` matchers go into every selector. `allowed` are shell patterns of metric names; empty means every metric.
    """

    tenant: Mapping[str, str] = field(default_factory=dict[str, str])
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guarded:
    """An accepted expression: its text with the tenant in it, its selectors, and what the caller should know."""

    promql: str
    selectors: tuple[str, ...]
    named: tuple[str, ...]
    """The metrics with the tenant alone, without what the caller narrowed them to."""
    metrics: tuple[str, ...]
    notes: tuple[str, ...] = ()


def allowed_for(roles: Iterable[str], table: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The metric patterns of some roles together: a role that may read everything (an empty list) wins.

    Roles that the table does not name get its entry `*`; without one they may read nothing (the pattern that no name
    matches), so a misspelt role never reads more.
    """
    found = [table[role] for role in roles if role in table] or [table.get("*", ("!",))]
    return () if any(not patterns for patterns in found) else tuple(dict.fromkeys(p for one in found for p in one))


def guard(text: str, rules: GuardRules, *, window_seconds: int, step_seconds: int | None) -> Guarded:
    """Accept an expression, with the tenant put into every selector, or raise `InvalidInput` saying why not."""
    if len(text) > MAX_CHARACTERS:
        raise refuse(
            "promql_too_long",
            f"The expression has {len(text)} characters; {MAX_CHARACTERS} are allowed.",
            "Shorten it, or ask several questions.",
        )
    points = query_points(window_seconds, step_seconds)
    tree = parse(text)
    _check_depth(tree)
    for node in walk(tree):
        _check(node, rules)
    _check_cost(tree, points)
    printer = Printer(rules.tenant)
    guarded = printer.text(tree)
    _verify(guarded, tree, rules)
    selectors = [node for node in walk(tree) if kind(node) == "VectorSelector"]
    metrics = tuple(dict.fromkeys(metric_name(node) or "" for node in selectors))
    return Guarded(
        promql=guarded,
        selectors=tuple(dict.fromkeys(printer.selector(node) for node in selectors)),
        named=tuple(f"{{{matchers_text({'__name__': name, **rules.tenant})}}}" for name in metrics),
        metrics=metrics,
        notes=tuple(_contradictions(selectors, rules.tenant)),
    )


def query_points(window_seconds: int, step_seconds: int | None) -> int:
    """Points per series of a query. Raises `InvalidInput` for a window over a week, or more than 11,000 points."""
    if window_seconds <= 0 or (step_seconds is not None and step_seconds <= 0):
        raise refuse("range_too_long", "The window and the step must be positive.", "Give seconds greater than zero.")
    if window_seconds > MAX_RANGE_SECONDS:
        raise _too_long("The window", window_seconds * 1000)
    points = 1 if step_seconds is None else window_seconds // step_seconds + 1
    if points > MAX_POINTS:
        least = -(-window_seconds // (MAX_POINTS - 1))
        raise refuse(
            "too_many_points",
            f"The query has {points} points per series; {MAX_POINTS} are allowed.",
            f"Use a step of at least {least} seconds, or a shorter window.",
        )
    return points


def _check_depth(tree: Any) -> None:
    level, depth = [tree], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise refuse("unsupported", f"The expression is nested more than {MAX_DEPTH} deep.", "Write it flatter.")
        level = [child for node in level for child in children(node)]


def _check(node: Any, rules: GuardRules) -> None:
    match kind(node):
        case "VectorSelector":
            _check_selector(node, rules)
        case "MatrixSelector" if milliseconds(node.range) > MAX_RANGE_SECONDS * 1000:
            raise _too_long("A range", milliseconds(node.range))
        case "SubqueryExpr":
            if node.at is not None:
                raise _at_modifier()
            if milliseconds(node.range) > MAX_RANGE_SECONDS * 1000:
                raise _too_long("A subquery", milliseconds(node.range))
        case "Call" if node.func.name == "info":
            raise refuse(
                "info_function",
                "info() reads metrics that the expression does not name.",
                "Join the info metric by name: `a * on (instance, job) group_left (label) target_info`.",
            )
        case _:
            pass


def _check_selector(node: Any, rules: GuardRules) -> None:
    if node.matchers.or_matchers:
        raise refuse(
            "or_matchers",
            "`or` between matchers of one selector is refused: it could escape the tenant.",
            'Use a regular expression on one label (`a{b=~"x|y"}`), or `or` between two selectors.',
        )
    if any(m.name == "__name__" and operator(m) != "=" for m in node.matchers.matchers):
        raise refuse("name_regex", "A metric must be named exactly.", "Write the metric's name before the braces.")
    if node.at is not None:
        raise _at_modifier()
    name = metric_name(node)
    if not name:
        raise refuse(
            "name_missing",
            "A selector without a metric name would read every series.",
            "Write the metric's name before the braces.",
        )
    if rules.allowed and not any(fnmatchcase(name, pattern) for pattern in rules.allowed):
        raise refuse(
            "metric_not_allowed",
            f"The metric {name[:120]} is not on the list for your role.",
            "Ask for a named signal, or for a metric that matches: " + ", ".join(rules.allowed[:12]) + ".",
        )


def _at_modifier() -> Exception:
    return refuse(
        "at_modifier",
        "The @ modifier is refused: it reads outside of the window that is budgeted.",
        "Set the window of the question, or use `offset`.",
    )


def _too_long(what: str, milliseconds_long: int) -> Exception:
    return refuse(
        "range_too_long",
        f"{what} of {milliseconds_long // 1000} seconds is longer than 7 days.",
        "Use at most 7d; for a longer comparison ask twice, once with `offset 7d`.",
    )


def _check_cost(node: Any, points: int) -> None:
    """Every subquery multiplies the points at which what is inside of it is evaluated."""
    if kind(node) == "SubqueryExpr":
        step = milliseconds(node.step) or DEFAULT_SUBQUERY_STEP_MS
        points *= max(1, milliseconds(node.range) // step)
        if points > MAX_POINTS:
            raise refuse(
                "subquery_cost",
                f"The subquery would evaluate {points} points per series; {MAX_POINTS} are allowed.",
                "Give the subquery a larger step or a shorter range, or ask for one value instead of a range.",
            )
    if kind(node) == "MatrixSelector":
        return
    for child in children(node):
        _check_cost(child, points)


def _verify(guarded: str, original: Any, rules: GuardRules) -> None:
    """Read the result again: as many selectors, of the same metrics, each with the tenant. Trust nothing else."""
    before = [metric_name(node) for node in walk(original) if kind(node) == "VectorSelector"]
    selectors = [node for node in walk(parse(guarded)) if kind(node) == "VectorSelector"]
    kept = all(
        not node.matchers.or_matchers
        and {(m.name, operator(m), m.value) for m in node.matchers.matchers}
        >= {(name, "=", value) for name, value in rules.tenant.items()}
        for node in selectors
    )
    if not kept or [metric_name(node) for node in selectors] != before:
        raise refuse(
            "tenant_lost",
            "The expression cannot be rewritten so that it stays inside the tenant.",
            "Write it more simply, without unusual characters in label values.",
        )


def _contradictions(selectors: list[Any], tenant: Mapping[str, str]) -> Iterable[str]:
    seen: set[str] = set()
    for node in selectors:
        for m in node.matchers.matchers:
            if m.name in tenant and operator(m) == "=" and m.value != tenant[m.name] and m.name not in seen:
                seen.add(m.name)
                yield f"The expression asks for another {m.name} than yours; that part can only be empty."
