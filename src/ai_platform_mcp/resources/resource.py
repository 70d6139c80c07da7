"""What a resource is: an address, and a read that answers JSON within a budget."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from ai_platform_mcp.core.errors import NotFound
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.tool import Caller


class Resource(Protocol):
    """A family of things that can be read by address. ``template`` is a URI template (RFC 6570)."""

    template: ClassVar[str]
    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    mime_type: ClassVar[str]

    async def read(self, variables: Mapping[str, str], readers: Readers, caller: Caller) -> str:
        """Return the text behind an address; ``variables`` are those of the template that the address fills.

        Raises:
            NotFound: nothing has that address.
        """
        ...


def as_text(document: Mapping[str, Any]) -> str:
    """Return a document as compact JSON: whitespace is paid for in tokens."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def nothing(uri: str, instead: str) -> NotFound:
    """Return the error for an address that leads nowhere."""
    return NotFound(f"There is nothing at {uri}.", remedy=instead)
