"""A wave passes where the release is measured to be no worse, by a controller of its own and a metrics store over HTTP."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controllers.conftest import namespace
from controllers.edge_world import NAMESPACE, Fleet, release, start_controller, until
from controllers.kubelet import Kubelet
from controllers.traffic import Calls, Traffic, store
from kubernetes_servers import Server, sandbox_server

WAVES = [{"name": "canary", "percent": 30, "canary": True}, {"name": "rest", "percent": 100}]
ERRORS = {"check": "errors", "toleratedPerMille": 50}
SLOW = {"check": "slow", "toleratedPerMille": 100}


@dataclass
class World:
    """One API server and one metrics store; every fleet runs version 1 already and is served traffic."""

    server: Server
    kubelet: Kubelet
    traffic: Traffic
    url: str
    folder: Path
    fleets: dict[str, tuple[Fleet, str]] = field(default_factory=dict[str, tuple[Fleet, str]])
    processes: list[Any] = field(default_factory=list[Any])

    def begin(
        self, name: str, new: Calls | None, *checks: dict[str, Any], wait: int = 20, control: str = "Nodes", **spec: Any
    ) -> None:
        fleet = Fleet(self.server, self.kubelet, name, sites=3, per_site=1)
        if control == "Cloud":  # nothing ran on its nodes before
            self.traffic.flows_in_cloud(name, "1")
        else:
            for node in fleet.names:
                labels = {f"edge.aiplatform.dev/release.{name}": "1"}
                self.server.merge(f"/api/v1/nodes/{node}", {"metadata": {"labels": labels}})
            self.traffic.flows(NAMESPACE, name, "1", fleet.names)
        if new is not None:
            self.traffic.flows(NAMESPACE, name, "2", fleet.names, new)
        analysis = {
            "checks": list(checks or (ERRORS,)),
            "minSamples": 100,
            "waitSeconds": wait,
            "control": control,
        }
        given = {"waves": WAVES, "rollbackTo": release("1"), "analysis": analysis, **spec}
        self.fleets[name] = fleet, fleet.roll("2", **given)

    def start(self) -> None:
        options = "--standalone", "--prometheus", self.url
        self.processes.append(start_controller(self.server.kubeconfig, self.folder / "controller.log", *options))

    def kill(self) -> None:
        while self.processes:
            process = self.processes.pop()
            process.kill()
            process.wait()

    def analysis(self, name: str) -> dict[str, Any]:
        fleet, rollout = self.fleets[name]
        return fleet.status(rollout).get("analysis") or {}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All rollouts begin together: each takes seconds of real calls, and the tests wait for what becomes of them.

    The store is a real Prometheus where there is one; that the sandbox's counts the same is tested with the adapter.
    """
    folder, traffic = tmp_path_factory.mktemp("measured"), Traffic()
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(store(traffic, folder, real=shutil.which("prometheus") is not None))
        server = stack.enter_context(sandbox_server(folder))
        server.http.post("/api/v1/namespaces", json=namespace(NAMESPACE))
        kubelet = Kubelet(server, NAMESPACE)
        kubelet.start()
        stack.callback(kubelet.stop)
        made = World(server, kubelet, traffic, url, folder)
        made.begin("worse", Calls(bad=0.3))
        made.begin("slower", Calls(slow=0.6), ERRORS, SLOW, onFailure="Pause")
        made.begin("equal", Calls(), ERRORS, SLOW)
        made.begin("silent", None, wait=2)
        made.begin("first", Calls(bad=0.3), control="Cloud", onFailure="Pause")
        made.begin("down", Calls(), wait=100)
        traffic.refused.add("down")
        made.start()
        yield made
        made.kill()


def test_a_release_that_fails_more_often_goes_back_in_its_canary(world: World):
    fleet, name = world.fleets["worse"]
    status = fleet.ends(name, "RolledBack", 90)
    assert status["reason"] == "analysis" and set(fleet.versions().values()) == {"1"}
    (row,) = status["analysis"]["checks"]
    assert (status["analysis"]["verdict"], row["verdict"], row["against"]) == ("fail", "fail", "control nodes")
    assert row["points"] > 20 and row["new"]["total"] >= 100 and row["new"]["bad"] / row["new"]["total"] > 0.2
    events = world.server.send("GET", f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
    told = [
        row["message"] for row in events if row["involvedObject"]["name"] == name and row["reason"] == "RollingBack"
    ]
    assert len(told) == 1 and "errors fail" in told[0]


def test_a_release_that_is_slower_waits_for_a_person_where_that_is_asked_for(world: World):
    fleet, name = world.fleets["slower"]
    status = fleet.ends(name, "Paused", 90)
    verdicts = {row["check"]: row["verdict"] for row in status["analysis"]["checks"]}
    assert verdicts["slow"] == "fail" and verdicts["errors"] != "fail" and status["reason"] == "analysis"
    assert status["analysis"]["slowerThanSeconds"] == {"control nodes": 0.1}
    assert sorted(fleet.versions().values()) == ["1", "1", "2"]


def test_a_first_release_is_compared_with_the_cloud(world: World):
    fleet, name = world.fleets["first"]
    status = fleet.ends(name, "Paused", 90)
    (row,) = status["analysis"]["checks"]
    assert (row["against"], row["verdict"], status["reason"]) == ("cloud", "fail", "analysis")
    assert sorted(fleet.versions().values()) == ["", "", "2"]


def test_a_release_that_is_as_good_passes_every_wave_also_the_last_where_nobody_is_left_to_compare_with(world: World):
    fleet, name = world.fleets["equal"]
    status = fleet.ends(name, "Succeeded", 90)
    assert set(fleet.versions().values()) == {"2"}
    assert (status["analysis"]["verdict"], status["analysis"]["wave"]) == ("pass", 1)
    assert {row["against"] for row in status["analysis"]["checks"]} == {"same nodes before"}


def test_a_release_that_nobody_calls_is_inconclusive_and_goes_on_when_a_person_accepts_it(world: World):
    fleet, name = world.fleets["silent"]
    status = fleet.ends(name, "Paused", 90)
    assert status["reason"] == "inconclusive" and "no fresh samples of the release" in status["analysis"]["message"]
    assert sorted(fleet.versions().values()) == ["1", "1", "2"]
    fleet.change(name, accepted={"wave": 1})
    fleet.ends(name, "Succeeded", 90)


def test_no_metrics_store_is_no_pass_and_a_controller_that_is_killed_goes_on_when_it_is_back(world: World):
    fleet, name = world.fleets["down"]
    before = until(lambda: (found := world.analysis("down")).get("since") and found, "the canary has its quorum")
    until(lambda: "503" in world.analysis("down").get("message", ""), "it is told why nothing is measured")
    world.kill()
    world.traffic.refused.clear()
    assert fleet.status(name)["phase"] == "Running" and fleet.status(name)["wave"] == 0
    world.start()
    status = fleet.ends(name, "Succeeded", 90)
    assert status["analysis"]["verdict"] == "pass"
    assert before["verdict"] == "pending"
