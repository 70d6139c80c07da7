"""What every loop of a controller does: when each thing is looked at, how a look's end is counted and told, and Events."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable

import anyio

from ai_platform_mcp.controllers.edge.ports import Api, Write
from ai_platform_mcp.controllers.metrics import Looks
from ai_platform_mcp.core.errors import Conflict, PlatformError

_log = logging.getLogger(__name__)
AFTER_CONFLICT, AFTER_PROBLEM = 0.5, 5.0
"""Seconds until the next look after one that met a change, and after one that failed."""


class Rounds:
    """When each of many things, known by name, is to be looked at: at a moment of its own, and soon after it changed.

    Args:
        gather: seconds between a change and the look that it causes, asked anew each time.
        idle: seconds that ``rest`` lasts at most.
    """

    def __init__(self, gather: Callable[[], float], idle: float):
        self._gather = gather
        self._idle = idle
        self._due: dict[str, float] = {}
        self._wake = anyio.Event()

    @property
    def names(self) -> frozenset[str]:
        """What has a moment."""
        return frozenset(self._due)

    def changed(self, names: Iterable[str]) -> None:
        """Note that something changed for these."""
        soon = time.monotonic() + self._gather()
        for name in names:
            self._due[name] = min(soon, self._due.get(name, soon))
        self._wake.set()

    def forget(self, names: Iterable[str], seconds: float) -> None:
        """Forget those of the names that need no look for so many seconds."""
        later = time.monotonic() + seconds
        for name in names:
            if self._due.get(name, 0.0) > later:
                del self._due[name]

    async def turn(
        self, names: Iterable[str], look: Callable[[str], Awaitable[float]], may: Callable[[], bool]
    ) -> None:
        """Look at what is due, one after the other, while ``may`` says so; only these names are known after it.

        What is new is due at once. ``look`` returns the seconds until the next look at the latest.
        """
        self._due = {name: self._due.get(name, 0.0) for name in names}
        for name in sorted(name for name, due in self._due.items() if due <= time.monotonic()):
            if not may():
                return
            self._due[name] = float("inf")  # what changes during the look is due again after it
            again = time.monotonic() + await look(name)
            self._due[name] = min(self._due[name], again)

    async def rest(self, *, looking: bool) -> None:
        """Wait for a change, for what is due where the loop is ``looking``, or until who may look is to be asked again."""
        due = min(self._due.values(), default=float("inf")) - time.monotonic() if looking else self._idle
        with anyio.move_on_after(max(0.02, min(self._idle, due))):
            if not looking or due > self._gather():
                self._wake = anyio.Event()
                await self._wake.wait()
            else:
                await anyio.sleep(max(0.0, due))


async def looked(look: Callable[[], Awaitable[float]], what: str, looks: Looks) -> float:
    """Look once at ``what``, count how that ended, and return the seconds until the next look. Nothing is raised."""
    began, ended = time.monotonic(), "success"
    try:
        return await look()
    except Conflict as problem:
        ended = "conflict"
        _log.info("%s changed under the look: %s", what, problem)
        return AFTER_CONFLICT
    except PlatformError as problem:
        ended = "error"
        _log.warning("%s: %s %s", what, problem.message, problem.cause)
        return AFTER_PROBLEM
    except Exception:  # a defect with one of them must not stop the others; liveness cannot tell, the log can
        ended = "error"
        _log.exception("looking at %s failed", what)
        return AFTER_PROBLEM
    finally:
        looks.add(ended, time.monotonic() - began)


async def told(api: Api, event: Write) -> None:
    """Write an Event. Nothing depends on it: one that is there already, or is not taken, holds nothing up."""
    try:
        await api.write(event)
    except Conflict:
        pass
    except PlatformError as problem:
        _log.info("an event was not taken: %s", problem)
