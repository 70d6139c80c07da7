"""The fleet simulator: the real controller, faults, and a judge that knows what the nodes truly run."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NODES = 4


@pytest.fixture(autouse=True)
def root_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def run(seed: int) -> Any:
    return importlib.import_module("benchmarks.fleet_run").run(seed, NODES)


def test_a_seed_is_a_run_that_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("benchmarks.fleet_run"), "LONGEST", 600.0)
    first, again, other = run(57), run(57), run(14)
    assert first.log == again.log != other.log, "the same changes at the same moments"
    assert (first.killed, first.restarts) == (1, 1), "the controller and the API server died on the way"


def test_a_bad_model_is_judged_by_what_the_nodes_ran() -> None:
    score = run(71)
    assert (score.bad, score.phase, score.reason) == ("crashes", "RolledBack", "max_failures")
    assert score.beyond_canary == 0 and score.wrong == [] and score.left_wrong == []
    fleet = importlib.import_module("benchmarks.fleet")
    section = fleet.section([score], [])
    assert all(target.met for target in section.targets), section.targets
    rows = dict(section.rows)
    assert rows["bad models that no node beyond the canary ran"] == "1 of 1 (100%)"
    score.wrong.append("a success that was none")
    assert not fleet.section([score], []).targets[0].met


def test_a_word_that_is_not_so_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = importlib.import_module("benchmarks.fleet_nodes")
    monkeypatch.setattr(nodes.Device, "well", _never)
    score = run(14)
    assert (score.phase, score.killed) == ("Succeeded", 2), "the controller believes what the API server says"
    assert any("committed" in text for text in score.wrong) and any("success" in text for text in score.wrong)
    assert len(score.left_wrong) == NODES


def test_a_model_that_only_its_calls_betray_is_stopped_by_analysis_over_the_wire() -> None:
    score = run(51)
    assert (score.bad, score.analysed, score.phase, score.reason) == ("fails", True, "RolledBack", "analysis")
    assert score.beyond_canary == 0 and score.wrong == [] and score.left_wrong == []


def test_a_node_that_changes_outside_of_its_sites_window_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("benchmarks.fleet_run"), "LONGEST", 1500.0)
    observe = importlib.import_module("ai_platform_mcp.controllers.edge.observe")
    monkeypatch.setattr(observe, "is_open", _always)
    broken = run(165)
    assert broken.began_in_windows and len(broken.outside) == broken.began_in_windows
    assert not all(target.met for target in importlib.import_module("benchmarks.fleet").section([broken], []).targets)


def _always(text: str, now: object) -> bool:
    return True


def _never(device: object, version: str) -> bool:
    return False
