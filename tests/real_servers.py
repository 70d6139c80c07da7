"""Starts real servers for tests, on loopback or a Unix socket, in folders of their own; each skips where there is none."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from real_targets import ROOT, absent, command, met, mlflow_command

POLICIES = ROOT / "policies"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(
    log: Path, *line: str | Path, ended_by: int = signal.SIGTERM, **options: object
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own, its output in ``log``, and end all of it."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            [str(part) for part in line],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )
        try:
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, ended_by)
            try:
                running.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait(30)


def wait_for(url: str, running: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and running.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2, trust_env=False).is_success:
                return
        time.sleep(0.1)  # a server of another process can only be asked again
    pytest.fail(f"{url} did not come up:\n{log.read_text(errors='replace')[-2000:]}")


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """MLFLOW_TRACKING_URI, or a full MLflow's server over an SQLite file; yields its URL."""
    given, program = os.environ.get("MLFLOW_TRACKING_URI"), mlflow_command()
    if given:
        met("mlflow", f"{_mlflow_version(given)} (MLFLOW_TRACKING_URI)")
        yield given
        return
    if program is None:
        absent("mlflow", "no MLflow server, and no full MLflow to start one with")
    uri = f"http://127.0.0.1:{(port := free_port())}"
    options = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "a")]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    line = [program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *options]
    with process(folder / "log", *line, cwd=folder, env=environment) as running:
        wait_for(f"{uri}/health", running, folder / "log", 160)  # it imports half a gigabyte
        met("mlflow", f"{_mlflow_version(uri)} (mlflow server)")
        yield uri


def _mlflow_version(uri: str) -> str:
    return httpx.get(f"{uri.rstrip('/')}/version", timeout=20, trust_env=False).text.strip()


def skinny_version() -> str:
    return f"mlflow-skinny {importlib.metadata.version('mlflow-skinny')}, SQLite"


@contextlib.contextmanager
def opa_server(folder: Path, law: Path = POLICIES) -> Iterator[str]:
    """OPA_URL, or an OPA that is started over ``law`` the way policies/README.md says; yields its URL.

    Another folder than the repository's is always served by an OPA of its own.
    """
    given, program = os.environ.get("OPA_URL"), command("OPA_COMMAND", "opa")
    if given and law == POLICIES:
        met("opa", f"{_opa_version(given)} (OPA_URL)")
        yield given.rstrip("/")
        return
    if program is None:
        absent("opa", "no OPA to start" if given else "no OPA server, and no opa to start one with")
    url = f"http://127.0.0.1:{(port := free_port())}"
    line = [program, "run", "--server", "--addr", f"127.0.0.1:{port}", "--disable-telemetry", "--log-level", "error",
            *OPA_IGNORES, str(law)]  # fmt: skip
    with process(folder / "opa.log", *line, cwd=folder) as running:
        wait_for(f"{url}/health", running, folder / "opa.log", 30)
        met("opa", f"{_opa_version(url)} (opa run)")
        yield url


OPA_IGNORES = ("--ignore", "*_test.rego", "--ignore", "*.jsonl", "--ignore", "*.md")
"""Tests are no law; OPA would skip the texts anyway."""


def _opa_version(url: str) -> str:
    """The version as OPA itself answers it, from Rego."""
    body = {"query": "x := opa.runtime().version"}
    answer = httpx.post(f"{url.rstrip('/')}/v1/query", json=body, timeout=20, trust_env=False)
    return str(answer.json()["result"][0]["x"]) if answer.is_success else "of unknown version"


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """TEST_POSTGRES_URL, or Debian's PostgreSQL on a Unix socket in a folder of its own; yields SQLAlchemy's URL."""
    given = os.environ.get("TEST_POSTGRES_URL")
    if given:
        yield given
        return
    if importlib.util.find_spec("psycopg") is None:
        absent("postgresql", "no driver for it (psycopg of the dev group)")
    programs = _postgres_programs()
    if programs is None:
        absent("postgresql", "no PostgreSQL server, and no initdb and postgres to start one with")
    user = _plain_user()
    # pytest's own folders are closed to other users, and initdb refuses to work as root.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if user:
            os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
        options: dict[str, object] = {"cwd": folder}
        if user:
            options |= {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        data = folder / "data"
        line = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "journal",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--locale=C",
        ]
        subprocess.run(line, check=True, capture_output=True, **options)  # type: ignore[call-overload]
        # What is not flushed survives the end of a test and its processes, and a test does not cut the power.
        switches = ["-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        line = [programs / "postgres", "-D", data, *switches]
        # SIGINT asks PostgreSQL to end without waiting for those who are still connected.
        with process(folder / "log", *line, ended_by=signal.SIGINT, **options) as running:
            _wait_for_socket(folder / ".s.PGSQL.5432", running, folder / "log")
            yield f"postgresql+psycopg://journal@/postgres?host={folder}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_programs() -> Path | None:
    """The folder of initdb and postgres: on PATH, or where Debian puts the newest."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def _plain_user() -> str:
    """Whom to run PostgreSQL as: empty for the present user, another where that is root."""
    if os.getuid() != 0:
        return ""
    names = {row.pw_name for row in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def _wait_for_socket(path: Path, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        if "ready to accept connections" in log.read_text(errors="replace") and path.exists():
            return
        time.sleep(0.1)
    pytest.fail(f"PostgreSQL did not come up:\n{log.read_text(errors='replace')[-2000:]}")
