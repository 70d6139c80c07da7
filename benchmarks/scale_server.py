"""The sandbox's API server over a large world, as a process of its own that changes the world when told to.

``python -m benchmarks.scale_server FOLDER NODES PODS`` writes ``FOLDER/kubeconfig`` and then takes commands, one JSON line
each: ``churn`` (node heartbeats and pod changes per second, for some seconds), ``burst`` (changes of pods at once), ``stop``.
Each is answered with a line when it is done.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn

from ai_platform_mcp.core.listening import tcp_listener
from ai_platform_mcp.sandbox.kube.access import Access
from ai_platform_mcp.sandbox.kube.app import build_kube_app
from ai_platform_mcp.sandbox.kube.clock import WallClock
from ai_platform_mcp.sandbox.kube.kubeconfig import write_kubeconfig
from ai_platform_mcp.sandbox.kube.store import Store, open_store
from ai_platform_mcp.sandbox.kube.tls import server_certificate
from benchmarks import scale_world

STAMP = "bench.aiplatform.dev/stamp"
"""Label of the node that tells when the world last changed: the monotonic clock of this machine, in microseconds."""
STAMPED = 1
"""Number of the node that carries it."""
TICKS_PER_SECOND = 50


class World:
    """What changes."""

    def __init__(self, store: Store, nodes: int, pods: int):
        self._store = store
        self._nodes, self._pods = nodes, pods
        self._beats = self._changes = 0

    async def churn(self, nodes_per_second: int, pods_per_second: int, seconds: float) -> dict[str, Any]:
        """Beat and change at an even pace; the stamp moves with every tick."""
        started = time.monotonic()
        done = 0
        ticks = int(seconds * TICKS_PER_SECOND)
        for tick in range(ticks):
            late = started + tick / TICKS_PER_SECOND - time.monotonic()
            await asyncio.sleep(max(0.0, late))
            for _ in range(nodes_per_second // TICKS_PER_SECOND):
                self._beat()
            for _ in range(pods_per_second // TICKS_PER_SECOND):
                self._change()
            self.stamp()
            done += nodes_per_second // TICKS_PER_SECOND + pods_per_second // TICKS_PER_SECOND + 1
            await self._store.storage.flush()
        return {"events": done, "seconds": time.monotonic() - started}

    async def burst(self, count: int) -> dict[str, Any]:
        """Change so many pods as fast as the server can, then move the stamp."""
        started = time.monotonic()
        for number in range(count):
            self._change()
            if number % 200 == 199:
                await self._store.storage.flush()
                await asyncio.sleep(0)
        stamp = self.stamp()
        return {"events": count, "began": started, "seconds": time.monotonic() - started, "stamp": stamp}

    def stamp(self) -> int:
        """Write the time onto the node that tells it."""
        now = time.monotonic_ns() // 1000
        scale_world.commit(self._store, scale_world.node(STAMPED, labels={STAMP: str(now)}))
        return now

    def _beat(self) -> None:
        self._beats += 1
        number = 2 + self._beats * 7919 % (self._nodes - 2)
        beat = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        # One beat in a hundred is a node that goes away or comes back.
        ready = self._beats % 200 != 0
        scale_world.commit(self._store, scale_world.node(number, beat=beat, ready=ready))

    def _change(self) -> None:
        """A pod restarts, ends or comes back: of ten changes seven touch nothing that the inventory counts."""
        self._changes += 1
        phase = "Succeeded" if self._changes % 10 == 0 else "Running"
        number = self._changes * 104_729 % self._pods
        scale_world.commit(self._store, scale_world.pod(number, self._nodes, phase=phase, generation=self._changes))


async def serve(folder: Path, nodes: int, pods: int) -> None:
    """Serve until told to stop."""
    async with open_store(None, WallClock()) as store:
        gc.disable()  # nothing of the world is garbage, and looking for some takes longer than making it
        scale_world.fill(store, nodes, pods)
        gc.freeze()
        gc.enable()
        await store.storage.flush()
        access = await Access.open(store)
        certificate = server_certificate(folder / "tls")
        app = build_kube_app(store, access)
        config = uvicorn.Config(app, log_level="error", lifespan="off", access_log=False,
                                timeout_graceful_shutdown=1, ssl_certfile=certificate.certificate,
                                ssl_keyfile=certificate.key)  # fmt: skip
        server = uvicorn.Server(config)
        bound = tcp_listener("127.0.0.1", 0)  # listens from here on: nobody needs to wait for the server
        serving = asyncio.create_task(server.serve([bound]))
        url = f"https://127.0.0.1:{bound.getsockname()[1]}"
        write_kubeconfig(folder / "kubeconfig", url, access.admin_token, authority=certificate.authority_pem)
        world = World(store, nodes, pods)
        world.stamp()
        _say({"ready": True})
        await _obey(world)
        store.storage.end_watches()
        server.should_exit = True
        await serving


async def _obey(world: World) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        if order["do"] == "stop":
            return
        done = await (world.churn(*order["how"]) if order["do"] == "churn" else world.burst(*order["how"]))
        _say(done)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
