"""Long work: a handle at once, followed by tasks, by subscriptions or by the resource."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from kubernetes_servers import existing
from support import warm
from support.serving import META, Http, raw_server, stdio
from support.world import World

TASKS = "io.modelcontextprotocol/tasks"
DECLARED = META | {"io.modelcontextprotocol/clientCapabilities": {"extensions": {TASKS: {}}}}
WORK: dict[str, Any] = {"purpose": "batch", "accelerator": "tpu-v5e", "hours": 12, "mode": "apply"}
ALL_TPUS = 64
JOBS = "/apis/batch/v1/namespaces/vision-dev/jobs"


@pytest.fixture
def let_begin(world: World) -> Iterator[Callable[[], None]]:
    """Every device of ``WORK`` is taken until this is called: work takes no time here, and would be over before it is told."""
    server, name = existing(Path(world.status.kubeconfig)), world.fresh("takes-all")
    devices = {"google.com/tpu": str(ALL_TPUS), "cpu": "1", "memory": "1Gi"}
    pod = {
        "restartPolicy": "Never",
        "containers": [
            {"name": "hold", "image": "registry.local/hold", "resources": {"requests": devices, "limits": devices}}
        ],
    }
    metadata = {
        "name": name,
        "labels": {"kueue.x-k8s.io/queue-name": "tpu"},
        "annotations": {"sandbox.aiplatform.dev/work-seconds": str(10**9)},
    }
    spec = {"suspend": True, "template": {"spec": pod}}
    server.post(JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
    while not ((server.get(f"{JOBS}/{name}") or {}).get("status") or {}).get("startTime"):
        pass
    yield lambda: server.delete(f"{JOBS}/{name}")
    if server.get(f"{JOBS}/{name}") is not None:
        server.delete(f"{JOBS}/{name}")


async def test_a_client_that_declares_tasks_gets_a_handle_and_follows_it_to_the_end(
    platform_file: Path, let_begin: Callable[[], None]
):
    async with raw_server(*warm.command("serve", "--config", str(platform_file))) as server:
        await server.send("tools/call", 1, name="request_gpu", arguments=WORK, _meta=DECLARED)
        made = (await server.answer(1))["result"]
        assert made["resultType"] == "task", made
        task = made["taskId"]
        let_begin()
        number, seen = 1, {"status": "working"}
        while seen["status"] == "working":
            number += 1
            await server.send("tasks/get", number, taskId=task, _meta=DECLARED)
            seen = (await server.answer(number))["result"]
            assert seen["taskId"] == task and seen["statusMessage"]
        assert seen["status"] == "completed", seen
        assert task in seen["result"]["content"][0]["text"] and not seen["result"]["isError"]
        await server.send("tasks/get", 900, taskId="op-0000000000000000", _meta=DECLARED)
        assert (await server.answer(900))["error"]["code"] == -32602


async def test_a_client_without_tasks_gets_the_operation_itself(http: Http):
    async with Client(http.url) as client:
        done = await client.call_tool(
            "request_gpu", {"purpose": "batch", "accelerator": "a100", "hours": 1, "mode": "apply"}
        )
    assert done.structured_content["status"] == "applied" and done.structured_content["follow"].startswith(
        "operation://"
    )


@pytest.mark.filterwarnings("ignore:resources/(un)?subscribe is removed")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_subscriber_hears_when_an_operation_moves_on(
    session_file: Path, mode: str, let_begin: Callable[[], None]
):
    heard = anyio.Event()

    async def on_message(message: Any) -> None:
        if "resources/updated" in str(getattr(message, "method", "")) or "ResourceUpdated" in type(message).__name__:
            heard.set()

    async with Client(stdio(session_file), mode=mode, message_handler=on_message) as client:
        done = await client.call_tool("request_gpu", WORK | {"idempotency_key": mode})
        uri = done.structured_content["follow"]
        if mode == "legacy":
            await client.subscribe_resource(uri)
            let_begin()
            await heard.wait()
            await client.unsubscribe_resource(uri)
        else:
            async with client.listen(resource_subscriptions=[uri]) as events:
                let_begin()
                async for event in events:
                    assert uri in str(event)
                    break
        assert done.structured_content["operation_id"] in (await client.read_resource(uri)).contents[0].text
