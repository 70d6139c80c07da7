"""The sandbox as a process: one per folder, found again, stopped quickly, nothing lost, nobody else's files touched."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import yaml

from ai_platform_mcp.sandbox import process
from support.seeded import seeded_state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return seeded_state(tmp_path / "state")


def client(status: process.Status) -> httpx.Client:
    """A client that reads the kubeconfig, as kubectl would."""
    import base64
    import ssl

    config = yaml.safe_load(Path(status.kubeconfig).read_text())
    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    token = config["users"][0]["user"]["token"]
    trust = ssl.create_default_context(cadata=authority)
    return httpx.Client(
        base_url=status.kubernetes_url, verify=trust, headers={"Authorization": f"Bearer {token}"}, trust_env=False
    )


PLACE = "/api/v1/namespaces/default/configmaps"


def write(status: process.Status, name: str) -> None:
    with client(status) as http:
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        assert http.post(PLACE, json=body).status_code == 201


def there(status: process.Status, name: str) -> bool:
    with client(status) as http:
        return http.get(f"{PLACE}/{name}").status_code == 200


def pods_placed(status: process.Status) -> tuple[int, int]:
    """How many pods the sandbox's Deployment wants, and how many of them have a node."""
    with client(status) as http:
        wanted = sum(row["spec"]["replicas"] for row in http.get("/apis/apps/v1/deployments").json()["items"])
        pods = http.get("/api/v1/pods").json()["items"]
    placed = [
        row
        for row in pods
        if row["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet" and row["spec"].get("nodeName")
    ]
    return wanted, len(placed)


async def test_it_stops_quickly_keeps_its_ports_and_loses_nothing(folder: Path) -> None:
    first = await process.ensure_up(folder)
    try:
        assert (await process.ensure_up(folder)).pid == first.pid
        await anyio.to_thread.run_sync(write, first, "kept")
        child = first.pid
        assert child is not None
        began = time.monotonic()
        os.kill(child, signal.SIGTERM)
        _, ended = await anyio.to_thread.run_sync(os.waitpid, child, 0)
        assert (
            time.monotonic() - began < process.STOP_SECONDS
        )  # in under one on a quiet machine; later it would be killed
        assert os.waitstatus_to_exitcode(ended) == 0
        assert not process.status_file(folder).exists()
        second = await process.ensure_up(folder)
        assert (second.kubernetes_url, second.prometheus_url) == (first.kubernetes_url, first.prometheus_url)
        assert await anyio.to_thread.run_sync(there, second, "kept")
    finally:
        await process.down(folder)


async def test_a_new_one_answers_once_its_workloads_have_their_pods(folder: Path) -> None:
    (folder / "cluster.sqlite").unlink()
    status = await process.ensure_up(folder)
    try:
        wanted, placed = await anyio.to_thread.run_sync(pods_placed, status)
        assert placed == wanted > 0
    finally:
        await process.down(folder)


async def test_a_kill_loses_nothing_and_its_status_file_fools_nobody(folder: Path) -> None:
    first = await process.ensure_up(folder)
    try:
        await anyio.to_thread.run_sync(write, first, "kept")
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        await anyio.to_thread.run_sync(os.waitpid, first.pid, 0)
        assert process.status_file(folder).exists()
        assert not process.status(folder).running
        second = await process.ensure_up(folder)
        assert second.pid != first.pid
        assert await anyio.to_thread.run_sync(there, second, "kept")
    finally:
        await process.down(folder)


async def test_a_status_file_that_names_another_process_is_ignored(tmp_path: Path) -> None:
    told = process.Status(True, str(tmp_path), "k", "m", "http://127.0.0.1:9", "https://127.0.0.1:9", os.getpid())
    process.status_file(tmp_path).write_text(json.dumps(told.as_dict()))
    assert not process.status(tmp_path).running
    assert not await process.down(tmp_path)
    process.status_file(tmp_path).write_text("{")
    assert not process.status(tmp_path).running


async def test_two_that_start_at_once_share_one_sandbox_that_reads_no_kubeconfig_of_the_user(
    folder: Path, tmp_path: Path
) -> None:
    opened = tmp_path / "opened"
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        f"log = open({str(opened)!r}, 'a', buffering=1)\n"
        "def hook(event, args):\n"
        "    if event == 'open' and args and 'kube' in str(args[0]):\n"
        "        log.write(str(args[0]) + '\\n')\n"
        "sys.addaudithook(hook)\n"
    )
    (tmp_path / ".kube").mkdir()
    lure, home = tmp_path / "lure-kubeconfig", tmp_path / ".kube" / "config"
    for path in (lure, home):
        path.write_text("not: [a kubeconfig")
    code = (
        "import anyio,sys;from pathlib import Path;from ai_platform_mcp.sandbox import process;"
        "print(anyio.run(process.ensure_up,Path(sys.argv[1])).pid)"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "KUBECONFIG": str(lure), "HOME": str(tmp_path)}
    starters = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    try:
        pids = {(await anyio.to_thread.run_sync(starter.communicate))[0].strip() for starter in starters}
        assert pids == {str(process.status(folder).pid)}
    finally:
        await process.down(folder)
    read = opened.read_text()
    assert str(folder / ".kubeconfig.new") in read  # the hook does see what is opened
    assert str(lure) not in read
    assert str(home) not in read


async def test_a_second_process_for_the_same_folder_gives_up(folder: Path) -> None:
    await process.ensure_up(folder)
    try:
        command = [sys.executable, "-m", "ai_platform_mcp.sandbox", "--state-dir", str(folder)]
        done = await anyio.run_process(command, check=False)
        assert done.returncode != 0
        assert b"another sandbox has" in done.stderr
        assert process.status(folder).running
    finally:
        await process.down(folder)


async def test_state_is_private_and_a_reset_removes_only_what_the_sandbox_made(folder: Path) -> None:
    status = await process.ensure_up(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(Path(status.kubeconfig).stat().st_mode) == 0o600
    for name in ("notes.txt", "kubeconfig-of-mine", "cluster.sqlite.backup"):
        (folder / name).write_text("mine")
    await process.reset(folder)
    left = {path.name for path in folder.iterdir()}
    assert left >= {"notes.txt", "kubeconfig-of-mine", "cluster.sqlite.backup"}
    assert not left & {*process.OURS, "artifacts", "tls", "sandbox.json"}
