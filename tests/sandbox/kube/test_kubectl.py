"""kubectl at work on the sandbox, with a home and a kubeconfig of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Sandbox, deployment, pod

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")

Kubectl = Callable[..., str]


@pytest.fixture
def kubectl(sandbox: Sandbox, tmp_path: Path) -> Kubectl:
    environment = {"KUBECONFIG": str(sandbox.kubeconfig), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def run(*arguments: str, given: object = None, fails: bool = False) -> str:
        text = None if given is None else json.dumps(given)
        done = subprocess.run(
            [str(KUBECTL), *arguments], env=environment, input=text, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else done.stdout

    return run


def test_resources_of_all_systems_are_found_by_short_name(kubectl: Kubectl) -> None:
    listed = kubectl("api-resources", "--no-headers")
    for word in (
        "clusterqueues",
        "trainjobs",
        "inferenceservices",
        "edgerollouts",
        "poddisruptionbudgets",
        "deviceclasses",
    ):
        assert word in listed
    assert "inferenceservices.serving.kserve.io" in kubectl("get", "crd", "-o", "name")
    assert kubectl("get", "isvc,edgerollouts,pdb", "-n", "kube-public") == ""


def test_apply_server_side_twice_and_get(kubectl: Kubectl, namespace: str) -> None:
    there = ("-n", namespace)
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", *there, given=deployment(replicas=2))
    assert "serverside-applied" in kubectl("apply", "--server-side", "-f", "-", *there, given=deployment(replicas=3))
    header, row = kubectl("get", "deploy", "-o", "wide", *there).splitlines()
    assert header.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert row.split() == ["web", "0/3", "0", "0", row.split()[4], "main", "nginx:1.29", "app=web"]
    conflict = kubectl(
        "apply", "--server-side", "--field-manager=other", "-f", "-", *there, given=deployment(replicas=9), fails=True
    )
    assert 'conflict with "kubectl": .spec.replicas' in conflict


def test_a_wrong_field_is_refused_by_name(kubectl: Kubectl, namespace: str) -> None:
    wrong = deployment()
    wrong["spec"]["replicaz"] = 2
    assert 'unknown field "spec.replicaz"' in kubectl("create", "-f", "-", "-n", namespace, given=wrong, fails=True)


def test_client_side_apply_scale_patch_and_label(kubectl: Kubectl, namespace: str) -> None:
    there = ("-n", namespace)
    kubectl("apply", "-f", "-", *there, given=deployment())
    assert "configured" in kubectl("apply", "-f", "-", *there, given=deployment(image="nginx:1.30"))
    kubectl("scale", "deploy/web", "--replicas=5", *there)
    kubectl("patch", "deploy/web", "-p", '{"spec":{"paused":true}}', *there)
    kubectl("label", "deploy/web", "team=vision", *there)
    got = json.loads(kubectl("get", "deploy", "web", "-o", "json", *there))
    assert (got["spec"]["replicas"], got["spec"]["paused"]) == (5, True)
    assert got["metadata"]["labels"] == {"team": "vision"}
    assert got["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.30"
    assert "Replicas:               5 desired" in kubectl("describe", "deploy", "web", *there)
    assert "deleted" in kubectl("delete", "deploy", "web", *there)


def test_cordon_and_drain_move_pods_off_a_node(sandbox: Sandbox, kubectl: Kubectl, namespace: str) -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert sandbox.post("/api/v1/nodes", {"metadata": {"name": "edge-1"}, "status": ready}).status_code == 201
    body = pod("a")
    body["spec"]["nodeName"] = "edge-1"
    body["metadata"]["ownerReferences"] = []
    sandbox.post(f"/api/v1/namespaces/{namespace}/pods", body)
    kubectl("cordon", "edge-1")
    assert "Ready,SchedulingDisabled" in kubectl("get", "nodes")
    drained = kubectl("drain", "edge-1", "--force", "--timeout=20s")
    assert "pod/a evicted" in drained
    assert "drained" in drained
    assert sandbox.get(f"/api/v1/namespaces/{namespace}/pods/a").status_code == 404
    kubectl("uncordon", "edge-1")
    assert "SchedulingDisabled" not in kubectl("get", "nodes")
    assert "Unschedulable:      false" in kubectl("describe", "node", "edge-1")


def test_a_wait_is_a_watch(sandbox: Sandbox, kubectl: Kubectl, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    sandbox.post(path, pod("a"))

    async def later() -> None:
        import asyncio

        bucket = sandbox.store.storage.bucket("pods")
        async with asyncio.timeout(20):
            while not bucket.watchers:
                await asyncio.sleep(0.01)
        status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
        await sandbox.store.patch("v1", "Pod", "a", status, namespace, subresource="status")

    import asyncio

    future = asyncio.run_coroutine_threadsafe(later(), sandbox.loop)
    assert "condition met" in kubectl("wait", "pod/a", "--for=condition=Ready", "--timeout=20s", "-n", namespace)
    future.result(5)


def test_explain_permissions_and_tokens(kubectl: Kubectl, namespace: str) -> None:
    assert "cohortName" in kubectl("explain", "clusterqueue.spec")
    assert kubectl("auth", "can-i", "create", "pods", "-n", namespace).strip() == "yes"
    assert kubectl("create", "token", "default", "-n", namespace).count(".") == 2
    assert "deleted" in kubectl("delete", "namespace", namespace)
