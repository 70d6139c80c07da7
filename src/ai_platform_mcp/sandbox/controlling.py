"""The controller of rollouts, as a process beside the sandbox: the same that runs in a cluster, through the sandbox's API.

It is started when the first rollout is there and not before: most worlds never have one, and it costs a second of CPU. It has
an identity of its own with the rights of the manifest we ship, is started again when it dies, and ends with the sandbox also
when that is killed: its standard input is a pipe that only the sandbox holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
import yaml

from ai_platform_mcp.sandbox import process
from ai_platform_mcp.sandbox.kube.access import Access
from ai_platform_mcp.sandbox.kube.engine import Write
from ai_platform_mcp.sandbox.kube.kubeconfig import write_kubeconfig
from ai_platform_mcp.sandbox.kube.storage import Change
from ai_platform_mcp.sandbox.kube.store import Store

log = logging.getLogger(__name__)
ROLLOUTS = frozenset({"edgerollouts.edge.aiplatform.dev", "canaryrollouts.serving.aiplatform.dev"})
MANIFESTS = Path(__file__).parent.parent / "controllers" / "deploy" / "controller.yaml"
RIGHTS = frozenset({"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"})
ACCOUNT = ("ai-platform-mcp-controller", "aiplatform-system")
TOKEN_SECONDS = 365 * 24 * 3600
COMMAND = (sys.executable, "-c", "from ai_platform_mcp.cli.serve import main; main()", "controller")
"""By its command line: the sandbox shares no code with what it is to try out."""
OUR_IMAGE = "registry.local/ai-platform-mcp@sha256:" + hashlib.sha256(b"ai-platform-mcp").hexdigest()
STOP_SECONDS = 3.0
FIRST_PAUSE, LONGEST_PAUSE, HEALTHY_SECONDS = 0.5, 15.0, 30.0


@dataclass(frozen=True)
class Surroundings:
    """Where the controller finds the sandbox."""

    state_dir: Path
    kubernetes_url: str
    prometheus_url: str
    authority_pem: bytes
    speed: float


async def control(store: Store, access: Access, where: Surroundings) -> None:
    """Keep a controller running from the first rollout on, until cancelled."""
    await _first_rollout(store)
    kubeconfig = process.controller_kubeconfig_file(where.state_dir)
    token = await _identity(store, access)
    write_kubeconfig(kubeconfig, where.kubernetes_url, token, authority=where.authority_pem)
    command = [*COMMAND, "--kubeconfig", str(kubeconfig), "--standalone", "--with-parent"]
    command += ["--speed", f"{where.speed:g}", "--prometheus", where.prometheus_url, "--image", OUR_IMAGE]
    pause = FIRST_PAUSE
    while True:
        began = anyio.current_time()
        code = await _run(command)
        log.warning("the controller ended with code %s; it is started again", code)
        pause = FIRST_PAUSE if anyio.current_time() - began > HEALTHY_SECONDS else min(LONGEST_PAUSE, pause * 2)
        await anyio.sleep(pause)


async def _first_rollout(store: Store) -> None:
    there = anyio.Event()

    def learn(bucket: str, change: Change) -> None:
        if bucket in ROLLOUTS and change.kind != "DELETED":
            there.set()

    store.storage.listeners.append(learn)
    if not any(store.storage.bucket(name).objects for name in ROLLOUTS):
        await there.wait()
    store.storage.listeners.remove(learn)


async def _identity(store: Store, access: Access) -> str:
    """Return a token of the controller's ServiceAccount, which has the rights of the manifest we ship and no others."""
    text = await anyio.to_thread.run_sync(MANIFESTS.read_text)
    for manifest in yaml.safe_load_all(text):
        if manifest["kind"] in RIGHTS:
            await store.apply(manifest, Write(manager="sandbox", force=True))
    account = await store.get("v1", "ServiceAccount", *ACCOUNT)
    return access.issue(account, TOKEN_SECONDS, [])[0]


async def _run(command: list[str]) -> int | None:
    """Run the controller until it ends or this is cancelled: then it is told to end, and ended when it does not."""
    child = await anyio.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=None)
    try:
        return await child.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await _ended(child)


async def _ended(child: anyio.abc.Process) -> None:
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
        with anyio.move_on_after(STOP_SECONDS):
            await child.wait()
        if child.returncode is None:
            child.kill()
    await child.aclose()
