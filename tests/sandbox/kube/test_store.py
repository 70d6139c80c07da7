"""The same world for those who live in its process: controllers and seeds."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.sandbox.kube.listing import listing
from ai_platform_mcp.sandbox.kube.resources import Registry
from ai_platform_mcp.sandbox.kube.selectors import selection
from ai_platform_mcp.sandbox.kube.status import ApiError
from ai_platform_mcp.sandbox.kube.storage import Storage
from ai_platform_mcp.sandbox.kube.store import Write, open_store
from ai_platform_mcp.sandbox.kube.watching import Scope

from .conftest import HandClock, deployment, pod


def config_map(name: str, namespace: str = "default", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_a_world_survives_a_restart_and_its_version_goes_on(tmp_path: Path) -> None:
    async with open_store(tmp_path / "w.db", HandClock()) as store:
        made = await store.create(config_map("a", k="v"))
        crd = "customresourcedefinitions.apiextensions.k8s.io"
        await store.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", "rayjobs.ray.io")
        gone = len(store.storage.bucket(crd).keys)
        version = store.storage.version
    async with open_store(tmp_path / "w.db", HandClock()) as store:
        assert await store.get("v1", "ConfigMap", "a", "default") == made
        assert store.storage.version >= version
        assert len(store.storage.bucket(crd).keys) == gone, "what was uninstalled stays so"
        later = await store.create(config_map("b"))
        assert int(later["metadata"]["resourceVersion"]) > version
        with pytest.raises(ApiError, match="no matches for kind"):
            await store.list("ray.io/v1", "RayJob")
        async with aclosing(store.watch("v1", "ConfigMap", resource_version="1")) as events:
            assert (await anext(events)).type == "ERROR", "history does not survive, and says so"


async def test_a_write_is_on_disk_when_it_returns(tmp_path: Path) -> None:
    store_file, copy = tmp_path / "w.db", tmp_path / "copy"
    async with open_store(store_file, HandClock()) as store:
        await store.create(config_map("a"))
        copy.mkdir()
        for file in tmp_path.glob("w.db*"):
            (copy / file.name).write_bytes(file.read_bytes())
    async with open_store(copy / "w.db", HandClock()) as crashed:
        assert await crashed.find("v1", "ConfigMap", "a", "default")


async def test_what_comes_out_is_the_callers_own() -> None:
    async with open_store(None, HandClock()) as store:
        await store.create(config_map("a", k="v"))
        mine = await store.get("v1", "ConfigMap", "a", "default")
        mine["data"]["k"] = "changed"
        (await store.list("v1", "ConfigMap", "default")).items[0]["data"] = {}
        assert (await store.get("v1", "ConfigMap", "a", "default"))["data"] == {"k": "v"}


async def test_controllers_write_status_and_watch_by_the_clock() -> None:
    clock = HandClock()
    async with open_store(None, clock) as store:
        made = await store.create(deployment())
        assert made["metadata"]["creationTimestamp"] == "2026-11-02T09:00:00Z"
        clock.advance(hours=1)
        made["status"] = {"readyReplicas": 1, "replicas": 1}
        told = await store.update_status(made, Write(manager="deployment-controller"))
        assert told["status"]["readyReplicas"] == 1
        entry = told["metadata"]["managedFields"][-1]
        assert (entry["subresource"], entry["time"]) == ("status", "2026-11-02T10:00:00Z")
        patch = {"status": {"readyReplicas": 0}}
        patched = await store.patch("apps/v1", "Deployment", "web", patch, "default", subresource="status")
        assert patched["status"]["readyReplicas"] == 0
        version = made["metadata"]["resourceVersion"]
        async with aclosing(store.watch("apps/v1", "Deployment", resource_version=version)) as events:
            seen = [await anext(events), await anext(events)]
        assert [event.obj["status"]["readyReplicas"] for event in seen] == [1, 0]


async def test_two_stale_writers_have_one_winner() -> None:
    async with open_store(None, HandClock()) as store:
        first = await store.create(config_map("a"))
        outcomes: list[str] = []

        async def write(value: str) -> None:
            try:
                await store.update(first | {"data": {"k": value}})
                outcomes.append("won")
            except ApiError as refused:
                outcomes.append(refused.reason)

        async with anyio.create_task_group() as group:
            for value in "abc":
                group.start_soon(write, value)
        assert sorted(outcomes) == ["Conflict", "Conflict", "won"]


names = st.sets(st.text("abcdef", min_size=1, max_size=4), max_size=25)


@given(here=names, there=names, limit=st.integers(1, 9))
def test_pages_cover_exactly_the_set(here: set[str], there: set[str], limit: int) -> None:
    storage = Storage(None)
    for namespace, chosen in (("default", here), ("kube-public", there)):
        for name in chosen:
            storage.commit("configmaps", (namespace, name), config_map(name, namespace))
    resource = Registry().kind("v1", "ConfigMap")

    async def check() -> None:
        for namespace in ("default", None):
            scope = Scope(resource, namespace, selection(resource, "", ""))
            whole = [_key(item) for item in (await listing(storage, scope)).items]
            assert whole == sorted(("default", name) for name in here) + (
                [] if namespace else sorted(("kube-public", name) for name in there)
            )
            assert await _paged(storage, scope, limit) == whole

    anyio.run(check)


async def _paged(storage: Storage, scope: Scope, limit: int) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    token = ""
    while True:
        page = await listing(storage, scope, limit=limit, continue_token=token)
        assert len(page.items) <= limit
        found += [_key(item) for item in page.items]
        token = page.continue_token
        if not token:
            return found


def _key(obj: dict[str, Any]) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


async def test_thousands_of_pods_do_not_hold_up_the_loop() -> None:
    async with open_store(None, HandClock()) as store:
        resource = store.registry.kind("v1", "Pod")
        template = store.engine.create(resource, "default", pod("p"), Write())
        for index in range(30_000):
            obj = {**template, "metadata": {**template["metadata"], "name": f"p{index}", "uid": f"u{index}"}}
            store.storage.commit("pods", ("default", f"p{index}"), obj)
        await store.storage.flush()
        turns, done = 0, False

        async def other_work() -> None:
            nonlocal turns
            while not done:
                await anyio.sleep(0)
                turns += 1

        async with anyio.create_task_group() as group:
            group.start_soon(other_work)
            scope = store.scope(resource, None, "app=p", "status.phase=Pending")
            page = await listing(store.storage, scope)
            done = True
        assert len(page.items) == 30_001
        assert turns >= 10, "others get their turn while a long list is read"
