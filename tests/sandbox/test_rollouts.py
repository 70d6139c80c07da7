"""Rollouts in the sandbox are moved by the controller that we ship, in a process of its own that lives and dies with it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from ai_platform_mcp.sandbox import process
from sandbox.test_process import client
from support.seeded import seeded_state

Json = dict[str, Any]
ROLLOUTS = "/apis/edge.aiplatform.dev/v1alpha1/namespaces/vision-dev/edgerollouts"
OFFLINE = {"edge-us-east-2-04", "edge-eu-west-3-02", "edge-ap-south-1-05"}
FAULTS = "sandbox.aiplatform.dev/faults"
WAVES = [{"name": "canary", "sites": ["us-south-1"], "canary": True}, {"name": "all", "percent": 100}]


class Sandbox:
    """A running sandbox and its administrator."""

    def __init__(self, folder: Path):
        self.folder = seeded_state(folder)
        self.status = anyio.run(lambda: process.ensure_up(self.folder, speed=20_000))
        self.http = client(self.status)

    def get(self, path: str, **headers: str) -> Json:
        return self.http.get(path, headers=headers).raise_for_status().json()

    def roll(self, model: str, version: str = "1", **spec: Any) -> str:
        back = {"version": "1", "digest": digest("1"), "storageUri": "oci://r/m:1"} if version != "1" else None
        body = {
            "model": model,
            "version": version,
            "digest": digest(version),
            "storageUri": f"oci://r/m:{version}",
            "runtime": "kserve-tritonserver",
            "waves": WAVES,
            "selector": {"matchLabels": {"node-role.kubernetes.io/edge": ""}},
            **({"rollbackTo": back} if back else {}),
            **spec,
        }
        meta = {"name": f"{model}-{version}", "namespace": "vision-dev"}
        api = {"apiVersion": "edge.aiplatform.dev/v1alpha1", "kind": "EdgeRollout"}
        self.http.post(ROLLOUTS, json={**api, "metadata": meta, "spec": body}).raise_for_status()
        return meta["name"]

    def told(self, name: str) -> Json:
        return self.get(f"{ROLLOUTS}/{name}").get("status") or {}

    def merge(self, path: str, body: Json) -> None:
        media = {"Content-Type": "application/merge-patch+json"}
        self.http.patch(path, content=json.dumps(body), headers=media).raise_for_status()

    def controller(self) -> int | None:
        """The controller's process, None where there is none."""
        mine = os.fsencode(process.controller_kubeconfig_file(self.folder))
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mine in (entry / "cmdline").read_bytes().split(b"\0"):
                    return int(entry.name)
            except OSError:
                continue
        return None


def digest(version: str) -> str:
    return "sha256:" + version * 64


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox in which nothing was rolled out yet. At the end it is killed, which its controller must not outlive."""
    found = Sandbox(tmp_path_factory.mktemp("rollouts") / "state")
    try:
        yield found
        assert found.status.pid is not None and found.controller() is not None
        os.kill(found.status.pid, signal.SIGKILL)
        until(lambda: found.controller() is None, "the controller ends with its sandbox", 20)
    finally:
        found.http.close()
        anyio.run(process.down, found.folder)


def test_a_rollout_passes_its_waves_owes_who_is_away_and_brings_it_when_they_return(sandbox: Sandbox) -> None:
    assert sandbox.controller() is None, "a world without rollouts has no controller"
    name = sandbox.roll("good")
    until(lambda: sandbox.told(name).get("phase") == "Succeeded", "the rollout")
    told = sandbox.told(name)
    assert (told["total"], told["healthy"], told["offline"], set(told["owed"])) == (47, 44, 3, OFFLINE)
    sandbox.merge("/api/v1/nodes/edge-us-east-2-04", {"metadata": {"annotations": {FAULTS: None}}})
    until(lambda: sandbox.told(name)["healthy"] == 45, "the node that returned converges")
    assert set(sandbox.told(name)["owed"]) == OFFLINE - {"edge-us-east-2-04"}
    pods = sandbox.get("/api/v1/namespaces/vision-dev/pods?labelSelector=aiplatform.dev/model=good")["items"]
    assert len({row["spec"]["nodeName"] for row in pods}) == len(pods) == 45


def test_a_bad_release_is_stopped_in_its_canary_and_taken_back_though_its_controller_is_killed(
    sandbox: Sandbox,
) -> None:
    where: Json = {"sites": ["us-south-1", "us-south-2"]}
    first = sandbox.roll("shaky", **where)
    until(lambda: sandbox.told(first).get("phase") == "Succeeded", "the release before")
    bad = json.dumps([{"kind": "crash-loop", "model": "shaky", "version": "2"}])
    meta = {"name": "sandbox-faults", "namespace": "aiplatform-system"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"shaky": bad}}
    sandbox.http.post("/api/v1/namespaces/aiplatform-system/configmaps", json=config).raise_for_status()
    killed = sandbox.controller()
    assert killed is not None
    name = sandbox.roll("shaky", "2", **where)
    os.kill(killed, signal.SIGKILL)
    until(lambda: sandbox.told(name).get("phase") == "RolledBack", "the rollback")
    assert sandbox.controller() not in (None, killed)
    label = "edge.aiplatform.dev/release.shaky"
    runs = [row["metadata"]["labels"].get(label) for row in sandbox.get("/api/v1/nodes")["items"]]
    assert runs.count("1") == 10 and runs.count("2") == 0
    marks = [json.loads(mark) for row in sandbox.get("/api/v1/nodes")["items"] if (mark := of(row, "shaky"))]
    reached = [mark for mark in marks if mark["version"] == "2"]
    assert 0 < len(reached) <= 5, "no wave after the canary was reached"


def of(node: Json, model: str) -> str:
    return (node["metadata"].get("annotations") or {}).get(f"edge.aiplatform.dev/mark.{model}", "")


def test_kubectl_shows_how_a_rollout_stands(sandbox: Sandbox) -> None:
    name = sandbox.roll("shown", waves=[{"name": "all", "percent": 100}], sites=["eu-west-1"])
    until(lambda: sandbox.told(name).get("phase") == "Succeeded", "the rollout")
    table = sandbox.get(f"{ROLLOUTS}/{name}", Accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    shown = dict(zip([row["name"] for row in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True))
    assert shown.items() >= {"Name": name, "Model": "shown", "Version": "1", "Phase": "Succeeded"}.items()
    events = sandbox.get("/api/v1/namespaces/vision-dev/events")["items"]
    assert {row["reason"] for row in events if row["involvedObject"]["name"] == name} >= {"WaveStarted", "Succeeded"}


def test_the_controller_has_the_rights_that_we_ship_and_no_others(sandbox: Sandbox) -> None:
    text = process.controller_kubeconfig_file(sandbox.folder).read_text()
    token = text.split("token: ")[1].split()[0]
    mine = {"Authorization": f"Bearer {token}"}

    def asks(method: str, path: str) -> int:
        return httpx.request(method, f"{sandbox.status.kubernetes_url}{path}", headers=mine, verify=False).status_code

    sites = "/api/v1/namespaces/aiplatform-system/configmaps"
    assert asks("GET", f"{sites}?fieldSelector=metadata.name%3Dedge-sites") == 200
    assert asks("GET", sites) == asks("GET", f"{sites}?fieldSelector=metadata.name%3Dsandbox-faults") == 403
    assert asks("GET", "/api/v1/secrets") == asks("DELETE", "/api/v1/nodes/edge-eu-west-1-01") == 403
