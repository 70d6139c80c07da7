"""Progress of the call that is being served, for whoever waits for it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio

log = logging.getLogger(__name__)

Listener = Callable[[int, int, str], Awaitable[None]]
"""Called with how many of how many steps are done and what comes now."""

LISTENER_SECONDS = 2.0

_listener: ContextVar[Listener | None] = ContextVar("ai_platform_progress", default=None)


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Send the progress of calls made inside to ``listener``."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


async def report(done: int, total: int, what: str) -> None:
    """Tell the listener, if there is one. One that fails or does not take it in is no reason to stop the work."""
    listener = _listener.get()
    if listener is None:
        return
    try:
        with anyio.move_on_after(LISTENER_SECONDS):
            await listener(done, total, what)
    except Exception as error:
        log.warning("Progress was not delivered: %s", error)
