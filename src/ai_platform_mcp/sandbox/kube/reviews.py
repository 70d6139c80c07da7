"""Questions put as objects: may I, may they, what may I, whose token is this, who am I."""

from __future__ import annotations

from collections.abc import Callable

from ai_platform_mcp.sandbox.kube.access import Access, Attributes, User
from ai_platform_mcp.sandbox.kube.objects import dig
from ai_platform_mcp.sandbox.kube.status import Json, bad_request


def answer(access: Access, kind: str, user: User, body: Json, namespace: str) -> Json:
    """The review with its status filled in."""
    review = {**body}
    review["status"] = _ANSWERS[kind](access, user, body.get("spec") or {}, namespace)
    review.setdefault("metadata", {"creationTimestamp": None})
    return review


def _attributes(spec: Json) -> Attributes:
    if path := spec.get("nonResourceAttributes"):
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    asked = spec.get("resourceAttributes")
    if not asked:
        raise bad_request(
            "spec: Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified"
        )
    fields = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Attributes(**{name: str(asked.get(name) or "") for name in fields})


def _verdict(access: Access, user: User, asked: Attributes) -> Json:
    return {"allowed": True} if access.allowed(user, asked) else {"allowed": False, "reason": ""}


def _self_access(access: Access, user: User, spec: Json, namespace: str) -> Json:
    return _verdict(access, user, _attributes(spec))


def _subject_access(access: Access, user: User, spec: Json, namespace: str) -> Json:
    subject = User(str(spec.get("user") or ""), tuple(spec.get("groups") or ()))
    if not subject.name and not subject.groups:
        raise bad_request("spec.user: Invalid value: at least one of user or group must be specified")
    return _verdict(access, subject, _attributes(spec))


def _self_rules(access: Access, user: User, spec: Json, namespace: str) -> Json:
    found = list(access.rules(user, str(spec.get("namespace") or "")))
    resources = [rule for rule in found if rule.get("resources")]
    paths = [rule for rule in found if rule.get("nonResourceURLs")]
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}


def _token(access: Access, user: User, spec: Json, namespace: str) -> Json:
    found = access.token_user(str(dig(spec, "token", default="")))
    if found is None:
        return {"authenticated": False, "user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": found.info()}


def _self(access: Access, user: User, spec: Json, namespace: str) -> Json:
    return {"userInfo": user.info()}


_ANSWERS: dict[str, Callable[[Access, User, Json, str], Json]] = {
    "SelfSubjectAccessReview": _self_access,
    "SubjectAccessReview": _subject_access,
    "LocalSubjectAccessReview": _subject_access,
    "SelfSubjectRulesReview": _self_rules,
    "TokenReview": _token,
    "SelfSubjectReview": _self,
}
