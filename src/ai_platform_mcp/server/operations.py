"""An operation as tasks and subscriptions see it: read through its resource, so there is one way to look."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ai_platform_mcp.core.errors import NotFound
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.server.backend import Backend

OVER = frozenset({"succeeded", "failed", "cancelled", "interrupted"})


@dataclass(frozen=True)
class OperationView:
    """The state of an operation and of what it follows, at one moment."""

    operation_id: str
    state: str
    sentence: str
    started_at: str
    follows: bool
    document: dict[str, Any]

    @property
    def over(self) -> bool:
        """Whether nothing will change any more by itself."""
        return self.state in OVER or (self.state == "applied" and not self.follows)


async def view(backend: Backend, operation_id: str, caller: Caller) -> OperationView | None:
    """Return what the operation's resource says, None where there is no such operation."""
    from ai_platform_mcp.resources import read_operation

    try:
        text = await backend.peek(caller, lambda readers: read_operation(operation_id, readers, caller))
    except NotFound:
        return None
    document: dict[str, Any] = json.loads(text)
    progress: dict[str, Any] = document.get("progress") or {}
    return OperationView(
        operation_id=operation_id,
        state=str(progress.get("state") or document["state"]),
        sentence=str(progress.get("sentence") or document["summary"]),
        started_at=str(document["started_at"]),
        follows=bool(progress),
        document=document,
    )
