from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ai_platform_mcp.app import App
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import Apply
from ai_platform_mcp.core.rows import Stamp
from ai_platform_mcp.domain.routing.observed import Observed
from ai_platform_mcp.sandbox import process
from ai_platform_mcp.settings import Settings
from ai_platform_mcp.tools import route_model
from live_platform import Platform
from support.routing_facts import observed, routing_facts

EDGE = observed("edge", "edge", 0.1, slots_per_unit=2, context_tokens=2048)
NEAR, FAR = observed("near", "cloud", 0.2), observed("far", "cloud", 0.2, request_cents=0.009)
SPOT = observed("spot", "cloud", 0.2, spot=True)
GATEWAY = {"name": "models", "namespace": "gateways", "domain": "models.example.com", "picker": "epp"}
Measure = Callable[..., None]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measure:
    """What is measured of a model's targets; everything else is the sandbox's."""

    def use(*rows: Observed, **about: Any) -> None:
        async def read(readers: Any, principal: Any, model: str, **_: Any) -> Any:
            return routing_facts(model, *rows, **about)

        monkeypatch.setattr(route_model, "read_routing_facts", read)

    return use


@pytest.fixture
async def with_gateway(sandbox: process.Status, tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform whose file names a Gateway, and whose proxy's Deployment is there."""
    routing = {"gateway": GATEWAY, "proxy": {"config_map": "gateway-config", "deployment": "litellm"}}
    journal = f"sqlite:///{tmp_path / 'routes.sqlite'}"
    app = App(Settings(state_dir=Path(sandbox.state_dir), journal_url=journal, routing=routing))
    try:
        platform = Platform(app=app, readers=await app.readers())
        await put(platform, PROXY, "somebody")
        yield platform
    finally:
        await app.aclose()


POD = {
    "metadata": {"labels": {"app": "litellm"}},
    "spec": {"containers": [{"name": "litellm", "image": "registry.local/litellm@sha256:" + "ab" * 32}]},
}
PROXY = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "litellm", "namespace": "vision-dev", "labels": {"aiplatform.dev/team": "vision"}},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "litellm"}}, "template": POD},
}


async def put(platform: Platform, manifest: dict[str, Any], name: str) -> None:
    """Write an object behind the platform's back."""
    writers = (await platform.app.wiring()).guard._executor._writers  # type: ignore[attr-defined]
    with open_permit(Permit("test", "s1")):
        step = Apply(title="put", cluster="sandbox", manifest=manifest, force=True)
        await writers.clusters.execute(step, Stamp(operation_id=f"op-{name:0>16}", plan_digest="0" * 64))


async def config(platform: Platform, name: str = "litellm-config") -> dict[str, Any]:
    live = await platform.get("v1", "ConfigMap", name, "vision-dev")
    return yaml.safe_load(live["data"]["config.yaml"]) if live else {}


def groups(config: dict[str, Any]) -> list[str]:
    return [row["model_name"] for row in config["model_list"]]


async def route(platform: Platform, model: str = "vision-v2", **arguments: Any) -> Any:
    return await platform.call("route_model", model=model, **{"gateway": "litellm", **arguments})


async def test_a_plan_says_who_is_asked_first_when_it_spills_and_what_that_costs(platform: Platform, measured: Measure):
    measured(EDGE, NEAR, FAR, SPOT)
    answer = await route(platform)
    assert answer.data["status"] == "planned", answer.text
    for told in (
        "edge first, spilling to vision-v2-cloud, vision-v2-cloud-2; p95 of 500 ms.",
        "Clients call vision-v2 for interactive requests; vision-v2-noncritical for noncritical requests; vision-v2-spot for batch",
        "edge (p95 190 ms idle, 0.001 cents a request); spills to vision-v2-cloud, then vision-v2-cloud-2 when it fails or is "
        "silent for 1 s, or has 1200 requests in a minute, or would get a prompt of more than 1998 tokens.",
        "A circuit opens at failure 2 within 30 s",
    ):
        assert told in answer.text
    assert await platform.get("v1", "ConfigMap", "litellm-config", "vision-dev") is None
