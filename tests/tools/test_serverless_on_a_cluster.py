"""Cloud Run and Lambda on the wire: planned by discovery, judged, applied, listed, promoted, rolled back, cancelled.

The kinds are served from CRDs of our own making, and the test writes what their controllers would. One API server is two
clusters of the platform file: one in each cloud.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from ai_platform_mcp.app import App
from ai_platform_mcp.core.errors import Denied, PlatformError
from ai_platform_mcp.settings import Settings
from kubernetes_servers import Server
from live_platform import InWindow, Platform
from support.clusters import furnished
from support.in_memory import Registry, version_row
from support.serverless_crds import LAMBDA_DEFINITION, RUN_DEFINITION

PIN = "@sha256:" + "a1" * 32
RUN_PATH = "/apis/run.cnrm.cloud.google.com/v1beta1/namespaces/vision-dev/runservices/{}"
LAMBDA_PATH = "/apis/lambda.services.k8s.aws/v1alpha1/namespaces/vision-dev/functions/{}"
READY = [{"type": "Ready", "status": "True", "reason": "UpToDate"}]
Json = dict[str, Any]


class Known(App):
    """The app over a registry in memory: two versions of each model, with an image for each cloud."""

    def _registry(self, box: Any) -> Any:
        del box
        images = {"seen": f"europe-west4-docker.pkg.dev/p/m/seen{PIN}",
                  "heard": f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/heard{PIN}"}  # fmt: skip
        return Registry({
            model: [version_row(model, number, tags={"aiplatform.serving_image": image}) for number in ("1", "2")]
            for model, image in images.items()
        })  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with furnished(tmp_path_factory.mktemp("clouds")) as server:
        for definition in (RUN_DEFINITION, LAMBDA_DEFINITION):
            server.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
        yield server


@pytest.fixture
async def platform(server: Server, tmp_path: Path) -> AsyncIterator[Platform]:
    entry = {"kubeconfig": str(server.kubeconfig), "role": "cloud"}
    role = {"role_arn": "arn:aws:iam::123456789012:role/models"}
    clusters = (
        {
            **entry,
            "name": "google",
            "cloud": "gcp",
            "region": "europe-west4",
            "serverless": {"project": "vision-models"},
        },
        {**entry, "name": "amazon", "cloud": "aws", "region": "eu-west-1", "serverless": role},
    )
    settings = Settings(
        state_dir=tmp_path,
        journal_url=f"sqlite:///{tmp_path / 'journal.sqlite'}",
        clusters=clusters,  # pyright: ignore[reportArgumentType]
        budgets_cents={"vision": 20_000_000},
    )
    app = Known(settings, clock=InWindow())
    try:
        yield Platform(app=app, readers=await app.readers())
    finally:
        await app.aclose()


async def deploy(platform: Platform, model: str, cluster: str, **more: Any) -> Any:
    done = await platform.call("deploy_model", model=model, target="serverless", cluster=cluster, mode="apply", **more)
    assert done.data["status"] == "applied", done.text
    return done


async def test_cloud_run_from_the_first_release_over_a_canary_and_back(platform: Platform, server: Server):
    path = RUN_PATH.format("seen")

    def live() -> Json:
        found = server.get(path)
        assert found is not None
        return found

    def become_ready() -> None:
        seen = live()["metadata"]["generation"]
        server.merge(
            f"{path}/status", {"status": {"observedGeneration": seen, "conditions": READY, "uri": "https://seen"}}
        )

    await deploy(platform, "seen:1", "google")
    stable = live()["spec"]["template"]["revision"]
    assert live()["spec"]["projectRef"] == {"external": "projects/vision-models"}
    become_ready()
    begun = await deploy(platform, "seen:2", "google", canary_percent=10)
    become_ready()
    with anyio.fail_after(60):
        while True:
            row = await platform.call("inspect_platform", kind="deployments", name="seen", cluster="google")
            if row.data.get("canary_percent") == 10 and row.data.get("ready"):
                break
            await anyio.sleep(0.05)
    assert row.data["url"] == "https://seen" and row.data["kind"] == "RunService", row.text

    await steer(platform, begun, "promote")
    assert [entry.get("percent") for entry in live()["spec"]["traffic"]] == [100]
    assert "aiplatform.dev/stable-version" not in live()["metadata"]["annotations"]
    second = live()["spec"]["template"]["revision"]
    assert second != stable

    become_ready()
    again = await deploy(platform, "seen:1", "google", canary_percent=20)
    assert live()["spec"]["traffic"][1] == {
        "type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": second, "percent": 80,
    }  # fmt: skip
    assert live()["spec"]["template"]["revision"] == stable
    await steer(platform, again, "rollback")
    assert live()["metadata"]["labels"]["aiplatform.dev/version"] == "2"
    assert [entry["revision"] for entry in live()["spec"]["traffic"]] == [second]


async def steer(platform: Platform, begun: Any, action: str) -> None:
    done = await platform.call(
        "control_operation", operation_id=begun.data["operation_id"], action=action, mode="apply"
    )
    assert done.data["status"] == "applied", done.text


async def test_lambda_is_deployed_followed_and_cancelled_before_it_serves(platform: Platform, server: Server):
    path = LAMBDA_PATH.format("heard")
    begun = await deploy(platform, "heard:1", "amazon")
    made = server.get(path)
    assert made is not None and made["metadata"]["annotations"]["services.k8s.aws/region"] == "eu-west-1"
    told = await platform.call("inspect_platform", kind="operations", name=begun.data["operation_id"])
    assert "Waits for ACK's Lambda controller" in told.text
    server.merge(
        f"{path}/status", {"status": {"conditions": [{"type": "ACK.Terminal", "status": "True", "message": "no"}]}}
    )
    told = await platform.call("inspect_platform", kind="operations", name=begun.data["operation_id"])
    assert "ACK gave up" in told.text
    await steer(platform, begun, "cancel")
    assert server.get(path) is None


async def test_production_refuses_what_lambda_can_only_replace_at_once(platform: Platform, server: Server):
    labels = {"aiplatform.dev/team": "vision", "aiplatform.dev/environment": "production"}
    server.post("/api/v1/namespaces", {"metadata": {"name": "vision-prod", "labels": labels}})
    path = LAMBDA_PATH.replace("vision-dev", "vision-prod").format("heard")
    body = {
        "apiVersion": "lambda.services.k8s.aws/v1alpha1", "kind": "Function",
        "metadata": {"name": "heard", "labels": {"aiplatform.dev/version": "1", **labels}},
        "spec": {"name": "heard", "code": {"imageURI": "i"}},
    }  # fmt: skip
    server.apply(path, body, "ai-platform-mcp")
    with pytest.raises(Denied) as caught:
        await platform.call(
            "deploy_model",
            model="heard:2",
            target="serverless",
            cluster="amazon",
            environment="production",
            mode="apply",
        )
    assert "canary_required" in str(caught.value.details)
    assert isinstance(caught.value, PlatformError)
