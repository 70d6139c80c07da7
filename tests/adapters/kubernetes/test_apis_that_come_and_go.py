"""CRDs installed, removed and moved to another version while their catalogue is cached and watches run, on both servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import anyio
import pytest

from ai_platform_mcp.adapters.kubernetes import discovery, reflector
from ai_platform_mcp.adapters.kubernetes.discovery import Discovery
from ai_platform_mcp.adapters.kubernetes.reflector import Reflector, Watched
from ai_platform_mcp.core.errors import CapabilityMissing
from ai_platform_mcp.core.plan import Submit
from kubernetes_servers import Server

from .conftest import Cluster, executing, stamp

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Kind:
    """A kind of our own, served as the test says."""

    def __init__(self, cluster: Cluster) -> None:
        self.server: Server = cluster.server
        self.group = f"g{uuid4().hex[:8]}.example.com"
        self.name = f"widgets.{self.group}"
        self.old, self.new = f"{self.group}/v1beta1", f"{self.group}/v1beta2"
        self.namespace = cluster.namespace

    def versions(self, **served: bool) -> list[dict[str, Any]]:
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        stored = {"v1beta1": "v1beta2" not in served, "v1beta2": True}
        return [
            {"name": name, "served": shown, "storage": stored[name], "schema": schema} for name, shown in served.items()
        ]

    async def install(self) -> None:
        names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}
        spec = {"group": self.group, "scope": "Namespaced", "names": names, "versions": self.versions(v1beta1=True)}
        body = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
        self.server.post(CRDS, {**body, "metadata": {"name": self.name}, "spec": spec})
        await self.until(self.old, True)

    async def serve(self, **served: bool) -> None:
        self.server.merge(f"{CRDS}/{self.name}", {"spec": {"versions": self.versions(**served)}})
        for version, shown in served.items():
            await self.until(f"{self.group}/{version}", shown)

    async def remove(self) -> None:
        self.server.delete(f"{CRDS}/{self.name}")
        await self.until(self.old, False)
        await self.until(self.new, False)

    async def until(self, api_version: str, served: bool) -> None:
        """Wait until the server itself serves (or no longer serves) the version, in discovery and in answers."""
        with anyio.fail_after(30):
            while True:
                # 429 is what a real server says while it sets up the storage of a CRD.
                paths = (f"/apis/{api_version}", f"/apis/{api_version}/widgets")
                if {self.server.http.get(path).status_code for path in paths} == {200 if served else 404}:
                    return
                await anyio.sleep(0.1)

    def make(self, api_version: str, name: str) -> None:
        path = f"/apis/{api_version}/namespaces/{self.namespace}/widgets"
        self.server.post(path, self.manifest(api_version, name))

    def manifest(self, api_version: str, name: str) -> dict[str, Any]:
        return {"apiVersion": api_version, "kind": "Widget", "metadata": {"name": name, "namespace": self.namespace}}


@pytest.fixture
async def kind(cluster: Cluster) -> AsyncIterator[Kind]:
    own = Kind(cluster)
    await own.install()
    yield own
    cluster.server.delete(f"{CRDS}/{own.name}")


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue may be read anew at once where it misses something; it stays fresh for five minutes all the same."""
    monkeypatch.setattr(discovery, "_RECHECK_SECONDS", 0.0)


async def test_an_api_that_is_removed_while_its_catalogue_is_fresh_is_missing_at_once(
    cluster: Cluster, kind: Kind
) -> None:
    reader, where = cluster.adapter.reader, cluster.namespace
    kind.make(kind.old, "a")
    assert await reader.serves("c1", kind.old, "Widget")
    assert await reader.get("c1", kind.old, "Widget", "a", where)

    await kind.remove()

    with pytest.raises(CapabilityMissing) as caught:
        await reader.list("c1", kind.old, "Widget", namespace=where)
    assert caught.value.cause and "Install" in caught.value.remedy
    assert not await reader.serves("c1", kind.old, "Widget")
    with pytest.raises(CapabilityMissing):  # and never None, which would read as: there is no such object
        await reader.get("c1", kind.old, "Widget", "a", where)
    step = Submit(id="s1", title="s", cluster="c1", manifest=kind.manifest(kind.old, "b"))
    with pytest.raises(CapabilityMissing), executing():
        await cluster.adapter.writer.execute(step, stamp())


async def test_a_write_to_an_api_that_was_just_removed_is_refused_as_missing(cluster: Cluster, kind: Kind) -> None:
    assert await cluster.adapter.reader.serves("c1", kind.old, "Widget")
    await kind.remove()
    step = Submit(id="s1", title="s", cluster="c1", manifest=kind.manifest(kind.old, "b"))
    with pytest.raises(CapabilityMissing), executing():
        await cluster.adapter.writer.execute(step, stamp())


async def test_an_api_that_is_installed_while_we_run_is_found(cluster: Cluster) -> None:
    own = Kind(cluster)
    assert not await cluster.adapter.reader.serves("c1", own.old, "Widget")
    await own.install()
    try:
        assert await cluster.adapter.reader.serves("c1", own.old, "Widget")
        step = Submit(id="s1", title="s", cluster="c1", manifest=own.manifest(own.old, "a"))
        with executing():
            assert (await cluster.adapter.writer.execute(step, stamp())).state == "applied"
    finally:
        await own.remove()


async def test_another_version_is_named_where_the_asked_one_is_no_longer_served(cluster: Cluster, kind: Kind) -> None:
    kind.make(kind.old, "a")
    assert await cluster.adapter.reader.serves("c1", kind.old, "Widget")
    await kind.serve(v1beta1=False, v1beta2=True)
    with pytest.raises(CapabilityMissing):
        await cluster.adapter.reader.list("c1", kind.old, "Widget", namespace=cluster.namespace)
    with pytest.raises(CapabilityMissing) as caught:
        await cluster.adapter.reader.list("c1", kind.old, "Widget", namespace=cluster.namespace)
    assert kind.new in caught.value.cause
    found = await cluster.adapter.reader.get("c1", kind.new, "Widget", "a", cluster.namespace)
    assert found is not None and found["apiVersion"] == kind.new


async def test_a_watch_ends_with_what_is_wrong_when_its_api_is_removed(cluster: Cluster, kind: Kind) -> None:
    kind.make(kind.old, "a")
    seen: list[str] = []
    with pytest.raises(CapabilityMissing):
        async for live in cluster.adapter.reader.watch("c1", kind.old, "Widget", namespace=cluster.namespace):
            if not seen:
                await kind.remove()
            seen.append(live["metadata"]["name"])
    assert set(seen) == {"a"}


class Kept:
    """What a reflector keeps, by key."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}

    def known(self) -> list[str]:
        return list(self.objects)

    def put(self, key: str, live: dict[str, Any]) -> None:
        self.objects[key] = live

    def drop(self, key: str) -> None:
        self.objects.pop(key, None)

    def versions(self) -> dict[str, str]:
        return {live["metadata"]["name"]: live["apiVersion"] for live in self.objects.values()}


async def lists() -> bool:
    return False


async def test_a_kept_kind_survives_the_move_to_another_version_goes_and_comes_back(
    cluster: Cluster, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reflector, "_FIRST_WAIT", 0.05)
    monkeypatch.setattr(reflector, "_MISSING_WAIT", 0.05)
    await cluster.adapter.reader.kinds("c1")
    kept, transport = Kept(), cluster.adapter.transport
    watched = Watched("Widget", (kind.new, kind.old))
    own = Reflector("c1", watched, kept, transport, Discovery(transport), lists)  # type: ignore[arg-type]
    absent: list[bool] = []
    monkeypatch.setattr(own, "_absent", lambda absence=own._absent: (absent.append(True), absence())[1])
    kind.make(kind.old, "a")
    task = asyncio.create_task(own.run())
    try:
        await until(lambda: kept.versions() == {"a": kind.old} and own.current)
        await kind.serve(v1beta1=True, v1beta2=True)
        await kind.serve(v1beta1=False, v1beta2=True)
        kind.make(kind.new, "b")
        await until(lambda: kept.versions() == {"a": kind.new, "b": kind.new} and own.current)
        assert absent == []  # at no moment was the kind said to be missing

        await kind.remove()
        await until(lambda: own.missing and not kept.objects)
        await kind.install()
        kind.make(kind.old, "c")
        await until(lambda: kept.versions() == {"c": kind.old} and own.current and not own.missing)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Any) -> None:
    with anyio.fail_after(30):
        while not condition():
            await anyio.sleep(0.05)
