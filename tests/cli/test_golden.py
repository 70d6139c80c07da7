"""``ai-platform-mcp golden`` beside a model server: as a process with its exit codes, and over HTTP while it runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from ai_platform_mcp.cli import golden
from model_server import Json, ModelServer, echo

MAIN = "from ai_platform_mcp.cli.serve import main; main()"


def v2(*data: float, **expect: Any) -> Json:
    tensor = {"name": "x", "shape": [1, len(data)], "datatype": "FP32", "data": list(data)}
    return {
        "protocol": "v2",
        "request": {"inputs": [tensor]},
        "expect": expect or {"values": [2 * row for row in data]},
    }


def chat(text: str, expected: str) -> Json:
    request = {"messages": [{"role": "user", "content": text}]}
    return {"protocol": "openai", "request": request, "expect": {"text": expected}}


GOOD = [
    v2(1, 2),
    v2(0.5),
    {"protocol": "v1", "request": {"instances": [1, 2]}, "expect": {"values": [2, 4]}},
    chat("Paris", "Paris"),
]


class Case:
    """A file of golden inputs, and the command that asks them."""

    def __init__(self, folder: Path, server: str, rows: list[Json] | bytes):
        content = rows if isinstance(rows, bytes) else "\n".join(json.dumps(row) for row in rows).encode()
        self.file, self.log, self.server = folder / "golden.jsonl", folder / "termination-log", server
        self.file.write_bytes(content)
        self.digest = f"sha256:{hashlib.sha256(content).hexdigest()}"

    def arguments(self, *more: str, **changed: str) -> list[str]:
        options = {
            "inputs": str(self.file),
            "digest": self.digest,
            "model": "m",
            "version": "7",
            "endpoint": self.server,
            "termination-log": str(self.log),
            **changed,
        }
        return [*(word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)), *more]

    def command(self, *more: str, **changed: str) -> list[str]:
        return [sys.executable, "-c", MAIN, "golden", *self.arguments(*more, **changed)]

    def ends(self, **changed: str) -> int:
        return subprocess.run(self.command(**changed), stderr=subprocess.DEVNULL, timeout=60, check=False).returncode

    def once(self, *more: str, **changed: str) -> int:
        return golden.run(self.arguments("--once", *more, **changed))

    def message(self) -> Json:
        return json.loads(self.log.read_bytes())


@contextlib.contextmanager
def running(case: Case, *more: str, **changed: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    place = {"AIPLATFORM_NODE": "edge-1", "AIPLATFORM_SITE": 'a"site'}
    command = case.command("--listen", "127.0.0.1:0", *more, **changed)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=place)
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+(?=/healthz)", process.stderr.readline())
        assert found, "it tells where it listens"
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def until_ready(base: str) -> None:
    deadline = time.monotonic() + 30
    while httpx.get(f"{base}/readyz", trust_env=False).status_code != 200:
        assert time.monotonic() < deadline, httpx.get(f"{base}/readyz", trust_env=False).text
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------------------- as a process


def test_beside_a_good_model_it_becomes_ready_counts_answers_and_leaves_on_a_signal(tmp_path: Path):
    late = threading.Event()

    def answer(path: str, body: Json) -> tuple[int, Any]:
        return echo(path, body) if late.is_set() else (503, b"loading")

    with (
        ModelServer(answer) as server,
        running(Case(tmp_path, server.url, GOOD), "--interval", "0.2") as (process, base),
    ):
        first = httpx.get(f"{base}/readyz", trust_env=False)
        assert first.status_code == 503 and httpx.get(f"{base}/healthz", trust_env=False).status_code == 200
        assert answers(base) == {"agree": 0, "differ": 0, "error": 0}, "waiting is not an answer"
        late.set()
        until_ready(base)
        while answers(base)["agree"] < 8:
            time.sleep(0.05)
        found = answers(base)
        assert (found["differ"], found["error"]) == (0, 0)
        assert [row.value for row in scraped(base, "aiplatform_golden_agreement_ratio")] == [1]
        timed = {row.name: row.value for row in scraped(base, "aiplatform_golden_answer_seconds")}
        assert timed["aiplatform_golden_answer_seconds_count"] >= 8
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


def scraped(base: str, family: str) -> list[Sample]:
    """The samples of one metric, each of which says whose it is."""
    text = httpx.get(f"{base}/metrics", trust_env=False).text
    found = [row for row in text_string_to_metric_families(text) if row.name == family]
    who = {"model": "m", "version": "7", "node": "edge-1", "site": 'a"site'}
    rows = [row for one in found for row in one.samples]
    assert all(who.items() <= row.labels.items() for row in rows)
    return rows


def answers(base: str) -> dict[str, float]:
    return {row.labels["result"]: row.value for row in scraped(base, "aiplatform_golden_answers")}


def test_beside_a_bad_model_it_ends_with_three_and_says_why_where_the_kubelet_looks(tmp_path: Path):
    rows = [*GOOD, {**v2(3, values=[7]), "id": "three"}]
    with ModelServer(echo) as server:
        case = Case(tmp_path, server.url, rows)
        assert case.ends() == 3
    said = case.message()
    assert said["reason"] == "golden_differs" and said["agreement_percent"] == 80 and said["differ"] == 1
    assert said["first"] == [{"id": "three", "why": "number 0 is 6 instead of 7"}]


def test_wrong_bytes_end_with_four_and_the_model_is_never_asked(tmp_path: Path):
    with ModelServer(echo) as server:
        case = Case(tmp_path, server.url, GOOD)
        assert case.ends(digest=f"sha256:{'0' * 64}") == 4
        assert case.message()["reason"] == "golden_unusable" and case.digest in case.message()["message"]
        assert server.asked == []


def test_a_model_that_turns_bad_later_ends_the_check(tmp_path: Path):
    bad = threading.Event()

    def answer(path: str, body: Json) -> tuple[int, Any]:
        status, said = echo(path, body)
        return status, {"outputs": [{"data": [99]}]} if bad.is_set() else said

    with (
        ModelServer(answer) as server,
        running(Case(tmp_path, server.url, [v2(1)]), "--interval", "0.1") as (process, base),
    ):
        until_ready(base)
        bad.set()
        assert process.wait(15) == 3


# ------------------------------------------------------------------------------------------------ one round, in process


def test_once_it_agrees_it_ends_with_zero(tmp_path: Path):
    with ModelServer(echo) as server:
        assert Case(tmp_path, server.url, GOOD).once() == 0
    paths = {path for path, _ in server.asked}
    assert paths == {"/v2/models/m/infer", "/v1/models/m:predict", "/v1/chat/completions"}
    assert all(body["temperature"] == 0 for path, body in server.asked if path.endswith("completions"))


@pytest.mark.parametrize(("least", "code"), [("75", 0), ("76", 3)])
def test_as_many_must_agree_as_are_asked_for(tmp_path: Path, least: str, code: int):
    with ModelServer(echo) as server:
        case = Case(tmp_path, server.url, [v2(1), v2(2), v2(3), v2(4, values=[9])])
        assert case.once(min_agreement=least) == code


def test_tolerances_hold_for_each_input(tmp_path: Path):
    with ModelServer(echo) as server:
        close = [v2(1, values=[2.01], absolute=0.02), v2(100, values=[201], relative=0.01)]
        assert Case(tmp_path, server.url, close).once() == 0
        assert Case(tmp_path, server.url, [v2(1, values=[2.01], absolute=0.001)]).once() == 3


def test_errors_are_no_difference_it_asks_on_until_they_are_answers(tmp_path: Path):
    tries = iter(range(1000))

    def answer(path: str, body: Json) -> tuple[int, Any]:
        return (500, b"out of memory") if body["inputs"][0]["data"] == [2] and next(tries) < 2 else echo(path, body)

    with ModelServer(answer) as server:
        assert Case(tmp_path, server.url, [v2(1), v2(2)]).once() == 0


@pytest.mark.parametrize("how", ["refused", "500", "slow", "no JSON", "redirect"])
def test_a_model_that_never_answers_is_not_a_failed_one(tmp_path: Path, how: str):
    end = threading.Event()

    def answer(path: str, body: Json) -> tuple[int, Any]:
        if how == "slow":
            end.wait(20)
        return {"500": (500, b"x"), "no JSON": (200, b"<html>"), "redirect": (307, b"")}.get(how, echo(path, body))

    with ModelServer(answer) as server:
        try:
            case = Case(tmp_path, "http://127.0.0.1:9" if how == "refused" else server.url, [v2(1)])
            assert case.once(timeout="0.2", wait="0.7") == 5
        finally:
            end.set()
    assert case.message()["reason"] == "golden_silent" and "does not answer yet" in case.message()["message"]


def test_a_difference_that_does_not_come_again_is_none(tmp_path: Path):
    answers = iter([echo, lambda *_: (200, {"outputs": [{"data": [1]}]})])

    def answer(path: str, body: Json) -> tuple[int, Any]:
        return next(answers, echo)(path, body)

    with ModelServer(answer) as server:
        assert Case(tmp_path, server.url, [v2(1)]).once() == 0
    assert len(server.asked) == 3


def test_no_more_questions_are_under_way_than_were_asked_for(tmp_path: Path):
    def answer(path: str, body: Json) -> tuple[int, Any]:
        patience = time.monotonic() + 20
        while len(server.asked) > 1 and server.most_at_once < 3 and time.monotonic() < patience:
            time.sleep(
                0.005
            )  # the first is alone, to see that the model answers; of the others none before three are there
        return echo(path, body)

    with ModelServer(answer) as server:
        assert Case(tmp_path, server.url, [v2(row) for row in range(12)]).once(at_once="3") == 0
    assert server.most_at_once == 3


# ------------------------------------------------------------------------------------------------------------ the file


def test_in_a_folder_the_file_with_the_digest_is_taken(tmp_path: Path):
    with ModelServer(echo) as server:
        case = Case(tmp_path, server.url, GOOD)
        folder = tmp_path / "mounted" / "deep"
        folder.mkdir(parents=True)
        (folder / "README.md").write_text("other bytes")
        (folder / "any-name").write_bytes(case.file.read_bytes())
        assert case.once(inputs=str(tmp_path / "mounted")) == 0


@pytest.mark.parametrize("content", [b"", b"{not json", b'[{"protocol": "v2"}]'])
def test_a_malformed_file_ends_with_four(tmp_path: Path, content: bytes):
    assert Case(tmp_path, "http://127.0.0.1:9", content).once() == 4


@pytest.mark.parametrize("where", ["missing.jsonl", "folder"])
def test_a_file_that_is_not_there_ends_with_four(tmp_path: Path, where: str):
    case = Case(tmp_path, "http://127.0.0.1:9", GOOD)
    (tmp_path / "folder").mkdir()
    assert case.once(inputs=str(tmp_path / where)) == 4
    assert case.message()["reason"] == "golden_unusable"


def test_a_termination_log_that_cannot_be_written_changes_no_verdict(tmp_path: Path):
    with ModelServer(echo) as server:
        case = Case(tmp_path, server.url, [v2(1, values=[9])])
        assert case.once(termination_log=str(tmp_path)) == 3
