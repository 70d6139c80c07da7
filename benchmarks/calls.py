"""What a call costs beside a bare echo tool over the same transport."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from mcp import Client

from ai_platform_mcp.app import App
from ai_platform_mcp.server.build import build_server
from ai_platform_mcp.settings import load
from benchmarks.bare import bare
from benchmarks.report import Section, Times, milliseconds, ratio
from benchmarks.servers import ECHO, LIMITS, OURS, running

ROUNDS = 40
WARM = 3
ECHO_PER_ROUND = 5
ECHO_CALL = ("echo_text", {"text": "hello"})
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "read: GPU pools (inventory cache)": ("inspect_platform", {"kind": "gpu_pools"}),
    "read: models (registry)": ("inspect_platform", {"kind": "models"}),
    "read: PromQL through its guard": ("query_metrics", {"promql": "sum by (namespace) (up)"}),
    "planned write: deploy_model": ("deploy_model", {"model": "vision-v2:4", "mode": "plan"}),
}
Call = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


async def in_memory(state: Path) -> Section:
    """Measure through the SDK's in-memory client."""
    app = App(load(state_dir=state, guard=LIMITS))
    try:
        async with Client(bare(echo=True)) as echo, Client(build_server(app)) as ours:

            async def ask_echo(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
                return (await echo.call_tool(name, arguments)).model_dump(mode="json", by_alias=True)

            async def ask_ours(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
                return (await ours.call_tool(name, arguments)).model_dump(mode="json", by_alias=True)

            return _section("Tool calls, in memory", *await _measure(ask_echo, ask_ours))
    finally:
        await app.aclose()


async def over_stdio(state: Path) -> Section:
    """Measure over stdio with a bare client: what is waited for is the server."""
    with running(ECHO, state) as echo, running(OURS, state) as ours:
        echo.shake_hands()
        ours.shake_hands()

        async def ask_echo(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return echo.call(name, arguments)

        async def ask_ours(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            return ours.call(name, arguments)

        return _section("Tool calls, stdio", *await _measure(ask_echo, ask_ours))


async def _measure(echo: Call, ours: Call) -> tuple[Times, dict[str, tuple[float, Times]]]:
    first: dict[str, float] = {}
    taken: dict[str, list[float]] = {label: [] for label in CALLS}
    bare_taken: list[float] = []
    for turn in range(WARM + ROUNDS):
        for _ in range(ECHO_PER_ROUND):
            spent = await _timed(echo, *ECHO_CALL)
            if turn >= WARM:
                bare_taken.append(spent)
        for label, (name, arguments) in CALLS.items():
            spent = await _timed(ours, name, arguments)
            first.setdefault(label, spent)
            if turn >= WARM:
                taken[label].append(spent)
    return Times(tuple(bare_taken)), {label: (first[label], Times(tuple(times))) for label, times in taken.items()}


async def _timed(ask: Call, name: str, arguments: dict[str, Any]) -> float:
    started = time.perf_counter()
    answer = await ask(name, arguments)
    spent = 1000 * (time.perf_counter() - started)
    if answer.get("isError"):
        raise RuntimeError(f"{name} failed: {answer['content']}")
    return spent


def _section(title: str, echo: Times, taken: dict[str, tuple[float, Times]]) -> Section:
    rows = [("bare echo", "", milliseconds(echo.least), milliseconds(echo.p50), milliseconds(echo.p99), "1×", "0 ms")]
    for label, (first, times) in taken.items():
        rows.append(
            (
                label,
                milliseconds(first),
                milliseconds(times.least),
                milliseconds(times.p50),
                milliseconds(times.p99),
                ratio(times.p50 / echo.p50),
                milliseconds(times.p50 - echo.p50),
            )
        )
    return Section(
        title=title,
        how=f"{ROUNDS} rounds; in each, {ECHO_PER_ROUND} echo calls and then every call of ours once, against the shared "
        "sandbox. Everything of a real call is in it: rate limit and audit in the journal, the backend's answer, for the "
        "plan also dry runs and the policy's decision.",
        columns=("call", "first", "least", "p50", "p99", "p50 ratio", "p50 above echo"),
        rows=tuple(rows),
        notes=("“first” includes what is imported and connected on first use.",),
    )
