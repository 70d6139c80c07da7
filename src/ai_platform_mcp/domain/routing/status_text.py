"""``routing status`` as people read it, from the data alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ai_platform_mcp.domain.text import clip, table

MOST_UNKNOWN = 8
_WHY = 240


def lines(data: dict[str, Any]) -> list[str]:
    """Return the lines: the picture first, then the reasons, then what is not known."""
    told = picture(data)
    told += _sizing(data.get("sizing"))
    told += _conversations(data["conversations"])
    return [*told, *_unknown(data), *(f"Note: {note}" for note in data["notes"])]


def picture(data: dict[str, Any]) -> list[str]:
    """Return the lines of what is measured and of where a typical request goes by it."""
    told = [_head(data), *_targets(data)]
    told += _saved(data["savings"])
    told += _fallbacks(data)
    told += _sites(data)
    return [*told, *_decisions(data)]


def _head(data: dict[str, Any]) -> str:
    slo = data["slo_seconds"]
    ages = [row["age_seconds"] for row in data["targets"] if "age_seconds" in row]
    age = f", newest samples {max(ages)} s old" if ages else ""
    promised = f"promised: {span(slo)}" if slo is not None else "nothing is promised"
    return f"{_window(data['window_seconds'])}{age}; {promised}"


def _window(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0:
            return f"last {seconds // size}{unit}"
    return f"last {seconds}s"


def _targets(data: dict[str, Any]) -> Iterator[str]:
    if not data["targets"]:
        yield "Nothing serves it: no node has a release of this model, and no InferenceService or LLMInferenceService is there."
        return
    several = sum(row["tier"] == "cloud" for row in data["targets"]) > 1
    cells: list[tuple[str, ...]] = []
    for row in data["targets"]:
        name = "Edge" if row["tier"] == "edge" and row["target"] == "edge" else "Cloud"
        shown = f"→ {name} {row['target']}:" if several and name == "Cloud" else f"→ {name}:"
        cells.append((shown, _share(row), _speed(row), _late(row), _errors(row), _rate(row), _where(row)))
    yield from table(("",) * 7, cells).split("\n")[1:]


def _share(row: dict[str, Any]) -> str:
    if "share" not in row:
        return "not measured"
    return f"{percent(row['share'])} of requests"


def _speed(row: dict[str, Any]) -> str:
    if "p50_seconds" not in row:
        return ""
    return f"p50 {span(row['p50_seconds'])}, p95 {span(row['p95_seconds'])}"


def _late(row: dict[str, Any]) -> str:
    if "late_share" not in row:
        return ""
    between = row.get("late_between")
    return f"{percent(row['late_share'])} late" + (
        f" ({percent(between[0])} to {percent(between[1])})" if between else ""
    )


def _errors(row: dict[str, Any]) -> str:
    return f"{percent(row['error_share'])} errors" if "error_share" in row else ""


def _rate(row: dict[str, Any]) -> str:
    return f"{row['rps']:.3g} req/s" if "rps" in row else ""


def _where(row: dict[str, Any]) -> str:
    unit = "node" if row["tier"] == "edge" and row["target"] == "edge" else "replica"
    count = f"{row['ready']} of {row['units']} {unit}s" if row["ready"] != row["units"] else _count(row["units"], unit)
    opened = row.get("circuits_open")
    circuit = f", {_count(opened, 'circuit')} open" if opened else ""
    cooled = f", cooled down {_count(row['cooldowns'], 'time')}" if row.get("cooldowns") else ""
    return f"{count}{circuit}{cooled}"


def _saved(savings: dict[str, Any]) -> Iterator[str]:
    marginal = savings.get("marginal_share")
    if "share" not in savings:
        yield f"  Savings not measured: {savings['why']}"
        if marginal is not None:
            yield f"  if an idle edge were free: {percent(abs(marginal))} {'saved' if marginal >= 0 else 'lost'}"
        return
    share = savings["share"]
    before = (
        f" ({percent(abs(marginal))} {'saved' if marginal >= 0 else 'lost'} if an idle edge were free)"
        if marginal is not None
        else ""
    )
    word, mark = ("savings", "✓") if share >= 0 else ("loss", "✗")
    yield f"{mark} Measured {word}: {percent(abs(share))} with the fixed cost of the edge counted{before}"
    paid = savings["request_cents"] + savings["fixed_cents"]
    yield (
        f"  against {savings['counterfactual']}: {money(savings['counterfactual_cents'])} instead of {money(paid)} "
        f"({money(savings['request_cents'])} for requests, {money(savings['fixed_cents'])} fixed) in {_lasting(savings['hours'])}"
    )
    yield from (f"  {row}" for row in savings["assumptions"])


def _lasting(hours: float) -> str:
    return f"{hours:.3g} h" if hours >= 1 else f"{60 * hours:.3g} min" if hours >= 1 / 60 else f"{3600 * hours:.3g} s"


def _fallbacks(data: dict[str, Any]) -> Iterator[str]:
    found = data["fallbacks"]
    if "to_cloud" in found:
        yield f"Behind the edge: {_count(found['to_cloud'], 'request')} answered in the cloud, spilled or sent there"
    if "answered" in found:
        by = ", ".join(f"{count:,} by {name}" for name, count in found["answered"].items() if count)
        failed = f"; {found['failed']:,} failed there too" if found.get("failed") else ""
        yield f"Fallbacks after a failure or refusal: {by or 'none'}{failed} ({found.get('age_seconds', '?')} s old)"
    if "objectives_missed" in found:
        yield f"Objectives missed by the endpoint picker's count: {found['objectives_missed']:,}"


def _sites(data: dict[str, Any]) -> Iterator[str]:
    sites = data.get("sites")
    if sites is None:
        return
    columns: list[str] = sites["columns"]
    shares = {columns.index(name) for name in ("share", "late", "errors")}
    rows = [
        tuple(percent(cell) if place in shares and cell is not None else _plain(cell) for place, cell in enumerate(row))
        for row in sites["rows"]
    ]
    yield from table(columns, rows).split("\n")
    if "left_out" in sites:
        yield f"{sites['left_out']} more sites, none in more trouble than these."


def _plain(cell: Any) -> str | None:
    return None if cell is None else f"{cell:.3g}" if isinstance(cell, float) else str(cell)


def _decisions(data: dict[str, Any]) -> Iterator[str]:
    for row in data["decisions"]:
        named: list[str] = row["from"]
        origin = f"at {_listed(named)} " if named else ""
        where = row["target"] or "nowhere"
        behind = f", then {', '.join(row['fallbacks'])}" if row["fallbacks"] else ", and nothing is behind it"
        yield f"Now a typical request {origin}goes to {where}{behind if row['target'] else ''}:"
        yield from (f"  {reason}" for reason in row["reasons"])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {_count(len(names) - 3, 'more site')}" if len(names) > 3 else "")


def _sizing(sizing: dict[str, Any] | None) -> Iterator[str]:
    if sizing is None:
        return
    if "why" in sizing:
        yield f"Right-sizing: {clip(sizing['why'], _WHY)}"
        return
    yield f"Right-sizing by {sizing['measured']}:"
    yield from (f"  {row}" for row in sizing["reasons"])
    yield from (f"  left out: {row}" for row in sizing["left_out"])


def _conversations(rows: Sequence[dict[str, str]]) -> Iterator[str]:
    if rows:
        yield "Conversations:"
    for row in rows:
        yield f"  {row['target']}: {row['hint']}" if row["target"] else f"  {row['hint']}"
        if "lost" in row:
            yield f"    if it is lost: {row['lost']}"


def _unknown(data: dict[str, Any]) -> Iterator[str]:
    rows: Sequence[str] = data["unknown"]
    if rows:
        yield "Not known:"
        yield from (f"  {clip(row, _WHY)}" for row in rows[:MOST_UNKNOWN])
        if len(rows) > MOST_UNKNOWN:
            yield f"  and {len(rows) - MOST_UNKNOWN} more"


def percent(share: float) -> str:
    """Return a share as people say it: whole percents, and more digits only of small ones."""
    value = 100 * share
    if value >= 9.95 or value == 0:
        return f"{value:.0f}%"
    return f"{value:.1f}%" if value >= 0.095 else f"{value:.2f}%" if value >= 0.0095 else "<0.01%"


def span(seconds: float) -> str:
    """Return seconds as milliseconds where they are few."""
    if seconds < 0.01:
        return f"{1000 * seconds:.1f}ms"
    return f"{1000 * seconds:.0f}ms" if seconds < 1 else f"{seconds:.3g}s"


def money(cents: float) -> str:
    """Return cents in dollars."""
    return f"${cents / 100:.2f}" if cents >= 100 or cents == 0 else f"${cents / 100:.4f}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
