"""Split metric answers as one table: a row per target, site, version or node, with its age, and who is silent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import MetricAnswer, MetricPoint, MetricSeries, NodeRow, Reporting
from ai_platform_mcp.core.tool import Result
from ai_platform_mcp.domain.text import DEFAULT_BUDGET, clip, fit, json_tokens, number, table, tokens

STALE_SECONDS = 300
"""From this age on a newest sample is old: Prometheus itself takes a series for gone then (its lookback)."""
SHOWN_SILENT = 12
"""Silent nodes that are named one by one."""
SIDE_BY_SIDE = ("rps", "error_rate", "e2e_p50", "e2e_p95")
"""The signals that a comparison shows in one table."""
_SHORT = {
    "rps": ("rps", 1),
    "error_rate": ("error_percent", 100),
    "e2e_p50": ("p50_ms", 1000),
    "e2e_p95": ("p95_ms", 1000),
}
"""How a comparison names its columns, and what it multiplies by: in these units most values take one token less."""
_HEADS = {"rps": "req/s", "error_percent": "errors", "p50_ms": "p50", "p95_ms": "p95"}
_PLACES = ("target", "region", "site", "node", "version")
CLOUD = "(cloud)"
"""Stands for all of the cloud where rows are places of the edge."""

Key = tuple[str, ...]


class SilentNode(Value):
    """A node that runs a release of the model and does not report about it, or not any more."""

    node: str
    site: str
    online: bool
    """Whether the cluster takes the node for ready: one that is not cannot report."""
    age_seconds: int | None
    """Seconds since its newest sample; None: none in the last hour."""


class Silence(Value):
    """Which of the nodes that should report do not. ``unknown`` says why that cannot be told."""

    expected: int = 0
    nodes: tuple[SilentNode, ...] = ()
    unknown: str = ""


def silence(expected: Iterable[NodeRow], reporting: Reporting) -> Silence:
    """Compare the nodes that run a release with those that report; those that ought to be able to come first."""
    rows = list(expected)
    quiet = [
        SilentNode(node=row.name, site=row.site, online=row.ready, age_seconds=reporting.ages.get(row.name))
        for row in rows
        if reporting.ages.get(row.name, STALE_SECONDS + 1) > STALE_SECONDS
    ]
    return Silence(expected=len(rows), nodes=tuple(sorted(quiet, key=lambda row: (not row.online, row.site, row.node))))


def split_result(answers: Mapping[str, MetricAnswer], *, window: str, quiet: Silence | None = None) -> Result:
    """Return the answers of one or several signals, split alike, as one table within 2,000 tokens.

    Rows stand in the order of their labels; where they do not all fit, those that fail most, are slowest or largest are kept, and
    the rest is counted. Numbers have three significant digits; several signals side by side are in percent and milliseconds.
    """
    if len(answers) > 1:
        answers = {_SHORT[name][0]: _scaled(answer, _SHORT[name][1]) for name, answer in answers.items()}
    rows = _rows(answers)
    labels = _label_names(rows)
    order = sorted(rows, key=lambda key: [dict(rows[key].labels).get(name, "") for name in labels])
    trouble = _by_trouble(answers)
    by_badness = sorted(order, key=lambda key: _badness(rows[key], trouble), reverse=True)

    def page(count: int) -> Result:
        kept = set(by_badness[:count]) if count < len(order) else set(order)
        return _page(answers, [rows[key] for key in order if key in kept], len(order), labels, window, quiet)

    def cost(count: int) -> int:
        result = page(count)
        return max(tokens(result.text), json_tokens(result.data))

    return page(fit(len(order), DEFAULT_BUDGET - 100, cost))


def _scaled(answer: MetricAnswer, factor: int) -> MetricAnswer:
    if factor == 1:
        return answer
    series = tuple(
        row.model_copy(update={"points": tuple(_times(point, factor) for point in row.points)}) for row in answer.series
    )
    return answer.model_copy(update={"series": series, "unit": {100: "percent", 1000: "milliseconds"}[factor]})


def _times(point: MetricPoint, factor: int) -> MetricPoint:
    return point if point.value is None else point.model_copy(update={"value": point.value * factor})


class _Row(Value):
    labels: dict[str, str]
    values: dict[str, float | None]
    age_seconds: int | None

    @property
    def stale(self) -> bool:
        return self.age_seconds is None or self.age_seconds > STALE_SECONDS


def _key(series: MetricSeries) -> Key:
    return tuple(f"{name}={value}" for name, value in sorted(series.labels.items()))


def _rows(answers: Mapping[str, MetricAnswer]) -> dict[Key, _Row]:
    named = {name for answer in answers.values() for series in answer.series for name in series.labels}
    places = [name for name in ("region", "site", "node") if name in named]
    found: dict[Key, _Row] = {}
    for column, answer in answers.items():
        for series in answer.series:
            key = _key(series)
            before = found.get(key)
            ages = [age for age in (before.age_seconds if before else None, series.age_seconds) if age is not None]
            found[key] = _Row(
                labels=_shown_labels(series.labels, places),
                values={
                    **(before.values if before else {}),
                    column: series.points[-1].value if series.points else None,
                },
                age_seconds=min(ages) if ages else None,
            )
    return found


def _shown_labels(labels: Mapping[str, str], places: Sequence[str]) -> dict[str, str]:
    """Return labels as they are shown. Where rows are ``places`` of the edge, the place says the target: the cloud is none."""
    told = {name: clip(untrusted(value, 100), 60) for name, value in labels.items()}
    if not places:
        return told
    if told.pop("target", "") == "cloud" and not told.keys() & set(places):
        told[places[0]] = CLOUD
    return told


def _label_names(rows: Mapping[Key, _Row]) -> list[str]:
    """Return the labels that tell rows apart, the usual ones in their usual order; with a single row, all of them."""
    named = {name for row in rows.values() for name in row.labels}
    ordered = [*(name for name in ("model", *_PLACES) if name in named), *sorted(named - {"model", *_PLACES})]
    return ordered


def _by_trouble(columns: Iterable[str]) -> list[str]:
    """Order columns by what they say of trouble: failing, then slow, then whatever else is measured."""
    return sorted(columns, key=lambda name: ("error" not in name, "p95" not in name, name))


def _badness(row: _Row, order: Sequence[str]) -> tuple[float, ...]:
    return tuple(row.values.get(name) or 0.0 for name in order)


def _page(
    answers: Mapping[str, MetricAnswer],
    rows: Sequence[_Row],
    found: int,
    labels: Sequence[str],
    window: str,
    quiet: Silence | None,
) -> Result:
    columns = list(answers)
    stale = any(row.stale for row in rows)
    first = next(iter(answers.values()))
    omitted = max(answer.omitted_series for answer in answers.values()) + found - len(rows)
    data: dict[str, Any] = {
        "window": window,
        "units": {name: answer.unit for name, answer in answers.items()},
        "exporters": {name: answer.backend for name, answer in answers.items() if answer.backend},
        "columns": [*labels, *columns, "age_seconds", *(["stale"] if stale else [])],
        "rows": [
            [
                *(row.labels.get(name, "") for name in labels),
                *(_short(row.values.get(name)) for name in columns),
                row.age_seconds,
                *([row.stale] if stale else []),
            ]
            for row in rows
        ],
        "promql": first.promql,
    }
    notes = list(dict.fromkeys(note for answer in answers.values() for note in answer.notes))
    if stale:
        notes.append(f"Stale: the newest sample is over {STALE_SECONDS // 60} minutes old (null: over an hour).")
    if omitted:
        data["omitted_rows"] = omitted
        least = _by_trouble(columns)[0]
        notes.append(
            f"{omitted} more rows, those of the lowest {least}, are left out: narrow by site, version or node."
        )
    if not rows:
        data["absence"] = first.absence
    if quiet is not None:
        data["silent"] = _silent(quiet)
    if notes:
        data["notes"] = notes
    return Result(text="\n".join(_lines(data, rows, labels, columns, quiet)), data=data)


def _silent(quiet: Silence) -> dict[str, Any]:
    if quiet.unknown:
        return {"unknown": quiet.unknown}
    told: dict[str, Any] = {"expected": quiet.expected, "silent": len(quiet.nodes)}
    if quiet.nodes:
        told["nodes"] = [
            {"node": row.node, "site": row.site, "online": row.online, "age_seconds": row.age_seconds}
            for row in quiet.nodes[:SHOWN_SILENT]
        ]
    return told


def _lines(
    data: Mapping[str, Any], rows: Sequence[_Row], labels: Sequence[str], columns: Sequence[str], quiet: Silence | None
) -> list[str]:
    source = ", ".join(dict.fromkeys(data["exporters"].values()))
    lines = [f"{', '.join(columns)} over {data['window']}" + (f", from {source}" if source else "")]
    if not rows:
        lines.append(f"No value: {data['absence'] or 'nothing matches'}.")
    else:
        heads = [*labels, *(_HEADS.get(name, name) for name in columns), "newest sample"]
        cells = [
            [
                *(row.labels.get(name, "") for name in labels),
                *(_told(row.values.get(name), data["units"][name]) for name in columns),
                _aged(row),
            ]
            for row in rows
        ]
        lines.append(table(heads, cells))
    lines += _told_silent(quiet) if quiet is not None else []
    return [*lines, *data.get("notes", [])]


def _told_silent(quiet: Silence) -> list[str]:
    if quiet.unknown:
        return [f"Which nodes are silent is not known: {quiet.unknown}."]
    if not quiet.nodes:
        return [f"All {quiet.expected} nodes that run a release report."] if quiet.expected else []
    named = [f"{row.node} ({_why(row)})" for row in quiet.nodes[:SHOWN_SILENT]]
    more = len(quiet.nodes) - len(named)
    tail = f", and {more} more" if more else ""
    return [f"Silent: {len(quiet.nodes)} of {quiet.expected} nodes that run a release: {', '.join(named)}{tail}."]


def _why(row: SilentNode) -> str:
    last = "no sample in an hour" if row.age_seconds is None else f"last sample {_span(row.age_seconds)} ago"
    return f"{'online' if row.online else 'offline'}, {last}"


def _aged(row: _Row) -> str:
    if row.age_seconds is None:
        return "over 1h old, STALE"
    return f"{_span(row.age_seconds)} old" + (", STALE" if row.stale else "")


def _span(seconds: int) -> str:
    return f"{seconds}s" if seconds < 120 else f"{seconds // 60}m"


_SUFFIX = {"percent": "%", "milliseconds": "ms", "seconds": "s"}


def _told(value: float | None, unit: str) -> str:
    """Return a number with the unit that a person reads: shares in percent, small times in milliseconds."""
    if value is None:
        return ""
    if unit == "ratio" or (unit == "seconds" and value < 1):
        value, unit = (100 * value, "percent") if unit == "ratio" else (1000 * value, "milliseconds")
    if unit == "milliseconds" and value >= 1000:
        value, unit = value / 1000, "seconds"
    return f"{number(_short(value))}{_SUFFIX.get(unit, '')}"


def _short(value: float | None) -> float | int | None:
    if value is None:
        return None
    rounded = float(f"{value:.3g}")
    return int(rounded) if rounded == int(rounded) and abs(rounded) < 1e15 else rounded
