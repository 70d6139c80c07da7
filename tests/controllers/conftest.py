"""One server, one kubelet and one controller process for all tests of a kind: every test has a fleet and a model of its own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from controllers.edge_world import NAMESPACE, Fleet, controlled
from controllers.kubelet import Kubelet
from kubernetes_servers import Server, real_server, sandbox_server

CONTROLLER = ("--image", "registry.example/ai-platform-mcp:0.1.0")


@dataclass
class World:
    server: Server
    kubelet: Kubelet
    fleet: Callable[..., Fleet]

    def windows(self, sites: dict[str, str]) -> None:
        """Say when sites may be changed; those that are not named may be at any time."""
        data = {site: json.dumps({"maintenance_window_utc": text}) for site, text in sites.items()}
        path = "/api/v1/namespaces/aiplatform-system"
        self.server.http.post("/api/v1/namespaces", json=namespace("aiplatform-system"))
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "edge-sites"}, "data": data}
        self.server.apply(f"{path}/configmaps/edge-sites", body, "test")


def namespace(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@pytest.fixture(scope="module", params=["sandbox", "real"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("edge")
    start = sandbox_server(folder) if request.param == "sandbox" else real_server(folder, ("kueue-",))
    with start as server, contextlib.ExitStack() as stack:
        server.http.post("/api/v1/namespaces", json=namespace(NAMESPACE))
        kubelet = Kubelet(server, NAMESPACE)
        kubelet.start()
        stack.callback(kubelet.stop)
        stack.enter_context(controlled(server.kubeconfig, folder / "controller.log", "--standalone", "-v", *CONTROLLER))
        numbers = count(1)

        def fleet(**options: int) -> Fleet:
            return Fleet(server, kubelet, f"m{next(numbers)}", **options)

        yield World(server, kubelet, fleet)
