"""Rows, their targets, and how they are shown: Markdown for the repository, tables for a terminal."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

LOAD = "load average, begin → end"


@dataclass(frozen=True)
class Times:
    """Durations of the same thing, in milliseconds."""

    values: tuple[float, ...]

    @property
    def least(self) -> float:
        """The undisturbed case, as near as this run came to it."""
        return min(self.values)

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def p99(self) -> float:
        """The smallest value that 99 of 100 do not exceed (nearest rank)."""
        ordered = sorted(self.values)
        return ordered[math.ceil(0.99 * len(ordered)) - 1]

    @property
    def most(self) -> float:
        """The worst."""
        return max(self.values)


@dataclass(frozen=True)
class Target:
    """What was asked for, and whether this run met it."""

    text: str
    met: bool


@dataclass(frozen=True)
class Section:
    """One question, its table, its targets, and how it was measured."""

    title: str
    how: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    targets: tuple[Target, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Report:
    """One run. ``facts`` say on what it ran, never where."""

    facts: dict[str, str]
    sections: list[Section] = field(default_factory=list[Section])


def milliseconds(value: float) -> str:
    """Return a duration with three significant digits."""
    if value >= 100:
        return f"{value:.0f} ms"
    return f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"


def ratio(value: float) -> str:
    """Return a ratio."""
    return f"{value:.2f}×" if value < 10 else f"{value:.0f}×"


def markdown(report: Report) -> str:
    """Return the report as a page."""
    lines = ["# Measured", "", "Written by `make bench`; every number comes from this one run.", ""]
    lines += [f"- {name}: {value}" for name, value in report.facts.items()]
    return "\n".join([*lines, *(line for section in report.sections for line in _lines(section))]) + "\n"


def _lines(section: Section) -> list[str]:
    lines = ["", f"## {section.title}", "", section.how, ""]
    lines += [_line(section.columns), _line(["---"] * len(section.columns))]
    lines += [_line(row) for row in section.rows]
    if section.targets or section.notes:
        lines.append("")
    lines += [f"- {'met' if target.met else '**missed**'}: {target.text}" for target in section.targets]
    return [*lines, *(f"- {note}" for note in section.notes)]


def put(page: Path, section: Section, ran: str) -> None:
    """Put one section, from a run of its own, into a page in place of the one of the same title. ``ran``: on what it ran."""
    fresh = replace(section, notes=(*section.notes, ran))
    before, title, rest = page.read_text().partition(f"\n## {section.title}\n")
    _, then, after = rest.partition("\n## ") if title else ("", "", "")
    page.write_text(before.rstrip("\n") + "\n" + "\n".join(_lines(fresh)) + "\n" + then + after)


def facts() -> dict[str, str]:
    """Return on what this runs."""
    memory = psutil.virtual_memory().total / 2**30
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GiB, {platform.system()}",
        "Python": platform.python_version(),
        "mcp": importlib.metadata.version("mcp"),
        LOAD: load(),
    }


def load() -> str:
    """Return the load averages of 1, 5 and 15 minutes."""
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def show(section: Section, console: Console) -> None:
    """Print one section."""
    table = Table(title=section.title, title_justify="left", title_style="bold", header_style="bold", box=None)
    for number, column in enumerate(section.columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in section.rows:
        table.add_row(*row)
    console.print(table)
    for target in section.targets:
        console.print(f"  [{'green' if target.met else 'red'}]{'met' if target.met else 'missed'}[/]: {target.text}")
    for note in section.notes:
        console.print(f"  {note}", style="dim")
    console.print()
