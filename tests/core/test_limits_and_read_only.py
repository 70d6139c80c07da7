"""Rate limits per principal, and a server that changes nothing."""

from __future__ import annotations

import secrets
from pathlib import Path

import anyio
import pytest

from ai_platform_mcp.core.errors import PlatformError, RateLimited, ReadOnly
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import WriteTool
from support.engines import Engine
from support.sundry import ActingReader, Sundry
from support.world import World

BOB = Principal(id="local:bob", team="vision", roles=("developer",))


async def test_a_principal_is_limited_and_another_is_not(world: World, tmp_path: Path):
    async with world.platform(tmp_path, tools=(ActingReader(),), guard={"reads_per_minute": 2}) as platform:
        for _ in range(2):
            await platform.call("peek")
        with pytest.raises(RateLimited):
            await platform.call("peek")
        await platform.call("peek", by=BOB)
        platform.clock.forward(seconds=61)
        await platform.call("peek")
        assert [outcome for _, _, outcome in await platform.audit()].count("rate_limited") == 1


async def test_calls_at_the_same_time_are_counted_too(world: World, tmp_path: Path):
    async with world.platform(tmp_path, tools=(ActingReader(),), guard={"reads_per_minute": 3}) as platform:
        outcomes: list[str] = []

        async def one() -> None:
            try:
                await platform.call("peek")
                outcomes.append("seen")
            except PlatformError as error:
                outcomes.append(error.code)

        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(one)
        assert outcomes.count("seen") <= 3
        assert outcomes.count("rate_limited") >= 5


async def test_plans_and_applies_count_as_one_and_reads_as_another(world: World, tmp_path: Path):
    limits, name = {"writes_per_minute": 2, "reads_per_minute": 50}, world.fresh("counted")
    async with world.platform(tmp_path, tools=(Sundry(), ActingReader()), policy=Engine(), guard=limits) as platform:
        await platform.call("sundry", name=name)
        await platform.call("sundry", name=name)
        with pytest.raises(RateLimited):
            await platform.call("sundry", name=name, mode="apply")
        assert await platform.object("ConfigMap", name) is None
        await platform.call("peek")


async def test_invalid_calls_count_towards_the_limit(world: World, tmp_path: Path):
    async with world.platform(tmp_path, tools=(Sundry(),), guard={"writes_per_minute": 2}) as platform:
        codes: list[str] = []
        for _ in range(3):
            with pytest.raises(PlatformError) as caught:
                await platform.call("sundry", nothing=1)
            codes.append(caught.value.code)
        assert codes == ["invalid_input", "invalid_input", "rate_limited"]


async def test_a_read_only_server_offers_no_tool_that_writes_and_refuses_each(world: World, tmp_path: Path):
    name = world.fresh("never")
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Engine(), read_only=True) as platform:
        assert platform.app.tools() and not [t for t in platform.app.tools().values() if isinstance(t, WriteTool)]
        for mode in ("plan", "apply"):
            with pytest.raises(ReadOnly):
                await platform.call("sundry", name=name, mode=mode)
        assert await platform.object("ConfigMap", name) is None


async def test_a_read_only_server_does_not_finish_what_another_began(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    name = f"half-done-{secrets.token_hex(4)}"
    async with world.platform(tmp_path / "a", tools=(Sundry(),), policy=Engine()) as writer:
        wiring = await writer.app.wiring()

        async def die(*_: object) -> None:
            raise SystemError("the process ends here")

        monkeypatch.setattr(wiring.journal, "step_started", die)
        with pytest.raises(SystemError):
            await writer.call("sundry", name=name, mode="apply")
        clock = writer.clock
    clock.forward(minutes=5)
    async with world.platform(
        tmp_path / "a", tools=(Sundry(),), policy=Engine(), clock=clock, read_only=True
    ) as reader:
        assert await reader.app.resume() == []
        assert await reader.object("ConfigMap", name) is None
    async with world.platform(tmp_path / "a", tools=(Sundry(),), policy=Engine(), clock=clock) as writer:
        assert await writer.object("ConfigMap", name) is not None
