"""Faults of the wire before either server: reads go on unseen or end as an error with a remedy, writes are counted.

What the server behind holds afterwards is asked of its administrator, past the fault.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from ai_platform_mcp.adapters.kubernetes.build import Kubernetes, kubernetes_adapter
from ai_platform_mcp.core.errors import DeadlineExceeded, OutcomeUnknown, PlatformError, Unavailable
from ai_platform_mcp.core.plan import Apply, Delete, ObjectRef, Patch, Submit
from support import front as faults
from support.front import Fault, Front, front
from support.patience import ROOM

from .conftest import Cluster, WallClock, config_for, executing, stamp

DEADLINE = 2.0
BROKEN = (
    faults.LOST_BEFORE,
    faults.LOST_AFTER,
    faults.TRUNCATED,
    faults.EMPTY,
    faults.LOGIN,
    faults.WRONG_JSON,
    faults.WRONG_TYPE,
    faults.SAYS_FAILURE,
    faults.DEEP,
    *faults.GATEWAYS,
)

HANGING = (faults.SLOW_HEAD, faults.SLOW_BODY)


def named(fault: Fault) -> str:
    return fault.name


@asynccontextmanager
async def behind(cluster: Cluster, folder: Path, fault: Fault | None = None) -> AsyncIterator[tuple[Front, Kubernetes]]:
    async with front(cluster.server, folder) as standing:
        seconds = DEADLINE if fault in HANGING else DEADLINE + ROOM
        config = config_for(standing.kubeconfig, request_seconds=seconds, connect_seconds=1.0)
        adapter = kubernetes_adapter([config], WallClock())
        try:
            await adapter.reader.kinds("c1")  # what fails later is the request itself
            yield standing, adapter
        finally:
            await adapter.aclose()


def config_map(cluster: Cluster, name: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": cluster.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1"}}


async def failing(error: type[PlatformError], call: Any) -> PlatformError:
    started = time.monotonic()
    with pytest.raises(error) as caught:
        await call
    assert time.monotonic() - started < DEADLINE + ROOM
    found = caught.value
    assert type(found).code == error.code
    assert found.message and found.cause and found.remedy
    return found


@pytest.mark.parametrize("fault", BROKEN, ids=named)
async def test_a_read_that_breaks_once_is_asked_again_unseen(cluster: Cluster, tmp_path: Path, fault: Fault) -> None:
    cluster.server.post(f"{cluster.base}/configmaps", config_map(cluster, "x"))
    async with behind(cluster, tmp_path, fault) as (standing, adapter):
        standing.fail("/configmaps/x", fault)
        found = await adapter.reader.get("c1", "v1", "ConfigMap", "x", cluster.namespace)
        assert found is not None and found["data"] == {"a": "1"}
        assert standing.faults == []


@pytest.mark.parametrize("fault", BROKEN, ids=named)
async def test_a_list_that_stays_broken_is_an_error_and_never_an_empty_cluster(
    cluster: Cluster, tmp_path: Path, fault: Fault
) -> None:
    async with behind(cluster, tmp_path, fault) as (standing, adapter):
        standing.fail("/configmaps", *[fault] * 6)  # the HTTP client asks again by itself after a reset
        await failing(Unavailable, adapter.reader.list("c1", "v1", "ConfigMap", namespace=cluster.namespace))


@pytest.mark.parametrize("fault", [*HANGING, faults.ENDLESS], ids=named)
async def test_a_read_that_never_ends_costs_the_deadline_and_no_more(
    cluster: Cluster, tmp_path: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai_platform_mcp.adapters.kubernetes.wire._MOST_BYTES", 2 * 1024 * 1024)
    async with behind(cluster, tmp_path, fault) as (standing, adapter):
        standing.fail("/configmaps", *[fault] * 3)
        listing = adapter.reader.list("c1", "v1", "ConfigMap", namespace=cluster.namespace)
        await failing(DeadlineExceeded if fault in HANGING else Unavailable, listing)


@pytest.mark.parametrize("fault", [*BROKEN, *HANGING], ids=named)
async def test_a_creation_whose_answer_is_lost_is_made_once_and_recognised_afterwards(
    cluster: Cluster, tmp_path: Path, fault: Fault
) -> None:
    step = Submit(id="s1", title="s", cluster="c1", manifest=config_map(cluster, "made"))
    async with behind(cluster, tmp_path, fault) as (standing, adapter):
        standing.fail("POST ", fault)
        with executing():
            await failing(OutcomeUnknown, adapter.writer.execute(step, stamp()))
        assert standing.count("POST ") == (1 if fault.arrives else 0)
        assert await adapter.writer.read_back(step, stamp()) is fault.arrives
        with executing():
            again = await adapter.writer.execute(step, stamp())
        assert again.state == ("unchanged" if fault.arrives else "applied")
        assert standing.count("POST ") == 1
    listed = cluster.server.get(f"{cluster.base}/configmaps") or {}
    assert [row["metadata"]["name"] for row in listed["items"] if row["metadata"]["name"] == "made"] == ["made"]


@pytest.mark.parametrize("fault", [faults.LOST_AFTER, faults.TRUNCATED, faults.GATEWAYS[1]], ids=named)
async def test_an_append_whose_answer_is_lost_is_never_appended_twice(
    cluster: Cluster, tmp_path: Path, fault: Fault
) -> None:
    body = {**config_map(cluster, "list"), "metadata": {"name": "list", "finalizers": ["example.com/a"]}}
    cluster.server.post(f"{cluster.base}/configmaps", body)
    ref = ObjectRef(api_version="v1", kind="ConfigMap", name="list", namespace=cluster.namespace)
    more = [{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/b"}]
    step = Patch(id="s1", title="p", cluster="c1", ref=ref, patch=more, patch_type="json")
    async with behind(cluster, tmp_path, fault) as (standing, adapter):
        standing.fail("PATCH ", fault)
        with executing():
            await failing(OutcomeUnknown, adapter.writer.execute(step, stamp()))
            assert (await adapter.writer.execute(step, stamp())).state == "unchanged"
        assert standing.count("PATCH ") == 1
    path = f"{cluster.base}/configmaps/list"
    assert (cluster.server.get(path) or {})["metadata"]["finalizers"] == ["example.com/a", "example.com/b"]
    cluster.server.merge(path, {"metadata": {"finalizers": []}})


@pytest.mark.parametrize("fault", [*BROKEN], ids=named)
async def test_an_apply_and_a_deletion_are_sent_again_and_have_one_effect(
    cluster: Cluster, tmp_path: Path, fault: Fault
) -> None:
    step = Apply(id="s1", title="a", cluster="c1", manifest=config_map(cluster, "held"))
    path = f"{cluster.base}/configmaps/held"
    async with behind(cluster, tmp_path, fault) as (standing, adapter):
        standing.fail("PATCH ", fault)
        with executing():
            done = await adapter.writer.execute(step, stamp())
        held = cluster.server.get(path) or {}
        assert (done.state, done.version) == ("applied", held["metadata"]["resourceVersion"])
        ours = [row for row in held["metadata"]["managedFields"] if row["manager"] == "ai-platform-mcp"]
        assert len(ours) == 1
        ref = ObjectRef(api_version="v1", kind="ConfigMap", name="held", namespace=cluster.namespace)
        gone = Delete(id="s2", title="d", cluster="c1", ref=ref, uid=held["metadata"]["uid"])
        standing.fail("DELETE ", fault)
        with executing():
            assert (await adapter.writer.execute(gone, stamp())).state == "applied"
    assert cluster.server.get(path) is None


async def test_a_refusal_after_a_lost_answer_does_not_make_the_change_undone(cluster: Cluster, tmp_path: Path) -> None:
    """The first attempt arrived; that the second is refused says nothing about the first."""
    step = Apply(id="s1", title="a", cluster="c1", manifest=config_map(cluster, "kept"))
    denied = b'{"kind":"Status","status":"Failure","code":403,"reason":"Forbidden","message":"denied the request"}'
    refused = Fault("403", False, faults.page(403, denied, "application/json"))
    async with behind(cluster, tmp_path) as (standing, adapter):
        standing.fail("PATCH ", faults.LOST_AFTER, refused, refused)
        with executing():
            found = await failing(OutcomeUnknown, adapter.writer.execute(step, stamp()))
        assert "denied the request" in found.cause
        assert await adapter.writer.read_back(step, stamp())


async def test_a_busy_server_is_asked_again_even_to_create_and_creates_once(cluster: Cluster, tmp_path: Path) -> None:
    step = Submit(id="s1", title="s", cluster="c1", manifest=config_map(cluster, "late"))
    async with behind(cluster, tmp_path) as (standing, adapter):
        standing.fail("POST ", faults.busy("Retry-After: 0"), faults.busy())
        with executing():
            assert (await adapter.writer.execute(step, stamp())).state == "applied"
        assert standing.count("POST ") == 1


def in_date(seconds: float, now: float = 0.0) -> tuple[str, str]:
    """A Retry-After date as a server says it whose clock is ``now`` seconds away from ours."""
    theirs = datetime.now(UTC) + timedelta(seconds=now)
    return (
        f"Retry-After: {format_datetime(theirs + timedelta(seconds=seconds), True)}",
        f"Date: {format_datetime(theirs, True)}",
    )


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (("Retry-After: 3600",), "3600 s"),
        (("Retry-After: 99999999999999999999999999",), "86400 s"),
        (in_date(3600), "3600 s"),
        (in_date(3600, now=-7200), "3600 s"),
        (in_date(3600, now=7200), "3600 s"),
    ],
    ids=["seconds", "huge", "date", "date of a clock behind", "date of a clock ahead"],
)
async def test_a_wait_that_is_too_long_is_told_at_once(
    cluster: Cluster, tmp_path: Path, headers: tuple[str, ...], told: str
) -> None:
    async with behind(cluster, tmp_path) as (standing, adapter):
        standing.fail("/configmaps", *[faults.busy(*headers)] * 3)
        started = time.monotonic()
        found = await failing(Unavailable, adapter.reader.list("c1", "v1", "ConfigMap", namespace=cluster.namespace))
        assert time.monotonic() - started < ROOM
        assert told in found.remedy and found.retryable
        assert len(standing.faults) == 2


@pytest.mark.parametrize("headers", [("Retry-After: 0",), ("Retry-After: soon",), in_date(-5), in_date(0, now=7200)])
async def test_a_short_wait_is_waited_whatever_the_clocks_say(
    cluster: Cluster, tmp_path: Path, headers: tuple[str, ...]
) -> None:
    async with behind(cluster, tmp_path) as (standing, adapter):
        standing.fail("/configmaps", faults.busy(*headers))
        assert (await adapter.reader.list("c1", "v1", "ConfigMap", namespace=cluster.namespace)).items is not None


async def test_a_redirect_is_never_followed(cluster: Cluster, tmp_path: Path) -> None:
    step = Submit(id="s1", title="s", cluster="c1", manifest=config_map(cluster, "moved"))
    async with behind(cluster, tmp_path) as (standing, adapter):
        other = Fault(
            "elsewhere", False, faults.page(307, b"", "text/html", f"Location: {standing.url}/api/v1/elsewhere")
        )
        standing.fail("moved", *[other] * 3)
        read = adapter.reader.get("c1", "v1", "ConfigMap", "moved", cluster.namespace)
        assert "redirects" in (await failing(Unavailable, read)).cause
        standing.fail("POST ", *[faults.REDIRECT] * 3)
        with executing():
            found = await failing(Unavailable, adapter.writer.execute(step, stamp()))
        assert "secret" not in str(found.as_dict())
        assert standing.count("elsewhere") == 0
    assert cluster.server.get(f"{cluster.base}/configmaps/moved") is None


async def test_a_server_that_goes_away_and_comes_back_is_used_again(cluster: Cluster, tmp_path: Path) -> None:
    async with behind(cluster, tmp_path) as (standing, adapter):
        upstream, standing.upstream = standing.upstream, "http://127.0.0.1:1"
        await failing(Unavailable, adapter.reader.list("c1", "v1", "ConfigMap", namespace=cluster.namespace))
        standing.upstream = upstream
        assert (await adapter.reader.list("c1", "v1", "ConfigMap", namespace=cluster.namespace)).resource_version
