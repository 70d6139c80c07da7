"""A tool that gets hold of something that writes is refused before anything reaches the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ai_platform_mcp.adapters.kubernetes.transport import Request
from ai_platform_mcp.adapters.kubernetes.writer import KubernetesWriter
from ai_platform_mcp.core.errors import Forbidden
from ai_platform_mcp.core.plan import Apply, Delete, ObjectRef, SetAlias, SetTag
from ai_platform_mcp.core.rows import Stamp
from support.engines import Engine
from support.sundry import Acting, ActingReader, config_map
from support.world import Platform, World

STAMP = Stamp(operation_id="op-0123456789abcdef", plan_digest="0" * 64)


@pytest.fixture
def tools() -> tuple[Acting, ActingReader]:
    return Acting(), ActingReader()


@pytest.fixture
async def smuggling(world: World, tmp_path: Path, tools: tuple[Acting, ActingReader]) -> AsyncIterator[Platform]:
    async with world.platform(tmp_path, tools=tools, policy=Engine()) as platform:
        yield platform


async def acts(platform: Platform, model: str) -> dict[str, Any]:
    """Everything a tool might try with what the readers are made of. What it would create is called as the model is."""
    readers = await platform.app.readers()
    clusters: Any = readers.clusters
    registry: Any = readers.registry
    transport, discovery = clusters._transport, clusters._discovery
    writer = KubernetesWriter(transport, discovery, clusters)
    step = Apply(title="smuggle", cluster="sandbox", manifest=config_map(model, "x"))
    node = ObjectRef(api_version="v1", kind="Node", name="edge-us-south-1-01")

    def send(method: str, path: str, body: Any = None, **more: Any) -> Any:
        return lambda: transport.call("sandbox", Request(method, path, "smuggle", body=body, **more))

    maps = "/api/v1/namespaces/vision-dev/configmaps"
    return {
        "the writer applies": lambda: writer.execute(step, STAMP),
        "the writer deletes": lambda: writer.execute(
            Delete(title="smuggle", cluster="sandbox", ref=node, uid="u"), STAMP
        ),
        "a raw POST": send("POST", maps, config_map(model, "x")),
        "a raw PUT": send("PUT", f"{maps}/{model}", config_map(model, "x")),
        "a raw PATCH": send(
            "PATCH", f"{maps}/{model}", config_map(model, "x"), content_type="application/apply-patch+yaml"
        ),
        "a raw DELETE": send("DELETE", "/api/v1/nodes/edge-us-south-1-01"),
        "a GET that acts": send("GET", "/api/v1/namespaces/vision-dev/pods/p/exec"),
        "the registry moves an alias": lambda: registry.execute(
            SetAlias(title="smuggle", model=model, alias="champion", version="2", expected="1"), STAMP
        ),
        "the registry sets a tag": lambda: registry.execute(
            SetTag(title="smuggle", model=model, version="1", key="smuggled", value="yes"), STAMP
        ),
    }


NAMES = (
    "the writer applies",
    "the writer deletes",
    "a raw POST",
    "a raw PUT",
    "a raw PATCH",
    "a raw DELETE",
    "a GET that acts",
    "the registry moves an alias",
    "the registry sets a tag",
)


async def assert_nothing_happened(platform: Platform, world: World, model: str) -> None:
    assert await platform.object("ConfigMap", model) is None
    nodes = await (await platform.app.readers()).clusters.list(
        "sandbox", "v1", "Node", labels="aiplatform.dev/cloud=edge"
    )
    assert len(nodes.items) == 47
    assert world.alias(model, "champion") == "1"
    assert "smuggled" not in world.tags(model, "1")


@pytest.mark.parametrize("mode", ["plan", "apply"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_planning_tool_that_acts_is_refused_before_the_wire(
    smuggling: Platform, world: World, tools: tuple[Acting, ActingReader], name: str, mode: str
):
    model = world.model(aliases={"champion": "1"})
    tools[0].act = (await acts(smuggling, model))[name]
    with pytest.raises(Forbidden, match="no plan step is being executed"):
        await smuggling.call("sundry", name="honest", mode=mode)
    await assert_nothing_happened(smuggling, world, model)
    assert [outcome for *_, outcome in await smuggling.audit()] == ["forbidden"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_reading_tool_that_acts_is_refused_before_the_wire(
    smuggling: Platform, world: World, tools: tuple[Acting, ActingReader], name: str
):
    model = world.model(aliases={"champion": "1"})
    tools[1].act = (await acts(smuggling, model))[name]
    with pytest.raises(Forbidden, match="no plan step is being executed"):
        await smuggling.call("peek")
    await assert_nothing_happened(smuggling, world, model)


async def test_a_resource_that_acts_is_refused_before_the_wire(smuggling: Platform, world: World):
    model = world.model(aliases={"champion": "1"})
    for act in (await acts(smuggling, model)).values():

        async def read(_: Any, act: Any = act) -> str:
            return str(await act())

        with pytest.raises(Forbidden, match="no plan step is being executed"):
            await smuggling.app.look("cluster://inventory", smuggling.caller(), read)
    await assert_nothing_happened(smuggling, world, model)


async def test_readers_hold_no_writer(smuggling: Platform):
    readers = await smuggling.app.readers()
    assert not hasattr(readers.clusters, "execute")
    assert not hasattr(readers, "writers") and "writers" not in type(readers).__dataclass_fields__
