"""The ``platform`` command as tests run it: in this process, as a process of its own, or at a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from ai_platform_mcp.cli.main import app

COMMAND = str(Path(sys.executable).with_name("platform"))


@dataclass(frozen=True)
class Done:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


class Terminal:
    """Runs commands over one state folder, without any configuration that lies around."""

    def __init__(self, state_dir: Path, home: Path, **environment: str):
        self.state_dir = state_dir
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AI_PLATFORM_", "KUBECONFIG"))}
        places = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": str(home / "state")}
        self.environment = {**kept, **places, "COLUMNS": "120", "NO_COLOR": "1", **environment}

    def _words(self, words: tuple[str, ...]) -> list[str]:
        return ["--state-dir", str(self.state_dir), *words]

    def run(self, *words: str, typed: str = "", **environment: str) -> Done:
        """Run a command in this process: the same code, without its start."""
        result = CliRunner().invoke(app, self._words(words), input=typed, env={**self.environment, **environment})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    def json(self, *words: str) -> Any:
        """Run a command for a program; it must end well."""
        done = self.run("--output", "json", *words)
        assert done.code == 0, done.out + done.err
        return done.data

    def process(self, *words: str, typed: str = "", seconds: float = 120, **environment: str) -> Done:
        """Run a command as a process whose standard input is a pipe."""
        done = subprocess.run(
            [COMMAND, *self._words(words)],
            input=typed,
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**self.environment, **environment},
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def typed(self, *words: str, answers: tuple[tuple[str, str], ...], seconds: float = 90) -> Done:
        """Run a command at a terminal, and type each answer when its question has been asked."""
        child, screen = pty.fork()
        if child == 0:
            os.execve(COMMAND, [COMMAND, *self._words(words)], self.environment)  # pragma: no cover
        seen, deadline, waiting = "", time.monotonic() + seconds, list(answers)
        asked = 0
        while time.monotonic() < deadline:
            if not select.select([screen], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(screen, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            seen += part.decode(errors="replace")
            if waiting and (found := seen.find(waiting[0][0], asked)) >= 0:
                asked = found + len(waiting[0][0])
                os.write(screen, f"{waiting.pop(0)[1]}\n".encode())
        os.close(screen)
        _, status = os.waitpid(child, 0)
        assert not waiting, f"was never asked {waiting[0][0]!r}: {seen}"
        return Done(os.waitstatus_to_exitcode(status), seen, "")
