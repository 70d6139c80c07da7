"""What ran on what: counts per system and target, with versions, and for what is missing the line that enables it.

Every report of a marked test carries ``("system", [system, target, version])`` in its ``user_properties``, which pytest-xdist
brings from its workers, so the table is whole with any number of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from real_targets import SYSTEMS, version_of

PROPERTY = "system"
UNNAMED = {"sandbox": "the sandbox's own", "real": "none"}


@dataclass
class Row:
    """One line of the table."""

    counts: Counter[str] = field(default_factory=Counter[str])
    version: str = ""
    reasons: Counter[str] = field(default_factory=Counter[str])


class RealReport:
    """Collects on the controller, and shows: a table when only marked tests were asked for, otherwise a line."""

    def __init__(self, *, whole: bool) -> None:
        self.whole = whole
        self.rows: dict[tuple[str, str], Row] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[Any]:
        report: pytest.TestReport = yield
        for mark in item.iter_markers("system"):
            system, target = mark.args[0], mark.kwargs.get("target", "real")
            report.user_properties.append((PROPERTY, [system, target, version_of(system, target)]))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == PROPERTY:
                system, target, version = value  # pyright: ignore[reportGeneralTypeIssues]
                self._count(self.rows.setdefault((str(system), str(target)), Row()), str(version), report)

    def _count(self, row: Row, version: str, report: pytest.TestReport) -> None:
        row.version = row.version or version
        if report.failed:
            row.counts["failed"] += 1
        elif report.skipped:
            row.counts["skipped"] += 1
            row.reasons[reason(report)] += 1
        elif report.when == "call":
            row.counts["passed"] += 1

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.rows:
            return
        if self.whole:
            terminalreporter.section("what ran on what")
        for line in self.table() if self.whole else [self.line()]:
            terminalreporter.write_line(line)

    def table(self) -> list[str]:
        """A Markdown table, so that it can be pasted where it is reported, and the reasons under it."""
        head = ("system", "target", "version", "passed", "failed", "skipped")
        cells, notes = [head, tuple("-" * len(name) for name in head)], list[str]()
        for system, target in self._order():
            row = self.rows[system, target]
            numbers = [str(row.counts[name]) for name in head[3:]]
            cells.append(
                (
                    SYSTEMS[system].title,
                    target,
                    row.version or UNNAMED[target],
                    *numbers,
                )
            )
            notes += [f"{SYSTEMS[system].title}, {count} skipped: {text}" for text, count in row.reasons.items()]
        widths = [max(len(line[place]) for line in cells) for place in range(len(head))]
        padded = (
            " | ".join(text.ljust(width, line[0][0] if line is cells[1] else " ") for text, width in zip(line, widths))  # noqa: B905
            for line in cells
        )
        return [f"| {line} |" for line in padded] + ([""] if notes else []) + notes

    def line(self) -> str:
        """The same in one line, for the whole suite."""
        real = [(system, self.rows[system, target]) for system, target in self._order() if target == "real"]
        ran = [f"{SYSTEMS[system].title} ({row.counts['passed']})" for system, row in real if row.counts["passed"]]
        idle = [SYSTEMS[system].title for system, row in real if not row.counts["passed"]]
        missing = f"; not met: {', '.join(idle)} (`make test-real` says how to enable them)" if idle else ""
        return f"real systems met: {', '.join(ran) or 'none'}{missing}"

    def _order(self) -> list[tuple[str, str]]:
        names = list(SYSTEMS)
        return sorted(self.rows, key=lambda key: (names.index(key[0]), key[1] == "real"))


def reason(report: pytest.TestReport) -> str:
    """Why a test was skipped, without the place."""
    text = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def register(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "system(name, target): runs on this system, as the sandbox's or as the real one")
    chosen = str(config.getoption("markexpr") or "")
    config.pluginmanager.register(RealReport(whole="system" in chosen), "real-report")
