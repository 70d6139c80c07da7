from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .conftest import Sandbox, pod


def fill(sandbox: Sandbox, namespace: str) -> str:
    path = f"/api/v1/namespaces/{namespace}/pods"
    for name, labels in (("a", {"app": "x"}), ("b", {"app": "q", "tier": "1"}), ("c", {"app": "x", "tier": "2"})):
        assert sandbox.post(path, pod(name, labels)).status_code == 201
    return path


def names(sandbox: Sandbox, path: str, **params: Any) -> list[str]:
    return [item["metadata"]["name"] for item in sandbox.get(path, params=params).json()["items"]]


@contextmanager
def watching(sandbox: Sandbox, path: str, **params: Any) -> Iterator[Iterator[dict[str, Any]]]:
    headers = {"Authorization": f"Bearer {sandbox.token}", "Accept": params.pop("accept", "application/json")}
    options = {"watch": "true", "timeoutSeconds": "5", **params}
    with sandbox.http.stream("GET", path, params=options, headers=headers) as stream:
        yield (json.loads(line) for line in stream.iter_lines() if line)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=x", ["a", "c"]),
        ("app==x,tier", ["c"]),
        ("app!=x", ["b"]),
        ("app in (x,q),tier", ["b", "c"]),
        ("tier notin (1)", ["a", "c"]),
        ("!tier", ["a"]),
    ],
)
def test_label_selectors_select(sandbox: Sandbox, namespace: str, selector: str, expected: list[str]) -> None:
    assert names(sandbox, fill(sandbox, namespace), labelSelector=selector) == expected


def test_field_selectors_select_what_the_kind_supports_and_refuse_the_rest(sandbox: Sandbox, namespace: str) -> None:
    path = fill(sandbox, namespace)
    assert names(sandbox, path, fieldSelector="metadata.name=b") == ["b"]
    assert names(sandbox, path, fieldSelector="status.phase=Pending,metadata.name!=b") == ["a", "c"]
    refused = sandbox.get(path, params={"fieldSelector": "spec.color=red"})
    assert refused.status_code == 400
    assert "field label not supported: spec.color" in refused.json()["message"]
    assert sandbox.get(path, params={"labelSelector": "a=(b"}).status_code == 400


def test_pages_tile_the_list_as_it_was_at_the_first(sandbox: Sandbox, namespace: str) -> None:
    path = fill(sandbox, namespace)
    first = sandbox.get(path, params={"limit": 1}).json()
    assert (first["kind"], first["apiVersion"]) == ("PodList", "v1")
    assert first["metadata"]["remainingItemCount"] == 2
    sandbox.send("DELETE", f"{path}/b")
    sandbox.post(path, pod("bb"))
    token = first["metadata"]["continue"]
    rest = sandbox.get(path, params={"limit": 5, "continue": token}).json()
    assert [item["metadata"]["name"] for item in rest["items"]] == ["b", "c"]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert names(sandbox, path) == ["a", "bb", "c"]


def test_a_made_up_continue_token_is_refused(sandbox: Sandbox) -> None:
    assert sandbox.get("/api/v1/pods", params={"continue": "nonsense"}).status_code == 400


def test_a_watch_tells_changes_from_its_version_on(sandbox: Sandbox, namespace: str) -> None:
    path = fill(sandbox, namespace)
    version = sandbox.get(path).json()["metadata"]["resourceVersion"]
    with watching(sandbox, path, resourceVersion=version) as events:
        sandbox.post(path, pod("d"))
        sandbox.patch(f"{path}/d", {"metadata": {"labels": {"n": "1"}}})
        sandbox.send("DELETE", f"{path}/d")
        told = [
            (event["type"], event["object"]["metadata"]["name"]) for _, event in zip(range(3), events, strict=False)
        ]
    assert told == [("ADDED", "d"), ("MODIFIED", "d"), ("DELETED", "d")]


def test_a_watch_without_version_begins_with_what_there_is(sandbox: Sandbox, namespace: str) -> None:
    path = fill(sandbox, namespace)
    with watching(sandbox, path) as events:
        assert [next(events)["object"]["metadata"]["name"] for _ in range(3)] == ["a", "b", "c"]


def test_an_object_that_leaves_the_selection_is_deleted_for_that_watch(sandbox: Sandbox, namespace: str) -> None:
    path = fill(sandbox, namespace)
    version = sandbox.get(path).json()["metadata"]["resourceVersion"]
    with watching(sandbox, path, resourceVersion=version, labelSelector="app=x") as events:
        sandbox.patch(f"{path}/a", {"metadata": {"labels": {"app": "z"}}})
        sandbox.patch(f"{path}/b", {"metadata": {"labels": {"app": "x"}}})
        assert [(e["type"], e["object"]["metadata"]["name"]) for e in (next(events), next(events))] == [
            ("DELETED", "a"),
            ("ADDED", "b"),
        ]


def test_a_streaming_list_ends_its_first_part_with_a_bookmark(sandbox: Sandbox, namespace: str) -> None:
    path = fill(sandbox, namespace)
    options = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    with watching(sandbox, path, **options) as events:
        told = [next(events) for _ in range(4)]
    assert [event["type"] for event in told] == ["ADDED", "ADDED", "ADDED", "BOOKMARK"]
    assert told[3]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    refused = sandbox.get(path, params={"watch": "true", "sendInitialEvents": "true"})
    assert refused.status_code == 422


def test_a_watch_from_forgotten_history_is_expired(
    sandbox: Sandbox, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    old = sandbox.post(path, {"metadata": {"name": "a"}}).json()["metadata"]["resourceVersion"]
    monkeypatch.setattr("ai_platform_mcp.sandbox.kube.storage.HISTORY", 3)
    for index in range(15):
        sandbox.patch(f"{path}/a", {"data": {"n": str(index)}})
    monkeypatch.undo()
    sandbox.store.storage.bucket("configmaps").compacted = (
        int(sandbox.get(path).json()["metadata"]["resourceVersion"]) - 2
    )
    with watching(sandbox, path, resourceVersion=old) as events:
        event = next(events)
    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert "too old resource version" in event["object"]["message"]


def test_a_watch_ends_when_its_time_is_up(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    with watching(sandbox, path, timeoutSeconds="1", resourceVersion=str(sandbox.store.storage.version)) as events:
        assert list(events) == []


def test_a_client_that_hangs_up_leaves_no_watcher(sandbox: Sandbox, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    sandbox.post(path, {"metadata": {"name": "s"}})
    bucket = sandbox.store.storage.bucket("secrets")
    with watching(sandbox, path) as events:
        next(events)
        assert len(bucket.watchers) == 1

    async def gone() -> bool:
        import asyncio

        async with asyncio.timeout(10):
            while bucket.watchers:
                await asyncio.sleep(0.01)
        return True

    assert sandbox.run(gone())


def test_tables_and_metadata_are_given_to_who_asks(sandbox: Sandbox, namespace: str) -> None:
    path = fill(sandbox, namespace)
    as_table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    table = sandbox.get(path, headers={"Accept": as_table}).json()
    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]][:5] == [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
    ]
    assert table["rows"][0]["cells"][:4] == ["a", "0/1", "Pending", "0"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    only = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    partial = sandbox.get(path, headers={"Accept": only}).json()
    assert partial["kind"] == "PartialObjectMetadataList"
    assert "spec" not in partial["items"][0]
    with watching(sandbox, path, accept=as_table) as events:
        assert next(events)["object"]["rows"][0]["cells"][0] == "a"


def test_a_version_from_the_future_is_a_timeout(sandbox: Sandbox) -> None:
    told = sandbox.get("/api/v1/pods", params={"resourceVersion": str(10**12)})
    assert told.status_code == 504
    assert "Too large resource version" in told.json()["message"]
