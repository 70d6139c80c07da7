"""The systems on top of Kubernetes that the sandbox speaks for, as CustomResourceDefinitions.

They are installed once into a new world through ordinary definitions: deleting one makes its API go away, as uninstalling
the system would. What is enforced is the compact schema beside this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from ai_platform_mcp.sandbox.kube.resources import split_api_version
from ai_platform_mcp.sandbox.kube.schema import KindInfo, kinds
from ai_platform_mcp.sandbox.kube.status import Json

COMPACT = "sandbox.aiplatform.dev/compact-schema"
"""Label of the definitions whose schema is kept beside this module rather than in the object."""


def definitions() -> list[Json]:
    """One CustomResourceDefinition per kind that the schemas know and Kubernetes itself does not have."""
    ours = sorted((info for info in kinds() if not info.built_in), key=_name)
    return [_definition(name, list(versions)) for name, versions in groupby(ours, key=_name)]


def _name(info: KindInfo) -> str:
    return f"{info.plural}.{split_api_version(info.api_version)[0]}"


def _definition(name: str, versions: list[KindInfo]) -> Json:
    first = versions[0]
    names: Json = {"plural": first.plural, "singular": first.singular}
    names |= {"kind": first.kind, "listKind": f"{first.kind}List"}
    names |= {"shortNames": list(first.short_names)} if first.short_names else {}
    names |= {"categories": list(first.categories)} if first.categories else {}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "labels": {COMPACT: "true"}},
        "spec": {
            "group": split_api_version(first.api_version)[0],
            "names": names,
            "scope": "Namespaced" if first.namespaced else "Cluster",
            "versions": list(_versions(versions)),
            "conversion": {"strategy": "None"},
        },
    }


def _versions(infos: list[KindInfo]) -> Iterable[Json]:
    for info in infos:
        entry: Json = {"name": split_api_version(info.api_version)[1], "served": True, "storage": info.storage}
        if info.warning:
            entry |= {"deprecated": True, "deprecationWarning": info.warning}
        entry["schema"] = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        served = {name: (info.scale or {}) if name == "scale" else {} for name in info.subresources}
        entry |= {"subresources": served} if served else {}
        yield entry | ({"additionalPrinterColumns": list(info.columns)} if info.columns else {})
