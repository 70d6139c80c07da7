"""Streamable HTTP: stateless, both eras, Host and Origin checked, loopback unless authentication is configured."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl, BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ai_platform_mcp.core.errors import Misconfigured, PlatformError
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.server.backend import Backend
from ai_platform_mcp.server.identity import principal_of

MAX_BODY = 16_384
"""Bytes of a settlement; a comment is all that is long in it."""


class Access(BaseModel):
    """Who may come in: where tokens are issued and for what, and which hosts and origins are ours."""

    issuer: str
    resource_url: str
    required_scopes: tuple[str, ...] = ()


class SettleBody(BaseModel):
    """What an approver sends."""

    approve: bool
    comment: str = ""


def check_bind(host: str, *, authenticated: bool) -> None:
    """Refuse to listen where strangers can reach without authentication.

    Raises:
        Misconfigured: the address is not loopback and no authentication is configured.
    """
    if authenticated or host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise Misconfigured(
            f"Refusing to listen on {host} without authentication.",
            cause="Anyone who reaches that address could run the platform.",
            remedy="Listen on 127.0.0.1, or configure http.auth (issuer, audience, jwks_url, resource_url).",
        )


def build_http(
    server: Server[Any],
    backend: Backend,
    *,
    host: str,
    port: int,
    access: Access | None,
    verifier: TokenVerifier | None,
    allowed_hosts: tuple[str, ...] = (),
    allowed_origins: tuple[str, ...] = (),
    who: Callable[[AccessToken], Principal] = principal_of,
) -> Starlette:
    """Return the ASGI application: ``/mcp``, ``/healthz``, and ``/approvals/{id}`` for approvers' own logins.

    ``who`` reads the principal off a verified token.
    """
    check_bind(host, authenticated=verifier is not None)
    bracketed = f"[{host}]" if ":" in host else host
    hosts = [*allowed_hosts, bracketed, f"{bracketed}:{port}", f"localhost:{port}", f"127.0.0.1:{port}"]
    origins = [*allowed_origins, f"http://{bracketed}:{port}", f"http://localhost:{port}", f"http://127.0.0.1:{port}"]
    auth = None
    scopes = frozenset(access.required_scopes) if access is not None else frozenset[str]()
    if access is not None:
        auth = AuthSettings(
            issuer_url=AnyHttpUrl(access.issuer),
            resource_server_url=AnyHttpUrl(access.resource_url),
            required_scopes=list(access.required_scopes),
            validate_token_resource=False,  # the verifier checks the audience itself
        )
    return server.streamable_http_app(
        stateless_http=True,
        json_response=False,
        host=host,
        auth=auth,
        token_verifier=verifier,
        transport_security=TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins),
        custom_starlette_routes=[
            Route("/healthz", _healthz, methods=["GET"]),
            Route("/approvals/{approval_id}", _settle(backend, verifier, scopes, who), methods=["POST"]),
        ],
    )


async def _healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _limited(request: Request) -> bytes:
    """Return the body, cut after ``MAX_BODY`` bytes: what is longer is then no JSON and is refused as such."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            break
    return body[:MAX_BODY]


def _settle(
    backend: Backend,
    verifier: TokenVerifier | None,
    scopes: frozenset[str],
    who: Callable[[AccessToken], Principal],
):
    """Return the endpoint where an approver settles an approval with their own verified login."""

    async def endpoint(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        verified = None
        if verifier is not None and scheme.lower() == "bearer":
            verified = await verifier.verify_token(token)
        if verified is None:
            return JSONResponse({"code": "forbidden", "message": "Settling needs the approver's own login."}, 401)
        missing = sorted(scopes - set(verified.scopes))
        if missing:
            return JSONResponse({"code": "forbidden", "message": f"The token lacks {', '.join(missing)}."}, 403)
        try:
            body = SettleBody.model_validate_json(await _limited(request))
            record = await backend.settle(request.path_params["approval_id"], who(verified), body.approve, body.comment)
        except ValidationError:
            return JSONResponse({"code": "invalid_input", "message": 'Send {"approve": true or false}.'}, 422)
        except PlatformError as error:
            return JSONResponse(error.as_dict(), 404 if error.code == "not_found" else 403)
        return JSONResponse(record.model_dump(mode="json"))

    return endpoint
