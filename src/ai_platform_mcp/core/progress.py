"""Progress of the call that is being served, for whoever waits for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int, str], Awaitable[None]]
"""Called with how many of how many steps are done and what comes now."""

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
    """Tell the listener, if there is one."""
    listener = _listener.get()
    if listener is not None:
        await listener(done, total, what)
