"""The platform as the command line reaches it: in this process, or at a server over streamable HTTP."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from ai_platform_mcp.app import App
from ai_platform_mcp.core.errors import Misconfigured, PlatformError, Unavailable
from ai_platform_mcp.core.tool import Caller, Result
from ai_platform_mcp.settings import Settings

TOKEN_ENV = "AI_PLATFORM_TOKEN"  # noqa: S105  # the name of a variable, not a secret


class ServerSaid(PlatformError):
    """An error that a server answered, with the server's own code."""

    def __init__(self, body: Mapping[str, Any]):
        super().__init__(
            str(body.get("message", "The server refused.")),
            cause=str(body.get("cause", "")),
            remedy=str(body.get("remedy", "")),
            details=dict(body.get("details") or {}),
        )
        self.server_code = str(body.get("code", "platform_error"))

    def as_dict(self) -> dict[str, Any]:
        """Return the error with the server's code."""
        return {**super().as_dict(), "code": self.server_code}


class Client(Protocol):
    """What commands need."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool.

        Raises:
            PlatformError: every anticipated failure.
        """
        ...

    async def agree(self, approval_id: str) -> None:
        """Agree in person to one's own plan, where policy names ``self``."""
        ...

    async def __aenter__(self) -> Self:
        """Open."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        ...


class LocalClient:
    """Runs calls through an application in this process."""

    def __init__(self, settings: Settings):
        self.app = App(settings)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool in this process."""
        caller = Caller(principal=self.app.local_principal, request_id=f"cli-{uuid.uuid4().hex[:12]}")
        return await self.app.call(name, arguments, caller)

    async def agree(self, approval_id: str) -> None:
        """Agree in person."""
        await self.app.agree(approval_id, self.app.local_principal)

    async def __aenter__(self) -> Self:
        """Return itself; connections are opened on first use."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self.app.aclose()


class RemoteClient:
    """Runs calls at a server; the bearer token comes from ``AI_PLATFORM_TOKEN``."""

    def __init__(self, url: str):
        self._url = url if url.rstrip("/").endswith("/mcp") else f"{url.rstrip('/')}/mcp"
        self._opened: Any = None
        self._approving = False

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Call a tool at the server."""
        from mcp.shared.exceptions import MCPError

        try:
            answer = await self._opened.call_tool(name, dict(arguments))
        except MCPError as error:
            raise ServerSaid({"code": "protocol_error", "message": str(error)}) from None
        data: dict[str, Any] = answer.structured_content or {}
        text = "\n".join(block.text for block in answer.content if block.type == "text")
        if answer.is_error and "code" in data and "remedy" in data:
            raise ServerSaid(data)
        return Result(text=text, data=data, is_error=bool(answer.is_error))

    async def agree(self, approval_id: str) -> None:
        """Refuse: over HTTP the server asks by itself, and what it did not ask cannot be agreed to from here."""
        raise Misconfigured(
            "This plan needs an approval that cannot be given from here.",
            remedy=f"An approver settles {approval_id} with their own login.",
        )

    async def __aenter__(self) -> Self:
        """Open the session."""
        import httpx2
        from mcp.client import Client as McpClient
        from mcp.client.streamable_http import streamable_http_client

        token = os.environ.get(TOKEN_ENV, "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.AsyncClient(headers=headers, timeout=120.0)
        self._client = McpClient(streamable_http_client(self._url, http_client=self._http), elicitation_callback=_ask)
        try:
            self._opened = await self._client.__aenter__()
        except BaseException as error:
            await self._http.aclose()
            if isinstance(error, Exception):
                raise Unavailable(
                    f"Cannot reach {self._url}.",
                    cause=type(error).__name__,
                    remedy=f"Check the address, and {TOKEN_ENV} if the server wants a login.",
                ) from None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        await self._client.__aexit__(kind, error, trace)
        await self._http.aclose()


async def _ask(context: Any, params: Any) -> Any:
    """Put the server's question to the person at this terminal."""
    import anyio.to_thread
    from mcp_types import ElicitResult

    from ai_platform_mcp.cli.asking import confirm

    agreed = await anyio.to_thread.run_sync(confirm, f"{params.message}\nApply exactly this plan?")
    return ElicitResult(action="accept", content={"approve": True}) if agreed else ElicitResult(action="decline")
