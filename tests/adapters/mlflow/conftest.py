"""One suite over MLflow's SQL store and a real MLflow server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

HOW = (
    "no MLflow server: set MLFLOW_TRACKING_URI=http://…, or MLFLOW_COMMAND=/path/to/mlflow of a full installation, "
    "or `uv pip install mlflow`"
)


def server_command() -> str | None:
    named = os.environ.get("MLFLOW_COMMAND")
    own = Path(sys.executable).with_name("mlflow")
    full = find_spec("flask") is not None and own.exists()
    return named or (str(own) if full else None)


@pytest.fixture(scope="session")
def sqlite_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="session")
def server_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given, command = os.environ.get("MLFLOW_TRACKING_URI"), server_command()
    if given:
        yield given
        return
    if command is None or shutil.which(command) is None:
        pytest.skip(HOW)
    folder = tmp_path_factory.mktemp("mlflow-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "a")]
    process = subprocess.Popen(
        [command, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *options],
        cwd=folder,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
        stdout=(folder / "log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{uri}/health", process, folder / "log")
        yield uri
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.2)  # a server of another process can only be asked again
    pytest.fail(f"the MLflow server did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(params=["sqlite_uri", "server_uri"])
def uri(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))
