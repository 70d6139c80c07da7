"""Everything the sandbox serves: the Kubernetes API, the metrics API, the life in them, and a controller process beside it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import uvicorn
from filelock import FileLock, Timeout
from starlette.applications import Starlette

from ai_platform_mcp.core.listening import tcp_listener
from ai_platform_mcp.sandbox import process, seed
from ai_platform_mcp.sandbox.controlling import Surroundings, control
from ai_platform_mcp.sandbox.kube.access import Access
from ai_platform_mcp.sandbox.kube.app import build_kube_app
from ai_platform_mcp.sandbox.kube.clock import WallClock, stamp
from ai_platform_mcp.sandbox.kube.kubeconfig import write_kubeconfig
from ai_platform_mcp.sandbox.kube.store import Store, open_store
from ai_platform_mcp.sandbox.kube.tls import Certificate, server_certificate
from ai_platform_mcp.sandbox.life.cycle import live
from ai_platform_mcp.sandbox.life.signals import WorldSignals
from ai_platform_mcp.sandbox.life.world import World
from ai_platform_mcp.sandbox.mlflow_store import is_seeded, record_training
from ai_platform_mcp.sandbox.prometheus.api import build_prometheus_app
from ai_platform_mcp.sandbox.prometheus.seed import PLATFORM_ALERTS, seed_metrics
from ai_platform_mcp.sandbox.prometheus.serving import ServedModel
from ai_platform_mcp.sandbox.prometheus.world import MetricsWorld

HOST = "127.0.0.1"
STOP_SECONDS = 2.0
SERVED = (
    ServedModel("vision-v2", "4", "vision-prod", "vision", rps=24.0, latency_s=0.092, fallback_share=0.002),
    ServedModel("fraud", "2", "platform-prod", "platform", rps=60.0, latency_s=0.018),
    ServedModel("llama-3.3-70b", "1", "nlp-prod", "nlp", runtime="vllm", rps=3.0, latency_s=2.4, fallback_share=0.01),
)


async def serve(state_dir: Path, speed: float) -> None:
    """Serve until SIGTERM or SIGINT. The status file appears once everything answers, and goes when it stops.

    Raises:
        RuntimeError: another sandbox has this folder, and keeps it.
    """
    await anyio.to_thread.run_sync(lambda: state_dir.mkdir(parents=True, exist_ok=True, mode=0o700))
    lock = FileLock(process.lock_file(state_dir))  # the system lets go of it however this process ends
    try:
        await anyio.to_thread.run_sync(lambda: lock.acquire(timeout=process.STOP_SECONDS))
    except Timeout:
        raise RuntimeError(f"another sandbox has {state_dir}") from None
    stopping = Stopping()
    async with anyio.create_task_group() as group:
        await group.start(stopping.on_signal)
        with stopping.start:
            await _serve(state_dir, speed, stopping)
        group.cancel_scope.cancel()
    lock.release()


class Stopping:
    """How the process is told to stop: while it starts, by cancelling the start; afterwards, by an event."""

    def __init__(self) -> None:
        self.start = anyio.CancelScope()
        self.asked = anyio.Event()
        self.started = False

    async def on_signal(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        """Wait for SIGTERM or SIGINT."""
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for _ in signals:
                self.asked.set()
                if not self.started:
                    self.start.cancel()


async def _serve(state_dir: Path, speed: float, stopping: Stopping) -> None:
    clock = WallClock()
    uri = process.mlflow_uri(state_dir)

    async def record(job: dict[str, Any]) -> None:
        await anyio.to_thread.run_sync(record_training, uri, job, clock.now())

    async with open_store(state_dir / "cluster.sqlite", clock) as store:
        certificate, metrics = await _furnish(state_dir, store, clock)
        access = Access(store)
        sockets = await anyio.to_thread.run_sync(_bind, state_dir)
        ports = {name: bound.getsockname()[1] for name, bound in sockets.items()}
        urls = {
            "kubernetes": f"https://{HOST}:{ports['kubernetes']}",
            "prometheus": f"http://{HOST}:{ports['prometheus']}",
        }
        kubeconfig = process.kubeconfig_file(state_dir)
        write_kubeconfig(kubeconfig, urls["kubernetes"], access.admin_token, authority=certificate.authority_pem)
        nodes = {node.name: node for node in seed.metric_nodes()}
        signals = await anyio.to_thread.run_sync(WorldSignals, metrics, nodes, SERVED)
        world = World(store, clock, speed, signals, record)
        servers = {
            "kubernetes": _server(build_kube_app(store, access), certificate),
            "prometheus": _server(build_prometheus_app(metrics, clock, PLATFORM_ALERTS)),
        }
        async with anyio.create_task_group() as group:
            for name, server in servers.items():
                group.start_soon(server.serve, [sockets[name]])
            for server in servers.values():
                await server.up.wait()
            await group.start(live, world)
            surroundings = Surroundings(
                state_dir, urls["kubernetes"], urls["prometheus"], certificate.authority_pem, speed
            )
            rollouts = anyio.CancelScope()
            group.start_soon(_within, rollouts, control, store, access, surroundings)
            stopping.started = True
            _tell(state_dir, urls, stamp(clock.now()), speed)
            await stopping.asked.wait()
            process.status_file(state_dir).unlink(missing_ok=True)
            rollouts.cancel()  # before its API goes, which it would otherwise ask again and again
            store.storage.end_watches()
            await _stop(list(servers.values()))
            group.cancel_scope.cancel()


async def _within(scope: anyio.CancelScope, work: Callable[..., Awaitable[None]], *arguments: object) -> None:
    with scope:
        await work(*arguments)


async def _furnish(state_dir: Path, store: Store, clock: WallClock) -> tuple[Certificate, MetricsWorld]:
    """Fill what is new: the registry in a process of its own, which spares this one MLflow, and the rest meanwhile."""
    certificate = await anyio.to_thread.run_sync(server_certificate, state_dir / "tls")
    metrics: list[MetricsWorld] = []

    def measure() -> None:
        world = MetricsWorld(state_dir / "metrics.sqlite", clock, seed=7)
        seed_metrics(world, SERVED, seed.metric_nodes(), seed.metric_queues(), clock.now())
        metrics.append(world)

    async with anyio.create_task_group() as group:
        if not await anyio.to_thread.run_sync(is_seeded, process.mlflow_uri(state_dir)):
            group.start_soon(_fill_registry, state_dir)
        group.start_soon(anyio.to_thread.run_sync, measure)
        group.start_soon(seed.seed_cluster, store)
    return certificate, metrics[0]


async def _fill_registry(state_dir: Path) -> None:
    command = [sys.executable, "-m", "ai_platform_mcp.sandbox", "--state-dir", str(state_dir), "--fill-registry"]
    await anyio.run_process(command, stdin=subprocess.DEVNULL, stdout=None, stderr=None)


async def _stop(servers: list[_Server]) -> None:
    for server in servers:
        server.should_exit = True
    with anyio.move_on_after(STOP_SECONDS):
        for server in servers:
            await server.over.wait()


def _bind(state_dir: Path) -> dict[str, socket.socket]:
    """Bind the ports of the last time, so that a kubeconfig that someone holds stays good; others where they are taken."""
    remembered = state_dir / "ports.json"
    known: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(remembered.read_text())
    sockets = {name: _listen(known.get(name, 0)) for name in ("kubernetes", "prometheus")}
    remembered.write_text(json.dumps({name: bound.getsockname()[1] for name, bound in sockets.items()}))
    return sockets


def _listen(port: int) -> socket.socket:
    try:
        return tcp_listener(HOST, port)
    except OSError:
        return tcp_listener(HOST, 0)


class _Server(uvicorn.Server):
    """A server that says when it is up, and leaves signals to its process."""

    def __init__(self, config: uvicorn.Config):
        super().__init__(config)
        self.up = anyio.Event()
        self.over = anyio.Event()

    @contextlib.contextmanager
    def capture_signals(self):
        """Leave signals alone: the process stops both servers together."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and say so."""
        await super().shutdown(sockets)
        self.over.set()


def _server(app: Starlette, certificate: Certificate | None = None) -> _Server:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate.certificate if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    return _Server(config)


def _tell(state_dir: Path, urls: dict[str, str], now: str, speed: float) -> None:
    told = process.Status(
        running=True,
        state_dir=str(state_dir),
        kubeconfig=str(process.kubeconfig_file(state_dir)),
        mlflow_uri=process.mlflow_uri(state_dir),
        prometheus_url=urls["prometheus"],
        kubernetes_url=urls["kubernetes"],
        pid=os.getpid(),
        started_at=now,
        speed=speed,
    )
    path = process.status_file(state_dir)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(told.as_dict()))
    draft.replace(path)
