"""Failures as Kubernetes says them: a `Status` object with a code, a reason, and causes.

Clients of Kubernetes decide by `reason` and `details.causes`, and people read `message`, so both follow the real server's
words (k8s.io/apimachinery, api/errors).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from ai_platform_mcp.sandbox.kube.resources import Resource

Json: TypeAlias = dict[str, Any]


class ApiError(Exception):
    """An answer other than success; `status()` is its body and `code` its HTTP status."""

    def __init__(
        self, code: int, reason: str, message: str, *, details: Json | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details: Json = details or {}
        self.retry_after = retry_after

    def status(self) -> Json:
        """The `v1.Status` that carries this failure."""
        body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        body |= {"message": self.message, "reason": self.reason, "code": self.code}
        details = dict(self.details)
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        if details:
            body["details"] = details
        return body


def success(details: Json | None = None) -> Json:
    """The `v1.Status` of a deletion that is done."""
    body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return body | ({"details": details} if details else {})


def _details(resource: Resource, name: str) -> Json:
    details: Json = {"name": name, "kind": resource.plural}
    return details | ({"group": resource.group} if resource.group else {})


def not_found(resource: Resource, name: str) -> ApiError:
    """404 for an object that is not there."""
    message = f'{resource.qualified} "{name}" not found'
    return ApiError(404, "NotFound", message, details=_details(resource, name))


def no_such_path() -> ApiError:
    """404 for a path that serves nothing, in the words of the mux."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: Resource, name: str) -> ApiError:
    """409 for a name that is taken."""
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_details(resource, name))


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: Resource, name: str, why: str = STALE) -> ApiError:
    """409 for a write whose resourceVersion or precondition no longer holds."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_details(resource, name))


def cause(reason: str, message: str, field: str) -> Json:
    """One entry of `details.causes`."""
    return {"reason": reason, "message": message, "field": field}


def invalid(resource: Resource, name: str, causes: Sequence[Json]) -> ApiError:
    """422 with one cause per field, as the registry's validation answers."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    texts = list(dict.fromkeys(f"{entry['field']}: {entry['message']}" for entry in causes))
    told = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = {"name": name, "kind": resource.kind, "causes": list(causes)}
    if resource.group:
        details["group"] = resource.group
    return ApiError(422, "Invalid", f'{kind} "{name}" is invalid: {told}', details=details)


def forbidden(resource: Resource, name: str, why: str) -> ApiError:
    """403 from admission (quota, terminating namespace, policy)."""
    subject = f'{resource.qualified} "{name}"' if name else resource.qualified
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details=_details(resource, name))


def bad_request(message: str) -> ApiError:
    """400 for a request that cannot be understood."""
    return ApiError(400, "BadRequest", message)


def strict_decoding(resource: Resource, problems: Iterable[str]) -> ApiError:
    """400 of `fieldValidation=Strict`."""
    told = ", ".join(problems)
    kind = resource.kind
    return bad_request(
        f'{kind} in version "{resource.version}" cannot be handled as a {kind}: strict decoding error: {told}'
    )


def expired(message: str) -> ApiError:
    """410: the history that was asked for is gone; list again."""
    return ApiError(410, "Expired", message)


def unauthorized() -> ApiError:
    """401 for no token, or one that nobody was given."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def unsupported_media(message: str) -> ApiError:
    """415 for a body in a form that this resource does not take."""
    return ApiError(415, "UnsupportedMediaType", message)


def not_acceptable() -> ApiError:
    """406 when no form that the client takes is spoken here (protobuf, CBOR)."""
    told = "application/json, application/yaml"
    message = f"only the following media types are accepted: {told}"
    return ApiError(406, "NotAcceptable", message)


def method_not_allowed() -> ApiError:
    """405 for a verb that the resource does not serve."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
