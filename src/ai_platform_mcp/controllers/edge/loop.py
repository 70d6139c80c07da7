"""The loop: events wake it, a short pause gathers them, and one look at a time follows. It keeps nothing that a look needs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import anyio

from ai_platform_mcp.controllers.analysis.analyst import Analyst
from ai_platform_mcp.controllers.analysis.measure import Counts
from ai_platform_mcp.controllers.edge.asked import golden_of, release_of, rollback_release_of
from ai_platform_mcp.controllers.edge.caches import Caches
from ai_platform_mcp.controllers.edge.daemon_sets import Cluster
from ai_platform_mcp.controllers.edge.lease import Election
from ai_platform_mcp.controllers.edge.look import Looker
from ai_platform_mcp.controllers.edge.ports import Api, Feeds
from ai_platform_mcp.controllers.metrics import Looks
from ai_platform_mcp.controllers.turns import AFTER_PROBLEM, Rounds, looked
from ai_platform_mcp.core.errors import CapabilityMissing, NotFound
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.manifests.common import minor_of
from ai_platform_mcp.manifests.edge_runtime import Parts

_log = logging.getLogger(__name__)
GATHER, PER_NODE, LONGEST_GATHER = 0.2, 0.002, 2.0
"""Seconds between an event and the look that it causes, and how many more for each node: a fleet's events come in crowds, and a
look costs the more the larger the fleet is. A thousand nodes would otherwise be looked at five times in every second."""
_IDLE = 1.0
_KNOWN_FOR = 300.0
_KSERVE = "/apis/serving.kserve.io/v1alpha1"
PAUSE_IMAGE = "registry.k8s.io/pause:3.10"


def _second() -> datetime:
    """Return the moment in whole seconds, as the status will remember it."""
    return datetime.now(UTC).replace(microsecond=0)


class Controller:
    """Moves the EdgeRollouts of one cluster.

    Args:
        api: single requests.
        namespace: look after the rollouts of this namespace only; empty for all.
        pause_image: what holds a prepulled image on a node.
        now: the clock, for tests that cannot wait.
        image: our own image, for the sidecars that ask golden inputs.
        speed: how many seconds of a rollout's spec pass in one; more than 1 where the platform's time runs faster.
        counts: what analysis measures by; without it a rollout that asks for analysis ends inconclusive.
        idle: seconds after which the lease and the feeds are asked again at the latest.
    """

    def __init__(
        self,
        api: Api,
        namespace: str = "",
        pause_image: str = PAUSE_IMAGE,
        now: Callable[[], datetime] = _second,
        speed: float = 1.0,
        image: str = "",
        counts: Counts | None = None,
        idle: float = _IDLE,
    ):
        self.caches = Caches(self._changed)
        self.beat = time.monotonic()
        """When the loop last came by (monotonic): one that hangs is to be ended from outside."""
        self.looking = False
        """Whether it may look now: the caches are current and the lease is held."""
        self.looks = Looks()
        """How its looks went, for whoever scrapes them."""
        self._api = api
        self._namespace = namespace
        self._pause_image = pause_image
        self._image = image
        self._minor = 0
        self._parts: dict[str, tuple[float, Parts | None]] = {}
        self._analyst = Analyst(counts, now, self._changed)
        self._stored: tuple[float, type_json | None] = 0.0, None
        self._looker = Looker(api, self.caches, self._building, now, self._turn, self._analyst, speed)
        self._rounds = Rounds(self._gather, idle)

    def _turn(self) -> None:
        self.beat = time.monotonic()

    def _changed(self, model: str) -> None:
        """Note that something changed for a model, or with an empty name for every one of them."""
        self._rounds.changed([model] if model else self._rounds.names)

    def _gather(self) -> float:
        return min(LONGEST_GATHER, GATHER + PER_NODE * len(self.caches.nodes))

    def everything(self) -> None:
        """Have every model looked at."""
        self._changed("")

    async def run(self, feeds: Feeds, election: Election | None = None) -> None:
        """Work until cancelled. Without an election it is the only one."""
        async with anyio.create_task_group() as group:
            group.start_soon(feeds.run)
            group.start_soon(self._analyst.run)
            if election is not None:
                group.start_soon(election.run, self.everything)
            while True:
                self._turn()
                self.looking = feeds.current() and (election is None or election.leads)
                if self.looking:
                    await self._looks(lambda: feeds.current() and (election is None or election.leads))
                await self._rounds.rest(looking=self.looking)

    async def _looks(self, may: Callable[[], bool]) -> None:
        """Look at the models that have rollouts, and at those that had until nothing is left to do for them."""
        models = self._looker.models(self._namespace)
        await self._rounds.turn(models | self._rounds.names, self._looked, may)
        self._rounds.forget(self._rounds.names - models, AFTER_PROBLEM)

    async def _looked(self, model: str) -> float:
        return await looked(lambda: self._looker.look(model, self._namespace), f"model {model}", self.looks)

    async def _building(self, rollouts: Sequence[type_json]) -> Cluster:
        if not self._minor:
            self._minor = minor_of(str((await self._api.read("/version")).get("gitVersion")))
        names = {
            release.runtime
            for row in rollouts
            for release in (release_of(row), rollback_release_of(row))
            if release is not None and not release.image and release.runtime
        }
        found = {name: parts for name in names if (parts := await self._runtime(name)) is not None}
        fetches = any(golden is not None and not golden.uri.startswith("oci://") for golden in map(golden_of, rollouts))
        return Cluster(
            minor=self._minor,
            pause_image=self._pause_image,
            runtimes=found,
            image=self._image,
            storage=await self._storage() if fetches else None,
        )

    async def _runtime(self, name: str) -> Parts | None:
        known = self._parts.get(name)
        if known is not None and time.monotonic() - known[0] < _KNOWN_FOR:
            return known[1]
        runtime = await self._read(f"{_KSERVE}/clusterservingruntimes/{name}")
        storage = await self._storage()
        parts = None if runtime is None else Parts(runtime=runtime, storage=storage)
        if parts is not None:
            self._parts[name] = time.monotonic(), parts
        return parts

    async def _storage(self) -> type_json | None:
        read, found = self._stored
        if found is None or time.monotonic() - read > _KNOWN_FOR:
            found = await self._read(f"{_KSERVE}/clusterstoragecontainers/default")
            self._stored = time.monotonic(), found
        return found

    async def _read(self, path: str) -> type_json | None:
        try:
            return await self._api.read(path)
        except (NotFound, CapabilityMissing):
            return None
