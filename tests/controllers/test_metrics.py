"""What a Prometheus reads of the controllers: promtool takes it, and it says what the statuses say."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ai_platform_mcp.controllers.metrics import MOST_ROLLOUTS, Looks, exposition

Json = dict[str, Any]


def rollout(name: str, **status: Any) -> Json:
    meta = {"namespace": "vision-prod", "name": name}
    return {"metadata": meta, "spec": {"model": "vision-v3", "version": "5"}, "status": status}


RUNNING = rollout(
    "a", phase="Paused", wave=2, generation=7, total=47, healthy=30, failed=1, offline=3, owed=["edge-1", "edge-2"],
    nodes={"committed": 30, "offlinePending": 2, "failed": 1}, failures={"edge-9": "crash loop"},
    analysis={"verdict": "inconclusive"},
)  # fmt: skip
CANARY = rollout("c", phase="Promoting", step=3, percent=50)


Series = tuple[str, frozenset[tuple[str, str]]]


def samples(text: str) -> dict[Series, float]:
    rows = [
        ((row.name, frozenset(row.labels.items())), row.value)
        for family in text_string_to_metric_families(text)
        for row in family.samples
    ]
    assert len(dict(rows)) == len(rows), "a series twice"
    return dict(rows)


def series(name: str, **labels: str) -> Series:
    return f"aiplatform_{name}", frozenset(labels.items())


def test_a_rollout_is_exposed_as_its_status_says():
    looks = Looks()
    looks.add("success", 0.03)
    looks.add("error", 7.0)
    told = samples(exposition([RUNNING], [CANARY], {"edgerollout": looks}, leads=True))
    who = {"namespace": "vision-prod", "rollout": "a"}
    assert told[series("edge_rollout_status_phase", **who, phase="Paused")] == 1
    assert sum(value for (name, _), value in told.items() if name.endswith("edge_rollout_status_phase")) == 1
    assert told[series("edge_rollout_status_wave", **who)] == 2
    assert told[series("edge_rollout_status_owed", **who)] == 2
    assert told[series("edge_rollout_status_failed", **who)] == 1
    assert told[series("edge_rollout_status_nodes", **who, state="committed")] == 30
    assert told[series("edge_rollout_status_nodes", **who, state="pending")] == 0
    assert told[series("edge_rollout_status_analysis", **who, verdict="inconclusive")] == 1
    assert told[series("edge_rollout_info", **who, model="vision-v3", version="5")] == 1
    other = {"namespace": "vision-prod", "rollout": "c"}
    assert told[series("canary_rollout_status_phase", **other, phase="Promoting")] == 1
    assert told[series("canary_rollout_status_percent", **other)] == 50
    look = {"controller": "edgerollout"}
    assert told[series("controller_reconcile_total", **look, result="success")] == 1
    assert told[series("controller_reconcile_errors_total", **look)] == 1
    assert told[series("controller_reconcile_time_seconds_bucket", **look, le="0.05")] == 1
    assert told[series("controller_reconcile_time_seconds_bucket", **look, le="+Inf")] == 2
    assert told[series("controller_reconcile_time_seconds_count", **look)] == 2
    assert told[series("controller_reconcile_time_seconds_sum", **look)] == pytest.approx(7.03)
    assert told[series("controller_leader")] == 1


def test_a_thousand_rollouts_cost_a_bounded_number_of_series_and_those_under_way_stay():
    many = [rollout(f"r{number}", phase="Succeeded", generation=number) for number in range(1000)]
    told = samples(exposition([*many, RUNNING], [], {}, leads=False))
    assert told[series("edge_rollout_left_out")] == 1001 - MOST_ROLLOUTS
    values = [dict(labels) for _, labels in told]
    shown = {row["rollout"] for row in values if "rollout" in row}
    assert len(shown) == MOST_ROLLOUTS and {"a", "r999"} <= shown and "r0" not in shown
    assert len(told) < 35 * MOST_ROLLOUTS
    assert not any("edge-9" in row.values() for row in values)


def test_what_names_hold_comes_through():
    odd = rollout('a"b\\c\nd', phase="Running")
    told = samples(exposition([odd], [], {}, leads=True))
    assert 'a"b\\c\nd' in {dict(labels).get("rollout") for _, labels in told}


def test_promtool_takes_the_text_whatever_names_hold():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH")
    odd = rollout('a"b\\c\nd', phase="Running")
    text = exposition([RUNNING, odd], [CANARY], {"edgerollout": Looks()}, leads=True)
    checked = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True)
    problems = [line for line in checked.stderr.splitlines() if "non-counter" not in line]
    assert "error" not in checked.stderr.lower() and not problems, checked.stderr
