"""A real Kueue on a real API server: the manager that KUEUE_MANAGER names, without admission webhooks, on loopback."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from kubernetes_servers import Server
from real_servers import free_port, process
from real_targets import absent, command, met

CONVERTED = ("localqueues", "clusterqueues", "workloads", "cohorts", "multikueueclusters")
"""CRDs into which the manager writes its certificate before it begins; nothing converts here, all is stored as v1beta2."""
SECRET = "/api/v1/namespaces/kueue-system/secrets"
QUEUES = ("clusterqueues", "localqueues")
FRAMEWORKS = ["batch/job", "trainer.kubeflow.org/trainjob", "ray.io/rayjob"]


@contextlib.contextmanager
def kueue(server: Server, folder: Path) -> Iterator[None]:
    """Run Kueue's manager against a server that has its CRDs; ends with the manager ready, or skips."""
    program = command("KUEUE_MANAGER")
    if program is None:
        absent("kueue", "KUEUE_MANAGER names no Kueue manager")
    port, certificates = free_port(), folder / "certificates"
    certificates.mkdir()
    _prepare(server)
    config = {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": "kueue-system",
        "health": {"healthProbeBindAddress": f"127.0.0.1:{port}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": free_port(), "certDir": str(certificates)},
        "leaderElection": {"leaderElect": False},
        # The finer reasons for waiting, which the sandbox's Kueue gives too; without the gate they all read "Pending".
        "featureGates": {"VisibilityOnDemand": False, "UnadmittedWorkloadsObservability": True},
        "integrations": {"frameworks": FRAMEWORKS},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    log = folder / "kueue.log"
    environment = os.environ | {"KUBECONFIG": str(server.kubeconfig)}
    with process(log, program, f"--config={folder / 'config.yaml'}", env=environment, cwd=folder) as running:
        until(lambda: _mount(server, certificates), "the certificate of Kueue", log)
        until(lambda: running.poll() is not None or _queues_are_active(server), "Kueue's queues", log)
        assert running.poll() is None, log.read_text()[-2000:]
        met("kueue", f"{_version(log)} (KUEUE_MANAGER)")
        yield


def _prepare(server: Server) -> None:
    for name in CONVERTED:
        service = {"namespace": "kueue-system", "name": "kueue-webhook-service", "path": "/convert"}
        webhook = {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]}
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}.kueue.x-k8s.io"
        server.merge(path, {"spec": {"conversion": {"strategy": "Webhook", "webhook": webhook}}})
    if server.get(f"{SECRET}/kueue-webhook-server-cert") is None:
        server.post(SECRET, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kueue-webhook-server-cert"}})


def _mount(server: Server, folder: Path) -> bool:
    """Do what a kubelet does: put the secret's keys beside the manager once it has filled it."""
    secret = server.get(f"{SECRET}/kueue-webhook-server-cert") or {}
    data: dict[str, str] = secret.get("data") or {}
    if not {"ca.crt", "tls.crt", "tls.key"} <= data.keys():
        return False
    for name, value in data.items():
        (folder / name).write_bytes(base64.b64decode(value))
    return True


def _queues_are_active(server: Server) -> bool:
    """Before that, Kueue may look at a workload without all flavors and put it aside."""
    found = [server.send("GET", f"/apis/kueue.x-k8s.io/v1beta2/{plural}")["items"] for plural in QUEUES]
    conditions = [row.get("status", {}).get("conditions") or [] for rows in found for row in rows]
    return bool(conditions) and all(
        any(one["type"] == "Active" and one["status"] == "True" for one in rows) for rows in conditions
    )


def _version(log: Path) -> str:
    found = re.search(r'"gitVersion":\s*"([^"]+)"', log.read_text())
    return found.group(1) if found else "of unknown version"


def until(condition: Any, what: str, log: Path, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds

    def holds() -> bool:
        try:
            return bool(condition())
        except httpx.HTTPStatusError as error:
            if error.response.status_code != 429:  # a real server's word while it takes in a changed CRD
                raise
            return False

    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come in {seconds:g} s:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.2)  # another process can only be asked again
