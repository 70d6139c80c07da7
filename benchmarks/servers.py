"""Servers as processes, spoken to in plain JSON-RPC lines, so that no client library is in what is measured."""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil

import ai_platform_mcp

HERE = Path(__file__).parent
UNWANTED = ("PYTHONDONTWRITEBYTECODE", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "REQUESTS_CA_BUNDLE", "PYTHONUNBUFFERED")
"""Variables of a machine that make Python or Rust slower than they are where people run this."""
OURS = [str(Path(sys.executable).parent / "ai-platform-mcp"), "serve"]
EMPTY = [sys.executable, str(HERE / "bare.py")]
ECHO = [*EMPTY, "--echo"]
LIMITS = {"reads_per_minute": 1_000_000, "writes_per_minute": 1_000_000}
"""Rate limits that a bench does not run into."""
OLDER = "2025-11-25"
"""The protocol version of the handshake era: ``initialize`` exists there."""


def environment(state: Path) -> dict[str, str]:
    """Return an environment in which nothing but ``state`` configures the server."""
    kept = {k: v for k, v in os.environ.items() if k not in UNWANTED and not k.startswith("AI_PLATFORM_")}
    limits = {f"AI_PLATFORM_GUARD__{name.upper()}": str(value) for name, value in LIMITS.items()}
    where = {"AI_PLATFORM_STATE_DIR": str(state), "XDG_CONFIG_HOME": str(state / "no-configuration")}
    return {**kept, **limits, **where}


def compile_bytecode() -> None:
    """Compile our sources, as an installation does. Libraries are compiled by the first start, which is not counted."""
    compileall.compile_dir(Path(ai_platform_mcp.__file__).parent, quiet=2)
    compileall.compile_dir(HERE, quiet=2)


class Server:
    """One server process and its pipe."""

    def __init__(self, command: list[str], state: Path, **settings: str):
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            env=environment(state) | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._next = 0

    def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request without waiting; return its id."""
        self._next += 1
        self._write({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params or {}})
        return self._next

    def receive(self) -> dict[str, Any]:
        """Return the next response, whichever request it answers; notifications are passed over."""
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            message: dict[str, Any] = json.loads(line)
            if "id" in message and ("result" in message or "error" in message):
                return message
        raise RuntimeError(f"The server ended with {self._process.wait()}.")

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request, wait for its response and return the result."""
        wanted = self.send(method, params)
        answer = self.receive()
        if answer["id"] != wanted or "result" not in answer:
            raise RuntimeError(f"{method} was answered with {answer}")
        result: dict[str, Any] = answer["result"]
        return result

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call a tool."""
        return self.ask("tools/call", {"name": tool, "arguments": arguments})

    def shake_hands(self) -> None:
        """Open the session."""
        who = {"name": "bench", "version": "1"}
        self.ask("initialize", {"protocolVersion": OLDER, "capabilities": {}, "clientInfo": who})
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    @property
    def resident(self) -> int:
        """Resident memory in bytes."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    @property
    def cpu(self) -> float:
        """Processor time used so far, in milliseconds."""
        times = psutil.Process(self._process.pid).cpu_times()
        return 1000 * (times.user + times.system)

    @property
    def age(self) -> float:
        """Milliseconds since the process was started."""
        return 1000 * (time.perf_counter() - self.started)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()


@contextlib.contextmanager
def running(command: list[str], state: Path, **settings: str) -> Generator[Server]:
    """Start a server with further environment variables and end it whatever happens."""
    server = Server(command, state, **settings)
    try:
        yield server
    finally:
        server.close()
