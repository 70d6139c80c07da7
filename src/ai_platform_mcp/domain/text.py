"""Answers for models and terminals: tables in plain text, cut to a budget of tokens, honest about what was left out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, Field, SkipValidation

from ai_platform_mcp.core.model import Value, canonical_json

DEFAULT_BUDGET = 2_000
"""Tokens that an answer may take unless more is asked for."""
MOST = 10_000
"""Tokens that no answer exceeds."""

Cell = str | int | bool | None
Item = TypeVar("Item")

_PIECE = re.compile(r"[A-Za-z]+|[0-9]+|[^\x00-\x7f]|[ ]+|\n\s*|[^A-Za-z0-9\s]+|\s")


def tokens(text: str) -> int:
    """Return an estimate of the o200k tokens of ``text``, without the tokenizer's vocabulary of several megabytes.

    Words cost a token per five letters (identifiers break up more than prose), digits one per three, punctuation one per two;
    a single space belongs to the word after it. Measured on sixteen of this server's own answers: texts from 5 % below to 27 %
    above the tokenizer's count, JSON 22 to 46 % above. A budget kept by the estimate is kept for JSON, and for text within 5 %.
    """
    if len(_COSTS) > _MOST_COSTS:
        _COSTS.clear()
    return sum(map(_COSTS.__getitem__, _PIECE.findall(text)))


class _Costs(dict[str, int]):
    """What each piece of text costs, remembered: answers repeat their words, and counting is most of an answer's time."""

    def __missing__(self, piece: str) -> int:
        cost = self[piece] = _cost(piece)
        return cost


_COSTS = _Costs()
_MOST_COSTS = 50_000


def _cost(piece: str) -> int:
    first = piece[0]
    if first.isascii() and first.isalpha():
        return math.ceil(len(piece) / 5)
    if first.isdigit():
        return math.ceil(len(piece) / 3)
    if first.isspace():
        return 0 if piece == " " else 1
    return math.ceil(len(piece) / 2)


def json_tokens(value: object) -> int:
    """Return the estimate for a value as compact JSON, the form that most clients hand to their model."""
    return tokens(canonical_json(value).decode())


Key = tuple[str, ...]
"""What a row is known by, whatever becomes of it: cluster, namespace, name."""


@dataclass(frozen=True)
class Found(Generic[Item]):
    """What was found, sorted by key and not made into rows yet: of ten thousand only a page is ever told.

    A list that fits one page is told by ``urgency``. One that does not goes by ``key``, which no change of state moves: so
    however the world changes between two pages, what stays is told once.
    """

    items: Sequence[Item]
    key: Callable[[Item], Key]
    cells: Callable[[Item], tuple[Cell, ...]]
    urgency: Callable[[Item], Any]
    urgent: Callable[[], Sequence[Item]] = tuple
    """Those in trouble. The first page of several names them, for their turn may be on a later one."""
    label: Callable[[Item], str] = str
    """How it names them."""


class Listing(Value):
    """Rows to answer with, before they are cut. ``columns`` name the cells of every row.

    ``rows`` hold all of them, or the backend's page of them; ``found`` takes their place where there may be thousands.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    kind: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    found: SkipValidation[Found[Any] | None] = None
    empty: str = "Nothing matches."
    """What to say where there are no rows, and what to do then."""
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = Field(default_factory=dict)
    """Further values beside the rows, such as ages."""


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return rows as text, aligned with spaces; columns without any value are left out."""
    shown = [place for place in range(len(columns)) if any(_cell(row[place]) for row in rows)]
    lines = [[columns[place] for place in shown], *([_cell(row[place]) or "-" for place in shown] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(shown))]
    padded = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join(padded)


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def clip(text: str, size: int) -> str:
    """Return ``text`` on one line, cut to ``size`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= size else f"{line[: size - 1]}…"


def fit(count: int, budget: int, cost: Callable[[int], int]) -> int:
    """Return how many of ``count`` rows fit the budget, where ``cost(n)`` is the price of an answer with ``n`` of them.

    At least one row is shown where there is one: an answer of nothing would send the caller in a circle.
    """
    if count == 0 or (most := cost(count)) <= budget:
        return count
    low, high, least = 0, count, 0  # cost(low) fits, cost(high) does not
    turn = 0
    while low + 1 < high:
        turn += 1
        # Rows cost about the same, so the share of the budget says where to look; halving bounds the search where not.
        guess = low + (budget - least) * (high - low) // (most - least) if turn % 4 else (low + high) // 2
        middle = max(low + 1, min(high - 1, guess))
        price = cost(middle)
        if price <= budget:
            low, least = middle, price
        else:
            high, most = middle, price
    return max(1, low)


def age(then: datetime | None, now: datetime) -> str:
    """Return how long ago something was, short: ``45s``, ``12m``, ``5h``, ``3d``; empty where it is not known."""
    if then is None:
        return ""
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def seconds_of(text: str) -> int:
    """Return the seconds of a span such as ``90s``, ``5m``, ``1h30m`` or ``7d``.

    Raises:
        ValueError: it is no such span, or zero.
    """
    parts = re.findall(r"(\d+)([smhdw])", text)
    if not parts or "".join(f"{count}{unit}" for count, unit in parts) != text:
        raise ValueError(f"{text[:20]!r} is not a span of time such as 30m, 1h or 7d")
    total = sum(int(count) * _UNITS[unit] for count, unit in parts)
    if total <= 0:
        raise ValueError("a span of time is longer than nothing")
    return total


def sparkline(values: Sequence[float | None], width: int = 24) -> str:
    """Return values as a line of blocks, ``width`` at most, each the mean of its share; a gap is a dot."""
    blocks = "▁▂▃▄▅▆▇█"
    size = max(1, math.ceil(len(values) / width))
    means: list[float | None] = []
    for start in range(0, len(values), size):
        known = [value for value in values[start : start + size] if value is not None]
        means.append(sum(known) / len(known) if known else None)
    there = [value for value in means if value is not None]
    if not there:
        return ""
    low, span = min(there), max(there) - min(there)
    marks = [("·" if mean is None else blocks[int((mean - low) / span * 7) if span > 0 else 3]) for mean in means]
    return "".join(marks)


def number(value: float | None) -> str:
    """Return a number with four significant digits, without an exponent where that is short."""
    if value is None:
        return "no value"
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.4g}"
