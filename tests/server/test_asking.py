"""Asking the person at the client, in both eras; where nobody can be asked the approval stays pending and is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitResult

from support.serving import Http, Way, stdio
from support.world import World


def answering(action: str, content: dict[str, Any] | None, asked: list[str]) -> Any:
    async def answer(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=action, content=content)  # type: ignore[arg-type]

    return answer


def crown(model: str) -> dict[str, Any]:
    return {"model": model, "version": "2", "alias": "champion", "mode": "apply"}


async def test_a_person_who_accepts_lets_exactly_the_plan_through(on_stdio: Way, world: World):
    model, asked = world.model(aliases={"champion": "1"}), list[str]()
    async with on_stdio.open(elicitation_callback=answering("accept", {"approve": True}, asked)) as client:
        done = await client.call_tool("promote_model", crown(model))
    assert done.structured_content["status"] == "applied", done
    assert len(asked) == 1 and model in asked[0]
    assert world.alias(model, "champion") == "2"


@pytest.mark.parametrize(
    ("mode", "action", "content"),
    [("legacy", "decline", None), ("auto", "cancel", None), ("auto", "accept", {"approve": False})],
)
async def test_a_person_who_does_not_agree_leaves_everything_as_it_is(
    world: World, session_file: Path, mode: str, action: str, content: dict[str, Any] | None
):
    model, asked = world.model(aliases={"champion": "1"}), list[str]()
    way = Way(stdio(session_file), mode)
    async with way.open(elicitation_callback=answering(action, content, asked)) as client:
        answer = await client.call_tool("promote_model", crown(model))
    assert answer.is_error and answer.structured_content["status"] == "declined"
    assert asked and world.alias(model, "champion") == "1"


async def test_over_http_the_newer_era_asks_too(http: Http, world: World):
    model, asked = world.model(aliases={"champion": "1"}), list[str]()
    async with Client(http.url, elicitation_callback=answering("accept", {"approve": True}, asked)) as client:
        done = await client.call_tool("promote_model", crown(model))
    assert done.structured_content["status"] == "applied" and asked
    assert world.alias(model, "champion") == "2"


async def test_over_http_the_older_era_cannot_be_asked_and_is_told_the_pending_approval(http: Http, world: World):
    model, asked = world.model(aliases={"champion": "1"}), list[str]()
    callback = answering("accept", {"approve": True}, asked)
    async with Client(http.url, mode="legacy", elicitation_callback=callback) as client:
        answer = await client.call_tool("promote_model", crown(model))
    assert answer.structured_content["status"] == "awaiting_approval" and not asked
    assert world.alias(model, "champion") == "1"


async def test_a_client_that_cannot_ask_is_told_the_pending_approval(on_http: Way, world: World):
    model = world.model(aliases={"champion": "1"})
    async with on_http.open() as client:
        answer = await client.call_tool("promote_model", crown(model))
    assert not answer.is_error and answer.structured_content["status"] == "awaiting_approval"
    approval = answer.structured_content["approval"]["approval_id"]
    assert f"platform approvals approve {approval}" in answer.content[0].text
    assert world.alias(model, "champion") == "1"
