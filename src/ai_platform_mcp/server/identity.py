"""Who a request comes from: the verified token over HTTP, whoever started the process over stdio."""

from __future__ import annotations

from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken

from ai_platform_mcp.core.principal import Principal


def current_principal(local: Principal, team_claim: str = "team", roles_claim: str = "roles") -> Principal:
    """Return the principal of the request that is being served.

    Team and roles come from claims of the verified token; a token that names none has none.
    """
    token = get_access_token()
    return local if token is None else principal_of(token, team_claim, roles_claim)


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
