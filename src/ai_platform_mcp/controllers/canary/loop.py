"""The loop: events wake it, a short pause gathers them, and one look at a time follows. It keeps nothing that a look needs.

A cluster without KServe, or without the definition of CanaryRollouts, is no failure: the loop waits until they come.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import anyio

from ai_platform_mcp.controllers.analysis.analyst import Analyst
from ai_platform_mcp.controllers.analysis.measure import Counts
from ai_platform_mcp.controllers.canary.caches import Caches
from ai_platform_mcp.controllers.canary.look import Looker, waits_for
from ai_platform_mcp.controllers.edge.caches import key_of
from ai_platform_mcp.controllers.edge.ports import Api, Feeds
from ai_platform_mcp.controllers.metrics import Looks
from ai_platform_mcp.controllers.turns import Rounds, looked
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.objects import metadata_of

_log = logging.getLogger(__name__)
GATHER, IDLE = 0.1, 1.0
"""Seconds between an event and the look that it causes, and between two turns of the loop at most."""
TOLD_AFTER = 5.0
"""Seconds without what it watches after which the log says so, once."""


def _second() -> datetime:
    """Return the moment in whole seconds, as the status will remember it."""
    return datetime.now(UTC).replace(microsecond=0)


class ToldFeeds(Feeds, Protocol):
    """Feeds that can say why they are not current."""

    def problem(self) -> str:
        """Return why, empty where nothing is known."""
        ...


class CanaryController:
    """Moves the CanaryRollouts of one cluster.

    Args:
        api: single requests.
        namespace: look after the rollouts of this namespace only; empty for all.
        now: the clock, for tests that cannot wait.
        speed: how many seconds of a rollout's spec pass in one; more than 1 where the platform's time runs faster.
        counts: what analysis measures by; without it a rollout that asks for analysis ends inconclusive.
    """

    def __init__(
        self,
        api: Api,
        namespace: str = "",
        now: Callable[[], datetime] = _second,
        speed: float = 1.0,
        counts: Counts | None = None,
    ):
        self.caches = Caches(self._changed)
        self.beat = time.monotonic()
        """When the loop last came by (monotonic): one that hangs is to be ended from outside."""
        self.looks = Looks()
        """How its looks went, for whoever scrapes them."""
        self._namespace = namespace
        self._analyst = Analyst(counts, now, self._changed)
        self._looker = Looker(api, self.caches, now, self._analyst, speed)
        self._rounds = Rounds(lambda: GATHER, IDLE)
        self._idle_since: float | None = time.monotonic()

    def _changed(self, namespace: str) -> None:
        """Note that something changed in a namespace."""
        self._rounds.changed(key_of(live) for live in self._open() if metadata_of(live)["namespace"] == namespace)

    def _open(self) -> list[type_json]:
        return [
            row
            for row in self.caches.rollouts.all()
            if waits_for(row) and self._namespace in ("", metadata_of(row)["namespace"])
        ]

    async def run(self, feeds: ToldFeeds, leads: Callable[[], bool]) -> None:
        """Work until cancelled, while ``leads`` says that it may."""
        async with anyio.create_task_group() as group:
            group.start_soon(feeds.run)
            group.start_soon(self._analyst.run)
            while True:
                self.beat = time.monotonic()
                looking = feeds.current() and leads()
                if looking:
                    await self._looks(lambda: feeds.current() and leads())
                elif not feeds.current():
                    self._tell_idle(feeds)
                await self._rounds.rest(looking=looking)

    def _tell_idle(self, feeds: ToldFeeds) -> None:
        """Say once why nothing moves, where that lasts."""
        if self._idle_since is None or time.monotonic() - self._idle_since < TOLD_AFTER:
            return
        self._idle_since = None
        _log.warning("cloud canaries are not looked after: %s", feeds.problem() or "not read yet")

    async def _looks(self, may: Callable[[], bool]) -> None:
        rollouts = {key_of(row): row for row in self._open()}

        async def look(key: str) -> float:
            return await looked(lambda: self._looker.look(rollouts[key]), key.replace("\0", "/"), self.looks)

        await self._rounds.turn(rollouts, look, may)
