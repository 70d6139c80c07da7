"""A step whose answer is lost is neither done nor failed until it is read back, and it is never done twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from ai_platform_mcp.core.errors import OutcomeUnknown, Unavailable
from support.engines import Engine
from support.proxy import through
from support.sundry import Sundry
from support.world import Platform, World


async def count(platform: Platform, prefix: str) -> int:
    page = await (await platform.app.readers()).clusters.list("sandbox", "v1", "ConfigMap", namespace="vision-dev")
    return len([row for row in page.items if row["metadata"]["name"].startswith(prefix)])


def swallows_writes(line: str) -> bool:
    return line.startswith(("POST", "PATCH")) and "dryRun" not in line and "/configmaps" in line


async def test_an_answer_swallowed_on_the_wire_is_read_back_and_the_step_counts_as_applied(
    world: World, tmp_path: Path
):
    model, name = world.model(versions=1), world.fresh("lost-answer")
    async with through(world, tmp_path) as proxy:
        clusters = [{"name": "sandbox", "kubeconfig": str(proxy.kubeconfig)}]
        async with world.platform(tmp_path, tools=(Sundry(),), policy=Engine(), clusters=clusters) as platform:
            await platform.call("sundry", name=name, model=model)
            proxy.swallow(swallows_writes, times=4)
            done = await platform.call("sundry", name=name, model=model, mode="apply")
            assert proxy.swallowed > 0
            assert done.data["status"] == "applied", done.text
            assert await count(platform, name) == 2


async def test_where_reading_back_fails_too_it_is_unknown_and_a_repeated_call_finishes_it(world: World, tmp_path: Path):
    model, name = world.model(versions=1), world.fresh("lost-for-long")
    arguments = {"name": name, "model": model, "mode": "apply", "idempotency_key": "k"}
    async with through(world, tmp_path) as proxy:
        clusters = [{"name": "sandbox", "kubeconfig": str(proxy.kubeconfig)}]
        async with world.platform(tmp_path, tools=(Sundry(),), policy=Engine(), clusters=clusters) as platform:
            await platform.call("sundry", name=name, model=model)
            proxy.cut_after(swallows_writes)
            lost = await platform.call("sundry", **arguments)
            assert lost.is_error and lost.data["status"] == "unknown", lost.text
            assert "platform operations resume" in lost.text
            proxy.mend()
            done = await platform.call("sundry", **arguments)
            assert done.data["status"] == "applied" and done.data["operation_id"] == lost.data["operation_id"]
            assert await count(platform, name) == 2
            assert len(world.mlflow.search_model_versions(f"name = '{model}'")) == 2


async def lost(*_: Any) -> Any:
    raise OutcomeUnknown("sent, and no answer came")


async def late(*_: Any) -> Any:
    await anyio.sleep_forever()


async def buggy(*_: Any) -> Any:
    raise KeyError("a bug after the request was sent")


@pytest.mark.parametrize("trouble", [lost, late, buggy])
async def test_whatever_goes_wrong_after_sending_the_registry_step_counts_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Callable[..., Any]
):
    model = world.model(versions=1)
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Engine(), guard={"step_seconds": 2.0}) as platform:
        registry: Any = (await platform.app.readers()).registry
        execute = registry.execute

        async def sent(*arguments: Any) -> Any:
            await execute(*arguments)
            return await trouble()

        monkeypatch.setattr(registry, "execute", sent)
        done = await platform.call("sundry", name=world.fresh("after"), model=model, mode="apply")
        assert done.data["status"] == "applied", done.text
        assert len(world.mlflow.search_model_versions(f"name = '{model}'")) == 2


async def test_a_backend_that_is_down_while_resuming_leaves_the_operation_unknown_and_the_server_working(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = world.model(versions=1)
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Engine()) as platform:
        registry: Any = (await platform.app.readers()).registry
        back, execute = registry.read_back, registry.execute

        async def away(*_: Any) -> Any:
            raise Unavailable("the registry is down")

        monkeypatch.setattr(registry, "execute", lost)
        monkeypatch.setattr(registry, "read_back", away)
        answer = await platform.call("sundry", name=world.fresh("away"), model=model, mode="apply")
        assert answer.data["status"] == "unknown", answer.text
        resumed = await platform.app.resume()
        assert [row.state for row in resumed] == ["unknown"]
        monkeypatch.setattr(registry, "execute", execute)
        monkeypatch.setattr(registry, "read_back", back)
        assert [row.state for row in await platform.app.resume()] == ["applied"]
        assert len(world.mlflow.search_model_versions(f"name = '{model}'")) == 2
