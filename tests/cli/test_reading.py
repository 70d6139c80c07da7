"""Every command that reads: a table for people, one JSON document with stable keys for programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.terminal import Terminal

READS: dict[str, tuple[tuple[str, ...], str, set[str]]] = {
    "models": (("model", "list"), "vision-v2", {"kind", "columns", "rows"}),
    "versions": (("model", "show", "vision-v2"), "champion", {"kind", "columns", "rows"}),
    "routing": (
        ("routing", "status", "vision-v2"),
        "→ Cloud:  100% of requests",
        {"kind", "name", "targets", "savings", "decisions", "unknown"},
    ),
    "pools": (("gpu", "pools"), "aws-a100-spot", {"kind", "columns", "rows"}),
    "queues": (("gpu", "queues", "-n", "vision-dev"), "gpu-spot", {"kind", "columns", "rows"}),
    "edge": (("edge", "list", "--state", "offline"), "edge-ap-south-1-05", {"kind", "columns", "rows"}),
    "metrics": (("metrics", "query", "rps", "--model", "vision-v2"), "vision-v2", {"series", "unit"}),
    "compared": (
        ("metrics", "query", "--by", "target,version", "--model", "vision-v2", "--window", "30m"),
        "newest sample",
        {"columns", "rows", "units", "exporters"},
    ),
    "promql": (
        ("metrics", "query", "--promql", 'sum(rate(request_predict_seconds_count{model="vision-v2"}[5m]))'),
        "promql",
        {"series"},
    ),
    "edge status": (("edge", "status"), "Sites with nodes away", {"rows", "columns"}),
    "operations": (("operations", "list"), "operations", {"kind", "rows"}),
    "approvals": (("approvals", "list"), "approvals", {"kind", "rows"}),
    "audit": (("audit", "list", "--limit", "5"), "outcome", {"rows"}),
    "verify": (("audit", "verify"), "intact", {"intact", "rows", "head"}),
    "law": (("policy", "law"), "deploy_model.rego", {"engine", "revision", "files"}),
    "law file": (("policy", "law", "deploy_model.rego"), "package aiplatform", {"file", "text"}),
    "explain": (
        ("policy", "explain", "deploy_model", '{"model": "vision-v2", "target": "cloud"}'),
        "policy revision",
        {"effect", "revision"},
    ),
    "tools": (("tools", "list"), "deploy_model", {"tools"}),
    "call": (("tools", "call", "inspect_platform", '{"kind": "nodes", "limit": 1}'), "rows", {"kind", "rows"}),
    "sandbox": (
        ("sandbox", "status"),
        "kubeconfig",
        {"running", "kubeconfig", "mlflow_uri", "prometheus_url", "pid", "state_dir"},
    ),
    "up": (("sandbox", "up"), "kubectl --kubeconfig", {"running", "pid"}),
    "resume": (("operations", "resume"), "Nothing was left unfinished", {"resumed"}),
    "doctor": (("doctor",), "✓ registry", {"checks"}),
}


@pytest.mark.parametrize("name", READS)
def test_a_command_answers_people_and_programs(terminal: Terminal, name: str) -> None:
    words, expected, keys = READS[name]
    told = terminal.run(*words)
    assert told.code == 0, told.out + told.err
    assert expected in told.out + told.err
    data = terminal.json(*words)
    assert keys <= set(data), sorted(data)


def test_lists_hold_what_was_asked_for(terminal: Terminal) -> None:
    data = terminal.json("edge", "list", "--state", "offline")
    assert len(data["rows"]) == 3
    assert {row["name"] for row in terminal.json("tools", "list")["tools"]} >= {"deploy_model", "inspect_platform"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("model", "nosuch"), 2),
        (("--output", "xml", "model", "list"), 2),
        (("tools", "call", "inspect_platform", "{"), 2),
        (("tools", "call", "inspect_platform", "[1]"), 2),
        (("tools", "call", "inspect_platform", '{"knd": "nodes"}'), 2),
        (("policy", "explain", "deploy_model", "{broken"), 2),
        (("metrics", "query", "nosuch"), 2),
        (("operations", "show", "op-0000000000000000"), 1),
        (("policy", "law", "nosuch.rego"), 1),
        (("--server", "http://127.0.0.1:9", "policy", "law"), 2),
        (("--server", "http://127.0.0.1:9", "model", "list"), 1),
        (("sandbox", "up", "--speed", "7"), 1),
    ],
)
def test_what_is_wrong_ends_with_its_exit_code_and_says_what_to_do(
    terminal: Terminal, words: tuple[str, ...], code: int
) -> None:
    done = terminal.run(*words)
    assert done.code == code, done.out + done.err
    assert done.out == ""
    assert done.err


def test_an_error_is_a_json_document_for_programs(terminal: Terminal) -> None:
    done = terminal.run("--output", "json", "operations", "show", "op-0000000000000000")
    assert done.code == 1
    assert set(done.data["error"]) >= {"code", "message", "cause", "remedy", "retryable"}


def test_the_law_passes_its_own_tests(terminal: Terminal) -> None:
    data = terminal.json("policy", "test")
    assert (data["failures"], data["lint"]) == ([], [])
    assert data["passed"] > 20


def test_a_broken_rule_fails_the_tests_of_the_law(terminal: Terminal, tmp_path: Path) -> None:
    folder = shutil.copytree(Path(__file__).parents[2] / "policies", tmp_path / "policies")
    broken = folder / "promote_model.rego"
    assert "alias" in broken.read_text()
    broken.write_text(broken.read_text().replace('"alias', '"alias_'))
    done = terminal.run("--output", "json", "policy", "test", "--dir", str(folder))
    assert done.code == 1
    assert json.loads(done.out)["failures"]


def test_the_command_starts_and_prints_its_completion(terminal: Terminal) -> None:
    done = terminal.process("--help", _PLATFORM_COMPLETE="source_bash")
    assert done.code == 0
    assert "_PLATFORM_COMPLETE" in done.out
    listed = terminal.process("sandbox", "status", "--help")
    assert listed.code == 0
    assert "where everything is" in listed.out


def test_a_place_that_is_not_there_is_answered_with_those_that_are(terminal: Terminal) -> None:
    done = terminal.run("edge", "list", "--site", "nowhere")
    assert done.code == 0
    assert "us-south-1" in done.out and "Regions:" in done.out
