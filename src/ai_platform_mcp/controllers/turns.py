"""What every loop of a controller does around a look: how its end is counted and told, and how an Event is written."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from ai_platform_mcp.controllers.edge.ports import Api, Write
from ai_platform_mcp.controllers.metrics import Looks
from ai_platform_mcp.core.errors import Conflict, PlatformError

_log = logging.getLogger(__name__)
AFTER_CONFLICT, AFTER_PROBLEM = 0.5, 5.0
"""Seconds until the next look after one that met a change, and after one that failed."""


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
