"""Idempotency: what a repeated call means, with a key and without."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import Result
from support.engines import Engine
from support.sundry import Sundry
from support.world import Platform, World


def move(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "version": "2", "alias": "challenger", "mode": "apply", **more}


def run_of(world: World) -> str:
    return str(world.mlflow.get_model_version_by_alias("vision-v2", "champion").run_id)


def versions(world: World, model: str) -> int:
    return len(world.mlflow.search_model_versions(f"name = '{model}'"))


async def together(platform: Platform, calls: int, tool: str, arguments: dict[str, Any]) -> list[Result]:
    answers: list[Result] = []

    async def one() -> None:
        answers.append(await platform.call(tool, **arguments))

    async with anyio.create_task_group() as group:
        for _ in range(calls):
            group.start_soon(one)
    return answers


async def test_the_same_key_and_arguments_answer_with_the_recorded_result(platform: Platform, world: World):
    model = world.model()
    first = await platform.call("promote_model", **move(model, idempotency_key="k"))
    world.mlflow.set_registered_model_alias(model, "challenger", "1")
    again = await platform.call("promote_model", **move(model, idempotency_key="k"))
    assert again.data["replayed"] and again.data["operation_id"] == first.data["operation_id"]
    assert "nothing was done twice" in again.text
    assert world.alias(model, "challenger") == "1"


async def test_the_same_key_with_other_arguments_is_a_conflict(platform: Platform, world: World):
    model = world.model()
    await platform.call("promote_model", **move(model, idempotency_key="k"))
    with pytest.raises(Conflict, match="used for other arguments"):
        await platform.call("promote_model", **(move(model, idempotency_key="k") | {"version": "1"}))
    with pytest.raises(Conflict, match="used for other arguments"):
        await platform.call("register_model", model=model, idempotency_key="k", mode="apply")
    assert world.alias(model, "challenger") == "2"


async def test_a_key_belongs_to_its_principal(platform: Platform, world: World):
    one, other = world.model(), world.model()
    await platform.call("promote_model", **move(one, idempotency_key="k"))
    bob = Principal(id="local:bob", team="vision", roles=("developer",))
    done = await platform.call("promote_model", by=bob, **move(other, idempotency_key="k"))
    assert done.data["status"] == "applied" and not done.data["replayed"]
    assert world.alias(other, "challenger") == "2"


@pytest.mark.parametrize("key", ["k", None])
async def test_concurrent_calls_that_mean_the_same_have_one_effect(platform: Platform, world: World, key: str | None):
    arguments = {"model": world.model(), "run_id": run_of(world), "mode": "apply", "idempotency_key": key}
    answers = await together(platform, 4, "register_model", arguments)
    assert len({answer.data["operation_id"] for answer in answers}) == 1
    assert sorted(answer.data["replayed"] for answer in answers) == [False, True, True, True]
    assert versions(world, arguments["model"]) == 3


async def test_without_a_key_a_repeated_call_within_the_window_is_answered_from_the_record(
    platform: Platform, world: World
):
    model = world.model()
    arguments = {"model": model, "run_id": run_of(world), "mode": "apply"}
    first = await platform.call("register_model", **arguments)
    again = await platform.call("register_model", **arguments)
    assert again.data["replayed"] and again.data["operation_id"] == first.data["operation_id"]
    assert versions(world, model) == 3


async def test_without_a_key_a_repeated_call_after_the_window_is_a_new_operation(platform: Platform, world: World):
    model = world.model()
    arguments = {"model": model, "run_id": run_of(world), "mode": "apply"}
    first = await platform.call("register_model", **arguments)
    platform.clock.forward(minutes=11)
    again = await platform.call("register_model", **arguments)
    assert again.data["operation_id"] != first.data["operation_id"]
    assert versions(world, model) == 4


async def test_a_repeated_call_after_the_effect_was_undone_does_it_again(platform: Platform, world: World):
    model = world.model()
    first = await platform.call("promote_model", **move(model))
    world.mlflow.set_registered_model_alias(model, "challenger", "1")
    again = await platform.call("promote_model", **move(model))
    assert again.data["status"] == "applied" and not again.data["replayed"]
    assert again.data["operation_id"] != first.data["operation_id"]
    assert world.alias(model, "challenger") == "2"


async def test_applying_one_plan_twice_has_one_effect(platform: Platform, world: World):
    model = world.model()
    arguments = {"model": model, "run_id": run_of(world)}
    plan = (await platform.call("register_model", **arguments)).data["plan_id"]
    answers = await together(platform, 3, "register_model", {**arguments, "mode": "apply", "plan_id": plan})
    answers.append(await platform.call("register_model", **arguments, mode="apply", plan_id=plan))
    assert sorted(answer.data["replayed"] for answer in answers) == [False, True, True, True]
    assert versions(world, model) == 3


async def test_two_servers_over_one_journal_have_one_effect(world: World, tmp_path: Any):
    model = world.model()
    arguments = {"name": f"shared-{model}", "model": model, "mode": "apply", "idempotency_key": "k"}
    async with (
        world.platform(tmp_path, tools=(Sundry(),), policy=Engine()) as one,
        world.platform(tmp_path, tools=(Sundry(),), policy=Engine(), clock=one.clock) as other,
    ):
        answers: list[Result] = []

        async def ask(platform: Platform) -> None:
            answers.append(await platform.call("sundry", **arguments))

        async with anyio.create_task_group() as group:
            for platform in (one, other, one, other):
                group.start_soon(ask, platform)
        assert len({answer.data["operation_id"] for answer in answers}) == 1
    assert versions(world, model) == 3
