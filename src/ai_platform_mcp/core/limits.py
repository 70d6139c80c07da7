"""How many calls a principal may make, and how calls that mean the same wait for one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio

from ai_platform_mcp.core.errors import RateLimited
from ai_platform_mcp.core.memory import Journal
from ai_platform_mcp.core.ports import Clock
from ai_platform_mcp.core.principal import Principal

WINDOW = timedelta(minutes=1)


class Limiter:
    """Counts audited calls of the last minute, and those that are under way and not audited yet.

    The audit is shared by every process over one journal; calls under way are known to their own process only.
    """

    def __init__(self, journal: Journal, clock: Clock, *, reads_per_minute: int, writes_per_minute: int):
        self._journal = journal
        self._clock = clock
        self._allowed = {False: reads_per_minute, True: writes_per_minute}
        self._under_way: Counter[tuple[str, bool]] = Counter()

    @asynccontextmanager
    async def counted(self, principal: Principal, *, mutating: bool) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
        """Count one call for as long as the block lasts, and hand out the question whether it may go on.

        The question raises RateLimited where this principal has made as many calls of this sort as it may. Audit the call
        inside the block: from then on the audit counts it.
        """
        place = (principal.id, mutating)
        self._under_way[place] += 1

        async def admit() -> None:
            made = await self._journal.calls_since(principal.id, self._clock.now() - WINDOW, mutating=mutating)
            made += self._under_way[place] - 1
            if made >= self._allowed[mutating]:
                raise RateLimited(
                    f"{principal.id} made {made} calls in the last minute; {self._allowed[mutating]} are allowed.",
                    remedy="Wait a minute. Long work is followed by its operation, not by repeating calls.",
                )

        try:
            yield admit
        finally:
            self._under_way[place] -= 1
            if not self._under_way[place]:
                del self._under_way[place]


class Turns:
    """Lets calls with one meaning through one after another; calls with different meanings never wait."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, anyio.Lock] = {}
        self._waiting: Counter[Hashable] = Counter()

    @asynccontextmanager
    async def of(self, meaning: Hashable | None) -> AsyncGenerator[None]:
        """Wait for the turn of this meaning; None is always its turn."""
        if meaning is None:
            yield
            return
        self._waiting[meaning] += 1
        try:
            async with self._locks.setdefault(meaning, anyio.Lock()):
                yield
        finally:
            self._waiting[meaning] -= 1
            if not self._waiting[meaning]:
                del self._waiting[meaning], self._locks[meaning]
