"""Measures beside the loop: a look is handed what was measured last and never waits for a metrics store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime

import anyio

from ai_platform_mcp.controllers.analysis.measure import Counts, Measured, Question, measure

_log = logging.getLogger(__name__)
EVERY = 30.0
"""Seconds between two measurements of one rollout, where its wait is long enough."""
LOOKS_PER_WAIT = 20
"""A shorter wait is measured more often: a verdict that comes once in its time would come too late."""
LEAST = 0.5
AT_ONCE = 4
"""Rollouts that are measured at the same time."""
_FORGOTTEN = 900.0


def cadence(wait_seconds: float) -> float:
    """Return the seconds between two measurements of a rollout that waits so long (on the clock of the controller)."""
    return min(EVERY, max(LEAST, wait_seconds / LOOKS_PER_WAIT))


@dataclass
class _Entry:
    about: Hashable
    asked: float
    measured: Measured | None = None
    finished: float = float("-inf")
    running: bool = False


@dataclass(frozen=True)
class _Order:
    key: str
    entry: _Entry
    question: Question
    wake: str = field(default="")


class Analyst:
    """Keeps the last measurement of each rollout, and makes new ones at their cadence.

    Args:
        counts: the metrics store, None where the controller was given none.
        now: the clock that rollouts are judged by.
        changed: hears, with the word that came with the question, that a measurement is there to be looked at.
    """

    def __init__(self, counts: Counts | None, now: Callable[[], datetime], changed: Callable[[str], None]):
        self._counts = counts
        self._now = now
        self._changed = changed
        self._entries: dict[str, _Entry] = {}
        self._orders: list[_Order] = []
        self._ordered = anyio.Event()

    async def run(self) -> None:
        """Measure what is asked for until cancelled."""
        limit = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as group:
            while True:
                await self._ordered.wait()
                self._ordered = anyio.Event()
                orders, self._orders = self._orders, []
                for order in orders:
                    group.start_soon(self._carry_out, order, limit)

    def latest(self, key: str, about: Hashable, question: Question, every: float, wake: str) -> Measured | None:
        """Return the last measurement, None where there is none yet, and have the next one made when it is due.

        Args:
            key: the rollout, by uid.
            about: what the measurement is about; one of something else is forgotten.
            question: what to measure now.
            every: seconds between two measurements.
            wake: handed to ``changed`` when the measurement is done.
        """
        moment = time.monotonic()
        entry = self._entries.get(key)
        if entry is None or entry.about != about:
            entry = self._entries[key] = _Entry(about, moment)
            self._forget(moment)
        entry.asked = moment
        if not entry.running and moment - entry.finished >= every:
            entry.running = True
            self._orders.append(_Order(key, entry, question, wake))
            self._ordered.set()
        return entry.measured

    async def _carry_out(self, order: _Order, limit: anyio.CapacityLimiter) -> None:
        entry = order.entry
        try:
            async with limit:
                entry.measured = await measure(self._counts, order.question, self._now())
        finally:
            entry.running, entry.finished = False, time.monotonic()
        self._changed(order.wake)

    def _forget(self, moment: float) -> None:
        """Drop what nobody has asked about for long: rollouts end and go."""
        for key in [key for key, row in self._entries.items() if moment - row.asked > _FORGOTTEN]:
            del self._entries[key]
