"""Running the Rego tests that lie beside the policies, with line coverage.

Coverage matters more here than elsewhere: the embedded engine notices an unknown function only when its line is reached.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_platform_mcp.adapters.policy.bundle import load_bundle
from ai_platform_mcp.adapters.policy.syntax import Module, parse
from ai_platform_mcp.core.errors import Misconfigured
from ai_platform_mcp.core.redact import untrusted

COVERAGE_GATE_PERCENT = 95


@dataclass(frozen=True)
class TestFailure:
    """A test that did not come out true."""

    __test__ = False  # not a pytest class

    name: str
    file: str
    line: int
    problem: str


@dataclass(frozen=True)
class TestReport:
    """What came of all tests. Coverage counts lines of policy files, tests left out."""

    __test__ = False

    passed: tuple[str, ...]
    failures: tuple[TestFailure, ...]
    covered_lines: int
    missed: Mapping[str, tuple[int, ...]]
    """Lines that no test reached, by file."""

    @property
    def total_lines(self) -> int:
        """Return how many lines could be reached."""
        return self.covered_lines + sum(len(lines) for lines in self.missed.values())

    @property
    def coverage_percent(self) -> float:
        """Return the share of reached lines; 0 where there are none."""
        return 100 * self.covered_lines / self.total_lines if self.total_lines else 0.0

    @property
    def ok(self) -> bool:
        """Tell whether tests exist, all passed, and the coverage gate holds."""
        return bool(self.passed) and not self.failures and self.coverage_percent >= COVERAGE_GATE_PERCENT


def run_tests(directory: Path) -> TestReport:
    """Run every rule ``test_…`` of the ``_test.rego`` files against the folder's policies and data.

    Blocks for as long as the tests take: call it from a worker thread in asynchronous code.

    Raises:
        Misconfigured: the folder is no bundle, or a file does not parse.
    """
    bundle = load_bundle(directory)
    tests = {
        path.relative_to(directory).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(directory.rglob("*_test.rego"))
    }
    os.environ["RUST_LIB_BACKTRACE"] = "0"
    engine: Any = importlib.import_module("regorus").Engine()
    try:
        modules = [parse(name, text) for name, text in tests.items()]
        for name, text in {**bundle.modules, **tests}.items():
            engine.add_policy(name, text)
        engine.add_data_json(json.dumps(bundle.data))
    except RuntimeError as error:
        raise Misconfigured(f"The policies do not parse: {untrusted(str(error), 600)}") from error
    engine.set_enable_coverage(True)
    passed, failures = _run(engine, modules)
    covered, missed = _coverage(engine, bundle.modules)
    return TestReport(tuple(passed), tuple(failures), covered, missed)


def _run(engine: Any, modules: Iterable[Module]) -> tuple[list[str], list[TestFailure]]:
    passed: list[str] = []
    failures: list[TestFailure] = []
    for module in modules:
        for rule, line in module.rules.items():
            if not rule.startswith("test_"):
                continue
            name = f"data.{module.package}.{rule}"
            problem = _verdict(engine, name)
            if problem:
                failures.append(TestFailure(name, module.file, line, problem))
            else:
                passed.append(name)
    return passed, failures


def _verdict(engine: Any, name: str) -> str:
    """Return what is wrong with a test, empty where it is true."""
    try:
        engine.set_input_json("null")
        answer = engine.eval_rule_as_json(name)
    except RuntimeError as error:
        return untrusted(str(error).strip(), 600)
    return "" if answer == "true" else f"is {untrusted(answer, 200)} instead of true"


def _coverage(engine: Any, modules: Mapping[str, str]) -> tuple[int, dict[str, tuple[int, ...]]]:
    report: dict[str, Any] = json.loads(engine.get_coverage_report_as_json())
    covered = 0
    missed: dict[str, tuple[int, ...]] = {}
    for row in report["files"]:
        if row["path"] in modules:
            reached = set(row["covered"])
            covered += len(reached)
            lines = tuple(sorted(set(row["not_covered"]) - reached))
            if lines:
                missed[row["path"]] = lines
    return covered, missed
