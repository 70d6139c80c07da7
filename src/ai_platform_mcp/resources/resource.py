"""What a resource is: an address, and a read that answers JSON within a budget."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol
from urllib.parse import unquote

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


_VARIABLE = re.compile(r"\{(/?)(\w+)\}")


def match(template: str, uri: str) -> dict[str, str] | None:
    """Return the variables that an address fills, None where it is no address of this template.

    A variable with a slash (``{/name}``) may be left out with all that follow it: that is how RFC 6570 expands an undefined
    one, so ``registry://models`` is an address of ``registry://models{/name}{/version}``. Values are percent-decoded.
    """
    pattern, place = "", 0
    for found in _VARIABLE.finditer(template):
        value = f"(?P<{found[2]}>[^/?#]+)"
        pattern += re.escape(template[place : found.start()]) + (f"(?:/{value})?" if found[1] else value)
        place = found.end()
    fits = re.fullmatch(pattern + re.escape(template[place:]), uri)
    if fits is None:
        return None
    return {name: unquote(value) for name, value in fits.groupdict().items() if value is not None}


def bare(template: str) -> str | None:
    """Return the address of a template with every variable left out, None where one of them is required."""
    address = template.partition("{")[0]
    return address if match(template, address) is not None else None


def as_text(document: Mapping[str, Any]) -> str:
    """Return a document as compact JSON: whitespace is paid for in tokens."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def nothing(uri: str, instead: str) -> NotFound:
    """Return the error for an address that leads nowhere."""
    return NotFound(f"There is nothing at {uri}.", remedy=instead)
