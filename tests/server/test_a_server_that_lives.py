"""Backends that hang or are down, signals, and what may stand on standard output."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from support import warm
from support.serving import COMMAND, META, raw_server
from support.world import World

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def hanging() -> Iterator[str]:
    """A backend that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def everything_down(world: World, folder: Path) -> Path:
    """A platform file whose every backend refuses connections."""
    kubeconfig = folder / "down.kubeconfig"
    text = Path(world.status.kubeconfig).read_text()
    kubeconfig.write_text(text.replace(world.status.kubernetes_url, f"https://127.0.0.1:{closed_port()}"))
    kubeconfig.chmod(0o600)
    return world.platform_file(
        folder,
        clusters=[{"name": "sandbox", "kubeconfig": str(kubeconfig)}],
        mlflow={"uri": f"http://127.0.0.1:{closed_port()}"},
        prometheus={"url": f"http://127.0.0.1:{closed_port()}"},
    )


async def test_a_ping_is_answered_while_a_backend_hangs(world: World, tmp_path: Path):
    with hanging() as url:
        config = world.platform_file(tmp_path, prometheus={"url": url})
        async with raw_server(*warm.command("serve", "--config", str(config))) as server:
            await server.handshake()
            await server.send("tools/call", 1, name="query_metrics", arguments={"signal": "rps"})
            await server.send("ping", 2)
            await server.send("tools/list", 3)
            first, second = await server.receive(), await server.receive()
            assert {first["id"], second["id"]} == {2, 3} and "result" in first


async def test_the_list_is_answered_in_the_newer_era_while_a_backend_hangs(world: World, tmp_path: Path):
    with hanging() as url:
        config = world.platform_file(tmp_path, prometheus={"url": url})
        async with raw_server(*warm.command("serve", "--config", str(config))) as server:
            await server.send("tools/call", 1, name="query_metrics", arguments={"signal": "rps"}, _meta=META)
            await server.send("tools/list", 2, _meta=META)
            assert (await server.receive())["id"] == 2


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("query_metrics", {"signal": "rps"}),
        ("promote_model", {"model": "vision-v2", "version": "1", "alias": "x", "mode": "apply"}),
        ("request_gpu", {"purpose": "batch", "accelerator": "a100", "hours": 1}),
    ],
)
async def test_with_every_backend_down_the_list_works_and_a_call_fails_as_a_tool_error(
    world: World, tmp_path: Path, tool: str, arguments: dict[str, Any]
):
    config = everything_down(world, tmp_path)
    async with raw_server(*warm.command("serve", "--config", str(config))) as server:
        await server.handshake()
        await server.send("tools/list", 1)
        assert len((await server.answer(1))["result"]["tools"]) >= 9
        await server.send("tools/call", 2, name=tool, arguments=arguments)
        answer = await server.answer(2)
        assert "error" not in answer, answer
        body = answer["result"]["structuredContent"]
        assert answer["result"]["isError"] and body["code"] in ("unavailable", "deadline_exceeded"), body
        assert body["remedy"]


async def test_sigterm_ends_the_server_with_exit_code_zero(platform_file: Path):
    for number in (signal.SIGTERM, signal.SIGINT):
        async with raw_server(COMMAND, "serve", "--config", str(platform_file)) as server:
            await server.handshake()
            server.process.send_signal(number)
            assert await server.process.wait() == 0


async def test_the_end_of_standard_input_ends_the_server(platform_file: Path):
    async with raw_server(COMMAND, "serve", "--config", str(platform_file)) as server:
        await server.handshake()
        await server.process.stdin.aclose()
        assert await server.process.wait() == 0


async def test_nothing_but_json_rpc_stands_on_standard_output(platform_file: Path, world: World):
    model = world.model()
    async with raw_server(COMMAND, "serve", "--config", str(platform_file), "--verbose") as server:
        await server.handshake()
        for number, (tool, arguments) in enumerate(
            (
                ("inspect_platform", {"kind": "gpu_pools"}),
                ("promote_model", {"model": model, "version": "2", "alias": "c", "mode": "apply"}),
                ("no_such_tool", {}),
            ),
            1,
        ):
            await server.send("tools/call", number, name=tool, arguments=arguments)
            await server.answer(number)
        await server.process.stdin.aclose()
        rest = b""
        with contextlib.suppress(anyio.EndOfStream):
            while True:
                rest += await server.process.stdout.receive()
        assert rest == b"" and len(server.lines) >= 4  # each line was read as JSON-RPC when it was received


async def test_the_older_protocol_alone_is_offered_to_clients_that_break_on_the_newer(platform_file: Path):
    async with raw_server(COMMAND, "serve", "--config", str(platform_file), "--protocol", "handshake") as server:
        await server.send("server/discover", 9, _meta=META)
        assert (await server.answer(9))["error"]["code"] == -32601
        assert (await server.handshake())["protocolVersion"] == "2025-11-25"


async def test_the_example_configuration_starts_and_completes_a_handshake(tmp_path: Path):
    example = json.loads((ROOT / "mcp.json.example").read_text())
    shapes = [*example["mcpServers"].values(), *example["servers"].values()]
    assert len(shapes) == 2
    for shape in shapes:
        command = shape["command"].replace("${workspaceFolder}", str(ROOT))
        env = {"AI_PLATFORM_STATE_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        async with raw_server(command, *shape["args"], cwd=ROOT, env=env | shape.get("env", {})) as server:
            assert (await server.handshake())["serverInfo"]["name"] == "ai-platform-mcp"
    assert not (tmp_path / "sandbox.json").exists()


async def test_the_bare_command_serves_on_standard_input_and_output(tmp_path: Path):
    env = {"AI_PLATFORM_STATE_DIR": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    async with raw_server(COMMAND, env=env) as server:
        assert (await server.handshake())["protocolVersion"] == "2025-11-25"
