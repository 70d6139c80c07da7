"""What a Prometheus reads of the controllers: promtool takes it, and it says what the statuses say."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest

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


def samples(text: str) -> dict[str, float]:
    rows = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    assert len({head for head, _, _ in rows}) == len(rows), "a series twice"
    return {head: float(value) for head, _, value in rows}


def test_a_rollout_is_exposed_as_its_status_says():
    looks = Looks()
    looks.add("success", 0.03)
    looks.add("error", 7.0)
    told = samples(exposition([RUNNING], [CANARY], {"edgerollout": looks}, leads=True))
    who = 'namespace="vision-prod",rollout="a"'
    assert told[f'aiplatform_edge_rollout_status_phase{{{who},phase="Paused"}}'] == 1
    assert sum(value for head, value in told.items() if "edge_rollout_status_phase" in head) == 1
    assert told[f"aiplatform_edge_rollout_status_wave{{{who}}}"] == 2
    assert told[f"aiplatform_edge_rollout_status_owed{{{who}}}"] == 2
    assert told[f"aiplatform_edge_rollout_status_failed{{{who}}}"] == 1
    assert told[f'aiplatform_edge_rollout_status_nodes{{{who},state="committed"}}'] == 30
    assert told[f'aiplatform_edge_rollout_status_nodes{{{who},state="pending"}}'] == 0
    assert told[f'aiplatform_edge_rollout_status_analysis{{{who},verdict="inconclusive"}}'] == 1
    assert told[f'aiplatform_edge_rollout_info{{{who},model="vision-v3",version="5"}}'] == 1
    other = 'namespace="vision-prod",rollout="c"'
    assert told[f'aiplatform_canary_rollout_status_phase{{{other},phase="Promoting"}}'] == 1
    assert told[f"aiplatform_canary_rollout_status_percent{{{other}}}"] == 50
    assert told['aiplatform_controller_reconcile_total{controller="edgerollout",result="success"}'] == 1
    assert told['aiplatform_controller_reconcile_errors_total{controller="edgerollout"}'] == 1
    assert told['aiplatform_controller_reconcile_time_seconds_bucket{controller="edgerollout",le="0.05"}'] == 1
    assert told['aiplatform_controller_reconcile_time_seconds_bucket{controller="edgerollout",le="+Inf"}'] == 2
    assert told['aiplatform_controller_reconcile_time_seconds_sum{controller="edgerollout"}'] == pytest.approx(7.03)
    assert told["aiplatform_controller_leader"] == 1


def test_a_thousand_rollouts_cost_a_bounded_number_of_series_and_those_under_way_stay():
    many = [rollout(f"r{number}", phase="Succeeded", generation=number) for number in range(1000)]
    told = samples(exposition([*many, RUNNING], [], {}, leads=False))
    assert told["aiplatform_edge_rollout_left_out"] == 1001 - MOST_ROLLOUTS
    shown = {found for head in told if (found := "".join(re.findall(r'rollout="([^"]+)"', head)))}
    assert len(shown) == MOST_ROLLOUTS and {"a", "r999"} <= shown and "r0" not in shown
    assert len(told) < 35 * MOST_ROLLOUTS
    assert "edge-9" not in "".join(told)


def test_promtool_takes_the_text_whatever_names_hold():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH")
    odd = rollout('a"b\\c\nd', phase="Running")
    text = exposition([RUNNING, odd], [CANARY], {"edgerollout": Looks()}, leads=True)
    checked = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True)
    problems = [line for line in checked.stderr.splitlines() if "non-counter" not in line]
    assert "error" not in checked.stderr.lower() and not problems, checked.stderr
