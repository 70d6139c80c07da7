from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.routing.affinity import HEADROOM, Ring, hint, key_of

endpoints = st.lists(st.text("abcdefgh0123", min_size=1, max_size=6), min_size=2, max_size=8, unique=True)
keys = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=60, unique=True)


@given(endpoints, keys)
def test_losing_an_endpoint_moves_only_its_own_conversations(names: list[str], conversations: list[str]) -> None:
    before, after = Ring(names), Ring(names[1:])
    for conversation in conversations:
        old, new = before.place(conversation), after.place(conversation)
        assert old == new if old != names[0] else new == list(before.order(conversation))[1]


@given(endpoints, keys)
def test_no_endpoint_is_loaded_above_its_bound(names: list[str], conversations: list[str]) -> None:
    ring, loads = Ring(names), Counter[str]()
    for number, conversation in enumerate(conversations, 1):
        loads[ring.place(conversation, loads)] += 1
        assert max(loads.values()) <= math.ceil(HEADROOM * number / len(names))


@given(endpoints, keys)
def test_a_loss_under_load_leaves_every_other_conversation_where_it_was(
    names: list[str], conversations: list[str]
) -> None:
    ring, loads, kept = Ring(names), Counter[str](), dict[str, str]()
    for conversation in conversations:
        kept[conversation] = hint(conversation, ring, loads=loads).endpoint
        loads[kept[conversation]] += 1
    smaller = Ring(names[1:])
    for conversation, previous in kept.items():
        told = hint(conversation, smaller, loads=loads, previous=previous)
        assert told.moved == (previous == names[0])
        assert told.endpoint in smaller.endpoints
        assert told.moved or told.endpoint == previous


@given(endpoints, st.text(min_size=1))
def test_the_order_in_which_endpoints_are_listed_does_not_decide(names: list[str], key: str) -> None:
    assert list(Ring(names).order(key)) == list(Ring(names[::-1]).order(key))
    assert sorted(Ring(names).order(key)) == sorted(names)


def test_conversations_are_spread_without_a_table() -> None:
    ring = Ring([f"node-{number}" for number in range(10)])
    shares = Counter(ring.place(f"conversation-{number}") for number in range(10_000))
    assert 600 < min(shares.values()) <= max(shares.values()) < 1500


def test_an_endpoint_picker_chooses_by_what_is_really_cached() -> None:
    told = hint("k", Ring(["a", "b"]), previous="a", endpoint_picker=True)
    assert (told.endpoint, told.key) == ("", "k")


def test_prompts_that_begin_alike_share_an_endpoint_and_conversations_do_not_collide_with_them() -> None:
    assert key_of("", "You are a helpful clerk.") == key_of("", "You are a helpful clerk.")
    assert key_of("x") != key_of("", "x")
    for call in (lambda: key_of(""), lambda: Ring([])):
        with pytest.raises(InvalidInput):
            call()
