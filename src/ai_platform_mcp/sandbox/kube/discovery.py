"""What is served, told twice: the old lists per version, and the aggregated document of newer clients."""

from __future__ import annotations

from collections.abc import Iterator

from ai_platform_mcp.sandbox.kube.resources import Registry, Resource
from ai_platform_mcp.sandbox.kube.status import Json

VERSION: Json = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.1+sandbox",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-06-10T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
"""What the sandbox claims to be: the version whose behaviour it was checked against."""

# Subresource: the kind it speaks in (None: the parent's own), and its verbs.
_SUBRESOURCES: dict[str, tuple[tuple[str, str, str] | None, tuple[str, ...]]] = {
    "status": (None, ("get", "patch", "update")),
    "scale": (("autoscaling", "v1", "Scale"), ("get", "patch", "update")),
    "eviction": (("policy", "v1", "Eviction"), ("create",)),
    "binding": (("", "v1", "Binding"), ("create",)),
    "log": (None, ("get",)),
    "token": (("authentication.k8s.io", "v1", "TokenRequest"), ("create",)),
}


def api_versions() -> Json:
    """`/api`."""
    address = [{"clientCIDR": "0.0.0.0/0", "serverAddress": ""}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": address}


def group_list(registry: Registry) -> Json:
    """`/apis`."""
    groups = [group(registry, name) for name in registry.groups() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Json | None:
    """`/apis/{group}`."""
    versions = [{"groupVersion": f"{name}/{entry}", "version": entry} for entry in registry.groups().get(name, [])]
    if not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": versions, "preferredVersion": versions[0]}


def resource_list(registry: Registry, group_name: str, version: str) -> Json | None:
    """`/api/v1` and `/apis/{group}/{version}`."""
    found = [entry for entry in registry if (entry.group, entry.version) == (group_name, version)]
    if not found:
        return None
    told = [line for entry in sorted(found, key=lambda r: r.plural) for line in _lines(entry)]
    api_version = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": told}


def _lines(resource: Resource) -> Iterator[Json]:
    line: Json = {"name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced}
    line |= {"kind": resource.kind, "verbs": list(resource.verbs)}
    line |= {"shortNames": list(resource.short_names)} if resource.short_names else {}
    yield line | ({"categories": list(resource.categories)} if resource.categories else {})
    for name in resource.subresources:
        kind, verbs = _SUBRESOURCES[name]
        sub: Json = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
        if kind:
            sub |= {"group": kind[0], "version": kind[1]}
        yield sub | {"kind": kind[2] if kind else resource.kind, "verbs": list(verbs)}


def aggregated(registry: Registry, core: bool) -> Json:
    """`/api` or `/apis` as `apidiscovery.k8s.io/v2 APIGroupDiscoveryList`."""
    items: list[Json] = []
    for name, versions in registry.groups().items():
        if (name == "") == core:
            told = [
                {"version": v, "freshness": "Current", "resources": _aggregated(registry, name, v)} for v in versions
            ]
            metadata: Json = {"creationTimestamp": None} | ({"name": name} if name else {})
            items.append({"metadata": metadata, "versions": told})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated(registry: Registry, group_name: str, version: str) -> list[Json]:
    found = [entry for entry in registry if (entry.group, entry.version) == (group_name, version)]
    return [_entry(entry) for entry in sorted(found, key=lambda r: r.plural)]


def _kind(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _entry(resource: Resource) -> Json:
    told: Json = {
        "resource": resource.plural,
        "responseKind": _kind(resource),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": list(resource.verbs),
    }
    told |= {"shortNames": list(resource.short_names)} if resource.short_names else {}
    told |= {"categories": list(resource.categories)} if resource.categories else {}
    subs: list[Json] = []
    for name in resource.subresources:
        kind, verbs = _SUBRESOURCES[name]
        spoken = dict(zip(("group", "version", "kind"), kind, strict=True)) if kind else _kind(resource)
        subs.append({"subresource": name, "responseKind": spoken, "verbs": list(verbs)})
    return told | ({"subresources": subs} if subs else {})
