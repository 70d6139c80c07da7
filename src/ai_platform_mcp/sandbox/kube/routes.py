"""What a request is about: the resource, object and verb in its path and method."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from ai_platform_mcp.sandbox.kube.access import Attributes
from ai_platform_mcp.sandbox.kube.resources import Registry, Resource
from ai_platform_mcp.sandbox.kube.status import method_not_allowed, no_such_path

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get", "HEAD": "get"}


@dataclass(frozen=True)
class Target:
    """One resource (in all namespaces where `namespace` is None), one of its objects, or a subresource of that."""

    verb: str
    resource: Resource
    namespace: str | None
    name: str
    subresource: str
    selected: str = ""
    """The one name that a list's or watch's field selector asks for: a role may grant by that name."""

    @property
    def home(self) -> str:
        """The namespace as a key part."""
        return self.namespace or ""

    def attributes(self) -> Attributes:
        """The target as the authorizer sees it."""
        resource = self.resource
        where = self.name if resource.bucket == "namespaces" else self.home
        return Attributes(
            self.verb, resource.group, resource.plural, self.subresource, where, self.name or self.selected
        )


def target(registry: Registry, request: Request) -> Target:
    """Raises NotFound where nothing is served, MethodNotAllowed where not this verb."""
    parts = request.url.path.strip("/").split("/")
    if parts[0] == "api":
        group, rest = "", parts[1:]
    elif parts[0] == "apis" and len(parts) > 2:
        group, rest = parts[1], parts[2:]
    else:
        raise no_such_path()
    version, *rest = rest or [""]
    namespace = None
    if len(rest) >= 3 and rest[0] == "namespaces" and registry.at(group, version, rest[2]):
        namespace, rest = rest[1], rest[2:]
    resource = registry.at(group, version, rest[0]) if rest else None
    if resource is None or len(rest) > 3 or (namespace is not None) > resource.namespaced:
        raise no_such_path()
    name, subresource = (*rest[1:], "", "")[:2]
    if subresource and subresource not in resource.subresources:
        raise no_such_path()
    chosen = "" if name else _selected(request.query_params.get("fieldSelector", ""))
    return _checked(Target(_verb(request, name), resource, namespace, name, subresource, chosen))


def _selected(text: str) -> str:
    """The name in a field selector (apiserver RequestInfoFactory: an exact ``metadata.name`` becomes the request's name)."""
    for part in text.split(","):
        field, _, value = part.replace("==", "=").partition("=")
        if field.strip() == "metadata.name":
            return value.strip()
    return ""


def _verb(request: Request, name: str) -> str:
    verb = _VERBS.get(request.method, "")
    if not name and verb == "get":
        return "watch" if request.query_params.get("watch") in ("true", "1") else "list"
    if not name and verb == "delete":
        return "deletecollection"
    return verb


def _checked(found: Target) -> Target:
    resource = found.resource
    if not found.subresource and found.verb not in resource.verbs:
        raise method_not_allowed()
    if resource.namespaced and found.namespace is None:
        if found.name:
            raise no_such_path()
        if found.verb not in ("list", "watch"):
            raise method_not_allowed()
    if not found.name and found.verb in ("update", "patch"):
        raise method_not_allowed()
    if found.name and found.verb == "create" and not found.subresource:
        raise method_not_allowed()
    return found
