"""What we change about the client's HTTP session: idle connections are dropped in time, and redirects are not followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse, TCPConnector
    from kubernetes.aio.client import ApiClient

_IDLE_SECONDS = 4.0


class Redirected(Exception):
    """The server sends us elsewhere. No API server does; a login page or a wrong address does."""


def own_session(client: ApiClient, pool: int) -> TCPConnector:
    """Give the client a connection pool that drops idle connections before servers do, and refuse redirects.

    A request on a connection that the server just closed is lost without an answer; uvicorn closes after 5 s, the
    client's own pool keeps for 15 s.
    """
    from aiohttp import TCPConnector

    connector = TCPConnector(limit=pool, ssl=client.rest_client.ssl_context, keepalive_timeout=_IDLE_SECONDS)
    extra: dict[str, Any] = dict(client.configuration.client_session_kwargs or {})
    client.configuration.client_session_kwargs = {**extra, "connector": connector, "middlewares": (_stay_here,)}
    return connector


async def _stay_here(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Refuse to follow: the session would repeat a write elsewhere, or make a read of it, and show whom we act as."""
    response = await handler(request)
    if response.status in (301, 302, 303, 307, 308):
        host = response.headers.get("Location", "").split("?")[0][:200]
        response.close()
        raise Redirected(f"it redirects (HTTP {response.status}) to {host or 'nowhere'}, which is not followed")
    return response
