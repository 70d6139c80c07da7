"""The manifests we ship are applied to a real API server, and the controller does its whole work under their ServiceAccount."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import yaml

from controllers.conftest import namespace
from controllers.edge_world import NAMESPACE, Fleet, controlled, release, until
from controllers.kubelet import Kubelet
from controllers.test_metrics import samples, series
from kubernetes_servers import ROOT, Server, real_server, write_config

MANIFESTS = ROOT / "src/ai_platform_mcp/controllers/deploy/controller.yaml"
PLURALS = {"Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "Deployment": "deployments"}


def apply(server: Server, manifest: dict[str, Any]) -> None:
    version, meta, kind = manifest["apiVersion"], manifest["metadata"], manifest["kind"]
    path = f"/apis/{version}" if "/" in version else f"/api/{version}"
    if "namespace" in meta:
        path += f"/namespaces/{meta['namespace']}"
    path += f"/{PLURALS.get(kind, kind.lower() + 's')}/{meta['name']}"
    server.send(
        "PATCH", path, manifest, "application/apply-patch+yaml", fieldManager="kubectl", fieldValidation="Strict"
    )


def kubeconfig(server: Server, folder: Path) -> Path:
    """A kubeconfig of the controller's ServiceAccount."""
    account = "/api/v1/namespaces/aiplatform-system/serviceaccounts/ai-platform-mcp-controller/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    token = server.post(account, body)["status"]["token"]
    cluster = yaml.safe_load(server.kubeconfig.read_text())["clusters"][0]["cluster"]
    return write_config(folder / "least", cluster["server"], token, Path(cluster["certificate-authority"]))


def test_the_service_account_can_do_the_work_and_nothing_else(tmp_path: Path):
    with real_server(tmp_path, ("kueue-",)) as server:
        server.http.post("/api/v1/namespaces", json=namespace(NAMESPACE))
        for manifest in yaml.safe_load_all(MANIFESTS.read_text()):
            apply(server, manifest)
        least, log = kubeconfig(server, tmp_path), tmp_path / "controller.log"
        kubelet = Kubelet(server, NAMESPACE)
        kubelet.start()
        try:
            fleet = Fleet(server, kubelet, "m", sites=3)
            options = ("--lease-namespace", "aiplatform-system", "--health", "127.0.0.1:0", "-v")
            with controlled(least, log, *options):
                fleet.ends(fleet.roll("1", stage=True), "Succeeded")
                fleet.take("crashes", "2")
                name = fleet.roll("2", rollbackTo=release("1"))
                fleet.ends(name, "RolledBack")
                until(lambda: fleet.daemon_sets() == {"1"}, "what nobody needs is deleted")
                until(lambda: "RolledBack" in fleet.events(name), "it is told")
                where = log.read_text().split("Health on ")[1].split("/healthz")[0]
                until(
                    lambda: "InferenceService is not served" in log.read_text(),
                    "canaries wait for KServe, and it is told",
                )
                assert [httpx.get(f"{where}/{path}").status_code for path in ("healthz", "readyz")] == [200, 200]
                scraped = samples(httpx.get(f"{where}/metrics").text)
                phase = {"namespace": NAMESPACE, "rollout": name, "phase": "RolledBack"}
                assert scraped[series("edge_rollout_status_phase", **phase)] == 1
                assert scraped[series("controller_leader")] == 1
        finally:
            kubelet.stop()
        assert "does not allow" not in log.read_text()
        token = yaml.safe_load(least.read_text())["users"][0]["user"]["token"]
        mine = {"Authorization": f"Bearer {token}"}
        for method, path in (
            ("GET", "/api/v1/secrets"),
            ("DELETE", f"/api/v1/nodes/{fleet.names[0]}"),
            ("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps"),
            ("POST", "/api/v1/namespaces/default/pods"),
            ("DELETE", f"/apis/edge.aiplatform.dev/v1alpha1/namespaces/{NAMESPACE}/edgerollouts/{name}"),
        ):
            assert server.http.request(method, path, headers=mine).status_code == 403, path
