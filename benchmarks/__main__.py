"""Measure everything, print it, and write ``benchmarks/results.md``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
from rich.console import Console

from benchmarks.report import Report, Section, facts, load, markdown, show
from benchmarks.servers import HERE, UNWANTED


def main() -> None:
    """Run every bench, one after another."""
    for name in [*UNWANTED, *(key for key in os.environ if key.startswith("AI_PLATFORM_"))]:
        os.environ.pop(name, None)
    console = Console(width=160)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.environ["XDG_CONFIG_HOME"] = f"{folder}/no-configuration"
        report = Report(facts())
        for measure in _benches(Path(folder)):
            section = measure()
            report.sections.append(section)
            show(section, console)
        report.facts["load average, begin → end"] += f" → {load()}"
    (HERE / "results.md").write_text(markdown(report))
    console.print("Written to benchmarks/results.md")


def _benches(folder: Path) -> Iterator[Callable[[], Section]]:
    from ai_platform_mcp.sandbox import process
    from benchmarks import calls, failing, fleet, policy, replay, router, scale, start, tokens

    yield lambda: start.start(folder / "start")
    yield tokens.tokens
    yield lambda: anyio.run(policy.policy)
    yield replay.replay
    yield router.router
    yield lambda: fleet.fleet(jobs=os.cpu_count() or 1)
    box = folder / "sandbox"
    anyio.run(process.ensure_up, box)
    try:
        yield lambda: anyio.run(calls.in_memory, box)
        yield lambda: anyio.run(calls.over_stdio, box)
    finally:
        anyio.run(process.down, box)
    yield lambda: failing.down(folder / "down")
    yield lambda: failing.hanging(folder / "hanging")
    yield lambda: scale.scale(folder / "scale")


if __name__ == "__main__":
    main()
