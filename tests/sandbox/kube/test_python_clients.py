"""The official Python client, sync, async and dynamic, and kopf, at work on the sandbox."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import Sandbox, deployment, pod


def test_the_sync_client_works(sandbox: Sandbox, namespace: str) -> None:
    from kubernetes import client, config, watch

    with config.new_client_from_config(str(sandbox.kubeconfig)) as api:
        assert client.VersionApi(api).get_code().minor == "36"
        apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
        apps.create_namespaced_deployment(namespace, deployment(replicas=2))
        found = apps.read_namespaced_deployment("web", namespace)
        assert (found.spec.replicas, found.spec.strategy.type) == (2, "RollingUpdate")
        with pytest.raises(client.ApiException) as refused:
            apps.create_namespaced_deployment(namespace, deployment())
        assert refused.value.status == 409
        apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 4}})
        assert apps.read_namespaced_deployment_scale("web", namespace).spec.replicas == 4
        core.create_namespaced_pod(namespace, pod("a"))
        listed = core.list_namespaced_pod(namespace, label_selector="app=a")
        core.delete_namespaced_pod("a", namespace)
        version = listed.metadata.resource_version
        stream = watch.Watch().stream(core.list_namespaced_pod, namespace, resource_version=version, timeout_seconds=1)
        assert [(event["type"], event["object"].metadata.name) for event in stream] == [("DELETED", "a")]
        eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name="none", namespace=namespace))
        with pytest.raises(client.ApiException) as missing:
            core.create_namespaced_pod_eviction("none", namespace, eviction)
        assert missing.value.status == 404
        ended = core.delete_namespace(namespace)
        status = ended["status"] if isinstance(ended, dict) else ended.status
        assert status["phase"] == "Terminating"


async def test_the_async_dynamic_client_works(sandbox: Sandbox, namespace: str) -> None:
    from kubernetes.aio import client, config
    from kubernetes.aio.dynamic import DynamicClient
    from kubernetes.aio.dynamic.exceptions import ConflictError

    options = client.Configuration()
    await config.load_kube_config(str(sandbox.kubeconfig), client_configuration=options)
    async with client.ApiClient(options) as api:
        dynamic: Any = await DynamicClient(api)
        queues = await dynamic.resources.get(api_version="kueue.x-k8s.io/v1beta2", kind="LocalQueue")
        body = {
            "apiVersion": "kueue.x-k8s.io/v1beta2",
            "kind": "LocalQueue",
            "metadata": {"name": "team-a", "namespace": namespace},
            "spec": {"clusterQueue": "gpu", "stopPolicy": "None"},
        }
        shown = await dynamic.server_side_apply(
            queues, body=body, namespace=namespace, field_manager="ai-platform-mcp", dry_run="All"
        )
        assert shown.spec.stopPolicy == "None"
        applied = await dynamic.server_side_apply(
            queues, body=body, namespace=namespace, field_manager="ai-platform-mcp"
        )
        version = applied.metadata.resourceVersion
        other = body | {"spec": {"clusterQueue": "gpu", "stopPolicy": "Hold"}}
        with pytest.raises(ConflictError) as refused:
            await dynamic.server_side_apply(queues, body=other, namespace=namespace, field_manager="other")
        assert 'conflict with \\"ai-platform-mcp\\": .spec.stopPolicy' in str(refused.value)
        forced = await dynamic.server_side_apply(
            queues, body=other, namespace=namespace, field_manager="other", force_conflicts=True
        )
        assert forced.spec.stopPolicy == "Hold"
        seen: list[tuple[str, str]] = []
        async for event in dynamic.watch(queues, namespace=namespace, resource_version=version, timeout=2):
            seen.append((event["type"], event["object"].spec.stopPolicy))
            break
        assert seen == [("MODIFIED", "Hold")]
        headers = {"Impersonate-User": "nobody"}
        with pytest.raises(Exception, match="403"):
            await dynamic.get(queues, namespace=namespace, header_params=headers)


def test_an_informer_keeps_up(sandbox: Sandbox, namespace: str) -> None:
    from kubernetes import client, config

    informer = pytest.importorskip("kubernetes.informer", reason="this client has no informer")
    import threading

    with config.new_client_from_config(str(sandbox.kubeconfig)) as api:
        core = client.CoreV1Api(api)
        sandbox.post(f"/api/v1/namespaces/{namespace}/pods", pod("a"))
        arrived = threading.Event()
        names: list[str] = []

        def added(obj: Any) -> None:
            names.append(obj.metadata.name)
            if "b" in names:
                arrived.set()

        shared = informer.SharedInformer(list_func=core.list_namespaced_pod, namespace=namespace)
        shared.add_event_handler(informer.ADDED, added)
        shared.start()
        try:
            sandbox.post(f"/api/v1/namespaces/{namespace}/pods", pod("b"))
            assert arrived.wait(15)
            assert set(names) == {"a", "b"}
        finally:
            stopping = threading.Thread(target=shared.stop)
            stopping.start()
            while stopping.is_alive():  # the client notices its own stop only when its watch ends
                sandbox.loop.call_soon_threadsafe(sandbox.store.storage.end_watches)
                stopping.join(0.1)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
async def test_a_kopf_operator_handles_creation_change_timer_and_deletion(sandbox: Sandbox, namespace: str) -> None:
    import kopf

    registry = kopf.OperatorRegistry()
    settings = kopf.OperatorSettings()
    settings.posting.enabled = True
    settings.persistence.finalizer = "sandbox.test/finalizer"
    settings.scanning.disabled = False
    told: list[str] = []
    ticked, deleted, changed, created = (asyncio.Event() for _ in range(4))
    kind = ("edge.aiplatform.dev", "v1alpha1", "edgerollouts")

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> Any:
        authority = sandbox.kubeconfig.with_name("ca.crt")
        return kopf.ConnectionInfo(server=sandbox.url, ca_path=str(authority), scheme="Bearer", token=sandbox.token)

    @kopf.on.create(*kind, registry=registry)
    async def create(name: str, patch: Any, **_: Any) -> None:
        told.append(f"create {name}")
        patch.status["phase"] = "Progressing"
        created.set()

    @kopf.on.update(*kind, registry=registry)
    async def update(**_: Any) -> None:
        told.append("update")
        changed.set()

    @kopf.timer(*kind, interval=0.2, registry=registry)
    async def tick(**_: Any) -> None:
        ticked.set()

    @kopf.on.delete(*kind, registry=registry)
    async def delete(**_: Any) -> None:
        told.append("delete")
        deleted.set()

    stop, ready = asyncio.Event(), asyncio.Event()
    operator = asyncio.create_task(
        kopf.operator(
            registry=registry,
            settings=settings,
            namespaces=[namespace],
            standalone=True,
            stop_flag=stop,
            ready_flag=ready,
        )
    )
    path = f"/apis/{kind[0]}/{kind[1]}/namespaces/{namespace}/{kind[2]}"
    try:
        async with asyncio.timeout(30):
            await ready.wait()
            body = {"metadata": {"name": "vision"}, "spec": rollout_spec()}
            made = await asyncio.to_thread(sandbox.post, path, body)
            assert made.status_code == 201, made.text
            await created.wait()
            await ticked.wait()
            while "finalizers" not in (await asyncio.to_thread(sandbox.get, f"{path}/vision")).json()["metadata"]:
                await asyncio.sleep(0.05)
            await asyncio.to_thread(sandbox.patch, f"{path}/vision", {"spec": {"paused": True}})
            await changed.wait()
            await asyncio.to_thread(sandbox.send, "DELETE", f"{path}/vision")
            await deleted.wait()
            while (await asyncio.to_thread(sandbox.get, f"{path}/vision")).status_code != 404:
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await operator
    assert told == ["create vision", "update", "delete"]


def rollout_spec() -> dict[str, Any]:
    """The least that an EdgeRollout must say."""
    from ai_platform_mcp.sandbox.kube.schema import resolve, schema_for

    schema = schema_for("edge.aiplatform.dev/v1alpha1", "EdgeRollout")
    assert schema
    least: dict[str, Any] = _least(resolve(schema.node["properties"]["spec"]))
    return {**least, "storageUri": "oci://registry/model", "waves": [{"name": "all", "percent": 100}]}


def _least(node: dict[str, Any]) -> Any:
    from ai_platform_mcp.sandbox.kube.schema import resolve

    node = resolve(node)
    if "enum" in node:
        return node["enum"][0]
    match node.get("type"):
        case "object":
            return {name: _least(node["properties"][name]) for name in node.get("required", [])}
        case "array":
            return [_least(node["items"])] * node.get("minItems", 0)
        case "integer" | "number":
            return node.get("minimum", 1)
        case _:
            return "sha256:" + "a" * 64 if "sha256" in node.get("pattern", "") else "vision"
