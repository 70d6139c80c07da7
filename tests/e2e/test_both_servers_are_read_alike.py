"""One world on the sandbox's API server and on a real one: what tools and resources read of it is the same."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from ai_platform_mcp.app import App
from ai_platform_mcp.resources import CATALOGUE, match
from kubernetes_servers import Server, real_server, sandbox_server
from live_platform import InWindow
from real_targets import on

from .conftest import SYSTEMS, Platform, furnish, seeded_registry, settings

MOVING = {"age_seconds", "as_of", "created", "stale_seconds", "as_of_seconds", "version", "url", "freshness", "age"}
"""What differs between two servers of one world: times, and what a server says of itself."""
VIEWS: tuple[dict[str, Any], ...] = (
    {},
    {"kind": "gpu_pools"},
    {"kind": "queues"},
    {"kind": "nodes", "limit": 200},
    {"kind": "nodes", "name": "edge-us-south-1-01"},
    {"kind": "nodes", "state": "offline"},
    {"kind": "deployments"},
    {"kind": "deployments", "name": "vision-v2"},
    {"kind": "models"},
    {"kind": "versions", "name": "vision-v2"},
    {"kind": "approvals"},
)
ADDRESSES = ("cluster://inventory", "cluster://inventory/c1", "registry://models", "registry://models/vision-v2")


def settled(value: Any) -> Any:
    """The part of an answer that the world decides."""
    if isinstance(value, dict):
        return {key: settled(inner) for key, inner in value.items() if key not in MOVING}
    if isinstance(value, list):
        return [settled(inner) for inner in value]
    return value


@asynccontextmanager
async def looking(server: Server, registry: str, folder: Path) -> AsyncIterator[Platform]:
    folder.mkdir()
    app = App(settings(server, registry, folder), clock=InWindow())
    try:
        platform = Platform(app, server)
        with anyio.fail_after(60):
            while (await platform.call("inspect_platform")).data.get("stale"):
                await anyio.sleep(0.1)
        yield platform
    finally:
        await app.aclose()


async def read(platform: Platform, uri: str) -> Any:
    resource, values = next((row, found) for row in CATALOGUE if (found := match(row.template, uri)) is not None)
    caller = platform.caller("vision")
    return json.loads(await platform.app.look(uri, caller, lambda readers: resource.read(values, readers, caller)))


@on("kubernetes")
async def test_what_is_read_of_one_world_does_not_depend_on_the_server(tmp_path: Path) -> None:
    with ExitStack() as servers:
        here = servers.enter_context(sandbox_server(tmp_path))
        there = servers.enter_context(real_server(tmp_path, SYSTEMS))
        for server in (here, there):
            furnish(server)
        registry = seeded_registry(tmp_path)
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(looking(here, registry, tmp_path / "a"))
            other = await stack.enter_async_context(looking(there, registry, tmp_path / "b"))
            for view in VIEWS:
                answers = [(await row.call("inspect_platform", **view)).data for row in (one, other)]
                assert settled(answers[0]) == settled(answers[1]), view
            for uri in ADDRESSES:
                documents = [await read(row, uri) for row in (one, other)]
                assert settled(documents[0]) == settled(documents[1]), uri
