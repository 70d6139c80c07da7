"""``resources/*`` and ``completion/complete``: reads of the catalogue in ``resources``."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from ai_platform_mcp.core.errors import InvalidInput, NotFound, PlatformError
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.server.backend import Backend
from ai_platform_mcp.server.identity import caller_of
from ai_platform_mcp.server.prompts import PROMPTS

if TYPE_CHECKING:
    from ai_platform_mcp.core.ports import Readers
    from ai_platform_mcp.resources import Resource

MAX_COMPLETIONS = 100
COMPLETION_SECONDS = 5.0


class Resources:
    """Serves the resource methods and completions."""

    def __init__(self, backend: Backend, principal: Callable[[], Principal]):
        self._backend = backend
        self._principal = principal

    @cached_property
    def _catalogue(self) -> tuple[Resource, ...]:
        """The catalogue, imported when somebody first asks about resources."""
        from ai_platform_mcp.resources import CATALOGUE

        return CATALOGUE

    async def list_resources(
        self, ctx: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        """List the resources that can be read without a variable."""
        from ai_platform_mcp.resources import bare

        fixed = [(address, row) for row in self._catalogue if (address := bare(row.template)) is not None]
        return types.ListResourcesResult(
            resources=[
                types.Resource(
                    uri=address,
                    name=row.name,
                    title=row.title,
                    description=row.description,
                    mime_type=row.mime_type,
                )
                for address, row in fixed
            ]
        )

    async def list_templates(
        self, ctx: ServerRequestContext[Any, Any], params: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        """List every template."""
        return types.ListResourceTemplatesResult(
            resource_templates=[
                types.ResourceTemplate(
                    uri_template=row.template,
                    name=row.name,
                    title=row.title,
                    description=row.description,
                    mime_type=row.mime_type,
                )
                for row in self._catalogue
            ]
        )

    async def read(
        self, ctx: ServerRequestContext[Any, Any], params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        """Read one resource by URI."""
        uri = str(params.uri)
        row, variables = self._find(uri)
        caller = caller_of(self._principal(), f"req-{uuid.uuid4().hex[:16]}")
        try:
            text = await self._backend.look(uri, caller, lambda readers: row.read(variables, readers, caller))
        except (NotFound, InvalidInput) as error:
            raise MCPError(types.INVALID_PARAMS, _sentence(error), data=error.as_dict()) from None
        except PlatformError as error:
            raise MCPError(types.INTERNAL_ERROR, _sentence(error), data=error.as_dict()) from None
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=params.uri, mime_type=row.mime_type, text=text)]
        )

    def _find(self, uri: str) -> tuple[Resource, dict[str, str]]:
        from ai_platform_mcp.resources import match

        for row in self._catalogue:
            found = match(row.template, uri)
            if found is not None:
                return row, found
        known = ", ".join(row.template for row in self._catalogue)
        raise MCPError(types.INVALID_PARAMS, f"There is no resource {uri!r}. Templates: {known}.")

    async def complete(
        self, ctx: ServerRequestContext[Any, Any], params: types.CompleteRequestParams
    ) -> types.CompleteResult:
        """Complete names of models, versions, clusters, sites, queues, namespaces and operations."""
        if isinstance(params.ref, types.PromptReference) and params.ref.name not in PROMPTS:
            raise MCPError(types.INVALID_PARAMS, f"There is no prompt {params.ref.name!r}.")
        from ai_platform_mcp.resources import complete

        known = dict(params.context.arguments or {}) if params.context else {}
        named, typed = params.argument.name, params.argument.value

        async def offer(readers: Readers) -> Sequence[str]:
            """Find names; a completion is a convenience, so a backend that is down or slow has nothing to offer."""
            with contextlib.suppress(PlatformError), anyio.move_on_after(COMPLETION_SECONDS):
                return await complete(named, typed, known, readers)
            return ()

        values = await self._backend.peek(caller_of(self._principal(), "completion"), offer)
        return types.CompleteResult(
            completion=types.Completion(
                values=list(values[:MAX_COMPLETIONS]), total=len(values), has_more=len(values) > MAX_COMPLETIONS
            )
        )


def _sentence(error: PlatformError) -> str:
    return " ".join(part for part in (error.message, error.cause, error.remedy) if part)
