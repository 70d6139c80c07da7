"""One model's part of a proxy's configuration is replaced, and nothing of anybody else is lost."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.manifests.litellm_merge import merge, part

Json = dict[str, Any]
ROUTER = {"routing_strategy": "simple-shuffle", "allowed_fails": 1, "cooldown_time": 30, "num_retries": 0}


def deployment(group: str, model: str = "", url: str = "http://a.b.svc/v1") -> Json:
    params = {"model": "openai/x", "api_base": url}
    return {"model_name": group, "litellm_params": params, "model_info": {"routed_for": model} if model else {}}


def made(model: str, groups: int, url: str = "http://a.b.svc/v1") -> Json:
    """A configuration as a routing plan makes it: groups in a chain."""
    names = [model, *(f"{model}-cloud-{number}" for number in range(2, groups + 1))]
    chain = [{name: names[place + 1 :]} for place, name in enumerate(names[:-1])]
    rows = [deployment(name, model, url) for name in names]
    return {
        "model_list": rows,
        "router_settings": {**ROUTER, "fallbacks": chain},
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
    }


plans = st.tuples(
    st.sampled_from(("chat", "vision", "fraud")), st.integers(1, 4), st.sampled_from(("http://a/v1", "http://b/v1"))
)


@given(plan_list=st.lists(plans, max_size=8), last=plans)
def test_whatever_was_planned_before_a_plan_replaces_its_own_part_and_leaves_all_others(
    plan_list: list[tuple[str, int, str]], last: tuple[str, int, str]
) -> None:
    config: Json = {"model_list": [deployment("by-hand")], "litellm_settings": {"drop_params": True}}
    for model, groups, url in plan_list:
        config = merge(config, model, made(model, groups, url)).config
    kept = copy.deepcopy(config)
    fresh = made(*last)
    after = merge(config, last[0], fresh).config
    assert config == kept  # what is given is not changed
    assert part(after, last[0]) == part(fresh, last[0])
    for other in {model for model, _, _ in plan_list} - {last[0]}:
        assert part(after, other) == part(kept, other)
    assert deployment("by-hand") in after["model_list"] and after["litellm_settings"] == {"drop_params": True}
    assert merge(after, last[0], fresh).config == after
    back = merge(after, last[0], part(kept, last[0])).config
    assert [part(back, name) for name in ("chat", "vision", "fraud")] == [
        part(kept, name) for name in ("chat", "vision", "fraud")
    ]


def test_a_group_that_others_fall_back_to_is_not_taken_from_under_them() -> None:
    config = merge({}, "chat", made("chat", 2)).config
    config["model_list"].append(deployment("theirs"))
    config["router_settings"]["fallbacks"].append({"theirs": ["chat-cloud-2"]})
    with pytest.raises(Conflict, match="fall back to chat-cloud-2"):
        merge(config, "chat", made("chat", 1))
    merged = merge(config, "chat", made("chat", 3))
    assert {"theirs": ["chat-cloud-2"]} in merged.config["router_settings"]["fallbacks"]


def test_groups_of_others_are_taken_by_force_alone() -> None:
    config = {"model_list": [deployment("chat", url="http://theirs/v1")]}
    with pytest.raises(Conflict, match="serves chat already"):
        merge(config, "chat", made("chat", 1))
    assert merge(config, "chat", made("chat", 1), take=True).config["model_list"] == made("chat", 1)["model_list"]


def test_settings_of_the_router_are_set_and_the_strategy_and_the_master_key_stay() -> None:
    live = {
        "router_settings": {"routing_strategy": "least-busy", "timeout": 9, "allowed_fails": 3},
        "general_settings": {"master_key": "os.environ/OTHER", "store_model_in_db": False},
    }
    after = merge(live, "chat", made("chat", 2)).config
    assert after["router_settings"] == {
        **ROUTER,
        "routing_strategy": "least-busy",
        "timeout": 9,
        "fallbacks": [{"chat": ["chat-cloud-2"]}],
    }
    assert after["general_settings"] == live["general_settings"]


@pytest.mark.parametrize("theirs", [[], ["prompt_caching"], ["session_affinity", "prompt_caching"]])
def test_a_check_is_added_to_those_of_others_once_and_stays_for_them_when_a_model_needs_it_no_more(
    theirs: list[str],
) -> None:
    live = {"router_settings": {"optional_pre_call_checks": theirs}} if theirs else {}
    fresh = made("chat", 2)
    fresh["router_settings"]["optional_pre_call_checks"] = ["session_affinity"]
    after = merge(live, "chat", fresh).config
    checks = after["router_settings"]["optional_pre_call_checks"]
    assert sorted(checks) == sorted({*theirs, "session_affinity"}) and checks[: len(theirs)] == theirs
    assert merge(after, "chat", made("chat", 1)).config["router_settings"]["optional_pre_call_checks"] == checks


def test_groups_that_a_model_has_no_more_are_named() -> None:
    config = merge({}, "chat", made("chat", 3)).config
    merged = merge(config, "chat", made("chat", 1))
    assert (merged.gone, merged.kept) == (("chat-cloud-2", "chat-cloud-3"), ())


@pytest.mark.parametrize(
    ("live", "after"),
    [
        ({}, {"callbacks": ["prometheus"]}),
        ({"drop_params": True}, {"drop_params": True, "callbacks": ["prometheus"]}),
        ({"callbacks": ["langfuse"]}, {"callbacks": ["langfuse", "prometheus"]}),
        ({"callbacks": "langfuse"}, {"callbacks": ["langfuse", "prometheus"]}),
        ({"callbacks": ["prometheus", "otel"]}, {"callbacks": ["prometheus", "otel"]}),
        ({"success_callback": ["prometheus"]}, {"success_callback": ["prometheus"]}),
    ],
)
def test_counting_is_turned_on_once_and_stays_on_when_a_model_goes_back(live: Json, after: Json) -> None:
    fresh = {**made("chat", 1), "litellm_settings": {"callbacks": ["prometheus"]}}
    config = {"model_list": [deployment("by-hand")], **({"litellm_settings": live} if live else {})}
    merged = merge(config, "chat", fresh).config
    assert merged["litellm_settings"] == after
    assert merge(merged, "chat", fresh).config == merged
    assert merge(merged, "chat", part(config, "chat")).config["litellm_settings"] == after
