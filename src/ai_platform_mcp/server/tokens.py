"""Bearer tokens: JWTs verified against the issuer's published keys."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio
import jwt
from mcp.server.auth.provider import AccessToken

log = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")
KEY_SECONDS = 5


class JwtVerifier:
    """Verifies signature, issuer, audience and expiry (RFC 7519, RFC 9068); keys come from the issuer's JWKS."""

    def __init__(self, *, issuer: str, audience: str, jwks_url: str, algorithms: Sequence[str] = ALGORITHMS):
        self._issuer = issuer
        self._audience = audience
        self._algorithms = list(algorithms)
        self._keys = jwt.PyJWKClient(jwks_url, cache_keys=True, lifespan=300, timeout=KEY_SECONDS)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return what the token says, None where it is not valid for us."""
        try:
            key = await anyio.to_thread.run_sync(self._keys.get_signing_key_from_jwt, token, abandon_on_cancel=True)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            log.info("Refused a bearer token: %s", error)
            return None
        scopes = claims.get("scope", "")
        return AccessToken(
            token=token,
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            scopes=scopes.split() if isinstance(scopes, str) else [str(scope) for scope in scopes],
            expires_at=int(claims["exp"]),
            subject=str(claims["sub"]),
            claims=claims,
        )
