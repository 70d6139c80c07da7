"""The inventory's cache is shared, and each caller sees of it what the cluster would let them list."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anyio
import pytest

from ai_platform_mcp.adapters.kubernetes import visible
from ai_platform_mcp.adapters.kubernetes.build import Kubernetes, kubernetes_adapter
from ai_platform_mcp.core.acting import acting_for
from ai_platform_mcp.core.rows import Inventory
from ai_platform_mcp.core.tool import Caller
from kubernetes_servers import Server
from support.identities import caller, grant, group, rule

from .conftest import WallClock, config_for

_numbers = itertools.count(1)
KUEUE = "/apis/kueue.x-k8s.io/v1beta2"


@dataclass
class Shared:
    """A node, and a LocalQueue of each of two teams, watched by one adapter."""

    server: Server
    adapter: Kubernetes
    number: int

    def name(self, word: str) -> str:
        return f"{word}-inv{self.number}"

    async def seen(self, who: Caller) -> tuple[set[str], set[str], Inventory]:
        """The nodes and the queues' namespaces of this test that somebody sees."""
        with acting_for(who):
            found = await self.adapter.inventory.inventory("c1")
        ours = f"-inv{self.number}"
        nodes = {row.name for row in found.nodes if row.name.endswith(ours)}
        return nodes, {row.namespace for row in found.queues if row.namespace.endswith(ours)}, found


@pytest.fixture
async def shared(server: Server) -> AsyncIterator[Shared]:
    number = next(_numbers)
    opened = kubernetes_adapter([config_for(server.kubeconfig, access="impersonate")], WallClock())
    world = Shared(server, opened, number)
    server.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": world.name("node")}})
    for team in ("vision", "nlp"):
        name = world.name(team)
        server.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        queue = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "LocalQueue", "metadata": {"name": "gpu"}}
        server.post(f"{KUEUE}/namespaces/{name}/localqueues", {**queue, "spec": {"clusterQueue": "pool"}})
        grant(server, name, group(f"aiplatform:team:{name}"), rule("kueue.x-k8s.io", "localqueues", "list"))
    everything = [rule("", "nodes pods", "list"), rule("kueue.x-k8s.io", "localqueues", "list")]
    grant(server, "", group(f"aiplatform:team:{world.name('ops')}"), *everything)
    with anyio.fail_after(30):
        while world.name("nlp") not in (await world.seen(caller("opa", world.name("ops"))))[1]:
            await anyio.sleep(0.05)
    yield world
    await opened.aclose()
    server.delete(f"/api/v1/nodes/{world.name('node')}")


async def test_each_caller_is_shown_what_they_may_list_and_told_what_is_left_out(shared: Shared) -> None:
    vision, nlp = shared.name("vision"), shared.name("nlp")
    nodes, queues, found = await shared.seen(caller("ada", vision))
    assert (nodes, queues) == (set(), {vision})
    assert "Node" in found.problem and "LocalQueue of other namespaces" in found.problem
    assert found.node_use == {} and found.flavors == ()
    assert (await shared.seen(caller("noa", nlp)))[:2] == (set(), {nlp})
    assert (await shared.seen(caller("opa", shared.name("ops"))))[:2] == ({shared.name("node")}, {vision, nlp})
    assert (await shared.seen(caller("eve", "")))[:2] == (set(), set())


async def test_callers_who_ask_at_once_are_shown_their_own_view(shared: Shared) -> None:
    vision, nlp = shared.name("vision"), shared.name("nlp")
    wrong: list[str] = []

    async def ask(team: str, number: int) -> None:
        if (await shared.seen(caller(f"p{number}", team)))[1] != {team}:
            wrong.append(f"{team} {number}")

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(ask, (vision, nlp)[number % 2], number)
    assert wrong == []


async def test_a_right_that_is_taken_away_is_asked_for_again(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    vision = shared.name("vision")
    who = caller("ada", vision)
    assert (await shared.seen(who))[1] == {vision}
    grant(shared.server, vision, group(f"aiplatform:team:{vision}"))
    monkeypatch.setattr(visible, "_FRESH_SECONDS", 0.0)
    with anyio.fail_after(20):
        while (await shared.seen(who))[1]:
            await anyio.sleep(0.02)


def test_every_part_of_an_inventory_is_gated_or_only_says_how_good_it_is() -> None:
    gated = [set(visible._WHOLE), set(visible._BY_NAMESPACE), set(visible._ABOUT)]  # pyright: ignore[reportPrivateUsage]
    assert set.union(*gated) == set(Inventory.model_fields)
    assert sum(map(len, gated)) == len(Inventory.model_fields)
