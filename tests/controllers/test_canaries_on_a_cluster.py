"""Cloud canaries move on an API server, the sandbox's and a real one, while somebody plays KServe."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
from ai_platform_mcp.cli.controller import access, canary_feeds_of
from ai_platform_mcp.controllers.canary.loop import CanaryController
from ai_platform_mcp.core.rows import ClusterInfo
from ai_platform_mcp.domain.analysis.judge import Check
from ai_platform_mcp.domain.analysis.sides import Outcomes, Side
from controllers.conftest import namespace
from controllers.edge_world import until
from controllers.kserve_actor import Json, KserveActor
from controllers.test_it_runs_with_the_least_rights import MANIFESTS, apply, kubeconfig
from domain.canary_model import STABLE, VERSION, predictor_of
from kubernetes_servers import Server, real_server, sandbox_server

NAMESPACE = "canaries"
ROLLOUTS = f"/apis/serving.aiplatform.dev/v1alpha1/namespaces/{NAMESPACE}/canaryrollouts"
STABLE_PREDICTOR = predictor_of("1", minReplicas=4, maxReplicas=8, nodeSelector={"pool": "old"})
ERRORS = {"checks": [{"check": "errors"}], "minSamples": 10, "waitSeconds": 2}
MODES = pytest.mark.parametrize("mode", ["Knative", "Standard"])


@dataclass(frozen=True)
class Scenario:
    """A service with version 1, version 2 at its first step, and what becomes of it."""

    mode: str = "Knative"
    percent: int = 10
    bad: int | None = 0
    never_ready: bool = False
    marks: Json = field(default_factory=dict)
    spec: Json = field(default_factory=dict)


GREEN = {"strategy": "BlueGreen", "steps": [{"percent": 0, "holdSeconds": 1}], "keepSeconds": 1, "analysis": ERRORS}
FLUX = "kustomize.toolkit.fluxcd.io"
SCENARIOS = {
    "good-knative": Scenario(spec={"analysis": ERRORS}),
    "good-standard": Scenario("Standard", spec={"analysis": ERRORS}),
    "bad-knative": Scenario(bad=300, spec={"analysis": ERRORS}),
    "bad-standard": Scenario("Standard", bad=300, spec={"analysis": ERRORS}),
    "green-knative": Scenario(percent=0, spec=GREEN),
    "green-standard": Scenario("Standard", percent=0, spec=GREEN),
    "unmeasured": Scenario(bad=None, spec={"analysis": ERRORS}),
    "late": Scenario("Standard", never_ready=True, spec={"progressDeadlineSeconds": 1}),
    "topped": Scenario(spec={"steps": [{"percent": 10, "holdSeconds": 600}]}),
    "followed": Scenario(spec={"steps": [{"percent": 10, "holdSeconds": 600}]}),
    "kept": Scenario(marks={f"{FLUX}/name": "apps", f"{FLUX}/namespace": "flux-system"}),
}
"""All of them go on side by side."""


class Measured:
    """A metrics store: ``bad`` says how many of 1,000 calls to a model's version 2 failed; None where nothing is counted."""

    def __init__(self) -> None:
        self.bad: dict[str, int | None] = {}

    async def outcomes(self, check: Check, side: Side, source: str = "") -> Outcomes | None:
        bad = self.bad.get(side.model, 0) if "2" in side.versions else 0
        return None if bad is None else Outcomes(source="test", total=1000, bad=bad)


class Cloud:
    """A server, its KServe, and one controller over it."""

    def __init__(self, server: Server):
        self.server, self.actor, self.measured = server, KserveActor(server, NAMESPACE), Measured()

    def begin(self, scenarios: dict[str, Scenario]) -> None:
        """Let version 1 of every service serve, deploy version 2 at its first step as plans do, and the rollouts beside."""
        for name, row in scenarios.items():
            first = self.manifest(name, row.mode, "1", {"predictor": STABLE_PREDICTOR})
            self.server.apply(f"{self.actor.path}/{name}", first, "ai-platform-mcp")
        for name in scenarios:
            until(lambda name=name: self.ready_answers(name) == {"1": 100}, f"{name} serves")
        for name, row in scenarios.items():
            self.measured.bad[name] = row.bad
            if row.never_ready:
                self.actor.never_ready[name] = "2"
            second = self._second(name, row.mode, row.percent, row.marks)
            self.server.apply(f"{self.actor.path}/{name}", second, "ai-platform-mcp")
            self.roll(name, **row.spec)

    def _second(self, name: str, mode: str, percent: int, marks: Json, version: str = "2") -> Json:
        if mode == "Knative":
            fresh = predictor_of(version, minReplicas=4, maxReplicas=8, canaryTrafficPercent=percent)
            found = self.manifest(name, mode, version, {"predictor": fresh})
        else:
            beside = predictor_of("2", name="canary-v2", minReplicas=1)
            beside["model"]["name"] = "kserve-container"
            canary = [{"trafficPercent": percent, "predictor": beside}]
            found = self.manifest(name, mode, "2", {"predictor": STABLE_PREDICTOR, "canary": canary})
        found["metadata"]["annotations"][STABLE] = "1"
        found["metadata"]["labels"] |= marks
        return found

    def manifest(self, name: str, mode: str, version: str, spec: Json) -> Json:
        spec = copy.deepcopy(spec)
        spec["predictor"]["model"]["modelFormat"] = {"name": "onnx"}
        for row in spec.get("canary", []):
            row["predictor"]["model"]["modelFormat"] = {"name": "onnx"}
        labels = {VERSION: version, "aiplatform.dev/model": name}
        notes = {"serving.kserve.io/deploymentMode": mode}
        meta = {"name": name, "namespace": NAMESPACE, "labels": labels, "annotations": notes}
        return {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": meta, "spec": spec}

    def follow(self, name: str) -> str:
        """Deploy version 3 over version 2, as plans do: without a share, and with a rollout of its own."""
        third = self._second(name, "Knative", 0, {}, "3")
        self.server.apply(f"{self.actor.path}/{name}", third, "ai-platform-mcp")
        return self.roll(name, f"{name}-3", version="3")

    def ready_answers(self, name: str) -> dict[str, int]:
        try:
            return self.actor.models[name].answers()
        except (KeyError, IndexError):
            return {}

    def roll(self, service: str, name: str = "", **spec: Any) -> str:
        name = name or service
        stable = copy.deepcopy(self.manifest(service, "", "1", {"predictor": STABLE_PREDICTOR})["spec"]["predictor"])
        fields = {
            "model": service,
            "version": "2",
            "inferenceService": service,
            "stable": {"version": "1", "predictor": stable},
            "steps": [{"percent": share, "holdSeconds": 0} for share in (10, 50, 100)],
            "progressDeadlineSeconds": 60,
            **spec,
        }
        body = {
            "apiVersion": "serving.aiplatform.dev/v1alpha1",
            "kind": "CanaryRollout",
            "metadata": {"name": name},
            "spec": fields,
        }
        self.server.post(ROLLOUTS, body)
        return name

    def read(self, name: str) -> Json:
        found = self.server.get(f"{self.actor.path}/{name}")
        assert found is not None
        return found

    def status(self, name: str) -> Json:
        return (self.server.get(f"{ROLLOUTS}/{name}") or {}).get("status") or {}

    def change(self, name: str, **spec: Any) -> None:
        self.server.merge(f"{ROLLOUTS}/{name}", {"spec": spec})

    def ends(self, name: str, phase: str) -> Json:
        try:
            until(lambda: self.status(name).get("phase") == phase, f"{name} {phase}", 40)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.status(name)}") from None
        return self.status(name)

    def events(self, name: str) -> list[str]:
        found = self.server.send("GET", f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
        return [row["reason"] for row in found if row["involvedObject"]["name"] == name]


def keep_going(kubeconfig: Path, measured: Measured, end: threading.Event) -> None:
    """The controller, in a thread of its own."""

    async def work() -> None:
        config = ClusterConfig(info=ClusterInfo(name="c"), kubeconfig=kubeconfig, context="", in_cluster=False)
        async with access(config) as port, anyio.create_task_group() as group:
            controller = CanaryController(port, counts=measured)
            group.start_soon(controller.run, canary_feeds_of(port.access, controller), lambda: True)
            while not end.is_set():
                await anyio.sleep(0.1)
            group.cancel_scope.cancel()

    anyio.run(work)


@pytest.fixture(scope="module", params=["sandbox", "real"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("canaries")
    with sandbox_server(folder) if request.param == "sandbox" else real_server(folder) as server:
        server.http.post("/api/v1/namespaces", json=namespace(NAMESPACE))
        cloud, end = Cloud(server), threading.Event()
        cloud.actor.start()
        config = server.kubeconfig
        if server.name == "real":  # there with no more rights than the manifests give it
            for manifest in yaml.safe_load_all(MANIFESTS.read_text()):
                apply(server, manifest)
            config = kubeconfig(server, folder)
        thread = threading.Thread(target=keep_going, args=(config, cloud.measured, end), daemon=True)
        thread.start()
        cloud.begin(SCENARIOS)
        yield cloud
        end.set()
        thread.join(10)
        cloud.actor.stop()


@MODES
def test_a_good_version_gets_all_the_traffic_step_by_step(cloud: Cloud, mode: str):
    name = f"good-{mode.lower()}"
    status = cloud.ends(name, "Succeeded")
    assert {row["type"]: row["status"] for row in status["conditions"]}["Complete"] == "True"
    spec = cloud.read(name)["spec"]
    assert spec["predictor"]["model"]["storageUri"] == "oci://two" and "canary" not in spec
    assert "canaryTrafficPercent" not in spec["predictor"] and spec["predictor"]["maxReplicas"] == 8
    until(lambda: cloud.ready_answers(name) == {"2": 100}, "it answers alone")
    shares = cloud.actor.shares[name]
    assert shares == sorted(shares) and {10, 50, 100} <= set(shares)
    assert cloud.events(name).count("StepStarted") == 3, "no step is told twice"


@MODES
def test_a_version_that_fails_more_calls_goes_and_the_old_one_is_as_it_was(cloud: Cloud, mode: str):
    name = f"bad-{mode.lower()}"
    status = cloud.ends(name, "RolledBack")
    assert status["analysis"]["verdict"] == "fail" and "errors" in status["analysis"]["message"]
    live = cloud.read(name)
    assert live["metadata"]["labels"][VERSION] == "1"
    assert (STABLE in live["metadata"]["annotations"]) == (mode == "Knative"), "there it would start another revision"
    assert live["spec"] == cloud.manifest(name, mode, "1", {"predictor": STABLE_PREDICTOR})["spec"]
    assert max(cloud.actor.shares[name]) <= 10
    until(lambda: cloud.ready_answers(name) == {"1": 100}, "the old one answers alone")


@MODES
def test_blue_and_green_warms_up_unseen_and_moves_at_once(cloud: Cloud, mode: str):
    name = f"green-{mode.lower()}"
    cloud.ends(name, "Succeeded")
    assert set(cloud.actor.shares[name]) == {0, 100}


def test_what_is_not_measured_waits_for_a_person_who_lets_it_go_on(cloud: Cloud):
    status = cloud.ends("unmeasured", "Paused")
    assert (status["reason"], status["step"]) == ("inconclusive", 0)
    cloud.change("unmeasured", accepted={"step": 2})
    cloud.ends("unmeasured", "Succeeded")


def test_a_version_that_never_gets_ready_goes_at_its_deadline(cloud: Cloud):
    assert cloud.ends("late", "RolledBack")["reason"] == "deadline"
    assert "canary" not in cloud.read("late")["spec"]


def test_another_version_on_top_is_left_alone(cloud: Cloud):
    until(lambda: cloud.status("topped").get("phase") == "Running", "it runs")
    cloud.server.merge(f"{cloud.actor.path}/topped", {"metadata": {"labels": {VERSION: "3"}}})
    assert cloud.ends("topped", "Stopped")["reason"] == "superseded"
    assert cloud.read("topped")["spec"]["predictor"]["canaryTrafficPercent"] == 10


def test_what_supersedes_a_canary_takes_its_traffic_at_once_and_comes_up_alone(cloud: Cloud):
    until(lambda: cloud.status("followed").get("revision"), "its share flows")
    cloud.actor.never_ready["followed"] = "3"
    newest, shares = cloud.follow("followed"), cloud.actor.shares["followed"]
    told = len(shares) + 1  # one look of the actor's may have begun before
    until(lambda: cloud.status(newest).get("phase") == "Running" and len(shares) > told + 6, "it is waited for")
    del cloud.actor.never_ready["followed"]
    cloud.ends(newest, "Succeeded")
    assert cloud.ends("followed", "Stopped")["reason"] == "superseded"
    assert set(shares[told:]) == {0}
    until(lambda: cloud.ready_answers("followed") == {"3": 100}, "it answers alone")
    live = cloud.read("followed")
    assert live["spec"]["predictor"]["model"]["storageUri"] == "oci://3"
    assert {row["manager"] for row in live["metadata"]["managedFields"] if not row.get("subresource")} == {
        "ai-platform-mcp"
    }


def test_what_a_gitops_tool_keeps_is_left_to_it(cloud: Cloud):
    status = cloud.ends("kept", "Stopped")
    assert status["reason"] == "gitops" and "flux-system/apps" in status["message"]
    assert cloud.read("kept")["spec"]["predictor"]["canaryTrafficPercent"] == 10


def test_the_next_plan_meets_no_conflict_with_the_controller(cloud: Cloud):
    cloud.ends("good-knative", "Succeeded")
    entries = cloud.read("good-knative")["metadata"]["managedFields"]
    managers = {row["manager"] for row in entries if not row.get("subresource")}
    assert managers == {"ai-platform-mcp"}, "the controller writes a service under the name that plans apply it by"


def test_nonsense_is_refused_by_the_definition(cloud: Cloud):
    for spec, why in (
        ({"steps": [{"percent": 0}]}, "a step of 0 percent is for BlueGreen"),
        ({"strategy": "BlueGreen"}, "BlueGreen has one step of 0 percent"),
        ({"keepSeconds": 5}, "keepSeconds is for BlueGreen"),
        ({"analysis": {"checks": [{"check": "disagreement"}]}}, "disagreement"),
    ):
        answer = cloud.server.http.post(ROLLOUTS, json=_rollout(spec))
        assert answer.status_code == 422 and why in answer.text, answer.text


def _rollout(spec: Json) -> Json:
    base = {
        "model": "m",
        "version": "2",
        "inferenceService": "m",
        "stable": {"version": "1"},
        "steps": [{"percent": 5}],
    }
    kind = {"apiVersion": "serving.aiplatform.dev/v1alpha1", "kind": "CanaryRollout", "metadata": {"name": "x"}}
    return {**kind, "spec": {**base, **spec}}
