"""Who is asking, and may they: bearer tokens, ServiceAccount tokens, impersonation, RBAC.

The administrator's token is made once per world and kept with it; other people are added to a token table. ServiceAccount
tokens are signed, so they need no table.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from ai_platform_mcp.sandbox.kube.clock import stamp
from ai_platform_mcp.sandbox.kube.objects import dig, meta
from ai_platform_mcp.sandbox.kube.status import ApiError, Json, unauthorized
from ai_platform_mcp.sandbox.kube.store import Store

MASTERS = "system:masters"
ISSUER = "https://kubernetes.default.svc"
_AUTHN = "authentication.k8s.io"
_EXTRA = "impersonate-extra-"
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class User:
    """A name and the groups it is in."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    def info(self) -> Json:
        """The user as reviews tell it (`authentication.k8s.io/v1 UserInfo`)."""
        told: Json = {"username": self.name, "groups": list(self.groups)}
        told |= {"uid": self.uid} if self.uid else {}
        return told | ({"extra": {key: list(value) for key, value in self.extra.items()}} if self.extra else {})


@dataclass(frozen=True)
class Attributes:
    """What is being asked for: a verb on a resource, or on a path that is no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    def refusal(self, user: User) -> ApiError:
        """403 in the words of the real authorizer."""
        if self.path:
            why = f'User "{user.name}" cannot {self.verb} path "{self.path}"'
            return ApiError(403, "Forbidden", f"forbidden: {why}")
        asked = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        where = f'in the namespace "{self.namespace}"' if self.namespace else "at the cluster scope"
        subject = f"{self.resource}.{self.group}" if self.group else self.resource
        subject += f' "{self.name}"' if self.name else ""
        why = f'User "{user.name}" cannot {self.verb} resource "{asked}" in API group "{self.group}" {where}'
        details: Json = {"name": self.name} if self.name else {}
        details |= {"group": self.group} if self.group else {}
        return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details=details | {"kind": self.resource})


class Access:
    """Tokens and permissions over one world."""

    def __init__(self, store: Store) -> None:
        self._store = store
        settings = store.storage.settings
        if "admin_token" not in settings:
            store.storage.keep("admin_token", secrets.token_urlsafe(32))
        if "service_account_key" not in settings:
            store.storage.keep("service_account_key", _new_key())
        key: Any = serialization.load_pem_private_key(settings["service_account_key"].encode(), None)
        self._key: ec.EllipticCurvePrivateKey = key
        self.admin_token = settings["admin_token"]
        self._users = {digest: User(name, tuple(groups)) for digest, name, groups in self._table()}

    @classmethod
    async def open(cls, store: Store) -> Access:
        """The access of a world; what is new about it is durable when this returns."""
        access = cls(store)
        await store.storage.flush()
        return access

    def _table(self) -> list[tuple[str, str, list[str]]]:
        return json.loads(self._store.storage.settings.get("users", "[]"))

    async def add_user(self, name: str, groups: tuple[str, ...] = ()) -> str:
        """Let somebody in; the token is told once and only its digest is kept."""
        token = secrets.token_urlsafe(32)
        self._users[_digest(token)] = User(name, groups)
        table = [(digest, user.name, list(user.groups)) for digest, user in self._users.items()]
        self._store.storage.keep("users", json.dumps(table))
        await self._store.storage.flush()
        return token

    # --- who --------------------------------------------------------------------------------------------------------

    def identify(self, authorization: str | None) -> User:
        """The user behind an Authorization header; raises Unauthorized."""
        scheme, _, token = (authorization or "").partition(" ")
        user = self.token_user(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise unauthorized()
        return user

    def token_user(self, token: str) -> User | None:
        """The user a token stands for, or None."""
        if secrets.compare_digest(token.encode(), self.admin_token.encode()):
            return User("kubernetes-admin", (MASTERS, "system:authenticated"))
        known = self._users.get(_digest(token))
        if known is not None:
            return User(known.name, (*known.groups, "system:authenticated"))
        return self._service_account(token)

    def _service_account(self, token: str) -> User | None:
        try:
            options: Json = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}
            public: Any = self._key.public_key()
            claims = jwt.decode(token, public, algorithms=["ES256"], audience=ISSUER, options=options)  # pyright: ignore[reportArgumentType]
        except jwt.InvalidTokenError:
            return None
        if claims.get("exp", 0) <= self._store.clock.now().timestamp():
            return None
        bound = claims.get("kubernetes.io", {})
        account = self._store.storage.bucket("serviceaccounts").objects.get(
            (bound.get("namespace", ""), dig(bound, "serviceaccount", "name", default=""))
        )
        if account is None or meta(account)["uid"] != dig(bound, "serviceaccount", "uid"):
            return None
        return service_account_user(meta(account)["namespace"], meta(account)["name"], meta(account)["uid"])

    def issue(self, account: Json, seconds: int, audiences: list[str]) -> tuple[str, str]:
        """A token for a ServiceAccount, and when it ends."""
        now = self._store.clock.now()
        ends = now + timedelta(seconds=seconds)
        name, namespace = meta(account)["name"], meta(account)["namespace"]
        claims: Json = {
            "iss": ISSUER,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "aud": audiences or [ISSUER],
            "iat": int(now.timestamp()),
            "exp": int(ends.timestamp()),
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": meta(account)["uid"]}},
        }
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": "sandbox"}), stamp(ends)

    def key_set(self) -> Json:
        """What others verify ServiceAccount tokens with (``/openid/v1/jwks``)."""
        key: Json = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [key | {"use": "sig", "kid": "sandbox", "alg": "ES256"}]}

    def impersonated(self, user: User, headers: Mapping[str, str], groups: list[str]) -> User:
        """The user that `Impersonate-*` headers ask to be; raises Forbidden when `user` may not."""
        wanted, uid = headers.get("impersonate-user"), headers.get("impersonate-uid", "")
        extra: dict[str, tuple[str, ...]] = {}
        for name, value in headers.items():
            if name.lower().startswith(_EXTRA):
                key = urllib.parse.unquote(name.lower().removeprefix(_EXTRA))
                extra[key] = (*extra.get(key, ()), value)
        if not wanted:
            if groups or uid or extra:
                raise ApiError(500, "InternalError", "requested groups, uid or extra without impersonating a user")
            return user
        account = wanted.split(":") if wanted.startswith("system:serviceaccount:") else []
        if len(account) == 4:
            asked = [Attributes("impersonate", "", "serviceaccounts", namespace=account[2], name=account[3])]
            groups = groups or list(service_account_user(account[2], account[3], "").groups)
        else:
            asked = [Attributes("impersonate", "", "users", name=wanted)]
        asked += [Attributes("impersonate", "", "groups", name=group) for group in groups]
        asked += [Attributes("impersonate", _AUTHN, "uids", name=uid)] if uid else []
        asked += [
            Attributes("impersonate", _AUTHN, "userextras", key, name=value)
            for key, values in extra.items()
            for value in values
        ]
        for attributes in asked:
            if not self.allowed(user, attributes):
                raise attributes.refusal(user)
        return User(wanted, tuple(dict.fromkeys([*groups, "system:authenticated"])), uid, extra)

    # --- may --------------------------------------------------------------------------------------------------------

    def allowed(self, user: User, asked: Attributes) -> bool:
        """Whether any rule bound to the user covers what is asked."""
        if MASTERS in user.groups:
            return True
        return any(_covers(rule, asked) for rule in self.rules(user, asked.namespace))

    def require(self, user: User, asked: Attributes) -> None:
        """Raises Forbidden unless allowed."""
        if not self.allowed(user, asked):
            raise asked.refusal(user)

    def rules(self, user: User, namespace: str) -> Iterator[Json]:
        """Every rule that holds for a user: cluster-wide, and in the namespace when one is named."""
        storage = self._store.storage
        bindings = list(storage.bucket(f"clusterrolebindings.{_RBAC}").objects.values())
        if namespace:
            home = storage.bucket(f"rolebindings.{_RBAC}")
            bindings += [home.objects[key] for key in home.span(namespace)]
        for binding in bindings:
            where = meta(binding).get("namespace", "")
            if any(_is(subject, user, where) for subject in binding.get("subjects") or []):
                yield from self._role_rules(binding["roleRef"], where)

    def _role_rules(self, reference: Json, namespace: str) -> list[Json]:
        cluster = reference.get("kind") == "ClusterRole"
        bucket = self._store.storage.bucket(f"{'clusterroles' if cluster else 'roles'}.{_RBAC}")
        role = bucket.objects.get(("" if cluster else namespace, reference.get("name", "")))
        return (role or {}).get("rules") or []


def _new_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    form, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(form, kind, serialization.NoEncryption()).decode()


def service_account_user(namespace: str, name: str, uid: str) -> User:
    """The user and groups of a ServiceAccount."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", groups, uid)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _is(subject: Json, user: User, namespace: str) -> bool:
    name = subject.get("name", "")
    match subject.get("kind"):
        case "User":
            return name == user.name
        case "Group":
            return name in user.groups
        case _:
            return user.name == f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"


def _covers(rule: Json, asked: Attributes) -> bool:
    if not {"*", asked.verb} & set(rule.get("verbs") or ()):
        return False
    if asked.path:
        paths = rule.get("nonResourceURLs") or ()
        return any(p in ("*", asked.path) or (p.endswith("*") and asked.path.startswith(p[:-1])) for p in paths)
    if not {"*", asked.group} & set(rule.get("apiGroups") or ()):
        return False
    full = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    wanted = {"*", full} | ({f"*/{asked.subresource}"} if asked.subresource else set())
    names = rule.get("resourceNames") or ()
    return bool(wanted & set(rule.get("resources") or ())) and (not names or asked.name in names)
