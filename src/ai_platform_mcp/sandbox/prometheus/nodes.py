"""The expression tree the evaluator walks: few plain node types, times in milliseconds, parentheses gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ai_platform_mcp.sandbox.prometheus.model import Matcher

At: TypeAlias = int | Literal["start", "end"] | None
"""An `@` modifier: a fixed time, an end of the query, or none."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number literal."""

    value: float


@dataclass(frozen=True, slots=True)
class Text:
    """A string literal."""

    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """An instant vector selector."""

    matchers: tuple[Matcher, ...]
    offset_ms: int = 0
    at: At = None


@dataclass(frozen=True, slots=True)
class Range:
    """A range vector selector: the selector's samples over the last `range_ms`."""

    selector: Selector
    range_ms: int


@dataclass(frozen=True, slots=True)
class Subquery:
    """An expression evaluated on its own grid over the last `range_ms`; no step means the default resolution."""

    expr: Node
    range_ms: int
    step_ms: int | None
    offset_ms: int = 0
    at: At = None


@dataclass(frozen=True, slots=True)
class Negate:
    """Unary minus."""

    expr: Node


@dataclass(frozen=True, slots=True)
class Call:
    """A function call."""

    name: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregation; `labels` are those named by `by`, or by `without` when that flag is set."""

    op: str
    expr: Node
    param: Node | None
    labels: tuple[str, ...]
    without: bool


@dataclass(frozen=True, slots=True)
class Matching:
    """How the two sides of a vector operation are paired."""

    on: bool
    labels: tuple[str, ...]
    group: Literal["", "left", "right"]
    include: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary operation; `as_bool` is the `bool` modifier of a comparison."""

    op: str
    lhs: Node
    rhs: Node
    as_bool: bool
    matching: Matching


Node: TypeAlias = Number | Text | Selector | Range | Subquery | Negate | Call | Aggregate | Binary
