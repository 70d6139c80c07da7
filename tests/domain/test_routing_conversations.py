"""A conversation stays with the endpoint that holds its prefix, and goes on elsewhere, whole, when that endpoint is lost."""

from __future__ import annotations

import contextlib
from typing import Any

import httpx
import pytest

from ai_platform_mcp.domain.routing.affinity import Ring, hint, key_of
from ai_platform_mcp.domain.routing.conversations import LITELLM_HEADER, between, stays
from ai_platform_mcp.domain.routing.status import status
from ai_platform_mcp.domain.routing.status_text import lines
from domain.routing_world import cloud, facts, site
from support.model_servers import ModelServer, model_server


class Talk:
    """A client that follows the hints: it remembers its endpoint, and drops one that does not answer."""

    def __init__(self, name: str, urls: dict[str, str]) -> None:
        self.key, self.urls, self.at, self.moves = key_of(name), dict(urls), "", 0
        self.history: list[dict[str, str]] = []

    def say(self, text: str) -> str:
        self.history.append({"role": "user", "content": text})
        while True:
            told = hint(self.key, Ring(list(self.urls)), previous=self.at)
            self.moves += told.moved
            self.at = told.endpoint
            try:
                answer = httpx.post(
                    f"{self.urls[self.at]}/chat/completions",
                    json={"model": "m", "messages": self.history},
                    trust_env=False,
                )
            except httpx.TransportError:
                del self.urls[self.at]
                continue
            message: dict[str, str] = answer.json()["choices"][0]["message"]
            self.history.append(message)
            return message["content"]


def test_a_conversation_stays_and_survives_the_loss_of_its_endpoint_in_the_middle() -> None:
    with contextlib.ExitStack() as stack:
        servers = {name: ModelServer(name, "answers") for name in ("a", "b")}
        for server in servers.values():
            server.start()
            stack.callback(server.stop)
        urls = {name: server.url for name, server in servers.items()}
        talks = [Talk(f"conversation {number}", urls) for number in range(8)]
        homes = {talk: [talk.say("one"), talk.say("two")] for talk in talks}
        assert all(first == second for first, second in homes.values())
        assert {first for first, _ in homes.values()} == {"a", "b"}
        lost, left = "a", "b"
        servers[lost].stop()
        after = {talk: [talk.say("three"), talk.say("four")] for talk in talks}
        assert all(told == [left, left] for told in after.values())
        moved = [talk for talk in talks if homes[talk][0] == lost]
        assert [talk.moves for talk in moved] == [1] * len(moved)
        assert all(talk.moves == 0 for talk in talks if talk not in moved)
        whole = [heard for heard in servers[left].heard if [row["content"] for row in heard][-1] == "four"]
        assert len(whole) == 8 and all(
            [row["content"] for row in heard][::2] == ["one", "two", "three", "four"] for heard in whole
        )


def test_a_returning_endpoint_takes_no_conversation_from_where_it_went() -> None:
    with model_server("b") as server:
        talk = Talk("conversation 0", {"a": "http://127.0.0.1:9/v1", "b": server.url})
        talk.at = "a"
        assert talk.say("one") == "b"
        talk.urls["a"] = "http://127.0.0.1:9/v1"
        assert talk.say("two") == "b" and talk.moves == 1


def told(*rows: Any) -> dict[str, tuple[str, str]]:
    return {row.target: (row.by, row.lost) for row in stays(facts(*rows, language=True))}


def test_each_kind_of_target_has_its_own_hint() -> None:
    picked = cloud("nlp/chat", kind="LLMInferenceService", picker=True)
    rows = told(site("us-south-1", 5), picked, cloud("a/chat"), cloud("b/chat", units=1, ready=1))
    assert {name: by for name, (by, _) in rows.items()} == {
        "edge": "node", "nlp/chat": "endpoint picker", "a/chat": "hash", "b/chat": "single replica",
    }  # fmt: skip
    assert "falls back to nlp/chat" in rows["edge"][1]
    assert "falls back to nlp/chat" in rows["b/chat"][1]


def test_an_edge_without_a_cloud_says_that_nothing_is_behind_it() -> None:
    assert "nothing is behind it" in told(site("us-south-1", 5))["edge"][1]


def test_the_answer_carries_the_hints_and_how_gateways_keep_them() -> None:
    data = status(facts(site("us-south-1", 5), cloud(), language=True))
    text = "\n".join(lines(data))
    assert "if it is lost: the call fails at once there" in text and LITELLM_HEADER in text


@pytest.mark.parametrize("rows", [(cloud(),), (site("us-south-1", 5), cloud())])
def test_a_model_that_keeps_nothing_between_requests_has_no_hints(rows: tuple[Any, ...]) -> None:
    world = facts(*rows)
    assert stays(world) == () and between(world) == "" and status(world)["conversations"] == []
