from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ai_platform_mcp.core.errors import NotFound
from ai_platform_mcp.domain.text import tokens
from ai_platform_mcp.resources import CATALOGUE, complete, read_operation
from ai_platform_mcp.sandbox import process
from live_platform import Platform, open_platform, running_sandbox


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Status]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as status:
        yield status


@pytest.fixture
async def platform(sandbox: process.Status, tmp_path: Path) -> AsyncIterator[Platform]:
    async with open_platform(sandbox, tmp_path) as platform:
        yield platform


async def read(platform: Platform, template: str, **variables: str) -> dict[str, Any]:
    resource = next(row for row in CATALOGUE if row.template == template)
    text = await resource.read(variables, platform.readers, platform.caller())
    assert tokens(text) <= 14_000, "an answer never exceeds 10,000 tokens; the estimate for JSON lies above them"
    return json.loads(text)


async def test_the_registry_is_read_from_all_models_down_to_one_versions_evidence(platform: Platform):
    template = "registry://models{/name}{/version}"
    models = await read(platform, template)
    assert "vision-v2" in [row[0] for row in models["rows"]]
    versions = await read(platform, template, name="vision-v2")
    assert versions["aliases"]["champion"] == "4" and len(versions["rows"]) == 4
    version = await read(platform, template, name="vision-v2", version="@champion")
    assert version["digest"].startswith("sha256:") and version["gates"][0]["verdict"] == "pass"
    assert version["run"]["metrics"]["accuracy"] == 0.921


async def test_an_inventory_says_its_age_and_what_it_left_out(platform: Platform):
    template = "cluster://inventory{/cluster}"
    short = await read(platform, template)
    assert short["clusters"] == [{"name": "sandbox", "sandbox": True}]
    full = await read(platform, template, cluster="sandbox")
    assert full["age_seconds"] >= 0 and len(full["gpu_pools"]["rows"]) == 6
    assert full["nodes"]["left_out"] > 0 and "inspect_platform" in full["nodes"]["how"]


async def test_the_law_is_listed_and_read_file_by_file(platform: Platform):
    law = await read(platform, "policy://law{/file}")
    assert law["revision"] and "deploy_model.rego" in law["characters_by_file"]
    for name in law["characters_by_file"]:
        file = await read(platform, "policy://law{/file}", file=name.replace("/", ":"))
        assert file["text"]


async def test_the_limits_are_those_of_the_callers_own_team(platform: Platform):
    limits = await read(platform, "policy://limits")
    assert limits["you"]["team"] == "vision"
    assert limits["team"]["gpus"]["a100"] > 0 and "nlp" in limits["teams"]
    assert "gpus" not in json.dumps(limits["everybody"].get("teams", {}))


async def test_an_operation_is_read_with_its_steps_and_its_progress(platform: Platform):
    begun = await platform.call("request_gpu", purpose="train", accelerator="a100", count=8, hours=1, mode="apply")
    document = json.loads(await read_operation(begun.data["operation_id"], platform.readers, platform.caller()))
    assert document["state"] == "applied" and document["steps"][0]["state"] == "applied"
    assert document["progress"]["state"] in ("queued", "running") and document["objects"][0]["cluster"] == "sandbox"
    await platform.call("control_operation", operation_id=begun.data["operation_id"], action="cancel", mode="apply")


@pytest.mark.parametrize(
    ("template", "variables"),
    [
        ("registry://models{/name}{/version}", {"name": "no-such-model"}),
        ("registry://models{/name}{/version}", {"name": "vision-v2", "version": "99"}),
        ("cluster://inventory{/cluster}", {"cluster": "elsewhere"}),
        ("policy://law{/file}", {"file": "../data.json"}),
        ("operation://{id}", {"id": "op-none"}),
    ],
)
async def test_an_address_that_leads_nowhere_says_what_there_is(
    platform: Platform, template: str, variables: dict[str, str]
):
    with pytest.raises(NotFound) as caught:
        await read(platform, template, **variables)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("argument", "value", "known", "expected"),
    [
        ("model", "vision", {}, "vision-v2"),
        ("version", "@ch", {"model": "vision-v2"}, "@champion"),
        ("cluster", "", {}, "sandbox"),
        ("site", "us-south", {}, "us-south-1"),
        ("queue", "gpu", {}, "gpu-spot"),
        ("namespace", "vision", {}, "vision-dev"),
        ("file", "deploy", {}, "deploy_model.rego"),
    ],
)
async def test_names_are_offered_while_one_types(
    platform: Platform, argument: str, value: str, known: dict[str, str], expected: str
):
    names = await complete(argument, value, known, platform.readers)
    assert expected in names and len(names) <= 50
    assert all(value.lower() in name.lower() for name in names)


async def test_an_argument_without_names_offers_none(platform: Platform):
    assert list(await complete("summary", "x", {}, platform.readers)) == []
