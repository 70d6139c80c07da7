"""Who is calling, and what they came in with."""

from __future__ import annotations

import hashlib
from typing import Literal, NoReturn

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

    @property
    def subject(self) -> str:
        """The name alone: what the issuer calls them, without the issuer."""
        return self.id.removeprefix(f"{self.issuer}#")


class Credential:
    """The bearer token that a caller came in with. It shows itself to nobody who does not ask by name, and is never stored.

    It is no ``Value`` on purpose: it cannot become part of a plan, a record or a result, and it cannot be pickled.
    """

    __slots__ = ("_token",)

    def __init__(self, token: str):
        self._token = token

    def reveal(self) -> str:
        """Return the token, for the one header that carries it."""
        return self._token

    def fingerprint(self) -> str:
        """Return what tells this token from another one, and not what it is."""
        return hashlib.sha256(self._token.encode()).hexdigest()

    def __repr__(self) -> str:
        """Return a text without the token: this is what logs and tracebacks print."""
        return "Credential(hidden)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be written down."""
        raise TypeError("a credential is not to be stored")
