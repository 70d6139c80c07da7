"""Who may say yes, to what, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import Conflict, Denied, Forbidden, NotFound
from ai_platform_mcp.core.principal import Principal
from support.engines import Engine, allowing
from support.sundry import Sundry
from support.world import Platform, World

PASSPHRASE = "four plain random words"
BOB = Principal(id="https://login#bob", team="vision", roles=("platform-approver",), auth_method="oidc")


def crown(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "version": "2", "alias": "champion", **more}


async def asked(platform: Platform, world: World, **more: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Ask for the champion alias; return the model, the arguments that apply exactly this, and the pending approval."""
    model = world.model(aliases={"champion": "1"})
    planned = await platform.call("promote_model", **crown(model, **more))
    assert planned.data["status"] == "planned_needs_approval", planned.text
    arguments = crown(model, mode="apply", plan_id=planned.data["plan_id"], **more)
    waiting = await platform.call("promote_model", **arguments)
    assert waiting.data["status"] == "awaiting_approval", waiting.text
    assert world.alias(model, "champion") == "1"
    return model, arguments, waiting.data["approval"]


async def test_what_needs_an_approval_waits_and_says_how_to_settle_it(platform: Platform, world: World):
    _, _, approval = await asked(platform, world)
    assert approval["approval_id"] in approval["how"] and "platform approvals approve" in approval["how"]
    assert set(approval["approvers"]) == {"self", "platform-approver"}
    assert await platform.operations() == 0


async def test_asking_again_returns_the_same_pending_approval(platform: Platform, world: World):
    _, arguments, approval = await asked(platform, world)
    again = await platform.call("promote_model", **arguments)
    assert again.data["approval"]["approval_id"] == approval["approval_id"]


async def test_the_requester_agrees_in_person_where_policy_names_self(platform: Platform, world: World):
    model, arguments, approval = await asked(platform, world)
    await platform.app.agree(approval["approval_id"], platform.who)
    done = await platform.call("promote_model", **arguments)
    assert done.data["status"] == "applied", done.text
    assert world.alias(model, "champion") == "2"


async def test_nobody_else_agrees_in_the_requesters_name(platform: Platform, world: World):
    _, _, approval = await asked(platform, world)
    with pytest.raises(Denied):
        await platform.app.agree(approval["approval_id"], BOB)


async def test_an_enrolled_approver_settles_it_with_a_passphrase(platform: Platform, world: World):
    model, arguments, approval = await asked(platform, world)
    approvals = (await platform.app.wiring()).approvals
    await approvals.enrol("bob", ["platform-approver"], PASSPHRASE)
    with pytest.raises(Forbidden):
        await approvals.settle(approval["approval_id"], "bob", "not the passphrase", approve=True)
    assert (await platform.call("promote_model", **arguments)).data["status"] == "awaiting_approval"
    await approvals.settle(approval["approval_id"], "bob", PASSPHRASE, approve=True)
    assert (await platform.call("promote_model", **arguments)).data["status"] == "applied"
    assert world.alias(model, "champion") == "2"
    assert ("promote_model", "approve", "approved") in await platform.audit()


async def test_the_requester_cannot_approve_where_policy_does_not_name_self(world: World, tmp_path: Any):
    name = world.fresh("needs-another")
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Engine(allowing("platform-approver"))) as platform:
        waiting = await platform.call("sundry", name=name, mode="apply")
        approval = waiting.data["approval"]["approval_id"]
        with pytest.raises(Denied):
            await platform.app.agree(approval, platform.who)
        me = platform.who.model_copy(update={"auth_method": "oidc", "roles": ("platform-approver",)})
        with pytest.raises(Denied):
            await platform.app.settle(approval, me, True, "")
        with pytest.raises(Forbidden):
            await platform.app.settle(approval, BOB.model_copy(update={"auth_method": "local"}), True, "")
        with pytest.raises(Denied):
            await platform.app.settle(approval, BOB.model_copy(update={"roles": ("developer",)}), True, "")
        assert (await platform.call("sundry", name=name, mode="apply")).data["status"] == "awaiting_approval"
        assert await platform.object("ConfigMap", name) is None


async def test_an_approval_is_used_once(world: World, tmp_path: Any):
    name = world.fresh("once-approved")
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Engine(allowing("platform-approver"))) as platform:
        waiting = await platform.call("sundry", name=name, text="one", mode="apply")
        await platform.app.settle(waiting.data["approval"]["approval_id"], BOB, True, "")
        done = await platform.call("sundry", name=name, text="one", mode="apply")
        assert done.data["status"] == "applied", done.text
        used = await (await platform.app.readers()).approvals.approval(waiting.data["approval"]["approval_id"])
        assert used is not None and used.state == "consumed"
        platform.clock.forward(minutes=11)
        again = await platform.call("sundry", name=name, text="one", mode="apply")
        assert again.data["status"] == "awaiting_approval"
        assert again.data["approval"]["approval_id"] != waiting.data["approval"]["approval_id"]


async def test_an_approval_holds_for_its_plan_and_no_other(world: World, tmp_path: Any):
    name = world.fresh("bound-approval")
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Engine(allowing("platform-approver"))) as platform:
        waiting = await platform.call("sundry", name=name, text="one", mode="apply")
        await platform.app.settle(waiting.data["approval"]["approval_id"], BOB, True, "")
        other = await platform.call("sundry", name=name, text="two", mode="apply")
        assert other.data["status"] == "awaiting_approval"
        assert await platform.object("ConfigMap", name) is None


async def test_an_approval_lapses_where_the_world_moved_since(platform: Platform, world: World):
    model, arguments, approval = await asked(platform, world)
    await platform.app.agree(approval["approval_id"], platform.who)
    world.mlflow.delete_registered_model_alias(model, "champion")
    arguments.pop("plan_id")
    again = await platform.call("promote_model", **arguments)
    assert again.data["status"] == "awaiting_approval"
    assert world.alias(model, "champion") is None


async def test_an_approval_taken_away_between_decision_and_intent_stops_the_call(
    platform: Platform, world: World, monkeypatch: pytest.MonkeyPatch
):
    model, arguments, approval = await asked(platform, world)
    await platform.app.agree(approval["approval_id"], platform.who)
    wiring = await platform.app.wiring()
    begin = wiring.journal.begin

    async def begin_late(stored: Any, approval_id: str | None) -> Any:
        platform.clock.forward(hours=2)
        return await begin(stored, approval_id)

    monkeypatch.setattr(wiring.journal, "begin", begin_late)
    with pytest.raises(Conflict):
        await platform.call("promote_model", **arguments)
    assert world.alias(model, "champion") == "1"


async def test_a_rejected_approval_is_over(platform: Platform, world: World):
    model, arguments, approval = await asked(platform, world)
    settled = await platform.app.settle(approval["approval_id"], BOB, False, "not today")
    assert settled.state == "rejected"
    with pytest.raises(Conflict):
        await platform.app.agree(approval["approval_id"], platform.who)
    assert (await platform.call("promote_model", **arguments)).data["status"] == "awaiting_approval"
    assert world.alias(model, "champion") == "1"


async def test_an_approval_that_does_not_exist_is_not_found(platform: Platform):
    with pytest.raises(NotFound):
        await platform.app.agree("approval-none", platform.who)
