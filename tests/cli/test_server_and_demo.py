"""The command line as a client of a running server, and the demo."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ai_platform_mcp.cli import demo
from ai_platform_mcp.cli.output import Output
from ai_platform_mcp.core.errors import Unavailable
from ai_platform_mcp.sandbox import process
from support.seeded import seeded_state
from support.serving import http_server
from support.terminal import Terminal

CORDON = ("edge", "cordon", "edge-ap-south-2-01")


def test_a_server_answers_as_this_process_does_and_asks_at_this_terminal(terminal: Terminal, tmp_path: Path) -> None:
    status = terminal.json("sandbox", "status")
    path = tmp_path / "platform.yaml"
    path.write_text(
        f"state_dir: {tmp_path / 'server'}\nbudgets_cents: {{vision: 20000000}}\n"
        f"clusters: [{{name: sandbox, kubeconfig: {status['kubeconfig']}}}]\n"
        f"mlflow: {{uri: '{status['mlflow_uri']}'}}\nprometheus: {{url: '{status['prometheus_url']}'}}\n"
        "golden_paths:\n  finetune: {image: 'r/f@sha256:"
        + "3f"
        * 32
        + "', command: [train], runtime: torch-distributed,"
        " accelerator: a100, count: 8, nodes: 1, hours: 6, checkpoint: true}\n"
    )
    with http_server(path) as server:
        here, there = terminal.json("model", "list"), terminal.json("--server", server.base, "model", "list")
        assert [row[0] for row in here["rows"]] == [row[0] for row in there["rows"]]
        wrong = terminal.run(
            "--server", server.base, "--output", "json", "tools", "call", "inspect_platform", '{"knd": 1}'
        )
        assert wrong.code == 2
        assert wrong.data["error"]["code"] == "invalid_input"
        plan = terminal.json("--server", server.base, "gpu", "request", "a100", "--hours", "1")
        assert plan["status"] == "planned"
        config = tmp_path / "finetune.yaml"
        config.write_text("model: vision-v4\n")
        asked = terminal.typed(
            "--server",
            server.base,
            "model",
            "train",
            "--no-wait",
            "--config",
            str(config),
            answers=(("Apply exactly this plan?", "y"), ("Apply exactly this plan?", "y")),
        )
        assert asked.code == 0, asked.out
        assert "applied" in asked.out.lower()


@pytest.mark.parametrize(("words", "ended", "fails"), [(("--down",), 1, True), ((), 0, False)])
def test_down_ends_the_sandbox_however_the_play_ends(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], ended: int, fails: bool
) -> None:
    async def played(*_: object) -> dict[str, object]:
        if fails:
            raise Unavailable("The play fails.", remedy="Mend it.")
        return {}

    stopped: list[Path] = []

    async def down(state: Path) -> bool:
        stopped.append(state)
        return True

    monkeypatch.setattr(demo, "play", played)
    monkeypatch.setattr(process, "down", down)
    done = terminal.run("demo", *words)
    assert (done.code, stopped) == (int(fails), [terminal.state_dir] * ended)
    assert ("The play fails." in done.err) is fails


@pytest.mark.parametrize("played_before", [False, True])
async def test_a_second_play_deploys_the_bad_release_no_more_and_tells_what_became_of_it(played_before: bool) -> None:
    status = {"failed": 2, "total": 10, "phase": "Paused", "message": "2 nodes failed."}
    done: list[str] = []

    class Fleet:
        async def newest(self, *_: str) -> dict[str, object] | None:
            return {"status": status} if played_before else None

        async def break_release(self, model: str, version: str) -> None:
            done.append(f"break {model} {version}")

        async def watch(self, *_: str) -> dict[str, object]:
            return {"status": status}

    class Client:
        async def call_tool(self, name: str, arguments: dict[str, object]) -> SimpleNamespace:
            done.append(f"{name} {arguments.get('mode', 'plan')}")
            data = {"status": "ok", "summary": "s", "plan_id": "p", "decision": {"effect": "allow", "revision": "r"}}
            return SimpleNamespace(structured_content=data, is_error=False)

    output = Output("json")
    told = await demo.bad_release(demo.Demo(Client(), output), cast("Any", Fleet()), output)
    assert told == {"phase": "Paused", "failed": 2, "total": 10}
    assert done == ([] if played_before else ["break vision-v2 4", "deploy_model plan", "deploy_model apply"])


@pytest.mark.timeout(400)  # the whole flow; beside other tests it takes three times as long as alone
def test_the_demo_plays_to_its_end(tmp_path: Path) -> None:
    state = seeded_state(tmp_path / "state")
    alone = Terminal(state, tmp_path)
    try:
        done = alone.process("--output", "json", "demo", seconds=270)
        assert done.code == 0, done.out + done.err
        assert set(done.data["operations"]) == {"train", "register", "promote", "deploy"}
        assert all(done.data["operations"].values())
        assert {row["tier"]: row["rps"] > 0 for row in done.data["routing"]["targets"]} == {"edge": True, "cloud": True}
        assert done.data["refused"]["effect"] in ("deny", "require_approval")  # by the day of the week
        assert "intact" in done.data["audit"]
        assert process.status(state).running
    finally:
        alone.process("sandbox", "down")
