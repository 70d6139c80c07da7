"""What the protocol needs of the platform behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import AnyTool, Caller, Result

if TYPE_CHECKING:
    from ai_platform_mcp.core.ports import Readers
    from ai_platform_mcp.core.records import ApprovalRecord

T = TypeVar("T")


class Backend(Protocol):
    """The composition root, as the server sees it. Listing tools needs no backend to be up; calling does."""

    @property
    def version(self) -> str:
        """The product's version."""
        ...

    @property
    def local_principal(self) -> Principal:
        """Who calls where no token says it."""
        ...

    def tools(self) -> Mapping[str, AnyTool]:
        """Return the offered tools by name, write tools left out where the server is read-only."""
        ...

    async def call(self, name: str, arguments: Mapping[str, Any], caller: Caller) -> Result:
        """Run one call through the guard.

        Raises:
            PlatformError: every anticipated failure.
        """
        ...

    async def agree(self, approval_id: str, principal: Principal) -> ApprovalRecord:
        """Record that the requester agreed in person, where policy names ``self``."""
        ...

    async def settle(self, approval_id: str, principal: Principal, approve: bool, comment: str) -> ApprovalRecord:
        """Settle an approval by the approver's own verified login."""
        ...

    async def look(self, uri: str, caller: Caller, read: Callable[[Readers], Awaitable[str]]) -> str:
        """Read a resource through the guard.

        Raises:
            PlatformError: every anticipated failure.
        """
        ...

    async def peek(self, caller: Caller, read: Callable[[Readers], Awaitable[T]]) -> T:
        """Read on the caller's behalf without an entry in the audit: what a stream repeats, and completions.

        Raises:
            PlatformError: every anticipated failure.
        """
        ...
