"""What either server itself refuses, in its own words: an error by meaning, with a cause and a remedy, and nothing changed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_platform_mcp.adapters.kubernetes import connection as connections
from ai_platform_mcp.adapters.kubernetes.build import Kubernetes, kubernetes_adapter
from ai_platform_mcp.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    PlatformError,
    Rejected,
    Unavailable,
)
from ai_platform_mcp.core.plan import Apply, ObjectRef, Patch, Submit
from support.front import user_of

from .conftest import Cluster, WallClock, config_for, executing, stamp

GROUPS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
QUEUES = "kueue.x-k8s.io/v1beta2"
FLOW = "/apis/flowcontrol.apiserver.k8s.io/v1"


@asynccontextmanager
async def adapter_for(kubeconfig: Path) -> AsyncIterator[Kubernetes]:
    adapter = kubernetes_adapter([config_for(kubeconfig, request_seconds=5.0)], WallClock())
    try:
        yield adapter
    finally:
        await adapter.aclose()


def config_map(cluster: Cluster, name: str, **data: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": cluster.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data or {"a": "1"}}


def kubeconfig_with(cluster: Cluster, path: Path, **user: str) -> Path:
    """The server's kubeconfig with another user in it."""
    import yaml

    document = yaml.safe_load(cluster.server.kubeconfig.read_text())
    document["users"][0]["user"] = user
    path.write_text(yaml.safe_dump(document))
    return path


def token_of(cluster: Cluster, account: str) -> str:
    """A service account's token, as the server issues it."""
    meta = {"name": account, "namespace": cluster.namespace}
    cluster.server.post(
        f"{cluster.base}/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
    )
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    return cluster.server.post(f"{cluster.base}/serviceaccounts/{account}/token", asked)["status"]["token"]


def bind_rights(cluster: Cluster, account: str) -> None:
    """Let a service account do anything in the namespace."""
    body = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": account}}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": cluster.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.namespace}/rolebindings"
    cluster.server.post(path, {**body, "subjects": [subject], "roleRef": role})


def told(found: PlatformError) -> str:
    """What a person reads; each part is there."""
    assert found.message and found.cause and found.remedy
    return f"{found.message} {found.cause} {found.remedy}"


async def refused(cluster: Cluster, error: type[PlatformError], step: Any) -> PlatformError:
    with pytest.raises(error) as caught:
        await cluster.do(step)
    assert type(caught.value).code == error.code
    return caught.value


async def test_a_token_that_nobody_knows_is_told_with_how_to_get_another(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = kubeconfig_with(cluster, tmp_path / "k", token="nobody-knows-this")
    async with adapter_for(kubeconfig) as adapter:
        with pytest.raises(Forbidden) as caught:
            await adapter.reader.get("c1", "v1", "ConfigMap", "x", cluster.namespace)
        assert "(401)" in told(caught.value) and "Log in" in caught.value.remedy
        found = await adapter.inventory.inventory("c1")
    assert found.stale and "credentials" in found.problem
    assert "may not list" not in found.problem
    assert "nobody-knows-this" not in str(caught.value.as_dict())


async def test_a_token_that_is_rotated_on_disk_is_picked_up_without_the_caller_noticing(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_RENEW_SECONDS", 0.0)
    file = tmp_path / "token"
    file.write_text(user_of(cluster.server)[0] + "\n")
    async with adapter_for(kubeconfig_with(cluster, tmp_path / "k", tokenFile=str(file))) as adapter:
        await adapter.reader.kinds("c1")
        configuration = (await adapter.transport.connections.get("c1")).client.configuration
        configuration.api_key["BearerToken"] = "Bearer ended"  # what was read once has ended on the server's side
        step = Submit(id="s1", title="s", cluster="c1", manifest=config_map(cluster, "x"))
        with executing():
            assert (await adapter.writer.execute(step, stamp())).state == "applied"


async def test_without_rights_it_says_which_are_missing(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = kubeconfig_with(cluster, tmp_path / "k", token=token_of(cluster, "nobody"))
    cluster.server.post(f"{cluster.base}/configmaps", config_map(cluster, "x"))
    async with adapter_for(kubeconfig) as adapter:
        with pytest.raises(Forbidden) as caught:
            await adapter.reader.get("c1", "v1", "ConfigMap", "x", cluster.namespace)
        step = Apply(id="s1", title="a", cluster="c1", manifest=config_map(cluster, "x", a="2"))
        with pytest.raises(Forbidden), executing():
            await adapter.writer.execute(step, stamp())
    assert 'cannot get resource "configmaps"' in told(caught.value)
    assert (cluster.server.get(f"{cluster.base}/configmaps/x") or {})["data"] == {"a": "1"}


async def test_what_is_not_there_exists_already_or_is_invalid_is_told_apart(cluster: Cluster) -> None:
    ref = ObjectRef(api_version="v1", kind="ConfigMap", name="none", namespace=cluster.namespace)
    missing = Patch(id="s1", title="p", cluster="c1", ref=ref, patch={"data": {"a": "2"}}, patch_type="merge")
    found = await refused(cluster, NotFound, missing)
    assert "none" in found.message and found.remedy

    cluster.server.post(f"{cluster.base}/configmaps", config_map(cluster, "taken"))
    again = Submit(id="s1", title="s", cluster="c1", manifest=config_map(cluster, "taken", a="2"))
    assert "exists already" in told(await refused(cluster, Conflict, again))

    moved = config_map(cluster, "taken", a="3")
    moved["metadata"]["resourceVersion"] = "1"
    stale = Apply(id="s1", title="a", cluster="c1", manifest=moved, force=True)
    assert "changed" in told(await refused(cluster, Conflict, stale))

    invalid = config_map(cluster, "Not A Name")
    assert "Not A Name" in told(
        await refused(cluster, Rejected, Submit(id="s1", title="s", cluster="c1", manifest=invalid))
    )
    assert (cluster.server.get(f"{cluster.base}/configmaps/taken") or {})["data"] == {"a": "1"}


async def test_a_full_quota_is_named_with_what_is_used(cluster: Cluster) -> None:
    meta = {"name": "small", "namespace": cluster.namespace}
    hard = {"count/configmaps": "0"}
    cluster.server.post(
        f"{cluster.base}/resourcequotas",
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard}},
    )
    # A real cluster's controller writes this; a bare API server has none.
    cluster.server.merge(f"{cluster.base}/resourcequotas/small/status", {"status": {"hard": hard, "used": hard}})
    step = Submit(id="s1", title="s", cluster="c1", manifest=config_map(cluster, "x"))
    found = await refused(cluster, Rejected, step)
    assert "exceeded quota: small" in told(found) and "count/configmaps" in found.cause
    assert cluster.server.get(f"{cluster.base}/configmaps/x") is None


async def test_an_admission_webhook_that_is_down_changes_nothing_and_may_be_tried_again(cluster: Cluster) -> None:
    if cluster.server.name == "sandbox":
        pytest.skip("the sandbox calls no admission webhooks; test_hostile_servers.py says the answer in its place")
    hook = {
        "name": "gate.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/gate"},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    name = f"gate-{cluster.namespace}"
    body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    cluster.server.post(GROUPS, {**body, "metadata": {"name": name}, "webhooks": [hook]})
    try:
        for attempt in range(50):  # the server reads its webhooks anew within a second or so
            probe = cluster.server.http.post(f"{cluster.base}/configmaps", json=config_map(cluster, f"probe{attempt}"))
            if probe.status_code == 500:
                break
        step = Apply(id="s1", title="a", cluster="c1", manifest=config_map(cluster, "x"))
        found = await refused(cluster, Unavailable, step)
    finally:
        cluster.server.delete(f"{GROUPS}/{name}")
    assert "gate.example.com" in told(found) and found.retryable
    assert cluster.server.get(f"{cluster.base}/configmaps/x") is None


async def test_a_server_that_sheds_our_load_is_told_and_nothing_is_made(cluster: Cluster, tmp_path: Path) -> None:
    if cluster.server.name == "sandbox":
        pytest.skip("the sandbox has no priority and fairness; test_wire_faults.py says 429 in its place")
    name = f"none-{cluster.namespace}"
    limited = {"nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0}
    level = {"type": "Limited", "limited": {**limited, "limitResponse": {"type": "Reject"}}}
    token = token_of(cluster, "hasty")
    account = {"kind": "ServiceAccount", "serviceAccount": {"name": "hasty", "namespace": cluster.namespace}}
    rules = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}]
    other = {"verbs": ["*"], "nonResourceURLs": ["*"]}
    schema = {
        "priorityLevelConfiguration": {"name": name},
        "matchingPrecedence": 2,
        "rules": [{"subjects": [account], "resourceRules": rules, "nonResourceRules": [other]}],
    }
    kinds = (
        ("prioritylevelconfigurations", "PriorityLevelConfiguration", level),
        ("flowschemas", "FlowSchema", schema),
    )
    for plural, kind, spec in kinds:
        api = {"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": kind}
        cluster.server.post(f"{FLOW}/{plural}", {**api, "metadata": {"name": name}, "spec": spec})
    bind_rights(cluster, "hasty")
    address = httpx.URL(str(cluster.server.http.base_url))
    head = f"POST {cluster.base}/configmaps HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\n"
    held: list[asyncio.StreamWriter] = []
    try:
        async with adapter_for(kubeconfig_with(cluster, tmp_path / "k", token=token)) as adapter:
            with pytest.raises(Unavailable) as caught:
                for _ in range(100):  # the server takes up the rule within a second or so
                    _, writer = await asyncio.open_connection(
                        address.host, address.port, ssl=user_of(cluster.server)[1]
                    )
                    held.append(writer)
                    writer.write(head.encode())  # a request whose body does not come keeps the one seat there is
                    await writer.drain()
                    await adapter.reader.list("c1", "v1", "ConfigMap", namespace=cluster.namespace)
    finally:
        for writer in held:
            writer.transport.abort()
        for plural, _, _ in reversed(kinds):
            cluster.server.delete(f"{FLOW}/{plural}/{name}")
    assert "429" in told(caught.value) and "Try again in 1 s" in caught.value.remedy


def queue(cluster: Cluster, name: str, step: str) -> dict[str, Any]:
    """A LocalQueue: a real server's cache of a custom kind begins when its CRD is made, so older history is gone for good."""
    meta = {"name": name, "namespace": cluster.namespace, "labels": {"step": step}}
    return {"apiVersion": QUEUES, "kind": "LocalQueue", "metadata": meta, "spec": {"clusterQueue": "gpu-pool"}}


async def forget_history(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server forget what was before now: the sandbox keeps three changes, a real server's etcd is compacted."""
    monkeypatch.setattr("ai_platform_mcp.sandbox.kube.storage.HISTORY", 3)
    path = cluster.group(QUEUES, "localqueues")
    made = cluster.server.post(path, queue(cluster, "other", "0"))
    for number in range(5):
        made = cluster.server.merge(f"{path}/other", {"metadata": {"labels": {"step": str(number)}}})
    if cluster.server.name == "sandbox":
        return
    if not cluster.server.etcd:
        pytest.skip("the etcd behind TEST_KUBECONFIG cannot be compacted from here")
    body = {"revision": made["metadata"]["resourceVersion"], "physical": True}
    httpx.post(f"{cluster.server.etcd}/v3/kv/compaction", json=body).raise_for_status()


async def test_a_page_token_of_forgotten_history_says_to_begin_anew(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        cluster.server.post(cluster.group(QUEUES, "localqueues"), queue(cluster, f"x{number}", "1"))
    reader, where = cluster.adapter.reader, cluster.namespace
    token = (await reader.list("c1", QUEUES, "LocalQueue", namespace=where, limit=2)).token
    await forget_history(cluster, monkeypatch)
    if cluster.server.name == "real":  # its cache of recent lists still has ours: take one from before that cache
        body = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        token = base64.urlsafe_b64encode(json.dumps({**body, "rv": 2}).encode()).decode().rstrip("=")
    with pytest.raises(InvalidInput) as caught:
        await reader.list("c1", QUEUES, "LocalQueue", namespace=where, limit=2, token=token)
    assert "too old" in told(caught.value) and "without a token" in caught.value.remedy


async def test_a_watch_of_forgotten_history_lists_again_and_misses_nothing(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks, the server forgets, and the watch that takes it up gets 410 Gone in the middle."""
    path = cluster.group(QUEUES, "localqueues")
    cluster.server.post(path, queue(cluster, "x", "1"))
    reader = cluster.adapter.reader
    seen: list[str] = []
    asked: list[str] = []
    events = reader._events  # pyright: ignore[reportPrivateUsage]

    async def breaking(*arguments: Any) -> AsyncIterator[Any]:
        cluster_, resource, namespace, fields, version, left = arguments
        if not asked:
            await forget_history(cluster, monkeypatch)
            cluster.server.merge(f"{path}/x", {"metadata": {"labels": {"step": "2"}}})
            version = version if cluster.server.name == "sandbox" else "2"  # from before the real server's cache
        asked.append(version)
        async for one in events(cluster_, resource, namespace, fields, version, left):
            yield one

    monkeypatch.setattr(reader, "_events", breaking)
    async for live in reader.watch("c1", QUEUES, "LocalQueue", namespace=cluster.namespace, name="x", seconds=20):
        seen.append(live["metadata"]["labels"]["step"])
        if seen[-1] == "2":
            break
    assert seen == ["1", "2"]
    assert len(asked) == 1  # the second state came with the list that 410 Gone made us read
