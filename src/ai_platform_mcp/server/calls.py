"""``tools/list`` and ``tools/call``: results and errors in both forms, asking in both eras, progress and tasks."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ai_platform_mcp.core.contract import contract
from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.progress import listening
from ai_platform_mcp.core.tool import Caller, Result
from ai_platform_mcp.server.backend import Backend
from ai_platform_mcp.server.identity import caller_of
from ai_platform_mcp.server.tasks import Tasks, wants_tasks

log = logging.getLogger(__name__)

Context = ServerRequestContext[Any, Any]
QUESTION = "approve"
ASK_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"approve": {"type": "boolean", "title": "Apply exactly this plan"}},
    "required": ["approve"],
}


class Calls:
    """Serves the two tool methods."""

    def __init__(self, backend: Backend, tasks: Tasks, principal: Callable[[], Principal]):
        self._backend = backend
        self._tasks = tasks
        self._principal = principal
        self._listed: list[types.Tool] = []

    async def list_tools(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        """List every tool in one page: the list is small by design and the same for everyone."""
        if not self._listed:  # writing schemas takes 20 ms, and over HTTP many ask
            self._listed = [types.Tool.model_validate(contract(tool)) for tool in self._backend.tools().values()]
        return types.ListToolsResult(tools=self._listed)

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> Any:
        """Run one call. A tool error is a result that the model reads; only our own bugs are protocol errors."""
        caller = caller_of(self._principal(), f"req-{uuid.uuid4().hex[:16]}")
        try:
            with listening(_progress(ctx)):
                return await self._answer(ctx, params, caller)
        except PlatformError as error:
            return _failed(error)
        except MCPError:
            raise
        except Exception:
            log.exception("Call %s of %s failed", caller.request_id, params.name)
            raise MCPError(
                types.INTERNAL_ERROR,
                f"{params.name} failed inside the server; its log has request {caller.request_id}.",
            ) from None

    async def _answer(self, ctx: Context, params: types.CallToolRequestParams, caller: Caller) -> Any:
        arguments = dict(params.arguments or {})
        if params.request_state is not None:
            return await self._answered(params, arguments, caller)
        result = await self._backend.call(params.name, arguments, caller)
        if result.data.get("status") == "awaiting_approval" and "self" in result.data["approval"]["approvers"]:
            return await self._ask(ctx, params.name, arguments, result, caller)
        if result.data.get("status") == "applied" and wants_tasks(ctx):
            task = await self._tasks.handle(str(result.data["operation_id"]), caller)
            if task is not None:
                return task
        return _content(result)

    async def _ask(self, ctx: Context, name: str, arguments: dict[str, Any], result: Result, caller: Caller) -> Any:
        """Ask the person at the client, where there is a way to; otherwise the approval stays pending and is told."""
        if not _can_elicit(ctx):
            return _content(result)
        message = f"{result.data['summary']}\n\n{result.text}"[:3000]
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            request = types.ElicitRequest(
                params=types.ElicitRequestFormParams(message=message, requested_schema=ASK_SCHEMA)
            )
            state = json.dumps({"approval": result.data["approval"]["approval_id"], "plan": result.data["plan_id"]})
            return types.InputRequiredResult(input_requests={QUESTION: request}, request_state=state)
        if not ctx.session.can_send_request:
            return _content(result)
        answer = await ctx.session.elicit_form(message, ASK_SCHEMA, related_request_id=ctx.request_id)
        if not _agreed(answer.action, answer.content):
            return _declined(result.data["plan_id"])
        return await self._apply(
            name, arguments, result.data["approval"]["approval_id"], result.data["plan_id"], caller
        )

    async def _answered(
        self, params: types.CallToolRequestParams, arguments: dict[str, Any], caller: Caller
    ) -> types.CallToolResult:
        """Take up a call whose question was answered. The state was sealed by us, so it is what we asked."""
        state: dict[str, str] = json.loads(params.request_state or "{}")
        answer = (params.input_responses or {}).get(QUESTION)
        action, content = getattr(answer, "action", None), getattr(answer, "content", None)
        if not _agreed(action, content):
            return _declined(state["plan"])
        return await self._apply(params.name, arguments, state["approval"], state["plan"], caller)

    async def _apply(
        self, name: str, arguments: dict[str, Any], approval_id: str, plan_id: str, caller: Caller
    ) -> types.CallToolResult:
        await self._backend.agree(approval_id, caller.principal)
        return _content(await self._backend.call(name, {**arguments, "mode": "apply", "plan_id": plan_id}, caller))


def _agreed(action: str | None, content: Any) -> bool:
    return action == "accept" and isinstance(content, dict) and content.get("approve") is True


def _can_elicit(ctx: Context) -> bool:
    """Tell whether the client can show a form; a bare ``elicitation: {}`` counts, url-only does not."""
    capabilities = ctx.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _progress(ctx: Context):
    async def tell(done: int, total: int, what: str) -> None:
        await ctx.session.report_progress(done, total, what)

    return tell


def _content(result: Result) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=result.text)],
        structured_content=result.data,
        is_error=result.is_error,
    )


def _declined(plan_id: str) -> types.CallToolResult:
    text = f"The person at the client declined. Nothing has changed; {plan_id} stays valid until it expires."
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content={"status": "declined", "plan_id": plan_id, "message": text},
        is_error=True,
    )


def _failed(error: PlatformError) -> types.CallToolResult:
    body = error.as_dict()
    parts = [f"{body['code']}: {body['message']}", body["cause"], body["remedy"]]
    plan = error.details.get("plan")
    if isinstance(plan, dict) and "plan_id" in plan:
        parts.append(f"(plan {plan['plan_id']})")
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=" ".join(part for part in parts if part))],
        structured_content=body,
        is_error=True,
    )
