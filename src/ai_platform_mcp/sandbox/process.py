"""The sandbox as a process: one shared instance per state folder, started on demand, found through its status file.

Every command knows this module, and most start nothing: what a start alone needs is imported then.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio

from ai_platform_mcp.core.errors import Unavailable

START_SECONDS = 60.0
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Status:
    """Where everything is. ``running`` False: nothing listens, the rest is what a start would use."""

    running: bool
    state_dir: str
    kubeconfig: str
    mlflow_uri: str
    prometheus_url: str = ""
    kubernetes_url: str = ""
    pid: int | None = None
    started_at: str = ""
    speed: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the status as JSON."""
        return asdict(self)


def status_file(state_dir: Path) -> Path:
    """Where a running sandbox says where it is."""
    return state_dir / "sandbox.json"


def lock_file(state_dir: Path) -> Path:
    """Held by the sandbox of this folder for as long as it lives."""
    return state_dir / "sandbox.lock"


def kubeconfig_file(state_dir: Path) -> Path:
    """The kubeconfig of the sandbox's one cluster."""
    return state_dir / "kubeconfig"


def controller_kubeconfig_file(state_dir: Path) -> Path:
    """The kubeconfig of the controller that runs beside the sandbox, with its own rights."""
    return state_dir / "controller.kubeconfig"


def mlflow_uri(state_dir: Path) -> str:
    """The registry's SQL store."""
    return f"sqlite:///{state_dir / 'mlflow.sqlite'}"


def status(state_dir: Path) -> Status:
    """Return where the sandbox of this state folder is, and whether it runs. Contacts nothing."""
    idle = Status(False, str(state_dir), str(kubeconfig_file(state_dir)), mlflow_uri(state_dir))
    try:
        told = Status(**json.loads(status_file(state_dir).read_text()))
    except (OSError, ValueError, TypeError):
        return idle
    return told if told.pid is not None and _is_ours(told.pid, state_dir) else idle


def _is_ours(pid: int, state_dir: Path) -> bool:
    """Whether that process is alive and is the sandbox of this folder, not another that got its number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    command = Path(f"/proc/{pid}/cmdline")
    if not command.exists():
        return True
    try:
        words = command.read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(str(state_dir)) in words


async def ensure_up(
    state_dir: Path, *, speed: float | None = None, tell: Callable[[str], None] | None = None
) -> Status:
    """Return the running sandbox of this folder, starting it when there is none.

    Raises:
        Unavailable: it did not come up; the message names its log.
    """
    told = status(state_dir)
    if told.running and await _answers(told):
        return told
    return await anyio.to_thread.run_sync(lambda: _start(state_dir, speed, tell), abandon_on_cancel=True)


async def _answers(told: Status) -> bool:
    import httpx

    try:
        # Plain HTTP on this machine: reading the authorities of the world would take 50 ms of every first call.
        async with httpx.AsyncClient(timeout=2.0, trust_env=False, verify=False) as client:  # noqa: S501
            return (await client.get(f"{told.prometheus_url}/-/ready")).status_code == 200
    except httpx.HTTPError:
        return False


def _start(state_dir: Path, speed: float | None, tell: Callable[[str], None] | None) -> Status:
    from filelock import FileLock, Timeout

    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with FileLock(state_dir / "start.lock", timeout=START_SECONDS):
            told = status(state_dir)
            if told.running:
                return _await_ready(state_dir, None)
            if tell is not None:
                tell(f"Starting the sandbox in {state_dir}")
            return _await_ready(state_dir, _spawn(state_dir, speed))
    except Timeout:
        raise _not_up(state_dir, "another process has been starting it for a minute") from None


def _spawn(state_dir: Path, speed: float | None) -> subprocess.Popen[bytes]:
    status_file(state_dir).unlink(missing_ok=True)
    command = [sys.executable, "-m", "ai_platform_mcp.sandbox", "--state-dir", str(state_dir)]
    if speed is not None:
        command += ["--speed", str(speed)]
    with (state_dir / "sandbox.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # our own interpreter and module, no shell
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
        )


def _await_ready(state_dir: Path, child: subprocess.Popen[bytes] | None) -> Status:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        told = status(state_dir)
        if told.running and told.prometheus_url:
            return told
        if child is not None and child.poll() is not None:
            raise _not_up(state_dir, f"it ended with code {child.returncode}")
        time.sleep(LOOK_SECONDS)
    raise _not_up(state_dir, f"it was not ready within {START_SECONDS:g} s")


def _not_up(state_dir: Path, why: str) -> Unavailable:
    return Unavailable(
        f"The sandbox did not start: {why}.",
        cause=_last_line(state_dir / "sandbox.log"),
        remedy=f"Read {state_dir / 'sandbox.log'}, then `platform sandbox reset` and try again.",
    )


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""


async def down(state_dir: Path) -> bool:
    """Stop the sandbox of this folder and wait until its process is gone; state is kept. Returns whether one was running."""
    told = status(state_dir)
    if not told.running or told.pid is None:
        return False
    os.kill(told.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_ours(told.pid, state_dir):
        _reap(told.pid)
        if time.monotonic() > deadline:
            os.kill(told.pid, signal.SIGKILL)
            deadline = time.monotonic() + STOP_SECONDS
        await anyio.sleep(LOOK_SECONDS)
    status_file(state_dir).unlink(missing_ok=True)
    return True


def _reap(pid: int) -> None:
    """Take leave of a child of ours, so that it does not stay as a zombie that looks alive."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


OURS = (
    "cluster.sqlite",
    "metrics.sqlite",
    "mlflow.sqlite",
    "journal.sqlite",
    "kubeconfig",
    "controller.kubeconfig",
    "ports.json",
    "registry.lock",
    "sandbox.log",
)


async def reset(state_dir: Path) -> None:
    """Stop the sandbox and forget its world. Only files that the sandbox and the journal made are removed."""
    await down(state_dir)
    await anyio.to_thread.run_sync(_forget, state_dir)


def _forget(state_dir: Path) -> None:
    for name in OURS:
        for suffix in ("", "-wal", "-shm", "-journal") if name.endswith(".sqlite") else ("",):
            (state_dir / f"{name}{suffix}").unlink(missing_ok=True)
    for name in ("artifacts", "tls"):
        shutil.rmtree(state_dir / name, ignore_errors=True)
