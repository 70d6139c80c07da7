"""How long one decision takes in each engine."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import time
from typing import Any

from ai_platform_mcp.adapters.policy.bundle import default_policy_dir, load_bundle
from ai_platform_mcp.adapters.policy.embedded import EmbeddedPolicy
from ai_platform_mcp.adapters.policy.opa import OpaPolicy
from ai_platform_mcp.core.decision import PolicyInput
from benchmarks.report import Section, Times, milliseconds

DECISIONS = 300
WARM = 20


def questions() -> list[PolicyInput]:
    """Return the inputs that the policies' own self-test asks: every tool, allowed and refused."""
    lines = (default_policy_dir() / "selftest.jsonl").read_text().splitlines()
    return [PolicyInput.model_validate(json.loads(line)["input"]) for line in lines if line.strip()]


async def policy() -> Section:
    """Ask every engine that is there the same questions."""
    rows = [_row("embedded (regorus), through the adapter", await _adapter(EmbeddedPolicy()))]
    notes: list[str] = []
    url = os.environ.get("OPA_URL")
    if url:
        rows.append(_row("OPA over REST, through the adapter", await _adapter(OpaPolicy(url))))
    else:
        notes.append("OPA over REST was not measured: OPA_URL names no server.")
    if importlib.util.find_spec("opa_bindings") is not None:
        rows.append(_row("OPA in process (Go library), evaluation only", _in_process()))
    else:
        notes.append("OPA in process was not measured: its wheel is not installed.")
    return Section(
        title="Policy decision",
        how=f"{DECISIONS} decisions, one after another, over the {len(questions())} inputs of the policies' self-test, "
        "from the plan's facts to the checked decision.",
        columns=("engine", "p50", "p99", "least", "processor time of ours, mean"),
        rows=tuple(rows),
        notes=tuple(notes),
    )


async def _adapter(engine: EmbeddedPolicy | OpaPolicy) -> tuple[Times, float]:
    asked = questions()
    taken: list[float] = []
    used = 0.0
    try:
        for turn in range(WARM + DECISIONS):
            started = time.perf_counter()
            if turn == WARM:
                used = time.process_time()
            decision = await engine.decide(asked[turn % len(asked)])
            taken.append(1000 * (time.perf_counter() - started))
            broken = [row.code for row in decision.violations if row.code.startswith("policy_")]
            if broken:
                raise RuntimeError(f"The engine failed rather than decided: {broken}")
    finally:
        await engine.aclose()
    return Times(tuple(taken[WARM:])), 1000 * (time.process_time() - used) / DECISIONS


def _in_process() -> tuple[Times, float]:
    module: Any = importlib.import_module("opa_bindings.engine")
    law = load_bundle(default_policy_dir())
    engine = module.OpaEngine()
    for name, text in law.modules.items():
        engine.add_policy(name, text)
    engine.add_data(law.data)
    asked = [question.model_dump(mode="json", by_alias=True) for question in questions()]
    taken: list[float] = []
    used = 0.0
    for turn in range(WARM + DECISIONS):
        if turn == WARM:
            used = time.process_time()
        started = time.perf_counter()
        engine.eval_document("aiplatform.main.decision", asked[turn % len(asked)])
        taken.append(1000 * (time.perf_counter() - started))
    return Times(tuple(taken[WARM:])), 1000 * (time.process_time() - used) / DECISIONS


def _row(name: str, measured: tuple[Times, float]) -> tuple[str, ...]:
    times, used = measured
    return (name, *map(milliseconds, (times.p50, times.p99, times.least, used)))
