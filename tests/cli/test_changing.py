"""Changes from a terminal: a plan is shown, nothing happens without a yes, and exactly that plan is applied."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.terminal import Terminal

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "finetune.yaml"


def cordoned(terminal: Terminal, node: str) -> bool:
    row = terminal.json("tools", "call", "inspect_platform", f'{{"kind": "nodes", "name": "{node}"}}')
    return "cordoned" in str(row)


def test_without_a_yes_and_without_a_terminal_only_the_plan_is_shown(terminal: Terminal) -> None:
    done = terminal.run("edge", "cordon", "edge-us-south-1-01", typed="y\n")
    assert done.code == 0
    assert "plan" in done.out
    assert "Nothing has changed. The same command with --yes" in done.out
    assert "Nothing has changed. The same command with --yes applies it." in terminal.run(*GPU).out
    assert not cordoned(terminal, "edge-us-south-1-01")


def test_a_plan_is_whole_on_a_narrow_terminal(terminal: Terminal) -> None:
    words = ("edge", "rollout", "vision-v2:3", "--region", "us-south")
    told = terminal.run(*words, COLUMNS="60")
    lines = [line.strip("│ ") for line in told.out.splitlines()]
    reasons = terminal.run("--output", "json", *words).data["reasons"]
    assert max(map(len, told.out.splitlines()[:-1])) <= 60
    assert all(reason in " ".join(lines) for reason in reasons), told.out


def test_a_rollout_that_is_not_there_is_named_so_by_every_command_that_steers_one(terminal: Terminal) -> None:
    for words in (("pause", "no-such"), ("resume", "--model", "no-such"), ("rollback", "no-such", "-n", "vision-dev")):
        done = terminal.run("edge", *words)
        assert (done.code, "no such rollout" in done.err) == (1, True), done.err


GPU = ("gpu", "request", "a100", "--count", "1", "--hours", "1")


def test_a_plan_for_a_program_can_be_applied_by_its_id(terminal: Terminal) -> None:
    plan = terminal.json(*GPU)
    assert plan["status"] == "planned"
    arguments = {"accelerator": "a100", "count": 1, "nodes": 1, "hours": 1, "purpose": "dev", "environment": "dev"}
    exact = json.dumps({**arguments, "mode": "apply", "plan_id": plan["plan_id"]})
    applied = terminal.json("tools", "call", "request_gpu", exact)
    assert (applied["status"], applied["plan_id"]) == ("applied", plan["plan_id"])


def test_yes_applies_the_plan_and_its_operation_is_listed_and_followed(terminal: Terminal) -> None:
    applied = terminal.json("gpu", "request", "h100", "--hours", "1", "--yes")
    assert applied["status"] == "applied"
    shown = terminal.json("operations", "show", applied["operation_id"])
    assert shown["state"] == "applied"
    assert applied["operation_id"] in terminal.run("operations", "list").out
    assert terminal.run("operations", "follow", applied["operation_id"]).code == 0
    over = terminal.run("operations", "pause", applied["operation_id"], "--yes")
    assert over.code == 1  # it is over
    assert "over" in over.out + over.err


def test_a_person_at_a_terminal_is_asked_and_can_say_no_or_yes(terminal: Terminal) -> None:
    words = ("gpu", "request", "tpu-v5e", "--hours", "1")
    refused = terminal.typed(*words, answers=(("Apply exactly this plan?", "n"),))
    assert (refused.code, "Nothing has changed." in refused.out) == (0, True)
    agreed = terminal.typed(*words, answers=(("Apply exactly this plan?", "y"),))
    assert agreed.code == 0
    assert "applied" in agreed.out.lower()


def test_policy_s_no_is_exit_code_3_and_says_why(terminal: Terminal) -> None:
    done = terminal.run("model", "promote", "fraud", "3", "--yes")
    assert done.code == 3, done.out + done.err
    assert "denied" in done.out.lower()
    data = terminal.run("--output", "json", "policy", "explain", "promote_model", '{"model": "fraud", "version": "3"}')
    assert data.code == 3
    assert data.data["violations"][0].keys() >= {"code", "text", "remedy"}


@pytest.mark.parametrize(
    "words",
    [
        ("gpu", "request", "a100", "--count", "1", "--hours", "1"),
        ("edge", "drain", "edge-us-south-2-01"),
        ("edge", "rollout", "vision-v2", "--site", "us-south-2"),
        ("model", "register", "vision-v3", "--gate", "accuracy>=0.93"),
        ("model", "promote", "vision-v2", "3", "--alias", "challenger"),
        ("deploy", "vision-v2", "--target", "cloud", "-e", "dev"),
    ],
)
def test_every_change_shows_its_plan_first(terminal: Terminal, words: tuple[str, ...]) -> None:
    told = terminal.run(*words)
    assert told.code == 0, told.out + told.err
    assert "plan" in told.out
    data = terminal.run("--output", "json", *words).data
    assert {"status", "plan_id", "summary", "decision"} <= set(data)


def test_a_training_that_needs_a_person_s_word_does_not_take_yes_from_a_script(terminal: Terminal) -> None:
    done = terminal.run("--output", "json", "model", "train", "--config", str(EXAMPLE), "--yes")
    assert done.code == 4
    assert "self" in done.data["approval"]["approvers"]


def test_a_training_from_the_example_is_agreed_to_at_a_terminal_and_followed_to_its_end(terminal: Terminal) -> None:
    words = ("model", "train", "--config", str(EXAMPLE))
    done = terminal.typed(*words, answers=(("Apply exactly this plan?", "y"),))
    assert done.code == 0, done.out
    assert "Finished." in done.out


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "Cannot read"), ("model: [", "Cannot read"), ("- a list", "not a mapping"), ("modell: x", "modell")],
)
def test_a_configuration_that_cannot_be_used_says_why(
    terminal: Terminal, tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "finetune.yaml"
    if text is not None:
        path.write_text(text)
    done = terminal.run("model", "train", "--config", str(path))
    assert done.code == 2
    assert said in done.err


def test_a_deployment_is_followed_and_told_to_programs_in_one_document(terminal: Terminal) -> None:
    data = terminal.json("deploy", "vision-v2", "--target", "cloud", "-e", "dev", "--yes")
    assert data["status"] == "applied"
    assert data["followed"]["progress"]["state"] == "succeeded"


# --- approvals and the record ----------------------------------------------------------------------------------------


@pytest.fixture
def alone(terminal: Terminal, tmp_path: Path) -> Iterator[Terminal]:
    """The same sandbox through a platform file, with a journal of its own."""
    status = terminal.json("sandbox", "status")
    path = tmp_path / "platform.yaml"
    path.write_text(
        f"clusters: [{{name: sandbox, kubeconfig: {status['kubeconfig']}}}]\n"
        f"mlflow: {{uri: '{status['mlflow_uri']}'}}\nprometheus: {{url: '{status['prometheus_url']}'}}\n"
    )
    yield Terminal(tmp_path / "state", tmp_path, AI_PLATFORM_CONFIG=str(path))


SECRET = "correct horse battery"


def test_an_approver_is_enrolled_at_a_terminal_and_nowhere_else(alone: Terminal) -> None:
    for done in (
        alone.process("approvals", "enrol", "grace", typed=f"{SECRET}\n{SECRET}\n"),
        alone.process("approvals", "enrol", "grace", PASSPHRASE=SECRET, AI_PLATFORM_PASSPHRASE=SECRET),
    ):
        assert done.code != 0
        assert "terminal" in done.err
        assert "enrolled" not in done.out
    assert alone.run("approvals", "enrol", "grace", "--passphrase", SECRET).code == 2
    enrolled = alone.typed("approvals", "enrol", "grace", answers=(("grace:", SECRET), ("(again):", SECRET)))
    assert enrolled.code == 0, enrolled.out
    assert "enrolled" in enrolled.out
    assert SECRET not in enrolled.out


def test_a_pending_approval_is_settled_with_the_passphrase_typed_at_a_terminal(alone: Terminal) -> None:
    waiting = alone.run("--output", "json", "edge", "cordon", "edge-eu-west-2-01", "--yes")
    assert waiting.code == 4, waiting.out + waiting.err
    approval = waiting.data["approval"]["approval_id"]
    assert approval in alone.run("approvals", "list").out
    alone.typed("approvals", "enrol", "grace", answers=(("grace:", SECRET), ("(again):", SECRET)))
    piped = alone.process("approvals", "approve", approval, "--as", "grace", typed=f"{SECRET}\n")
    assert (piped.code != 0, "terminal" in piped.err) == (True, True)
    wrong = alone.typed("approvals", "approve", approval, "--as", "grace", answers=(("grace:", "no"),))
    assert wrong.code != 0
    assert not cordoned(alone, "edge-eu-west-2-01")
    done = alone.typed("approvals", "approve", approval, "--as", "grace", answers=(("grace:", SECRET),))
    assert done.code == 0, done.out
    exact = {"action": "cordon", "nodes": ["edge-eu-west-2-01"], "mode": "apply", "plan_id": waiting.data["plan_id"]}
    assert alone.json("tools", "call", "manage_edge_nodes", json.dumps(exact))["status"] == "applied"
    assert cordoned(alone, "edge-eu-west-2-01")


def test_an_approval_that_is_rejected_stays_so(alone: Terminal) -> None:
    waiting = alone.run("--output", "json", "edge", "cordon", "edge-us-east-1-01", "--yes").data
    approval = waiting["approval"]["approval_id"]
    alone.typed("approvals", "enrol", "grace", answers=(("grace:", SECRET), ("(again):", SECRET)))
    done = alone.typed("approvals", "reject", approval, "--as", "grace", answers=(("grace:", SECRET),))
    assert (done.code, "rejected" in done.out) == (0, True)
    exact = {"action": "cordon", "nodes": ["edge-us-east-1-01"], "mode": "apply", "plan_id": waiting["plan_id"]}
    assert alone.run("tools", "call", "manage_edge_nodes", json.dumps(exact)).code != 0
    assert not cordoned(alone, "edge-us-east-1-01")


def test_a_row_that_was_edited_is_found(alone: Terminal) -> None:
    for _ in range(2):
        alone.json("model", "list")
    head = alone.json("audit", "verify")["head"]
    alone.json("model", "list")
    assert alone.run("audit", "verify", "--head", head).code == 0
    with closing(sqlite3.connect(alone.state_dir / "journal.sqlite")) as database, database:
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
        ).fetchall():
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE audit SET principal = 'somebody else' WHERE sequence = 2")
    done = alone.run("audit", "verify")
    assert done.code == 1
    assert "NOT INTACT" in done.out


# --- doctor ----------------------------------------------------------------------------------------------------------


def test_the_doctor_names_every_gap_of_a_platform_that_is_half_configured(terminal: Terminal, tmp_path: Path) -> None:
    kubeconfig = terminal.json("sandbox", "status")["kubeconfig"]
    path = tmp_path / "platform.yaml"
    path.write_text(f"clusters: [{{name: east, kubeconfig: {kubeconfig}}}]\n")
    half = Terminal(tmp_path / "state", tmp_path, AI_PLATFORM_CONFIG=str(path))
    done = half.run("doctor", COLUMNS="80")
    assert done.code == 0
    assert "! registry         not configured" in done.out
    assert "→ set mlflow.uri in the platform file" in done.out
    assert "→ set prometheus.url in the platform file" in done.out
    assert "✓ cluster east" in done.out
    assert {row["state"] for row in half.json("doctor")["checks"]} == {"ok", "gap"}


def test_the_doctor_tells_every_cluster_whether_or_not_it_answers(terminal: Terminal, tmp_path: Path) -> None:
    live = Path(terminal.json("sandbox", "status")["kubeconfig"])
    text = live.read_text()
    port = text.split("https://127.0.0.1:")[1].split()[0].strip("'\"")
    dead = tmp_path / "dead"
    dead.write_text(text.replace(f":{port}", ":9"))
    path = tmp_path / "platform.yaml"
    path.write_text(
        f"clusters:\n- {{name: stores, kubeconfig: {dead}, role: edge, region: eu-west-1}}\n"
        f"- {{name: east, kubeconfig: {live}, role: cloud, cloud: aws, region: us-east-1, facts: {{protected: true}}}}\n"
    )
    several = Terminal(tmp_path / "state", tmp_path, AI_PLATFORM_CONFIG=str(path))
    done = several.run("--output", "json", "doctor")
    assert done.code == 1
    rows = {row["what"]: row for row in done.data["checks"]}
    assert [name for name in rows if name.startswith("cluster ")] == ["cluster stores", "cluster east"]
    stores, east = rows["cluster stores"], rows["cluster east"]
    assert stores["state"] == "bad" and stores["found"].startswith("edge, eu-west-1: ") and stores["remedy"]
    assert stores["about"] == {
        "cluster": "stores", "role": "edge", "cloud": "", "region": "eu-west-1", "reachable": "no",
    }  # fmt: skip
    assert east["found"] == f"Kubernetes {east['about']['version']}; cloud, aws us-east-1, protected"
    assert east["about"]["reachable"] == "yes"
    assert "InferenceService" in rows["east: APIs"]["found"] and "EdgeRollout" not in rows["east: APIs"]["found"]
    assert "kueue.x-k8s.io/v1beta2/ClusterQueue" in rows["east: APIs"]["about"]["served"].split()


def test_the_doctor_says_what_cannot_be_reached(terminal: Terminal, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    shutil.copy(terminal.json("sandbox", "status")["kubeconfig"], kubeconfig)
    text = kubeconfig.read_text()
    port = text.split("https://127.0.0.1:")[1].split()[0].strip("'\"")
    kubeconfig.write_text(text.replace(f":{port}", ":9"))
    path = tmp_path / "platform.yaml"
    path.write_text(
        f"clusters: [{{name: east, kubeconfig: {kubeconfig}}}]\nmlflow: {{uri: 'http://127.0.0.1:9', seconds: 2}}\n"
        "prometheus: {url: 'http://127.0.0.1:9', seconds: 2}\n"
    )
    dead = Terminal(tmp_path / "state", tmp_path, AI_PLATFORM_CONFIG=str(path), MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    done = dead.run("--output", "json", "doctor")
    assert done.code == 1
    states = {row["what"]: row for row in done.data["checks"]}
    assert states["policy"]["state"] == states["audit"]["state"] == "ok"
    for what in ("registry", "metrics", "cluster east"):
        assert states[what]["state"] == "bad", states[what]
        assert states[what]["remedy"]
