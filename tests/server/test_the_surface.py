"""What a client is offered: the same over both transports and in both eras, small, and as promised in tools/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from rs_bpe.bpe import openai

from support.serving import MODERN, Http, Way, stdio

ROOT = Path(__file__).parents[2]
CONTRACTS = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "tools").glob("*.json"))}


def wire(tool: Any) -> dict[str, Any]:
    return tool.model_dump(mode="json", by_alias=True, exclude_none=True)


def keys(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        return set(schema).union(*(keys(value) for value in schema.values()))
    return set[str]().union(*(keys(row) for row in schema)) if isinstance(schema, list) else set()


async def test_a_client_gets_exactly_the_promised_tools(way: Way):
    async with way.open() as client:
        tools = {tool.name: wire(tool) for tool in (await client.list_tools()).tools}
        assert tools == CONTRACTS
        assert client.protocol_version == ("2025-11-25" if way.mode == "legacy" else MODERN)
        assert client.server_info.name == "ai-platform-mcp" and client.server_info.version


async def test_the_whole_list_costs_at_most_three_thousand_tokens_and_ten_tools(http: Http):
    async with Client(http.url) as client:
        tools = [wire(tool) for tool in (await client.list_tools()).tools]
    told = [{key: tool[key] for key in ("name", "description", "inputSchema")} for tool in tools]
    tokens = openai.o200k_base().count(json.dumps(told, ensure_ascii=False, separators=(",", ":")))
    assert len(tools) <= 10 and tokens <= 3000, (len(tools), tokens)


async def test_schemas_are_flat_closed_and_without_what_clients_choke_on(http: Http):
    async with Client(http.url) as client:
        tools = [wire(tool) for tool in (await client.list_tools()).tools]
    for tool in tools:
        schema = tool["inputSchema"]
        assert schema["type"] == "object" and schema["additionalProperties"] is False
        assert not keys(schema) & {"$ref", "$defs", "anyOf", "oneOf", "allOf", "prefixItems", "title"}, tool["name"]
        assert set(tool["annotations"]) == {
            "title",
            "readOnlyHint",
            "destructiveHint",
            "idempotentHint",
            "openWorldHint",
        }
        assert tool["title"] and tool["description"] and len(tool["name"]) <= 40
        for name, rule in schema["properties"].items():
            assert rule.get("type") != "object" and "type" in rule, (tool["name"], name)
        writes = not tool["annotations"]["readOnlyHint"]
        assert writes == ("plan_id" in schema["properties"])
        if writes:
            assert schema["properties"]["mode"]["default"] == "plan"


async def test_resources_templates_prompts_and_completions_are_there(on_http: Way):
    async with on_http.open() as client:
        fixed = {str(row.uri) for row in (await client.list_resources()).resources}
        templates = {row.uri_template for row in (await client.list_resource_templates()).resource_templates}
        assert {"registry://models", "cluster://inventory", "policy://law"} <= fixed
        assert any(template.startswith("operation://{") for template in templates)
        models = json.loads((await client.read_resource("registry://models")).contents[0].text)
        assert "churn" in json.dumps(models)
        one = json.loads((await client.read_resource("registry://models/vision-v2")).contents[0].text)
        assert "champion" in json.dumps(one)
        inventory = (await client.read_resource("cluster://inventory/sandbox")).contents[0].text
        assert "edge-" in inventory
        assert "deploy_model" in (await client.read_resource("policy://law")).contents[0].text
        with pytest.raises(MCPError) as caught:
            await client.read_resource("operation://op-0000000000000000")
        assert caught.value.error.code == -32602 and caught.value.error.data["code"] == "not_found"
        with pytest.raises(MCPError):
            await client.read_resource("nonsense://x")
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        assert prompts == {"deploy_safely", "investigate_model_health", "plan_training_run"}
        told = await client.get_prompt("deploy_safely", {"model": "vision-v2"})
        assert "vision-v2" in told.messages[0].content.text and "deploy_model" in told.messages[0].content.text
        with pytest.raises(MCPError, match="missing: model"):
            await client.get_prompt("deploy_safely", {})


async def test_names_are_completed_while_somebody_types(on_http: Way):
    async with on_http.open() as client:

        async def complete(argument: str, value: str, **known: str) -> list[str]:
            answer = await client.complete(
                ref={"type": "ref/resource", "uri": "registry://models{/name}{/version}"},
                argument={"name": argument, "value": value},
                context_arguments=known or None,
            )
            return list(answer.completion.values)

        assert (await complete("name", "vis"))[0].startswith("vis")
        assert "@champion" in await complete("version", "", name="vision-v2")
        assert await complete("cluster", "sand") == ["sandbox"]
        assert len(await complete("site", "us-south")) >= 3
        assert "gpu" in await complete("queue", "gpu")
        assert await complete("nothing_like_it", "") == []


async def test_a_read_only_server_lists_no_tool_that_writes(platform_file: Path):
    async with Client(stdio(platform_file, "--read-only")) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {"inspect_platform", "query_metrics"}
        refused = await client.call_tool("promote_model", {"model": "vision-v2", "version": "1"})
        assert refused.is_error and refused.structured_content["code"] == "read_only"
