"""Canaries of both modes in the sandbox, moved by the controller that we ship: up to all traffic, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from ai_platform_mcp.sandbox import process
from sandbox.test_rollouts import Json, Sandbox, until

SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/vision-dev/inferenceservices"
ROLLOUTS = "/apis/serving.aiplatform.dev/v1alpha1/namespaces/vision-dev/canaryrollouts"
VERSION = "aiplatform.dev/version"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    found = Sandbox(tmp_path_factory.mktemp("canaries") / "state")
    try:
        yield found
    finally:
        found.http.close()
        anyio.run(process.down, found.folder)


def predictor(version: str, **more: Any) -> Json:
    model = {"modelFormat": {"name": "onnx"}, "runtime": "kserve-tritonserver", "storageUri": f"oci://r/m:{version}"}
    return {"labels": {VERSION: version}, "minReplicas": 2, "maxReplicas": 4, "model": model, **more}


def serve(sandbox: Sandbox, name: str, mode: str, version: str, spec: Json, **notes: str) -> None:
    notes = {"serving.kserve.io/deploymentMode": mode, **notes}
    meta = {"name": name, "labels": {VERSION: version, "aiplatform.dev/model": name}, "annotations": notes}
    body = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": meta, "spec": spec}
    headers = {"Content-Type": "application/apply-patch+yaml"}
    query = {"fieldManager": "ai-platform-mcp"}
    sandbox.http.patch(f"{SERVICES}/{name}", json=body, headers=headers, params=query).raise_for_status()


def service(sandbox: Sandbox, name: str) -> Json:
    return sandbox.get(f"{SERVICES}/{name}")


def told(sandbox: Sandbox, name: str) -> Json:
    return sandbox.get(f"{ROLLOUTS}/{name}").get("status") or {}


def is_ready(sandbox: Sandbox, name: str) -> bool:
    conditions = (service(sandbox, name).get("status") or {}).get("conditions") or []
    return any(row["type"] == "Ready" and row["status"] == "True" for row in conditions)


def begin(sandbox: Sandbox, name: str, mode: str, **spec: Any) -> None:
    """Version 1 serves; version 2 comes with 10 %, and with its rollout."""
    serve(sandbox, name, mode, "1", {"predictor": predictor("1")})
    until(lambda: is_ready(sandbox, name), f"{name} serves")
    if mode == "Knative":
        second: Json = {"predictor": predictor("2", canaryTrafficPercent=10)}
    else:
        beside = predictor("2", name="canary-v2", minReplicas=1)
        del beside["maxReplicas"]
        beside["model"]["name"] = "kserve-container"
        second = {"predictor": predictor("1"), "canary": [{"trafficPercent": 10, "predictor": beside}]}
    serve(sandbox, name, mode, "2", second, **{"aiplatform.dev/stable-version": "1"})
    body = {
        "model": name,
        "version": "2",
        "inferenceService": name,
        "stable": {"version": "1", "predictor": predictor("1")},
        "steps": [{"percent": share, "holdSeconds": 600} for share in (10, 50, 100)],
        "progressDeadlineSeconds": 2_000_000,  # time is fast here, and a busy machine is not
        **spec,
    }
    api = {"apiVersion": "serving.aiplatform.dev/v1alpha1", "kind": "CanaryRollout", "metadata": {"name": name}}
    sandbox.http.post(ROLLOUTS, json={**api, "spec": body}).raise_for_status()


@pytest.mark.parametrize("mode", ["Knative", "Standard"])
def test_a_canary_comes_to_all_traffic_and_another_goes_back_at_a_word(sandbox: Sandbox, mode: str) -> None:
    good, called_back = f"good-{mode.lower()}", f"back-{mode.lower()}"
    begin(sandbox, good, mode)
    begin(sandbox, called_back, mode, steps=[{"percent": 10, "holdSeconds": 10**9}])
    until(lambda: "stepStartedAt" in told(sandbox, called_back), "its share flows")
    sandbox.merge(f"{ROLLOUTS}/{called_back}", {"spec": {"rollBack": True}})
    for name, phase in ((good, "Succeeded"), (called_back, "RolledBack")):
        try:
            until(lambda name=name, phase=phase: told(sandbox, name).get("phase") == phase, name, 40)
        except AssertionError as late:
            raise AssertionError(f"{late}: {told(sandbox, name)}") from None
    assert service(sandbox, good)["spec"] == {"predictor": predictor("2")} | promoted(service(sandbox, good))
    back = service(sandbox, called_back)
    assert back["spec"] == {"predictor": predictor("1")} and back["metadata"]["labels"][VERSION] == "1"


def promoted(live: Json) -> Json:
    """What Standard mode's CRD asks of a canary's model, its container's name, stays with the promoted one."""
    named = predictor("2")
    if "name" in live["spec"]["predictor"]["model"]:
        named["model"]["name"] = "kserve-container"
    return {"predictor": named}
