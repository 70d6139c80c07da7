"""What a plan is worth: it changes nothing, and exactly it is applied or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import Conflict, InvalidInput, NotFound, PlanStale
from ai_platform_mcp.core.principal import Principal
from support.world import Platform, World


def move(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "version": "2", "alias": "challenger", **more}


async def test_an_unknown_argument_is_refused_by_name_with_the_valid_ones(platform: Platform):
    with pytest.raises(InvalidInput) as caught:
        await platform.call("promote_model", modle="x", version="2", alias="challenger")
    assert "'modle'" in caught.value.message
    assert "model" in caught.value.details["valid"] and "Valid arguments" in caught.value.remedy


async def test_an_unknown_tool_is_refused_with_the_tools_there_are_and_audited(platform: Platform):
    with pytest.raises(NotFound, match="no tool 'drop_tables'") as caught:
        await platform.call("drop_tables", all=True)
    assert "promote_model" in caught.value.remedy
    assert await platform.audit() == [("drop_tables", "read", "not_found")]


async def test_a_call_without_a_mode_plans_and_changes_nothing(platform: Platform, world: World):
    model = world.model()
    answer = await platform.call("promote_model", **move(model))
    assert answer.data["status"] == "planned", answer.text
    assert "nothing has changed" in answer.text
    assert world.alias(model, "challenger") is None
    assert await platform.operations() == 0


async def test_a_plan_is_applied_by_its_id(platform: Platform, world: World):
    model = world.model()
    planned = await platform.call("promote_model", **move(model))
    done = await platform.call("promote_model", **move(model, mode="apply", plan_id=planned.data["plan_id"]))
    assert done.data["status"] == "applied", done.text
    assert done.data["plan_id"] == planned.data["plan_id"]
    assert world.alias(model, "challenger") == "2"


async def test_a_plan_id_with_other_arguments_is_a_conflict_that_names_them(platform: Platform, world: World):
    model = world.model()
    planned = await platform.call("promote_model", **move(model))
    with pytest.raises(Conflict, match="version"):
        await platform.call(
            "promote_model", **(move(model) | {"version": "1"}), mode="apply", plan_id=planned.data["plan_id"]
        )
    with pytest.raises(Conflict):
        await platform.call("register_model", model=model, mode="apply", plan_id=planned.data["plan_id"])
    assert world.alias(model, "challenger") is None


async def test_nobody_applies_the_plan_of_somebody_else(platform: Platform, world: World):
    model = world.model()
    planned = await platform.call("promote_model", **move(model))
    bob = Principal(id="local:bob", team="vision", roles=("developer",))
    with pytest.raises(NotFound):
        await platform.call("promote_model", by=bob, **move(model, mode="apply", plan_id=planned.data["plan_id"]))
    assert world.alias(model, "challenger") is None


async def test_a_plan_of_a_world_that_moved_is_stale_and_comes_with_a_fresh_one(platform: Platform, world: World):
    model = world.model(versions=3)
    planned = await platform.call("promote_model", **move(model))
    world.mlflow.set_registered_model_alias(model, "challenger", "3")
    with pytest.raises(PlanStale, match="world moved") as caught:
        await platform.call("promote_model", **move(model, mode="apply", plan_id=planned.data["plan_id"]))
    assert world.alias(model, "challenger") == "3"
    fresh = caught.value.details["plan"]["plan_id"]
    assert fresh != planned.data["plan_id"] and f"{model}@challenger changed" in caught.value.cause
    done = await platform.call("promote_model", **move(model, mode="apply", plan_id=fresh))
    assert done.data["status"] == "applied"
    assert world.alias(model, "challenger") == "2"


async def test_an_expired_plan_is_stale_and_comes_with_a_fresh_one(platform: Platform, world: World):
    model = world.model()
    planned = await platform.call("promote_model", **move(model))
    platform.clock.forward(minutes=16)
    with pytest.raises(PlanStale, match="expired") as caught:
        await platform.call("promote_model", **move(model, mode="apply", plan_id=planned.data["plan_id"]))
    assert world.alias(model, "challenger") is None
    fresh = caught.value.details["plan"]["plan_id"]
    assert (await platform.call("promote_model", **move(model, mode="apply", plan_id=fresh))).data[
        "status"
    ] == "applied"


async def test_a_plan_that_policy_cut_to_its_limit_is_applied_with_the_arguments_it_was_asked_with(platform: Platform):
    asked = {"purpose": "batch", "accelerator": "a100", "count": 1, "hours": 100}
    planned = await platform.call("request_gpu", **asked)
    assert planned.data["cost"]["total_cents"] == 72 * planned.data["cost"]["hourly_cents"], planned.text
    done = await platform.call("request_gpu", **asked, mode="apply", plan_id=planned.data["plan_id"])
    assert done.data["status"] == "applied", done.text


async def test_a_step_is_refused_at_the_last_moment_where_its_precondition_fell_after_the_plan(
    platform: Platform, world: World, monkeypatch: pytest.MonkeyPatch
):
    model = world.model(versions=3)
    wiring = await platform.app.wiring()
    begin = wiring.journal.begin

    async def begin_late(stored: Any, approval_id: str | None) -> Any:
        world.mlflow.set_registered_model_alias(model, "challenger", "3")
        return await begin(stored, approval_id)

    monkeypatch.setattr(wiring.journal, "begin", begin_late)
    done = await platform.call("promote_model", **move(model, mode="apply"))
    assert done.is_error and done.data["status"] == "failed", done.text
    assert world.alias(model, "challenger") == "3"
