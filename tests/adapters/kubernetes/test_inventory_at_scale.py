"""The inventory of a large cluster: counted as it changes, read once, taken up where it broke, and never in anybody's way."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.adapters.kubernetes import reflector
from ai_platform_mcp.adapters.kubernetes.build import Kubernetes, kubernetes_adapter
from ai_platform_mcp.adapters.kubernetes.keeping import Kept, Rows, key_of
from ai_platform_mcp.adapters.kubernetes.transport import Request, Transport
from ai_platform_mcp.core.rows import ClusterInfo, Inventory, NodeUse

from .conftest import Cluster, WallClock, config_for
from .hostile import Behaviour, answer, hostile

INFO = ClusterInfo(name="c1")
Json = dict[str, Any]


# --- counted as it changes -------------------------------------------------------------------------------------------


def node(name: str, variant: int) -> Json:
    ready = {"type": "Ready", "status": ("True", "Unknown")[variant % 2]}
    labels = {"topology.kubernetes.io/region": f"r{variant}", "edge.aiplatform.dev/site": "s"}
    status = {"conditions": [ready], "allocatable": {"nvidia.com/gpu": str(variant)}}
    return {"kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


def pod(name: str, variant: int) -> Json:
    """Variants differ in node, phase, devices and whose they are; one is not placed yet."""
    wanted = {"requests": {"cpu": "1", "nvidia.com/gpu": str(variant % 3)}} if variant % 3 else {}
    labels = {"aiplatform.dev/model": f"m{variant % 2}"} if variant % 2 else {}
    spec = {"containers": [{"name": "c", "resources": wanted}, {"name": "d", "resources": wanted}]}
    if variant != 4:
        spec["nodeName"] = f"n{variant % 2}"  # type: ignore[assignment]  # one spec of several types
    phase = ("Running", "Running", "Pending", "Succeeded")[variant % 4]
    return {"kind": "Pod", "metadata": {"name": name, "namespace": f"ns{variant % 2}", "labels": labels}, "spec": spec,
            "status": {"phase": phase}}  # fmt: skip


def namespace(name: str, variant: int) -> Json:
    labels = {"aiplatform.dev/team": f"team-{variant}", "aiplatform.dev/environment": "dev"}
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels if variant else {}}}


def service(name: str, variant: int) -> Json:
    labels = {"aiplatform.dev/version": str(variant)} | ({"aiplatform.dev/team": "own"} if variant == 3 else {})
    return {"kind": "InferenceService", "metadata": {"name": name, "namespace": "ns0", "labels": labels}}


def flavor(name: str, variant: int) -> Json:
    price = {"aiplatform.dev/hourly-cents": str(100 * variant)}
    return {"kind": "ResourceFlavor", "metadata": {"name": name, "annotations": price}, "spec": {}}


def queue(name: str, variant: int) -> Json:
    offered = [{"name": f"n{variant % 2}", "resources": [{"name": "nvidia.com/gpu", "nominalQuota": str(variant)}]}]
    return {"kind": "ClusterQueue", "metadata": {"name": name}, "spec": {"resourceGroups": [{"flavors": offered}]}}


MAKERS: dict[str, Callable[[str, int], Json]] = {
    "Node": node,
    "Pod": pod,
    "Namespace": namespace,
    "InferenceService": service,
    "ResourceFlavor": flavor,
    "ClusterQueue": queue,
}
NAMES = {"Namespace": ("ns0", "ns1")}
events = st.lists(
    st.tuples(st.sampled_from(sorted(MAKERS)), st.integers(0, 3), st.integers(0, 5), st.booleans(), st.booleans()),
    max_size=60,
)


def told(kept: Kept) -> dict[str, Any]:
    return {
        "nodes": kept.nodes.rows(),
        "use": kept.pods.by_node(),
        "holders": kept.pods.holders("c1", kept.served.team),
        "flavors": kept.quota.rows(),
        "deployments": kept.served.rows(),
    }


@given(events)
def test_what_is_kept_after_any_events_is_what_a_fresh_reading_of_the_end_gives(
    changes: list[tuple[str, int, int, bool, bool]],
) -> None:
    kept, there = Kept(INFO), dict[tuple[str, str], Json]()
    for kind, which, variant, gone, looks in changes:
        names = NAMES.get(kind, ("n0", "n1", "n2", "n3"))
        live = MAKERS[kind](names[which % len(names)], variant)
        if kind == "Pod":  # a pod keeps its namespace
            live["metadata"]["namespace"] = f"ns{which % 2}"
        key = key_of(live)
        if gone:
            kept.keepers[kind].drop(key)
            there.pop((kind, key), None)
        else:
            kept.keepers[kind].put(key, live)
            there[kind, key] = live
        if looks:
            told(kept)  # an answer in between must not freeze what comes after
    fresh = Kept(INFO)
    for (kind, key), live in reversed(there.items()):
        fresh.keepers[kind].put(key, live)

    assert told(kept) == told(fresh)
    devices = sum(use.devices for use in kept.pods.by_node().values())
    assert devices == sum(row.devices for row in told(kept)["holders"])


def test_an_answer_given_is_not_changed_by_what_comes_later() -> None:
    kept = Kept(INFO)
    kept.pods.put("ns0\0p", pod("p", 1))
    before, nodes = kept.pods.by_node(), kept.nodes.rows()
    kept.pods.drop("ns0\0p")
    kept.nodes.put("\0n", node("n", 2))
    assert (before, nodes) == ({"n1": NodeUse(1, 2)}, ())
    assert kept.pods.by_node() == {}
    assert kept.nodes.rows() is kept.nodes.rows()


def strings_of(value: Any, seen: set[int]) -> Iterator[str]:
    """Every text that can be reached from a value."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings_of(key, seen)
            yield from strings_of(item, seen)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from strings_of(item, seen)
    elif hasattr(value, "__dict__") and not callable(value):
        yield from strings_of(vars(value), seen)


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_nothing_is_kept_of_what_no_row_needs(kind: str) -> None:
    live = MAKERS[kind]("n1", 1)
    live["metadata"] |= {
        "managedFields": [{"manager": "bulk-1"}],
        "annotations": {**live["metadata"].get("annotations", {}), "kubectl.kubernetes.io/last-applied": "bulk-2"},
    }
    if kind in ("Node", "Pod"):
        live["status"] |= {"images": [{"names": ["bulk-3"]}], "containerStatuses": [{"image": "bulk-4"}]}
    kept = Kept(INFO)
    kept.keepers[kind].put(key_of(live), live)
    assert "n1" in " ".join(strings_of(kept, set()))
    assert not [text for text in strings_of(kept, set()) if "bulk" in text or text == "managedFields"]


# --- read once, and taken up where it broke --------------------------------------------------------------------------


async def test_what_exists_is_streamed_and_not_listed_where_the_server_can(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    call = Transport.call

    async def spy(self: Transport, name: str, request: Request, **options: Any) -> Any:
        seen.append(request.what)
        return await call(self, name, request, **options)

    monkeypatch.setattr(Transport, "call", spy)
    await until(cluster.adapter, lambda now: not now.stale)
    assert [what for what in seen if what.startswith("list ") and "API" not in what] == []


async def test_pods_are_counted_and_those_that_end_are_not(cluster: Cluster) -> None:
    name, server = f"{cluster.namespace}-node", cluster.server
    server.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    path = f"/api/v1/namespaces/{cluster.namespace}"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "runs"}}
    server.post(f"{path}/serviceaccounts", account)
    for pod_name, devices in (("a", 2), ("b", 0)):
        amounts = {"limits": {"nvidia.com/gpu": str(devices)}} if devices else {}
        container = {"name": "c", "image": "registry.example.org/c:1", "resources": amounts}
        spec = {"nodeName": name, "serviceAccountName": "runs", "containers": [container]}
        meta = {"name": pod_name, "labels": {"aiplatform.dev/model": "m", "aiplatform.dev/team": "t"}}
        server.post(f"{path}/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})

    def holds(pods: int, devices: int) -> Callable[[Inventory], bool]:
        return lambda now: now.node_use.get(name) == ((pods, devices) if pods else None)

    found = await until(cluster.adapter, holds(2, 2))
    (held,) = [row for row in found.holders if row.namespace == cluster.namespace]
    assert (held.team, held.model, held.resource, held.pods, held.devices) == ("t", "m", "nvidia.com/gpu", 1, 2)
    server.merge(f"{path}/pods/a/status", {"status": {"phase": "Succeeded"}})
    await until(cluster.adapter, holds(1, 0))
    server.delete(f"{path}/pods/b")
    found = await until(cluster.adapter, holds(0, 0))
    assert [row for row in found.holders if row.namespace == cluster.namespace] == []
    server.delete(f"/api/v1/nodes/{name}")


async def until(adapter: Kubernetes, good: Callable[[Inventory], bool]) -> Inventory:
    with anyio.fail_after(60):
        while not good(found := await adapter.inventory.inventory("c1")):
            await anyio.sleep(0.01)
    return found


class Nodes:
    """A server of nodes in pages of its own making, whose watches do what a test wants of them."""

    def __init__(self, *watches: Callable[[Any], AsyncIterator[None]] | Behaviour) -> None:
        self.lists: list[list[str]] = []
        self.asked: list[str] = []
        self.watches: list[Any] = list(watches)
        self.held = anyio.Event()
        self.held.set()

    def __call__(self, target: str) -> Behaviour:
        if target.startswith("/apis"):
            return answer(200, {"kind": "APIGroupDiscoveryList", "items": []})
        if not target.startswith("/api/v1/nodes"):
            resource = {"resource": "nodes", "responseKind": {"version": "v1", "kind": "Node"}, "scope": "Cluster"}
            versions = [{"version": "v1", "resources": [{**resource, "verbs": []}]}]
            return answer(
                200, {"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": ""}, "versions": versions}]}
            )
        self.asked.append(target)
        if "watch=true" in target:
            return self.watches.pop(0) if len(self.watches) > 1 else self.watches[0]
        return self._listed

    async def _listed(self, writer: Any) -> None:
        await self.held.wait()
        names = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        items = [{"metadata": {"name": name}} for name in names]
        await answer(200, {"kind": "NodeList", "metadata": {"resourceVersion": "5"}, "items": items})(writer)

    @property
    def listed(self) -> int:
        return sum("watch=true" not in target for target in self.asked)


def stream(*lines: str, then: str = "wait") -> Behaviour:
    """A watch that says these lines, and then waits, breaks off or ends in good order."""

    async def behave(writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for line in lines:
            writer.write(f"{len(line) + 1:x}\r\n{line}\n\r\n".encode())
        await writer.drain()
        if then == "wait":
            await anyio.sleep_forever()
        elif then == "break":
            writer.transport.abort()
        else:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    return behave


ADDED = '{"type":"ADDED","object":{"kind":"Node","apiVersion":"v1","metadata":{"name":"n2","resourceVersion":"8"}}}'
MARK = '{"type":"BOOKMARK","object":{"kind":"Node","apiVersion":"v1","metadata":{"resourceVersion":"9"}}}'
GONE = '{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","code":410,"reason":"Expired","message":"old"}}'


@asynccontextmanager
async def against(folder: Path, nodes: Nodes) -> AsyncGenerator[Kubernetes]:
    async with hostile(folder, routes=nodes) as server:
        adapter = kubernetes_adapter([config_for(server.kubeconfig)], WallClock())
        try:
            yield adapter
        finally:
            await adapter.aclose()


def named(*names: str) -> Callable[[Inventory], bool]:
    return lambda now: not now.stale and [row.name for row in now.nodes] == list(names)


async def test_a_watch_that_breaks_is_taken_up_at_the_last_bookmark_without_reading_everything_again(
    tmp_path: Path,
) -> None:
    nodes = Nodes(stream(ADDED, MARK, then="break"), stream())
    nodes.lists = [["n1"], ["never"]]
    async with against(tmp_path, nodes) as adapter:
        await until(adapter, lambda now: len(nodes.asked) > 2 and named("n1", "n2")(now))
    assert nodes.listed == 1
    assert "resourceVersion=9" in nodes.asked[-1]


async def test_a_server_that_forgot_the_place_is_read_again_and_the_old_answer_stays_until_then(tmp_path: Path) -> None:
    nodes = Nodes(stream(ADDED, GONE, then="end"), stream())
    nodes.lists = [["n1", "n9"], ["n1", "n3"]]
    async with against(tmp_path, nodes) as adapter:
        await until(adapter, lambda now: {"n1", "n9"} <= {row.name for row in now.nodes})
        nodes.held = anyio.Event()
        old = await until(adapter, lambda now: now.stale and nodes.listed == 2)
        assert [row.name for row in old.nodes] == ["n1", "n2", "n9"]
        nodes.held.set()
        await until(adapter, named("n1", "n3"))


async def test_a_page_gives_way_to_others_while_it_is_worked_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(reflector.time, "perf_counter", lambda: next(ticks) / 1000)  # each look takes a millisecond
    turns, taken = [0], list[int]()
    put = Rows[Any].put

    def spy(self: Rows[Any], key: str, live: Json) -> None:
        taken.append(turns[0])
        put(self, key, live)

    monkeypatch.setattr(Rows, "put", spy)
    nodes = Nodes(stream())
    nodes.lists = [[f"n{number:03}" for number in range(100)]]

    async def count() -> None:
        while True:
            turns[0] += 1
            await anyio.lowlevel.checkpoint()

    async with against(tmp_path, nodes) as adapter, anyio.create_task_group() as group:
        group.start_soon(count)
        await until(adapter, lambda now: len(now.nodes) == 100)
        group.cancel_scope.cancel()
    most = max(len(list(same)) for _, same in itertools.groupby(taken))
    assert len(taken) == 100
    assert most <= 5
