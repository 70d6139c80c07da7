"""The controller under test, put together as its process is; killed at a write and started again with nothing in memory."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
from ai_platform_mcp.adapters.kubernetes.controlling import ControllerAccess
from ai_platform_mcp.adapters.prometheus.client import PrometheusClient
from ai_platform_mcp.adapters.prometheus.counts import PrometheusCounts
from ai_platform_mcp.cli.controller import feeds_of
from ai_platform_mcp.cli.measuring import SECONDS
from ai_platform_mcp.controllers.edge.loop import Controller
from ai_platform_mcp.controllers.edge.ports import FIELD_MANAGER, Write
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.rows import ClusterInfo
from benchmarks.fleet_time import HandClock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

Kill = tuple[int, bool, float]
IDLE = 5.0
"""The loop asks for its feeds every second; in a day of virtual time that would be most of the work."""
OURS = "registry.example/ai-platform-mcp@sha256:" + 64 * "0"


class Hand:
    """The adapter as the controller is handed it. At the write of a kill the process ends: what was sent is, nothing follows.

    ``kill``: at which of its writes, and whether that one is still done (its answer is never read).
    """

    def __init__(self, access: ControllerAccess, kill: tuple[int, bool] | None):
        self.access = access
        self.writes = 0
        self.dead = anyio.Event()
        self._kill = kill
        self._under_way = 0
        self._calm = anyio.Event()

    async def read(self, path: str) -> type_json:
        """Read an object."""
        return await self.access.read(path)

    async def write(self, write: Write) -> type_json:
        """Perform a write, or die."""
        if self.dead.is_set():
            await anyio.sleep_forever()
        self.writes += 1
        if self._kill is not None and self.writes >= self._kill[0]:
            self.dead.set()
            if self._kill[1]:
                await self._send(write)
            await anyio.sleep_forever()
        return await self._send(write)

    async def _send(self, write: Write) -> type_json:
        self._under_way += 1
        self._calm = anyio.Event()
        try:
            return await self.access.send(write.verb, write.path, write.body, write.why)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._calm.set()

    async def over(self) -> None:
        """Return when it has been killed and nothing that it sent is under way."""
        await self.dead.wait()
        if self._under_way:
            await self._calm.wait()


class Process:
    """A controller's process, started again whenever it is killed."""

    def __init__(self, kubeconfig: Path, namespace: str, clock: HandClock, kills: tuple[Kill, ...], metrics: str = ""):
        self._kubeconfig, self._namespace, self._clock, self._metrics = kubeconfig, namespace, clock, metrics
        self._kills = list(kills)
        self.killed = 0
        self.writes = 0

    async def run(self) -> None:
        """Run until cancelled."""
        done = 0
        while True:
            kill = self._kills.pop(0) if self._kills else None
            at = None if kill is None else (max(1, kill[0] - done), kill[1])
            async with self._opened(at) as (hand, controller):
                async with anyio.create_task_group() as group:
                    group.start_soon(controller.run, feeds_of(hand.access, controller))
                    await hand.over()
                    group.cancel_scope.cancel()
                done += hand.writes
            self.killed += 1
            await anyio.sleep(kill[2] if kill else 0.0)

    @asynccontextmanager
    async def _opened(self, kill: tuple[int, bool] | None) -> AsyncGenerator[tuple[Hand, Controller]]:
        config = ClusterConfig(info=ClusterInfo(name="fleet"), kubeconfig=self._kubeconfig)
        access = ControllerAccess(config, FIELD_MANAGER)
        hand = Hand(access, kill)
        counts = PrometheusCounts(PrometheusClient(self._metrics, seconds=SECONDS), self._clock)
        controller = Controller(
            hand,
            self._namespace,
            now=self._clock.second,
            image=OURS,
            idle=IDLE,
            counts=counts if self._metrics else None,
        )
        try:
            yield hand, controller
        finally:
            self.writes += hand.writes
            await counts.aclose()
            await access.aclose()


@contextmanager
def without_jitter() -> Generator[None]:
    """Take the chance out of pauses and retries: it spreads load, decides nothing, and makes no two runs the same."""
    real = random.uniform
    random.uniform = _middle
    try:
        yield
    finally:
        random.uniform = real


def _middle(a: float, b: float) -> float:
    return (a + b) / 2
