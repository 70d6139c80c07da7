from __future__ import annotations

import pytest

from ai_platform_mcp.core.errors import Conflict, NotFound, PlanStale
from live_platform import Platform


async def test_a_promotion_shows_the_metrics_from_old_to_new_and_needs_somebody_to_agree(platform: Platform):
    answer = await platform.call("promote_model", model="ticket-router", version="1")
    text = answer.text
    assert "Version 2 → 1: f1 0.902 → 0.884 (-0.018)." in text
    assert answer.data["steps"][0]["title"] == "Point champion of ticket-router at version 1 (now 2)"


async def test_a_version_without_proof_never_becomes_champion(platform: Platform):
    answer = await platform.call("promote_model", model="vision-v2", version="3")
    assert answer.data["status"] == "denied"
    assert "gates_missing" in {row["code"] for row in answer.data["decision"]["violations"]}
    model = await platform.readers.registry.model("vision-v2")
    assert model is not None and model.aliases["champion"] == "4"


async def test_an_alias_of_no_weight_moves_at_once_and_back_by_its_operation(platform: Platform):
    done = await platform.call("promote_model", model="vision-v2", version="2", alias="previous", mode="apply")
    assert done.data["status"] == "applied", done.text
    moved = await platform.readers.registry.model("vision-v2")
    assert moved is not None and moved.aliases["previous"] == "2"
    back = await platform.call(
        "control_operation", operation_id=done.data["operation_id"], action="rollback", mode="apply"
    )
    assert back.data["status"] == "applied", back.text
    restored = await platform.readers.registry.model("vision-v2")
    assert restored is not None and restored.aliases["previous"] == "3"


async def test_a_plan_is_stale_once_the_alias_moved(platform: Platform):
    planned = await platform.call("promote_model", model="vision-v2", version="1", alias="previous")
    moved = await platform.call("promote_model", model="vision-v2", version="2", alias="previous", mode="apply")
    with pytest.raises(PlanStale, match="moved"):
        await platform.call(
            "promote_model",
            model="vision-v2",
            version="1",
            alias="previous",
            mode="apply",
            plan_id=planned.data["plan_id"],
        )
    await platform.call("control_operation", operation_id=moved.data["operation_id"], action="rollback", mode="apply")


async def test_nothing_to_do_and_nothing_there_are_told_apart(platform: Platform):
    with pytest.raises(Conflict, match="already"):
        await platform.call("promote_model", model="vision-v2", version="4")
    with pytest.raises(NotFound, match="no version 99"):
        await platform.call("promote_model", model="vision-v2", version="99")
    with pytest.raises(NotFound, match="no model"):
        await platform.call("promote_model", model="never-heard-of", version="1")
