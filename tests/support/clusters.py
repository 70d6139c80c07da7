"""Small clusters for tests of several: furnished with a few pools, or broken in one of the ways that clusters break."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from kubernetes_servers import Server, sandbox_server, write_config

KUEUE = "/apis/kueue.x-k8s.io/v1beta2"
A100, H100 = "NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3"
Json = dict[str, Any]


@contextlib.contextmanager
def furnished(folder: Path, *flavors: Json, environments: tuple[str, ...] = ("dev",)) -> Iterator[Server]:
    """A cluster with the team vision's namespaces and one queue of these flavors."""
    folder.mkdir(exist_ok=True)
    with sandbox_server(folder) as server:
        if flavors:
            _queue(server, *flavors)
        for environment in environments:
            name = f"vision-{environment[:4].removesuffix('g')}"
            labels = {"aiplatform.dev/team": "vision", "aiplatform.dev/environment": environment}
            _make(server, "/api/v1/namespaces", "v1", "Namespace", name, labels=labels)
            queue = {"clusterQueue": "gpu-pool"}
            _make(server, f"{KUEUE}/namespaces/{name}/localqueues", KUEUE[6:], "LocalQueue", "gpu", spec=queue)
        yield server


def flavor(
    name: str, cloud: str, region: str, *, product: str = A100, quota: int = 16, cents: int | None = None
) -> Json:
    """A pool; without ``cents`` it carries no price of its own."""
    return {"name": name, "cloud": cloud, "region": region, "product": product, "quota": quota, "cents": cents}


def _queue(server: Server, *flavors: Json) -> None:
    rows: list[Json] = []
    for row in flavors:
        labels = {
            "aiplatform.dev/cloud": row["cloud"],
            "topology.kubernetes.io/region": row["region"],
            "nvidia.com/gpu.product": row["product"],
        }
        notes = {} if row["cents"] is None else {"aiplatform.dev/hourly-cents": str(row["cents"])}
        path, api = f"{KUEUE}/resourceflavors", KUEUE[6:]
        _make(server, path, api, "ResourceFlavor", row["name"], annotations=notes, spec={"nodeLabels": labels})
        node = {"status": {"conditions": [{"type": "Ready", "status": "True"}], "capacity": {"nvidia.com/gpu": "8"},
                           "allocatable": {"nvidia.com/gpu": "8"}}}  # fmt: skip
        _make(server, "/api/v1/nodes", "v1", "Node", f"{row['name']}-01", labels=labels, **node)
        server.merge(f"/api/v1/nodes/{row['name']}-01/status", node)
        quota = [{"name": "nvidia.com/gpu", "nominalQuota": row["quota"]}]
        rows.append({"name": row["name"], "resources": quota})
    groups = [{"coveredResources": ["nvidia.com/gpu"], "flavors": rows}]
    spec = {"namespaceSelector": {}, "resourceGroups": groups}
    _make(server, f"{KUEUE}/clusterqueues", KUEUE[6:], "ClusterQueue", "gpu-pool", spec=spec)


def edge_node(server: Server, name: str, site: str, region: str) -> None:
    labels = {
        "node-role.kubernetes.io/edge": "",
        "edge.aiplatform.dev/site": site,
        "topology.kubernetes.io/region": region,
        "aiplatform.dev/cloud": "edge",
    }
    _make(server, "/api/v1/nodes", "v1", "Node", name, labels=labels)


def serving_runtime(server: Server, name: str, *formats: str) -> None:
    spec = {
        "supportedModelFormats": [{"name": row, "autoSelect": True} for row in formats],
        "containers": [{"name": "kserve-container", "image": "registry.local/runtime:1"}],
    }
    path = "/apis/serving.kserve.io/v1alpha1/clusterservingruntimes"
    _make(server, path, "serving.kserve.io/v1alpha1", "ClusterServingRuntime", name, spec=spec)


def _make(server: Server, path: str, api: str, kind: str, name: str, *, labels: Json | None = None,
          annotations: Json | None = None, **body: Any) -> None:  # fmt: skip
    metadata: Json = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
    server.post(path, {"apiVersion": api, "kind": kind, "metadata": metadata, **body})


# ---------------------------------------------------------------------------------------------------- broken ones


@contextlib.asynccontextmanager
async def hanging(folder: Path) -> AsyncIterator[Path]:
    """A cluster that accepts connections and never answers; yields its kubeconfig."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(65536):
                pass
        writer.close()

    async with _listening(folder, wait) as config:
        yield config


@contextlib.asynccontextmanager
async def forbidding(folder: Path) -> AsyncIterator[Path]:
    """A cluster that lets this identity do nothing; yields its kubeconfig."""
    body = json.dumps(
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
         "message": "forbidden: this identity may do nothing"}
    ).encode()  # fmt: skip
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(head + body)
                await writer.drain()
        writer.close()

    async with _listening(folder, refuse) as config:
        yield config


@contextlib.asynccontextmanager
async def _listening(folder: Path, handle: Any) -> AsyncIterator[Path]:
    folder.mkdir(exist_ok=True)
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield write_config(folder / "kubeconfig", f"http://127.0.0.1:{port}", "t")
    finally:
        server.close()


def dead(folder: Path) -> Path:
    """The kubeconfig of a cluster where nothing listens."""
    import socket

    folder.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    return write_config(folder / "kubeconfig", f"http://127.0.0.1:{port}", "t")
