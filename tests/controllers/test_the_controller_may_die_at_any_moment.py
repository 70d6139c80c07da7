"""Everything is in the cluster: the controller is killed, the API server goes away, and the same fleet comes about."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
from pathlib import Path

import pytest

from controllers.conftest import namespace
from controllers.edge_world import NAMESPACE, Fleet, controlled, release, start_controller, until
from controllers.kubelet import Kubelet
from kubernetes_servers import Server, real_server, sandbox_server


@contextlib.contextmanager
def bare(server: Server):
    """A server with a kubelet and without a controller."""
    server.http.post("/api/v1/namespaces", json=namespace(NAMESPACE))
    kubelet = Kubelet(server, NAMESPACE)
    kubelet.start()
    try:
        yield kubelet
    finally:
        kubelet.stop()


@pytest.fixture(params=["sandbox", "real"])
def server(request: pytest.FixtureRequest, tmp_path: Path):
    with sandbox_server(tmp_path) if request.param == "sandbox" else real_server(tmp_path, ("kueue-",)) as found:
        yield found


def test_killed_again_and_again_it_brings_the_same_fleet_about(server: Server, tmp_path: Path):
    dice = random.Random(7)
    with bare(server) as kubelet:
        good, bad = (Fleet(server, kubelet, name, sites=4) for name in ("good", "bad"))
        good_name = good.roll(soakSeconds=1)
        bad.take("crashes", "2")
        bad_name = bad.roll(soakSeconds=1, rollbackTo=release("1"))
        for _ in range(4):
            process = start_controller(server.kubeconfig, tmp_path / "controller.log", "--standalone", "-v")
            lives = dice.uniform(1.2, 3.0)  # it takes about a second to start
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(lives)
            process.kill()
            process.wait()
        with controlled(server.kubeconfig, tmp_path / "controller.log", "--standalone"):
            good.ends(good_name, "Succeeded")
            bad.ends(bad_name, "RolledBack")
        assert set(good.versions().values()) == {"2"} and set(bad.versions().values()) == {""}
        marked = "edge.aiplatform.dev/mark.bad"
        touched = [
            node for node in kubelet.nodes("bad").values() if marked in (node["metadata"].get("annotations") or {})
        ]
        assert len(touched) == 1, "only the canary was touched"
        assert good.events(good_name).count("WaveStarted") == 3, "no wave is told twice"


def test_an_api_server_that_goes_away_and_comes_back_changes_nothing(tmp_path: Path):
    log = tmp_path / "controller.log"
    with contextlib.ExitStack() as stack:
        with sandbox_server(tmp_path) as server:
            url, token = str(server.http.base_url), server.http.headers["Authorization"]
            with bare(server) as kubelet:
                fleet = Fleet(server, kubelet, "m", sites=4)
                name = fleet.roll(soakSeconds=2)
                stack.enter_context(controlled(server.kubeconfig, log, "--standalone"))
                until(lambda: "2" in fleet.versions().values(), "it began")
        port = int(re.findall(r":(\d+)", url)[-1])
        with sandbox_server(tmp_path, port) as server:
            assert server.http.headers["Authorization"] == token
            with bare(server) as kubelet:
                kubelet.online = set(fleet.names)
                fleet.server, fleet.kubelet = server, kubelet
                fleet.ends(name, "Succeeded")
                assert set(fleet.versions().values()) == {"2"}


def test_of_two_controllers_one_leads_and_the_other_takes_over(tmp_path: Path):
    lease = "/apis/coordination.k8s.io/v1/namespaces/edge-controller/leases/ai-platform-mcp-controller"
    options = ("--lease-namespace", NAMESPACE)
    with sandbox_server(tmp_path) as server, bare(server) as kubelet:
        fleet = Fleet(server, kubelet, "m", sites=2)
        with controlled(server.kubeconfig, tmp_path / "a.log", *options) as first:
            holder = until(lambda: (server.get(lease) or {}).get("spec", {}).get("holderIdentity"), "somebody leads")
            with controlled(server.kubeconfig, tmp_path / "b.log", *options):
                fleet.ends(fleet.roll("1"), "Succeeded")
                first.terminate()
                assert first.wait(15) == 0, "it ends in good order"
                fleet.ends(fleet.roll("2"), "Succeeded")
                found = server.get(lease)
                assert found is not None and found["spec"]["holderIdentity"] not in ("", holder)


def test_a_rollout_costs_at_most_four_requests_a_node(tmp_path: Path):
    log = tmp_path / "controller.log"
    with sandbox_server(tmp_path) as server, bare(server) as kubelet:
        fleet = Fleet(server, kubelet, "m", sites=10, per_site=4)
        with controlled(server.kubeconfig, log, "--standalone", "-v"):
            fleet.ends(fleet.roll(), "Succeeded")
    requests = int(re.findall(r"ended after (\d+) requests", log.read_text())[-1])
    assert 80 <= requests <= 160, "two writes a node, and what is told of the rollout"
