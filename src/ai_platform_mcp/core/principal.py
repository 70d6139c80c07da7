"""Who is calling."""

from __future__ import annotations

from typing import Literal

from ai_platform_mcp.core.model import Value


class Principal(Value):
    """The identity a call is judged by and recorded under.

    ``auth_method`` says how much it is worth: ``local`` is whoever started the process, ``oidc`` a verified token.
    """

    id: str
    kind: Literal["human", "agent", "service"] = "agent"
    issuer: str = "local"
    team: str = ""
    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    auth_method: Literal["local", "oidc", "passphrase"] = "local"
