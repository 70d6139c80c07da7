"""What the adapter reads: discovery, objects, pages, watches and access, as a real API server has them."""

from __future__ import annotations

import anyio
import pytest

from ai_platform_mcp.adapters.kubernetes.build import kubernetes_adapter
from ai_platform_mcp.core.acting import acting_for
from ai_platform_mcp.core.errors import CapabilityMissing, Forbidden, InvalidInput, PlatformError, Rejected
from ai_platform_mcp.core.plan import ObjectRef
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import Caller
from kubernetes_servers import Server
from support.patience import ROOM

from .conftest import Cluster, WallClock, config_for


def config_map(name: str, **data: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def test_discovery_tells_what_is_served_and_what_is_not(cluster: Cluster) -> None:
    reader = cluster.adapter.reader

    assert await reader.serves("c1", "kueue.x-k8s.io/v1beta2", "ClusterQueue")
    assert await reader.serves("c1", "edge.aiplatform.dev/v1alpha1", "EdgeRollout")
    assert not await reader.serves("c1", "v1", "Nonsense")
    kinds = await reader.kinds("c1")
    assert {"v1/Pod", "serving.kserve.io/v1beta1/InferenceService"} <= kinds
    assert (await reader.version("c1")).startswith("v1.")


async def test_a_version_that_is_not_served_is_an_error_that_names_the_served_ones(cluster: Cluster) -> None:
    with pytest.raises(CapabilityMissing) as caught:
        await cluster.adapter.reader.get("c1", "kueue.x-k8s.io/v1alpha9", "ClusterQueue", "any")

    assert "kueue.x-k8s.io/v1beta2" in caught.value.cause
    assert caught.value.remedy


async def test_a_missing_object_is_none_and_a_present_one_is_itself(cluster: Cluster) -> None:
    cluster.server.post(f"{cluster.base}/configmaps", config_map("one", a="1"))

    found = await cluster.adapter.reader.get("c1", "v1", "ConfigMap", "one", cluster.namespace)
    assert found is not None
    assert found["data"] == {"a": "1"}
    assert await cluster.adapter.reader.get("c1", "v1", "ConfigMap", "two", cluster.namespace) is None


async def test_a_namespaced_kind_without_a_namespace_is_refused_before_asking(cluster: Cluster) -> None:
    with pytest.raises(InvalidInput, match="needs a namespace"):
        await cluster.adapter.reader.get("c1", "v1", "ConfigMap", "one")


async def test_an_unknown_cluster_is_refused_with_the_known_names(cluster: Cluster) -> None:
    with pytest.raises(InvalidInput) as caught:
        await cluster.adapter.reader.version("nowhere")
    assert caught.value.details["clusters"] == ["c1"]


async def test_pages_together_are_the_whole_list(cluster: Cluster) -> None:
    names = {f"p{number}" for number in range(7)}
    for name in names:
        cluster.server.post(
            f"{cluster.base}/configmaps", {**config_map(name), "metadata": {"name": name, "labels": {"set": "p"}}}
        )
    seen: list[str] = []
    token = ""
    while True:
        page = await cluster.adapter.reader.list(
            "c1", "v1", "ConfigMap", namespace=cluster.namespace, limit=3, token=token, labels="set=p"
        )
        assert len(page.items) <= 3
        assert {item["kind"] for item in page.items} == {"ConfigMap"}
        seen += [item["metadata"]["name"] for item in page.items]
        token = page.token
        if not token:
            break

    assert sorted(seen) == sorted(names)


async def test_a_field_selector_picks_one_object(cluster: Cluster) -> None:
    for name in ("a", "b"):
        cluster.server.post(f"{cluster.base}/configmaps", config_map(name))
    page = await cluster.adapter.reader.list(
        "c1", "v1", "ConfigMap", namespace=cluster.namespace, fields="metadata.name=b"
    )
    assert [item["metadata"]["name"] for item in page.items] == ["b"]


@pytest.mark.parametrize("selector", [{"labels": "a in (b"}, {"fields": "spec.nonsense=1"}, {"token": "no-token"}])
async def test_a_bad_selector_or_token_is_refused_with_the_servers_reason(
    cluster: Cluster, selector: dict[str, str]
) -> None:
    with pytest.raises((Rejected, InvalidInput)) as caught:
        await cluster.adapter.reader.list("c1", "v1", "ConfigMap", namespace=cluster.namespace, **selector)  # type: ignore[arg-type]
    assert caught.value.cause
    assert caught.value.remedy


async def test_a_watch_yields_what_is_there_then_changes_then_the_end(cluster: Cluster) -> None:
    path = f"{cluster.base}/configmaps"
    cluster.server.post(path, config_map("w", step="1"))
    seen: list[str] = []
    with anyio.fail_after(20):
        async for live in cluster.adapter.reader.watch(
            "c1", "v1", "ConfigMap", namespace=cluster.namespace, name="w", seconds=15
        ):
            gone = "deletionTimestamp" in live["metadata"]
            seen.append("gone" if gone else live["data"]["step"])
            if gone:
                break
            if len(seen) == 1:
                await anyio.to_thread.run_sync(cluster.server.merge, f"{path}/w", {"data": {"step": "2"}})
            else:
                await anyio.to_thread.run_sync(cluster.server.delete, f"{path}/w")

    assert seen == ["1", "2", "gone"]


async def test_a_watch_ends_by_itself(cluster: Cluster) -> None:
    with anyio.fail_after(1 + ROOM):
        seen = [
            live
            async for live in cluster.adapter.reader.watch(
                "c1", "v1", "ConfigMap", namespace=cluster.namespace, name="never", seconds=1
            )
        ]
    assert seen == []


async def test_access_is_asked_for_the_verb_and_namespace_and_answered_for_who_asks(cluster: Cluster) -> None:
    reader = cluster.adapter.reader
    ref = ObjectRef(api_version="v1", kind="ConfigMap", name="x", namespace=cluster.namespace)

    assert (await reader.allowed("c1", "patch", ref)).allowed
    assert (await reader.allowed("c1", "create", ref.model_copy(update={"kind": "Pod"}), "eviction")).allowed
    theirs = kubernetes_adapter([config_for(cluster.server.kubeconfig, access="impersonate")], WallClock())
    nobody = Caller(Principal(id="nobody@example.org", team="strangers"), "req-1")
    with acting_for(nobody):
        assert (await reader.allowed("c1", "patch", ref)).allowed
        reader = theirs.reader
        assert not (await reader.allowed("c1", "patch", ref)).allowed
        with pytest.raises(Forbidden) as caught:
            await reader.get("c1", "v1", "ConfigMap", "x", cluster.namespace)
    assert "nobody@example.org" in caught.value.cause
    assert caught.value.remedy
    await theirs.aclose()


async def test_a_wrong_token_says_so(server: Server) -> None:
    import yaml

    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "wrong"
    kubeconfig = server.kubeconfig.with_name("wrong-token")
    kubeconfig.write_text(yaml.safe_dump(config))
    adapter = kubernetes_adapter([config_for(kubeconfig)], WallClock())
    try:
        with pytest.raises(Forbidden) as caught:
            await adapter.reader.kinds("c1")
        assert "401" in caught.value.message
    finally:
        await adapter.aclose()


async def test_nothing_but_the_named_kubeconfig_is_read(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    trap = folder / "trap"
    trap.write_text("apiVersion: v1\nkind: Config\ncurrent-context: x\n")
    monkeypatch.setenv("KUBECONFIG", str(trap))
    adapter = kubernetes_adapter([config_for(folder / "absent")], WallClock())
    with pytest.raises(PlatformError, match="does not exist"):
        await adapter.reader.version("c1")
    await adapter.aclose()
