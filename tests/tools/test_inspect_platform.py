from __future__ import annotations

import pytest

from ai_platform_mcp.core.errors import InvalidInput, NotFound
from ai_platform_mcp.domain.text import json_tokens, tokens
from live_platform import Platform

KINDS = ("overview", "models", "deployments", "gpu_pools", "queues", "nodes", "operations", "approvals")


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_answers_within_its_budget_and_says_how_old_it_is(platform: Platform, kind: str):
    answer = await platform.call("inspect_platform", kind=kind)
    assert json_tokens(answer.data) <= 2000 and tokens(answer.text) <= 2000
    assert isinstance(answer.data["age_seconds"], int)
    assert answer.data["rows"] or answer.data["empty"]


async def test_the_overview_counts_the_fleet_the_pools_and_the_models(platform: Platform):
    text = (await platform.call("inspect_platform")).text
    assert "47: 3 offline, 44 ready" in text and "edge-us-east-2-04" in text
    assert "NVIDIA-A100-SXM4-80GB" in text
    assert "registered" in text


async def test_a_list_that_is_cut_says_so_and_its_token_leads_through_all_of_it(platform: Platform):
    seen: list[str] = []
    token = ""
    for _ in range(20):
        answer = await platform.call("inspect_platform", kind="nodes", token=token)
        seen += [row[0] for row in answer.data["rows"]]
        token = answer.data.get("next", "")
        if not token:
            break
        assert f"token={token}" in answer.text
    assert len(seen) == len(set(seen)) == answer.data["total"]


async def test_verbose_shows_more_at_once_and_never_more_than_ten_thousand_tokens(platform: Platform):
    short = await platform.call("inspect_platform", kind="nodes", limit=200)
    long = await platform.call("inspect_platform", kind="nodes", limit=200, verbose=True)
    assert short.data["shown"] < long.data["shown"] == long.data["total"]
    assert json_tokens(long.data) <= 10_000


async def test_filters_narrow_and_those_that_a_kind_lacks_are_refused(platform: Platform):
    offline = await platform.call("inspect_platform", kind="nodes", state="offline")
    assert {row[0] for row in offline.data["rows"]} == {"edge-us-east-2-04", "edge-eu-west-3-02", "edge-ap-south-1-05"}
    site = await platform.call("inspect_platform", kind="nodes", site="us-south-1")
    assert {row[site.data["columns"].index("site")] for row in site.data["rows"]} == {"us-south-1"}
    spot = await platform.call("inspect_platform", kind="gpu_pools", state="spot")
    assert {row[0] for row in spot.data["rows"]} == {"aws-a100-spot", "gcp-h100-spot"}
    with pytest.raises(InvalidInput, match="no filter site"):
        await platform.call("inspect_platform", kind="models", site="us-south-1")


async def test_one_thing_by_name_is_told_in_full(platform: Platform):
    node = await platform.call("inspect_platform", kind="nodes", name="edge-us-south-1-01")
    assert node.data["labels"]["edge.aiplatform.dev/site"] == "us-south-1"
    versions = await platform.call("inspect_platform", kind="versions", name="vision-v2")
    assert "accuracy 0.921/0.9 pass" in versions.text and "champion" in versions.text
    with pytest.raises(NotFound):
        await platform.call("inspect_platform", kind="operations", name="op-0000000000000000")
    with pytest.raises(NotFound):
        await platform.call("inspect_platform", kind="versions", name="no-such-model")


async def test_a_model_that_is_only_trained_points_to_its_runs(platform: Platform):
    answer = await platform.call("inspect_platform", kind="versions", name="vision-v3")
    assert "register_model" in answer.text and "accuracy 0.933" in answer.text


async def test_an_operation_is_followed_to_its_objects_and_says_what_can_be_done(platform: Platform):
    done = await platform.call(
        "request_gpu", purpose="train", accelerator="h100", count=8, hours=1, mode="apply", idempotency_key="inspect-1"
    )
    name = done.data["operation_id"]
    answer = await platform.call("inspect_platform", kind="operations", name=name)
    assert answer.data["progress"]["state"] in ("queued", "running")
    assert f"control_operation operation_id={name} action=cancel|pause" in answer.data["next"]
    listed = await platform.call("inspect_platform", kind="operations", contains="h100")
    assert name in listed.text
    await platform.call("control_operation", operation_id=name, action="cancel", mode="apply")


@pytest.mark.parametrize("token", ["x", "9", "-1:", "1" * 30 + ":"])
async def test_a_token_that_is_none_of_ours_is_refused(platform: Platform, token: str):
    with pytest.raises(InvalidInput, match="paging token"):
        await platform.call("inspect_platform", kind="nodes", token=token)
