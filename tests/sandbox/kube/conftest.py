"""A running sandbox API server for all tests of this folder, on a free port, in its own thread and event loop."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from ai_platform_mcp.sandbox.kube.access import Access
from ai_platform_mcp.sandbox.kube.app import build_kube_app
from ai_platform_mcp.sandbox.kube.kubeconfig import write_kubeconfig
from ai_platform_mcp.sandbox.kube.store import Store, open_store
from ai_platform_mcp.sandbox.kube.tls import server_certificate


class HandClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, **by: float) -> None:
        self.moment += timedelta(**by)


@dataclass
class Sandbox:
    url: str
    token: str
    kubeconfig: Path
    clock: HandClock
    store: Store
    access: Access
    loop: asyncio.AbstractEventLoop
    http: httpx.Client

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine of the store on the server's own loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def send(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **options: Any
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.token}", **options.pop("headers", {})}
        media = options.pop("media", None)
        if media:
            headers["Content-Type"] = media
        return self.http.request(method, path, json=body, headers=headers, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> httpx.Response:
        return self.send("POST", path, body, **options)

    def patch(
        self, path: str, body: Any, media: str = "application/merge-patch+json", **options: Any
    ) -> httpx.Response:
        return self.send("PATCH", path, body, media=media, **options)

    def apply(self, path: str, body: Any, manager: str = "tester", **params: Any) -> httpx.Response:
        media = "application/apply-patch+yaml"
        return self.send("PATCH", path, body, media=media, params={"fieldManager": manager, **params})


class _Thread(threading.Thread):
    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder = folder
        self.ready = threading.Event()
        self.sandbox: Sandbox | None = None
        self.server: uvicorn.Server | None = None

    def run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        clock = HandClock()
        async with open_store(self.folder / "world.db", clock) as store:
            access = await Access.open(store)
            certificate = server_certificate(self.folder)
            config = uvicorn.Config(
                build_kube_app(store, access),
                port=0,
                log_level="error",
                timeout_graceful_shutdown=2,
                lifespan="off",
                ssl_certfile=certificate.certificate,
                ssl_keyfile=certificate.key,
            )
            self.server = uvicorn.Server(config)
            self.server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
            task = asyncio.create_task(self.server.serve())
            while not self.server.started:
                await asyncio.sleep(0.01)
            url = f"https://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"
            kubeconfig = self.folder / "kubeconfig"
            write_kubeconfig(kubeconfig, url, access.admin_token, authority=certificate.authority_pem)
            trust = ssl.create_default_context(cafile=str(certificate.authority))
            http = httpx.Client(base_url=url, timeout=20, verify=trust)
            loop = asyncio.get_running_loop()
            self.sandbox = Sandbox(url, access.admin_token, kubeconfig, clock, store, access, loop, http)
            self.ready.set()
            await task


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    thread = _Thread(tmp_path_factory.mktemp("sandbox"))
    thread.start()
    assert thread.ready.wait(20)
    assert thread.sandbox and thread.server
    yield thread.sandbox
    thread.sandbox.http.close()
    thread.sandbox.loop.call_soon_threadsafe(thread.sandbox.store.storage.end_watches)
    thread.server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def namespace(sandbox: Sandbox, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    body = {"metadata": {"generateName": "t-"}}
    return sandbox.post("/api/v1/namespaces", body).json()["metadata"]["name"]


def deployment(name: str = "web", image: str = "nginx:1.29", replicas: int | None = None) -> dict[str, Any]:
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def pod(name: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    containers = [{"name": "main", "image": "nginx:1.29"}]
    metadata = {"name": name, "labels": labels or {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
