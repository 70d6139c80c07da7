"""Who a request comes from: the verified token over HTTP, whoever started the process over stdio."""

from __future__ import annotations

from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken

from ai_platform_mcp.core.principal import Credential, Principal
from ai_platform_mcp.core.tool import Caller


def current_principal(local: Principal, team_claim: str = "team", roles_claim: str = "roles") -> Principal:
    """Return the principal of the request that is being served.

    Team and roles come from claims of the verified token; a token that names none has none.
    """
    token = get_access_token()
    return local if token is None else principal_of(token, team_claim, roles_claim)


def caller_of(principal: Principal, request_id: str) -> Caller:
    """Return the caller of the request that is being served, with the token that was verified for it.

    The token goes no further than to clusters whose ``access`` is ``token``; whoever holds a caller need not know it.
    """
    token = get_access_token()
    return Caller(principal, request_id, Credential(token.token) if token is not None else None)


def principal_of(token: AccessToken, team_claim: str = "team", roles_claim: str = "roles") -> Principal:
    """Return the principal that a verified token stands for."""
    claims: dict[str, Any] = dict(token.claims or {})
    return Principal(
        id=f"{claims.get('iss', 'oidc')}#{token.subject or token.client_id}",
        kind="agent" if claims.get("act") or not token.subject else "human",
        issuer=str(claims.get("iss", "")),
        team=str(claims.get(team_claim, "")),
        groups=_texts(claims.get("groups")),
        roles=_texts(claims.get(roles_claim)),
        scopes=tuple(token.scopes),
        auth_method="oidc",
    )


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(str(item) for item in value) if isinstance(value, list | tuple) else ()
