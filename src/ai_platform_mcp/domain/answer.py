"""From rows to an answer within a budget: complete as text, complete as data, and honest about what was left out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from heapq import nsmallest
from itertools import islice
from typing import Any

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.domain.text import DEFAULT_BUDGET, MOST, Cell, Found, Key, Listing, fit, json_tokens, table, tokens

TROUBLED = 8
"""Names that the first of several pages gives of what is in trouble further on."""


class Cursor(Value):
    """Where a page begins: after the row of a key, or ``skip`` rows into the backend's page that ``backend`` names.

    The backend's first page has no name.
    """

    skip: int = 0
    backend: str = ""
    after: Key = ()

    def text(self) -> str:
        """Return the token that callers pass back."""
        return f"@{'|'.join(self.after)}" if self.after else f"{self.skip}:{self.backend}"

    @classmethod
    def read(cls, token: str) -> Cursor:
        """Read a token; an empty one is the beginning.

        Raises:
            InvalidInput: it is none of ours.
        """
        if not token:
            return cls()
        if token.startswith("@") and len(token) > 1:
            return cls(after=tuple(token[1:].split("|")))
        skip, colon, backend = token.partition(":")
        if not colon or not (skip.isascii() and skip.isdigit()) or len(skip) > 9:
            raise InvalidInput(
                f"{token[:40]!r} is no paging token.", remedy="Pass token exactly as the page before gave it in next."
            )
        return cls(skip=int(skip), backend=backend)


def budget_of(verbose: bool) -> int:
    """Return the budget in tokens: the default one, or all that an answer may ever take, less room for its frame."""
    return MOST - 500 if verbose else DEFAULT_BUDGET - 100


def listing_result(
    listing: Listing, *, verbose: bool, limit: int, cursor: Cursor | None = None, more: str | None = None
) -> Result:
    """Return a page of the listing.

    Args:
        listing: what there is, or the page of the backend that ``cursor`` names.
        verbose: whether the large budget applies.
        limit: rows at most.
        cursor: where in the listing this page begins.
        more: the backend's own token for the page after this listing; None where the listing is all there is.
    """
    if listing.found is not None:
        return _found_result(listing, listing.found, cursor or Cursor(), limit, budget_of(verbose))
    start, listing = cursor or Cursor(), _lean(listing)
    rest = listing.rows[start.skip :]
    rows = rest[:limit]

    def page(count: int) -> Result:
        total = len(listing.rows) if more is None and not start.backend else None
        return _page(listing, rows[:count], _next(start, count, len(rest), more), start.skip, total)

    return page(fit(len(rows), budget_of(verbose), lambda count: _cost(page(count))))


def first_rows(listing: Listing, most: int) -> tuple[Sequence[tuple[Cell, ...]], int]:
    """Return at most ``most`` rows, the urgent ones first, and how many there are in all."""
    if listing.found is None:
        return listing.rows[:most], len(listing.rows)
    found, total = listing.found, len(listing.found.items)
    if total <= most:
        return [found.cells(item) for item in sorted(found.items, key=found.urgency)], total
    urgent = nsmallest(most, found.urgent(), key=found.urgency)
    named = {found.key(item) for item in urgent}
    others = (item for item in found.items if found.key(item) not in named)
    return [found.cells(item) for item in (*urgent, *islice(others, most - len(urgent)))], total


def _cost(result: Result) -> int:
    return max(tokens(result.text), json_tokens(result.data))


def _found_result(listing: Listing, found: Found[Any], cursor: Cursor, limit: int, budget: int) -> Result:
    """Return all that was found by urgency where it fits, else the page after the cursor by key."""
    total = len(found.items)
    if not cursor.after and not cursor.skip and total <= limit:
        rows = tuple(found.cells(item) for item in sorted(found.items, key=found.urgency))
        whole = _page(_lean(listing.model_copy(update={"rows": rows})), None, "", 0, total)
        if _cost(whole) <= budget:
            return whole
    begin = bisect_right(found.items, cursor.after, key=found.key) if cursor.after else cursor.skip
    items = found.items[begin : begin + limit]
    lean = _lean(listing.model_copy(update={"rows": tuple(found.cells(item) for item in items)}))
    if not begin and (named := _troubled(found)):
        lean = lean.model_copy(update={"notes": (named, *lean.notes)})

    def page(count: int) -> Result:
        left = total - begin - count
        following = Cursor(after=found.key(items[count - 1])).text() if count and left > 0 else ""
        return _page(lean, lean.rows[:count], following, begin, total)

    return page(fit(len(items), budget, lambda count: _cost(page(count))))


def _troubled(found: Found[Any]) -> str:
    """Return a line on what is in trouble: pages go by name, and it may be on any of them."""
    urgent = found.urgent()
    more = f" and {len(urgent) - TROUBLED} more (narrow by state)" if len(urgent) > TROUBLED else ""
    return f"In trouble: {', '.join(map(found.label, urgent[:TROUBLED]))}{more}." if urgent else ""


def _lean(listing: Listing) -> Listing:
    """Leave out columns without any value; where all rows are of one cluster, say it once."""
    rows, columns, facts = listing.rows, listing.columns, dict(listing.facts)
    used = [place for place in range(len(columns)) if any(row[place] not in (None, "") for row in rows)]
    clusters = {row[columns.index("cluster")] for row in rows} if "cluster" in columns else set[Cell]()
    if len(clusters) == 1:
        facts["cluster"] = clusters.pop()
        used = [place for place in used if columns[place] != "cluster"]
    if not rows:
        return listing
    return listing.model_copy(
        update={
            "columns": tuple(columns[place] for place in used),
            "rows": tuple(tuple(row[place] for place in used) for row in rows),
            "facts": facts,
        }
    )


def _next(start: Cursor, count: int, left: int, more: str | None) -> str:
    if count < left:
        return Cursor(skip=start.skip + count, backend=start.backend).text()
    return Cursor(backend=more).text() if more else ""


def _page(
    listing: Listing, rows: tuple[tuple[Cell, ...], ...] | None, following: str, skip: int, total: int | None
) -> Result:
    rows = listing.rows if rows is None else rows
    data: dict[str, Any] = {"kind": listing.kind, **listing.facts}
    if total is not None:
        data["total"] = total
    data |= {"shown": len(rows), "columns": list(listing.columns), "rows": [list(row) for row in rows]}
    lines = [_head(listing, len(rows), skip, total)]
    lines.append(table(listing.columns, rows) if rows else listing.empty)
    if not rows:
        data["empty"] = listing.empty
    notes = list(listing.notes)
    if following:
        data["next"] = following
        left = f"{total - skip - len(rows)} more rows" if total is not None else "More rows"
        notes.append(f"{left}: repeat with token={following}, or narrow with filters.")
    if notes:
        data["notes"] = notes
    return Result(text="\n".join([*lines, *notes]), data=data)


def _head(listing: Listing, shown: int, skip: int, total: int | None) -> str:
    count = (
        f"{shown} rows"
        if total is None
        else f"{total} rows"
        if shown == total
        else f"rows {skip + 1}-{skip + shown} of {total}"
    )
    age = listing.facts.get("age_seconds")
    where = f" in cluster {listing.facts['cluster']}" if "cluster" in listing.facts else ""
    old = f", {age} s old" if isinstance(age, int) else ""
    return f"{listing.kind}: {count if shown or total else 'none'}{where}{old}"


def detail_result(
    kind: str, name: str, body: dict[str, Any], *, verbose: bool, lines: list[str] | None = None
) -> Result:
    """Return the full story of one thing; what exceeds the budget is left out by name, largest first.

    ``lines`` is the text; without them the fields are told one a line.
    """
    data: dict[str, Any] = {"kind": kind, "name": name, **body}
    budget, left_out = budget_of(verbose), list[str]()

    def told() -> str:
        return "\n".join([f"{kind} {name}", *(lines if lines is not None and not left_out else _fields(data))])

    while max(tokens(told()), json_tokens(data)) > budget:
        candidates = {
            key: json_tokens(value) for key, value in data.items() if key not in ("kind", "name", "left_out", "how")
        }
        if not candidates:
            break
        largest = max(candidates, key=lambda key: candidates[key])
        del data[largest]
        left_out.append(largest)
        data["left_out"] = left_out
        if not verbose:
            data["how"] = "verbose=true shows more"
    return Result(text=told(), data=data)


def _fields(data: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for key, value in data.items():
        if key in ("kind", "name") or value in (None, "", [], {}):
            continue
        if isinstance(value, dict):
            fields: dict[str, Any] = value
            lines.append(f"  {key}: " + ", ".join(f"{name}={item}" for name, item in fields.items()))
        elif isinstance(value, list):
            items: list[Any] = value
            lines.append(f"  {key}:")
            lines += [f"    {_item(item)}" for item in items]
        else:
            lines.append(f"  {key}: {value}")
    return lines


def _item(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    fields: dict[str, Any] = item
    return ", ".join(f"{key}={value}" for key, value in fields.items() if value not in (None, "", [], {}))
