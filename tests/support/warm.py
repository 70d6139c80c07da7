"""Servers as processes of their own that need not import first.

A server's start costs seconds of computing, nearly all of it imports, and it is always the same. Here one process of the test
run imports once, and each server is a fork of it: the same code, state, pipes and signals from its first line on. What a start
itself promises is tested on the real command.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
_running: list[tuple[Path, Callable[[], None]]] = []


def command(*arguments: str) -> list[str]:
    """Return a command that does what ``ai-platform-mcp`` with these arguments does."""
    if not _running:
        _running.append(_start())
    return [sys.executable, "-I", "-S", str(HERE / "warm_child.py"), str(_running[0][0]), *arguments]


def end() -> None:
    """End what ``command`` started."""
    while _running:
        _running.pop()[1]()


def _start() -> tuple[Path, Callable[[], None]]:
    """Start the process that imports; return the socket that it listens at, and what ends it. It never outlives this one."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    place = folder / "s"
    keep, kept = os.pipe()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AI_PLATFORM_")}
    process = subprocess.Popen(
        [sys.executable, str(HERE / "warm_parent.py"), str(place), str(keep)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        pass_fds=[keep],
        env=environment,
        start_new_session=True,
    )
    os.close(keep)
    os.set_inheritable(kept, False)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()

    def stop() -> None:
        os.close(kept)
        process.wait()
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        folder.rmdir()

    return place, stop
