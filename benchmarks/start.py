"""How long until ``initialize`` is answered, and how much memory that takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.report import Section, Target, Times, milliseconds, ratio
from benchmarks.servers import EMPTY, OURS, compile_bytecode, running

PASSES = 11
START_LIMIT = 1.15
MEMORY_LIMIT = 1.3


@dataclass
class Starts:
    """What the starts of one server took."""

    initialized: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])
    listed: list[float] = field(default_factory=list[float])
    resident: list[float] = field(default_factory=list[float])
    resident_listed: list[float] = field(default_factory=list[float])


def start(state: Path) -> Section:
    """Start both servers in turns and compare."""
    compile_bytecode()
    empty, ours = Starts(), Starts()
    for _ in range(2):  # the first starts fill caches and write bytecode
        _start(EMPTY, state, Starts())
        _start(OURS, state, Starts())
    for turn in range(PASSES):
        pair = [(EMPTY, empty), (OURS, ours)]
        for command, starts in pair if turn % 2 == 0 else reversed(pair):
            _start(command, state, starts)
    return _section(empty, ours)


def _start(command: list[str], state: Path, into: Starts) -> None:
    with running(command, state) as server:
        server.shake_hands()
        into.initialized.append(server.age)
        into.cpu.append(server.cpu)
        into.resident.append(server.resident / 1e6)
        server.ask("tools/list")
        into.listed.append(server.age)
        into.resident_listed.append(server.resident / 1e6)


def _section(empty: Starts, ours: Starts) -> Section:
    rows: list[tuple[str, ...]] = []
    for label, field_name in (
        ("`initialize` answered", "initialized"),
        ("… processor time until then", "cpu"),
        ("first `tools/list` answered", "listed"),
    ):
        a, b = Times(tuple(getattr(empty, field_name))), Times(tuple(getattr(ours, field_name)))
        rows.append(
            (label, _both(a), _both(b), ratio(b.least / a.least), ratio(b.p50 / a.p50)),
        )
    for label, field_name in (
        ("resident after `initialize`", "resident"),
        ("resident after `tools/list`", "resident_listed"),
    ):
        a, b = Times(tuple(getattr(empty, field_name))), Times(tuple(getattr(ours, field_name)))
        rows.append((label, f"{a.p50:.1f} MB", f"{b.p50:.1f} MB", "", ratio(b.p50 / a.p50)))
    a, b = Times(tuple(empty.initialized)), Times(tuple(ours.initialized))
    began = max(b.least / a.least, b.p50 / a.p50)
    memory = Times(tuple(ours.resident)).p50 / Times(tuple(empty.resident)).p50
    return Section(
        title="Start",
        how=f"Process start to the answer over stdio, {PASSES} starts each, in turns, bytecode compiled, no configuration. "
        "The empty server is the low-level server of the same SDK in the same environment, without a tool.",
        columns=("", "empty server, least / median", "ours, least / median", "ratio of least", "ratio of medians"),
        rows=tuple(rows),
        targets=(
            Target(
                f"start at most {START_LIMIT}×: {ratio(began)} (the worse of both ratios)",
                began <= START_LIMIT,
            ),
            Target(
                f"memory before first use at most {MEMORY_LIMIT}×: {ratio(memory)} (medians)", memory <= MEMORY_LIMIT
            ),
        ),
    )


def _both(times: Times) -> str:
    return f"{milliseconds(times.least)} / {milliseconds(times.p50)}"
