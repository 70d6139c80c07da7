"""``operation://{id}``: one operation, its steps and how its long work goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ai_platform_mcp.core.followed import followed
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.domain.record_views import operation_document
from ai_platform_mcp.resources.resource import as_text, nothing


class OperationResource:
    """Read from the journal, with the progress of the followed objects read from their clusters."""

    template: ClassVar[str] = "operation://{id}"
    name: ClassVar[str] = "operation"
    title: ClassVar[str] = "An operation"
    description: ClassVar[str] = "One applied plan: its steps, live progress, errors, and what can be done next."
    mime_type: ClassVar[str] = "application/json"

    async def read(self, variables: Mapping[str, str], readers: Readers, caller: Caller) -> str:
        """Return the operation's document."""
        return await read_operation(variables.get("id", ""), readers, caller)


async def read_operation(operation_id: str, readers: Readers, caller: Caller) -> str:
    """Return the document of one operation as JSON.

    Raises:
        NotFound: there is no such operation.
    """
    operation = await readers.journal.operation(operation_id)
    if operation is None:
        raise nothing(f"operation://{operation_id}", "inspect_platform kind=operations lists operations.")
    return as_text(operation_document(operation, await followed(operation, readers.clusters)))
