"""The real server as a process, and real clients of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from support import warm

COMMAND = str(Path(sys.executable).with_name("ai-platform-mcp"))
MODERN = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def stdio(platform_file: Path, *flags: str) -> StdioServerParameters:
    """How a client starts the server over this platform file."""
    program, *arguments = warm.command("serve", "--config", str(platform_file), *flags)
    return StdioServerParameters(command=program, args=arguments)


@dataclass
class Http:
    """A server that listens."""

    url: str
    process: subprocess.Popen[str]

    @property
    def base(self) -> str:
        return self.url.removesuffix("/mcp")


@contextlib.contextmanager
def http_server(platform_file: Path, *flags: str) -> Iterator[Http]:
    """Start the server on a free port of loopback, and end it."""
    process = subprocess.Popen(
        warm.command("serve", "--config", str(platform_file), "--http", "127.0.0.1:0", *flags),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("AI_PLATFORM_")},
    )
    said: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        said.append(line)
        if line.startswith("Listening on "):
            break
    else:
        raise AssertionError("".join(said))
    drain = threading.Thread(target=process.stderr.read, daemon=True)
    drain.start()
    try:
        yield Http(said[-1].removeprefix("Listening on ").strip(), process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        drain.join()
        process.stderr.close()


class Raw:
    """A pipe to the server, one JSON message a line: what is sent and received is seen as it is."""

    def __init__(self, process: Any):
        self.process = process
        self._lines = b""
        self.lines: list[bytes] = []

    async def send(self, method: str, number: int | None = None, **params: Any) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if number is not None:
            message["id"] = number
        await self.process.stdin.send(json.dumps(message).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        """Return the next message; every line must be one."""
        while b"\n" not in self._lines:
            self._lines += await self.process.stdout.receive()
        line, _, self._lines = self._lines.partition(b"\n")
        self.lines.append(line)
        message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        return message

    async def answer(self, number: int) -> dict[str, Any]:
        """Return the answer with this id, passing over notifications and other answers."""
        while (message := await self.receive()).get("id") != number or "method" in message:
            pass
        return message

    async def handshake(self) -> dict[str, Any]:
        await self.send(
            "initialize",
            0,
            protocolVersion="2025-11-25",
            capabilities={},
            clientInfo={"name": "raw", "version": "1"},
        )
        answer = await self.answer(0)
        await self.send("notifications/initialized")
        return answer["result"]


@contextlib.asynccontextmanager
async def raw_server(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> AsyncIterator[Raw]:
    """Start a server on pipes, and end it whatever happens."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AI_PLATFORM_")} | (env or {})
    process = await anyio.open_process(command, stderr=subprocess.DEVNULL, cwd=cwd, env=environment)
    try:
        yield Raw(process)
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


@dataclass(frozen=True)
class Way:
    """How a client reaches a server: over what, and in which era."""

    where: StdioServerParameters | str
    mode: str

    def open(self, **more: Any) -> Client:
        """Return a client to enter in the task that leaves it."""
        return Client(self.where, mode=self.mode, **more)
