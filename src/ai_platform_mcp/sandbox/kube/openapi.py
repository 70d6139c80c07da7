"""OpenAPI documents: what `kubectl explain`, `kubectl apply` and client-side validation read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from ai_platform_mcp.sandbox.kube.discovery import VERSION
from ai_platform_mcp.sandbox.kube.resources import Registry, Resource
from ai_platform_mcp.sandbox.kube.schema import resolve
from ai_platform_mcp.sandbox.kube.status import Json
from ai_platform_mcp.sandbox.kube.validation import schema_of

_OPTIONS = ("dryRun", "fieldManager", "fieldValidation", "force")
_GVK = "x-kubernetes-group-version-kind"


def index(registry: Registry) -> Json:
    """`/openapi/v3`: a document per group version, with a hash that changes when what is served does."""
    paths: Json = {"version": {"serverRelativeURL": "/openapi/v3/version?hash=0"}}
    for group, versions in registry.groups().items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            mark = hashlib.sha256(f"{path} {registry.generation}".encode()).hexdigest()[:32].upper()
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={mark}"}
    return {"paths": paths}


def document_v3(resources: Iterable[Resource]) -> Json:
    """One group version: its schemas and the options that its verbs take."""
    served = list(resources)
    collected = _Collected("#/components/schemas/")
    paths: Json = {}
    for resource in served:
        collected.add_kind(resource)
        paths |= _paths(resource)
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": collected.found}}


def document_v2(registry: Registry) -> Json:
    """`/openapi/v2`: every schema in one document."""
    collected = _Collected("#/definitions/")
    for resource in registry:
        collected.add_kind(resource)
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"swagger": "2.0", "info": info, "paths": {}, "definitions": collected.found}


def _name(resource: Resource) -> str:
    return f"{resource.group or 'core'}.{resource.version}.{resource.kind}"


class _Collected:
    """Schemas gathered along their references, renamed to a document's own."""

    def __init__(self, prefix: str) -> None:
        self.found: Json = {}
        self._prefix = prefix

    def add_kind(self, resource: Resource) -> None:
        schema = schema_of(resource)
        node = self._told(schema.node) if schema else {"type": "object"}
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        self.found[_name(resource)] = {**node, _GVK: [kind]}

    def _told(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._told(entry) for entry in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if not isinstance(reference, str) or "#" not in reference:
            return {key: self._told(entry) for key, entry in node.items()}
        name = reference.replace("#", ".")
        if name not in self.found:
            self.found[name] = {}
            self.found[name] = self._told(resolve({"$ref": reference}))
        pointer = {"$ref": self._prefix + name}
        rest = {key: self._told(entry) for key, entry in node.items() if key != "$ref"}
        return {"allOf": [pointer], **rest} if rest else pointer


def _paths(resource: Resource) -> Json:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    if resource.namespaced:
        root += "/namespaces/{namespace}"
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    options = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in _OPTIONS]
    body = {"schema": {"$ref": f"#/components/schemas/{_name(resource)}"}}

    def operation(action: str, *, writes: bool = False) -> Json:
        answer = {"200": {"description": "OK", "content": {"application/json": body}}}
        told: Json = {_GVK: kind, "x-kubernetes-action": action, "responses": answer}
        return told | ({"parameters": options} if writes else {})

    collection = {"get": operation("list"), "post": operation("post", writes=True)}
    item = {"get": operation("get"), "put": operation("put", writes=True), "patch": operation("patch", writes=True)}
    item["delete"] = operation("delete", writes=True)
    return {f"{root}/{resource.plural}": collection, f"{root}/{resource.plural}/{{name}}": item}
