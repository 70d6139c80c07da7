"""Who we are to a cluster: one service identity, the caller by impersonation, or the caller by their own token.

Derived anew for every request from the caller that the guard acts for. Nothing is escaped: a name that could be read as
another one (a line break, a comma, ``system:``) is refused, because a refused caller is safer than a renamed one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from ai_platform_mcp.core.errors import CredentialMissing, Forbidden, PlatformError
from ai_platform_mcp.core.principal import Credential, Principal
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.tool import Caller

AccessMode = Literal["service", "impersonate", "token"]

_PLAIN = re.compile(r"[!-+\--~](?:[ -+\--~]*[!-+\--~])?")
"""Printable ASCII without commas (proxies join repeated headers with them), no blank at either end."""
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""RFC 6750 §2.1, ``b64token``."""
_LONGEST = 256
_MOST_GROUPS = 100
_RESERVED = "system:"
_EXTRA = "aiplatform.dev/"


@dataclass(frozen=True)
class Naming:
    """How a principal is called in a cluster.

    User: ``user_prefix`` and the principal's id (``issuer#subject``), or only the subject. Groups: ``group_prefix`` and
    ``team:NAME``, ``role:NAME``, ``group:NAME`` for those of ``groups_from``.
    """

    user_prefix: str = "aiplatform:"
    group_prefix: str = "aiplatform:"
    user_from: Literal["id", "subject"] = "id"
    groups_from: tuple[Literal["team", "roles", "groups"], ...] = ("team", "roles")


@dataclass(frozen=True)
class Identity:
    """Whom one request acts as. ``headers`` are all that say so; the service identity adds none of its own."""

    mode: AccessMode
    user: str = ""
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, str], ...] = ()
    credential: Credential | None = field(default=None, repr=False, compare=False)

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers in order; a group each has its own."""
        if self.credential is not None:
            return [("Authorization", f"Bearer {self.credential.reveal()}")]
        if not self.user:
            return []
        named = [("Impersonate-User", self.user)]
        named += [("Impersonate-Group", group) for group in self.groups]
        named += [("Impersonate-Uid", self.uid)] if self.uid else []
        return named + [(f"Impersonate-Extra-{quote(key, safe='')}", value) for key, value in self.extra]

    def key(self) -> str:
        """Return what tells apart those whom a cluster may answer differently."""
        secret = self.credential.fingerprint() if self.credential is not None else ""
        return hashlib.sha256("\n".join((self.mode, self.user, self.uid, *self.groups, secret)).encode()).hexdigest()

    def label(self) -> str:
        """Return how messages name it."""
        if self.mode == "token":
            return "the owner of your token"
        if not self.user:
            return "this server's own identity"
        return f"user {self.user!r}" + (f" in {', '.join(map(repr, self.groups))}" if self.groups else "")


SERVICE = Identity("service")


def identity_for(cluster: str, mode: AccessMode, naming: Naming, caller: Caller | None) -> Identity:
    """Return whom a request to this cluster acts as.

    Raises:
        Forbidden: nobody is being acted for where the cluster wants to know, or the caller's name must not be used.
        CredentialMissing: the cluster takes only the caller's own token, and the caller came with none.
    """
    if mode == "service":
        return SERVICE
    if caller is None:
        raise Forbidden(
            f"Refused to reach cluster {cluster!r} for nobody.",
            cause=f"Its access is `{mode}`, and this request belongs to no call.",
            remedy="This is a defect of the caller's code: enter through the guard.",
        )
    if mode == "impersonate":
        return impersonated(caller.principal, caller.request_id, naming)
    if caller.credential is None:
        raise CredentialMissing(
            f"Cluster {cluster!r} is reached with the caller's own token, and there is none.",
            cause=f"{untrusted(caller.principal.id, 100)} did not come in over HTTP with a bearer token, "
            "or this operation is being resumed without its owner.",
            remedy="Its owner calls again over HTTP with the same arguments or idempotency key; or set the cluster's "
            "`access` to `impersonate`, or to `service` with a kubeconfig user of your own.",
            details={"cluster": cluster},
        )
    if not _TOKEN.fullmatch(caller.credential.reveal()):
        raise Forbidden("The bearer token is none that a header can carry.", remedy="Log in again.")
    return Identity("token", credential=caller.credential)


def impersonated(principal: Principal, request_id: str, naming: Naming) -> Identity:
    """Return the identity that impersonates a principal.

    Raises:
        Forbidden: a name of the principal is reserved, or cannot stand in a header without being read as another.
    """
    subject = principal.subject
    name = _plain(principal.id if naming.user_from == "id" else subject, "the principal's id")
    _refuse_reserved(name, subject, *principal.groups, *principal.roles, principal.team)
    groups = tuple(naming.group_prefix + _plain(group, "a team, role or group") for group in _groups(principal, naming))
    if len(groups) > _MOST_GROUPS:
        raise Forbidden(
            f"This caller is in {len(groups)} groups, and at most {_MOST_GROUPS} are passed on.",
            remedy="Set `access.impersonation.groups_from` to fewer of team, roles and groups.",
        )
    user = naming.user_prefix + name
    _refuse_reserved(user, *groups)
    return Identity(
        "impersonate",
        user=user,
        groups=groups,
        uid=_plain(subject, "the subject") if principal.auth_method == "oidc" else "",
        extra=(
            (f"{_EXTRA}issuer", _plain(principal.issuer or "unknown", "the issuer")),
            (f"{_EXTRA}request-id", _plain(request_id, "the request's id")),
        ),
    )


def refusal_of_identity(cluster: str, code: int, status: Mapping[str, Any], who: Identity) -> PlatformError | None:
    """Return the error where the cluster refused whom we act as rather than what was asked, None for any other refusal."""
    message = str(status.get("message") or "")
    if code == 401 and who.credential is not None:
        return Forbidden(
            f"Cluster {cluster!r} does not accept your token (401).",
            cause=untrusted(message) or "It has expired, or the API server does not trust its issuer or its audience.",
            remedy="Log in again; if it stays so, the cluster's administrator lets the API server trust this issuer and "
            "audience (AuthenticationConfiguration), or this cluster's `access` becomes `impersonate`.",
            details={"cluster": cluster},
        )
    if code == 403 and who.mode == "impersonate" and "cannot impersonate" in message:
        return Forbidden(
            f"Cluster {cluster!r} does not let this server act as {who.label()}.",
            cause=untrusted(message),
            remedy="Its administrator grants this server's own identity `impersonate` on that user, group, uid or extra "
            "(docs/identity.md has the ClusterRole).",
            details={"cluster": cluster, "impersonating": who.user},
        )
    return None


def _groups(principal: Principal, naming: Naming) -> list[str]:
    kinds = {
        "team": [f"team:{principal.team}"] if principal.team else [],
        "roles": [f"role:{role}" for role in principal.roles],
        "groups": [f"group:{group}" for group in principal.groups],
    }
    return list(dict.fromkeys(name for kind in naming.groups_from for name in kinds[kind]))


def _plain(value: str, what: str) -> str:
    if len(value) <= _LONGEST and _PLAIN.fullmatch(value):
        return value
    raise Forbidden(
        f"Refused to act as this caller: {what} is {untrusted(value, 80)!r}.",
        cause="It is empty, longer than 256 characters, or has a comma, a line break or a character outside of ASCII: "
        "in a header it could be read as another name.",
        remedy="Give the caller another name at the issuer, or choose other claims for team and roles.",
    )


def _refuse_reserved(*names: str) -> None:
    for name in names:
        if name.strip().casefold().startswith(_RESERVED):
            raise Forbidden(
                f"Refused to act as {untrusted(name, 80)!r}.",
                cause="Names that begin with `system:` belong to Kubernetes itself.",
                remedy="Nobody is impersonated under such a name; use the caller's own.",
            )
