"""On whose behalf the present work is done: adapters derive from it who they are to a backend.

Set by the guard for each call and by the resumer for each operation that it takes up, and by nobody else: a test reads the
sources for it. Like the permit it lives in a context variable, so it follows a call into its tasks and worker threads and
nowhere else; what must not act for anyone (the watches of a cache) runs in a context of its own.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from ai_platform_mcp.core.tool import Caller

_acting: ContextVar[Caller | None] = ContextVar("ai_platform_acting", default=None)


@contextmanager
def acting_for(caller: Caller) -> Generator[None]:
    """Do what is inside on the caller's behalf. Only the guard calls this.

    Raises:
        RuntimeError: somebody else is being acted for already, which only a defect can bring about.
    """
    before = _acting.get()
    if before is not None and before.principal.id != caller.principal.id:
        raise RuntimeError("a call of one principal was entered from within a call of another")
    with _set(caller):
        yield


@contextmanager
def acting_for_owner(caller: Caller) -> Generator[None]:
    """Do what is inside on behalf of an operation's owner, whoever asked for it to be resumed. Only the resumer calls this."""
    with _set(caller):
        yield


def acting_caller() -> Caller | None:
    """Return on whose behalf the present work is done, None outside of every call."""
    return _acting.get()


@contextmanager
def _set(caller: Caller) -> Generator[None]:
    token = _acting.set(caller)
    try:
        yield
    finally:
        _acting.reset(token)
