"""Measure everything, or what is named, print it, and write ``benchmarks/results.md``."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import anyio
from rich.console import Console

from benchmarks.report import LOAD, Report, Section, facts, load, markdown, put, show
from benchmarks.servers import HERE, UNWANTED

NAMES = ("start", "tokens", "policy", "replay", "router", "fleet", "calls", "down", "hanging", "scale")
"""Every bench, in the order of the page."""


def main() -> None:
    """Run every bench, one after another, and write the page; with names, only those, and put their sections into it."""
    asked = argparse.ArgumentParser(description=main.__doc__)
    asked.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}; all where none is named")
    names = asked.parse_args().names
    if unknown := sorted(set(names) - set(NAMES)):
        asked.error(f"no bench is called {', '.join(unknown)}")
    for name in [*UNWANTED, *(key for key in os.environ if key.startswith("AI_PLATFORM_"))]:
        os.environ.pop(name, None)
    console = Console(width=160)
    page = HERE / "results.md"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.environ["XDG_CONFIG_HOME"] = f"{folder}/no-configuration"
        report = Report(facts())
        for measure in _benches(Path(folder), names or NAMES):
            before = load()
            section = measure()
            report.sections.append(section)
            show(section, console)
            if names:
                ran = "; ".join(f"{name} {value}" for name, value in (facts() | {LOAD: f"{before} → {load()}"}).items())
                put(page, section, f"This section is from a run of its own: {ran}.")
        report.facts[LOAD] += f" → {load()}"
    if not names:
        page.write_text(markdown(report))
    console.print("Written to benchmarks/results.md")


def _benches(folder: Path, names: Sequence[str]) -> Iterator[Callable[[], Section]]:
    from benchmarks import failing, fleet, policy, replay, router, scale, start, tokens

    plain: dict[str, Callable[[], Section]] = {
        "start": lambda: start.start(folder / "start"),
        "tokens": tokens.tokens,
        "policy": lambda: anyio.run(policy.policy),
        "replay": replay.replay,
        "router": router.router,
        "fleet": lambda: fleet.fleet(jobs=os.cpu_count() or 1),
        "down": lambda: failing.down(folder / "down"),
        "hanging": lambda: failing.hanging(folder / "hanging"),
        "scale": lambda: scale.scale(folder / "scale"),
    }
    for name in NAMES:
        if name == "calls" and name in names:
            yield from _calls(folder / "sandbox")
        elif name in names:
            yield plain[name]


def _calls(box: Path) -> Iterator[Callable[[], Section]]:
    """Both benches of calls, on one sandbox."""
    from ai_platform_mcp.sandbox import process
    from benchmarks import calls

    anyio.run(process.ensure_up, box)
    try:
        yield lambda: anyio.run(calls.in_memory, box)
        yield lambda: anyio.run(calls.over_stdio, box)
    finally:
        anyio.run(process.down, box)


if __name__ == "__main__":
    main()
