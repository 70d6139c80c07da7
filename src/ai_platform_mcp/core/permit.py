"""The permit to write: adapters refuse every request that is not a read unless the executor has one open.

It is the second lock behind the first (tools hold no writers): a tool that got hold of a client some other way is still
refused at the transport. The permit lives in a context variable, so it follows a call into tasks and worker threads and
nowhere else. A controller, which runs as a process of its own and carries out what was planned and judged before, opens one per
request in ``adapters.kubernetes.controlling``, for a fixed list of objects only.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ai_platform_mcp.core.errors import Forbidden


@dataclass(frozen=True)
class Permit:
    """The right to perform the one step that is being executed."""

    operation_id: str
    step_id: str


_permit: ContextVar[Permit | None] = ContextVar("ai_platform_permit", default=None)


@contextmanager
def open_permit(permit: Permit) -> Generator[None]:
    """Let writes through for the duration of one step. Only the executor and a controller's narrow access do."""
    token = _permit.set(permit)
    try:
        yield
    finally:
        _permit.reset(token)


def require_permit(what: str) -> Permit:
    """Return the open permit.

    Raises:
        Forbidden: no step is being executed, so ``what`` would be a change nobody planned.
    """
    permit = _permit.get()
    if permit is None:
        raise Forbidden(
            f"Refused to {what}: no plan step is being executed.",
            cause="A write reached an adapter outside of the guarded path.",
            remedy="This is a defect of the caller's code: return the effect as a plan step instead.",
        )
    return permit
