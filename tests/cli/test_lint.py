"""``platform lint`` at a terminal and for programs: what it tells, what it writes, how it ends."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from domain import talk
from support.terminal import Terminal


@pytest.fixture
def offline(tmp_path: Path) -> Terminal:
    """A terminal without any platform: linting files contacts nothing."""
    return Terminal(tmp_path / "state", tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "manifests"
    (place / "below" / ".git").mkdir(parents=True)
    (place / "queue.yaml").write_text(talk.CLUSTER_QUEUE)
    (place / "below" / "service.yml").write_text(talk.ZONAL_SERVICE)
    (place / "below" / ".git" / "hidden.yaml").write_text("a: b: c")
    (place / "values.yaml").write_text("replicas: 1\n")
    (place / "notes.txt").write_text("a: b: c")
    return place


def told(offline: Terminal, *words: str, typed: str = "") -> dict[str, Any]:
    done = offline.run("lint", "--format", "json", *words, typed=typed)
    return json.loads(done.out)


def test_a_folder_is_read_and_each_finding_has_a_place_and_a_remedy(offline: Terminal, folder: Path) -> None:
    done = offline.run("lint", str(folder))
    assert done.code == 0, done.out  # warnings only
    assert f"{folder / 'queue.yaml'}:1: warning kueue.old-version ClusterQueue gpu-pool:" in done.out
    assert "service.yml:7: warning service.prefer-close" in done.out
    assert "values.yaml:1: skipped: no Kubernetes object" in done.out
    assert "3 files: 0 errors, 3 warnings, 0 info, 2 to be fixed by --fix" in done.out
    assert offline.run("lint", "--strict", str(folder)).code == 1
    assert not (offline.state_dir).exists()  # no platform was started for it


def test_programs_get_codes_lines_and_pointers(offline: Terminal, folder: Path) -> None:
    data = told(offline, str(folder))
    assert data["summary"] == {"error": 0, "warning": 3, "info": 0, "fixable": 2, "fixed": 0}
    by_file = {Path(row["file"]).name: row for row in data["files"]}
    [finding] = by_file["service.yml"]["findings"]
    assert {key: finding[key] for key in ("code", "severity", "kind", "name", "path", "line", "fix")} == {
        "code": "service.prefer-close",
        "severity": "warning",
        "kind": "Service",
        "name": "tpu-inference",
        "path": "/spec/trafficDistribution",
        "line": 7,
        "fix": "certain",
    }
    assert finding["message"] and finding["remedy"] and finding["source"] and "edits" not in finding
    assert json.loads(offline.run("--output", "json", "lint", str(folder)).out) == data


def test_errors_end_with_one_and_what_cannot_be_read_with_two(offline: Terminal, folder: Path) -> None:
    (folder / "isvc.yaml").write_text(talk.INFERENCE_SERVICE)
    assert offline.run("lint", str(folder)).code == 1
    (folder / "broken.yaml").write_text("a: b: c\n")
    (folder / "latin.yaml").write_bytes("a: ü\n".encode("latin-1"))
    done = offline.run("lint", str(folder))
    assert done.code == 2
    assert "line 1, column 5" in done.err and "is not UTF-8" in done.err
    assert "kserve.unknown-runtime" in done.out  # the others are judged all the same
    assert offline.run("lint", str(folder / "gone.yaml")).code == 2


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ((), "platform lint FILE"),
        (("--ignore", "kueue.nosuch", "-"), "--codes"),
        (("--severity", "grave", "-"), "error, warning, info"),
        (("--format", "xml", "-"), "text or json"),
    ],
)
def test_wrong_arguments_end_with_two_and_say_what_is_right(
    offline: Terminal, words: tuple[str, ...], remedy: str
) -> None:
    done = offline.run("lint", *words)
    assert done.code == 2
    assert remedy in done.err


def test_what_is_ignored_or_too_light_is_not_told_and_not_fixed(offline: Terminal) -> None:
    assert told(offline, "--ignore", "service.prefer-close", "-", typed=talk.ZONAL_SERVICE)["summary"]["warning"] == 0
    assert told(offline, "--ignore", "service", "-", typed=talk.ZONAL_SERVICE)["summary"]["warning"] == 0
    assert told(offline, "--severity", "error", "-", typed=talk.ZONAL_SERVICE)["summary"]["warning"] == 0
    kept = offline.run("lint", "--fix", "--ignore", "service", "-", typed=talk.ZONAL_SERVICE)
    assert kept.out == talk.ZONAL_SERVICE


def test_standard_input_is_answered_on_standard_output_and_findings_beside_it(offline: Terminal) -> None:
    done = offline.run("lint", "--fix", "-", typed=talk.INFERENCE_SERVICE)
    assert done.out == talk.INFERENCE_SERVICE.replace(
        "      nodeSelector:\n        node-role: edge-gpu\n", "    nodeSelector:\n      node-role: edge-gpu\n"
    )
    assert done.code == 1  # the runtime is left
    assert "fixed kserve.field-level" in done.err and "kserve.unknown-runtime" in done.err
    clean = offline.run("lint", "--fix", "-", typed="# nothing\n")
    assert (clean.out, clean.code) == ("# nothing\n", 0)


def test_files_are_fixed_in_place_and_a_second_run_changes_nothing(offline: Terminal, folder: Path) -> None:
    file = folder / "queue.yaml"
    file.write_bytes(talk.CLUSTER_QUEUE.replace("\n", "\r\n").encode())
    file.chmod(0o640)
    link = folder / "link.yaml"
    link.symlink_to(file)
    done = offline.run("lint", "--fix", str(link))
    assert done.code == 0 and "fixed kueue.old-version" in done.out
    after = talk.CLUSTER_QUEUE.replace("kueue.x-k8s.io/v1beta1", "kueue.x-k8s.io/v1beta2").replace("\n", "\r\n")
    assert file.read_bytes() == after.encode()
    assert link.is_symlink() and stat.S_IMODE(file.stat().st_mode) == 0o640
    before = file.stat().st_mtime_ns
    assert "fixed kueue.old-version" not in offline.run("lint", "--fix", str(file)).out
    assert file.stat().st_mtime_ns == before
    assert sorted(path.name for path in folder.iterdir()) == [
        "below",
        "link.yaml",
        "notes.txt",
        "queue.yaml",
        "values.yaml",
    ]


def test_a_difference_is_shown_and_nothing_is_changed(offline: Terminal, folder: Path) -> None:
    file = folder / "queue.yaml"
    for words in (("--diff",), ("--diff", "--fix")):
        done = offline.run("lint", *words, str(file))
        assert "would fix kueue.old-version" in done.err and done.out.startswith(f"--- a{file}\n")
        assert "-apiVersion: kueue.x-k8s.io/v1beta1\n+apiVersion: kueue.x-k8s.io/v1beta2\n" in done.out
        assert file.read_text() == talk.CLUSTER_QUEUE
    data = told(offline, "--diff", str(file))
    assert "+apiVersion: kueue.x-k8s.io/v1beta2" in data["files"][0]["diff"]


def test_the_codes_are_listed_without_reading_anything(offline: Terminal) -> None:
    done = offline.run("lint", "--codes", "--format", "json")
    rows = json.loads(done.out)["codes"]
    assert len(rows) > 60 and {"code", "severity", "title", "fix", "source"} == set(rows[0])
    assert "| `kueue.old-version` | warning |" in offline.run("lint", "--codes").out


def test_a_file_that_cannot_be_written_is_said_and_stays(offline: Terminal, folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere; run as another user")
    folder.chmod(0o500)
    try:
        done = offline.run("lint", "--fix", str(folder / "queue.yaml"))
    finally:
        folder.chmod(0o700)
    assert done.code == 2 and "cannot be written" in done.err


def test_a_named_cluster_is_asked_for_what_it_serves(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(talk.INFERENCE_MODEL + "---\n" + talk.INFERENCE_SERVICE)
    done = terminal.run("lint", "--cluster", "sandbox", "--format", "json", str(file))
    assert done.code == 1, done.err
    findings = {row["code"]: row for row in json.loads(done.out)["files"][0]["findings"]}
    assert findings["cluster.not-served"]["kind"] == "InferenceModel"
    assert findings["kserve.unknown-runtime"]["message"].startswith("The target has no runtime kserve-onnxruntime")
    unknown = terminal.run("lint", "--cluster", "nosuch", str(file))
    assert unknown.code == 2 and "sandbox" in unknown.err


BATCH: dict[str, Any] = {"purpose": "batch", "accelerator": "a100", "count": 2, "hours": 1}
TRAINING: dict[str, Any] = {**BATCH, "purpose": "train", "count": 8, "nodes": 2}
ROLLOUT: dict[str, Any] = {"action": "rollout", "model": "vision-v2:2", "environment": "staging", "region": "eu-west"}
PLANS: dict[str, tuple[str, dict[str, Any]]] = {
    "a batch job": ("request_gpu", BATCH),
    "tpus": ("request_gpu", {**BATCH, "accelerator": "tpu-v5e", "count": 4}),
    "training over nodes": ("request_gpu", {**TRAINING, "image": "registry.local/train:1"}),
    "a golden path": ("trigger_retraining", {"model": "vision-v9"}),
    "cloud and edge": ("deploy_model", {"model": "vision-v2:4"}),
    "accelerators": ("deploy_model", {"model": "vision-v2:4", "target": "cloud", "accelerator": "a100"}),
    "a drain": ("manage_edge_nodes", {"action": "drain", "nodes": ["edge-us-south-2-01"]}),
    "a rollout": ("manage_edge_nodes", ROLLOUT),
}


def risks_of(terminal: Terminal, tool: str, arguments: dict[str, Any]) -> list[str]:
    """What a plan says of its manifests. The decision on it does not matter here."""
    done = terminal.run("--output", "json", "tools", "call", tool, json.dumps({**arguments, "mode": "plan"}))
    assert "plan_id" in done.data, done.out + done.err
    return [
        risk["text"] for risk in done.data.get("risks", []) if "lint" in risk["text"] or risk["text"].startswith("[")
    ]


@pytest.mark.parametrize("name", PLANS)
def test_plans_of_our_own_tools_have_nothing_to_be_found(terminal: Terminal, name: str) -> None:
    assert risks_of(terminal, *PLANS[name]) == []


def test_a_plan_says_what_is_wrong_with_what_its_caller_brought(terminal: Terminal) -> None:
    [risk] = risks_of(terminal, "request_gpu", {**TRAINING, "image": "registry.local/train:latest"})
    assert risk.startswith("[pod.image-latest] TrainJob vision-dev/")
