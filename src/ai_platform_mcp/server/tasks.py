"""The MCP tasks extension (SEP-2663): long work as a handle, for clients that declare it.

A task is an operation: its id is the operation's, its state is read from the objects that the operation follows, so a
task outlives this process and needs no memory here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.server.backend import Backend
from ai_platform_mcp.server.identity import caller_of
from ai_platform_mcp.server.operations import OperationView, view

EXTENSION = "io.modelcontextprotocol/tasks"
POLL_MS = 2000


class TaskParams(types.RequestParams):
    """Parameters of tasks/get and tasks/cancel."""

    task_id: str


class TaskUpdateParams(TaskParams):
    """Parameters of tasks/update."""

    input_responses: dict[str, Any] | None = None


def wants_tasks(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Tell whether this client declared the extension; only the modern era can carry it."""
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return False
    capabilities = ctx.session.client_capabilities
    return capabilities is not None and EXTENSION in (capabilities.extensions or {})


class Tasks:
    """Serves tasks/get, tasks/update and tasks/cancel, and makes handles."""

    def __init__(self, backend: Backend, principal: Callable[[], Principal]):
        self._backend = backend
        self._principal = principal

    async def handle(self, operation_id: str, caller: Caller) -> dict[str, Any] | None:
        """Return a task handle for an operation that goes on in the cluster, None where it is over already."""
        seen = await self._view(operation_id, caller.principal)
        if seen is None or not seen.follows or seen.over:
            return None
        return {"resultType": "task", **_task(seen, "working")}

    async def get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        """Answer tasks/get."""
        seen = await self._mine(params.task_id)
        if not seen.over:
            return _task(seen, "working")
        if seen.state == "cancelled":
            return _task(seen, "cancelled")
        body = seen.document
        result = {
            "content": [{"type": "text", "text": json.dumps(body, ensure_ascii=False)}],
            "structuredContent": body,
            "isError": seen.state not in ("succeeded", "applied"),
        }
        return {**_task(seen, "completed"), "result": result}

    async def update(self, ctx: ServerRequestContext[Any, Any], params: TaskUpdateParams) -> dict[str, Any]:
        """Answer tasks/update: our tasks never wait for input, so there is nothing to take in."""
        await self._mine(params.task_id)
        return {}

    async def cancel(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        """Answer tasks/cancel by the guarded tool: policy decides whether this principal may."""
        await self._mine(params.task_id)
        caller = caller_of(self._principal(), f"task-{params.task_id}")
        arguments = {"operation_id": params.task_id, "action": "cancel", "mode": "apply"}
        try:
            await self._backend.call("control_operation", arguments, caller)
        except PlatformError as error:
            raise MCPError(types.INVALID_PARAMS, f"{error.message} {error.remedy}".strip()) from None
        return {}

    async def _mine(self, operation_id: str) -> OperationView:
        seen = await self._view(operation_id, self._principal())
        if seen is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no task {operation_id!r}.")
        return seen

    async def _view(self, operation_id: str, principal: Principal) -> OperationView | None:
        return await view(self._backend, operation_id, caller_of(principal, f"task-{operation_id}"))


def _task(seen: OperationView, status: Literal["working", "completed", "cancelled", "failed"]) -> dict[str, Any]:
    return {
        "taskId": seen.operation_id,
        "status": status,
        "statusMessage": seen.sentence,
        "createdAt": seen.started_at,
        "lastUpdatedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "ttlMs": None,
        "pollIntervalMs": POLL_MS,
    }
