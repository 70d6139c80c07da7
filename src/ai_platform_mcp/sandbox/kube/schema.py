"""What shape each kind has: the compact schemas of `schemas/` and the questions the API asks them.

One JSON file per API group of custom resources, `core.json` for Kubernetes' own kinds, `shared.json` for what several
groups embed in the very same form (parts of pods, mostly). They are written by `scripts/derive_schemas.py` from the
released CRDs and the official client's models. For custom resources nothing is relaxed but CEL rules
(`x-kubernetes-validations`), which the files do not hold. For built-in kinds the files know types, required fields,
list rules and the values named in `scripts/builtin_rules.py`, not every check that the real server makes in Go.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, cast

from ai_platform_mcp.sandbox.kube.objects import private
from ai_platform_mcp.sandbox.kube.schema_checks import FieldError, check

Json = dict[str, Any]
PathToken = str | int
PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
ANYTHING: Json = {PRESERVE: True}
TYPE_META: Json = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"$ref": "core#ObjectMeta"},
}

__all__ = ["FieldError", "KindInfo", "ListRule", "Schema", "kinds", "resolve", "schema_for", "schema_from_crd"]


@dataclass(frozen=True, slots=True)
class ListRule:
    """How a list is owned in a server-side apply; `keys` name the item of a `map` list."""

    kind: Literal["atomic", "set", "map"]
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KindInfo:
    """One served kind as discovery, tables and warnings need it.

    `columns` are the CRD's printer columns, `scale` the paths of its scale subresource, `warning` the text of the 299
    header that a deprecated version earns, `storage` whether this is the version that is stored.
    """

    api_version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    subresources: tuple[str, ...]
    storage: bool
    columns: tuple[Json, ...]
    warning: str | None
    scale: Json | None
    built_in: bool


@cache
def _files() -> dict[str, Path]:
    """The files of `schemas/` by API group."""
    return {file.stem: file for file in sorted((Path(__file__).parent / "schemas").glob("*.json"))}


@cache
def _load(name: str) -> Json:
    return cast("Json", json.loads(_files()[name].read_text(encoding="utf-8")))


def _home(api_version: str) -> str:
    """The file that holds an API version: its group's own, or core."""
    group, slash, _ = api_version.partition("/")
    return group if slash and group in _files() else "core"


@cache
def _definition(reference: str) -> Json:
    home, _, name = reference.partition("#")
    return resolve(_load(home)["definitions"][name])


def resolve(node: Json) -> Json:
    """The node itself, or the definition that it refers to with the node's own keywords on top."""
    if "$ref" not in node:
        return node
    definition = _definition(node["$ref"])
    return definition if len(node) == 1 else {**definition, **{k: v for k, v in node.items() if k != "$ref"}}


def _child(node: Json, key: str) -> Json | None:
    """The schema of a field of an object; None where the object has no such field."""
    properties = cast("dict[str, Json]", node.get("properties") or {})
    if key in properties:
        return resolve(properties[key])
    extra = node.get("additionalProperties")
    if isinstance(extra, dict):
        return resolve(cast("Json", extra))
    if extra is True or node.get(PRESERVE):
        return ANYTHING
    if node.get(EMBEDDED) and key in TYPE_META:
        return resolve(TYPE_META[key])
    return None


def _item(node: Json) -> Json:
    return resolve(node.get("items") or ANYTHING)


def _has_fields(node: Json) -> bool:
    """Whether an object may be here at all; where not, the type check speaks and the walkers stay out."""
    return node.get("type") == "object" or bool(node.get(PRESERVE)) or "properties" in node


def _unknown(value: Any, node: Json, path: str) -> Iterator[str]:
    if isinstance(value, dict) and _has_fields(node):
        for key, inner in cast("Json", value).items():
            below = f"{path}.{key}" if path else key
            child = _child(node, key)
            if child is None:
                yield below
            else:
                yield from _unknown(inner, child, below)
    elif isinstance(value, list):
        for index, inner in enumerate(cast("list[Any]", value)):
            yield from _unknown(inner, _item(node), f"{path}[{index}]")


def _pruned(value: Any, node: Json) -> Any:
    if isinstance(value, dict) and _has_fields(node):
        known = ((k, v, _child(node, k)) for k, v in cast("Json", value).items())
        return {k: _pruned(v, child) for k, v, child in known if child is not None}
    if isinstance(value, list):
        return [_pruned(inner, _item(node)) for inner in cast("list[Any]", value)]
    return copy.deepcopy(value)


def _defaulted(value: Any, node: Json) -> Any:
    if isinstance(value, dict):
        out = dict(cast("Json", value))
        for key, raw in cast("dict[str, Json]", node.get("properties") or {}).items():
            child = resolve(raw)
            absent = key not in out or (out[key] is None and not child.get("nullable"))
            if absent and "default" in child:
                out[key] = copy.deepcopy(child["default"])
        return {key: _defaulted(inner, _child(node, key) or ANYTHING) for key, inner in out.items()}
    if isinstance(value, list):
        return [_defaulted(inner, _item(node)) for inner in cast("list[Any]", value)]
    return value


def _without_nulls(value: Any) -> Any:
    """Built-in kinds are Go structs: a null is a field that was not given."""
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in cast("Json", value).items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(v) for v in cast("list[Any]", value)]
    return value


_OF_THE_WHOLE = frozenset({"allOf", "anyOf", "oneOf", "not", "minProperties", "maxProperties", "dependencies"})
"""Keywords that speak of an object and not of one field of it."""


def _kept(obj: Json, before: Json, node: Json) -> set[str]:
    """The fields of an object that are as they were: what was taken then is taken now, and need not be looked at again."""
    if not _OF_THE_WHOLE.isdisjoint(node):
        return set()
    return {key for key, value in obj.items() if key in before and before[key] == value}


@dataclass(frozen=True, eq=False)
class Schema:
    """The OpenAPI v3 structural schema of one kind. `info` is None for schemas made from a user's CRD."""

    node: Json
    info: KindInfo | None = None

    @cached_property
    def built_in(self) -> bool:
        """Whether the kind is Kubernetes' own: nulls count as absent, strategic merge patch is served."""
        return self.info is not None and self.info.built_in

    def unknown_fields(self, obj: Json) -> list[str]:
        """Fields that the schema does not know, as strict decoding names them: `spec.a[0].b`."""
        return list(_unknown(obj, self.node, ""))

    def prune(self, obj: Json) -> Json:
        """A copy without the fields that the schema does not know."""
        return cast("Json", _pruned(obj, self.node))

    def default(self, obj: Json, before: Json | None = None) -> Json:
        """A copy with the schema's defaults filled in. Defaults that depend on other fields are not the schema's.

        What is as it was ``before``, when defaults were filled in, is only copied.
        """
        kept = _kept(obj, before, self.node) if before else set[str]()
        filled = cast("Json", _defaulted({key: value for key, value in obj.items() if key not in kept}, self.node))
        return {**filled, **{key: private(obj[key]) for key in kept}} if kept else filled

    def errors(self, obj: Json, before: Json | None = None) -> list[FieldError]:
        """What the server would answer 422 for, in the order of the paths; unknown fields are no errors here.

        ``before`` is the object as it was taken last: of what has not changed since, nothing is said.
        """
        if before:
            fresh, node = self._fresh(obj, before)
            return Schema(node, self.info).errors(fresh)
        if self.built_in:
            return check(_without_nulls(obj), self.node, resolve, lists=False)
        return check(obj, self.node, resolve, lists=True)

    def _fresh(self, obj: Json, before: Json) -> tuple[Json, Json]:
        """The object and the schema without what has not changed; of metadata, which always does, field by field."""
        kept = _kept(obj, before, self.node)
        fresh = {key: value for key, value in obj.items() if key not in kept}
        meta, old = fresh.get("metadata"), before.get("metadata")
        if isinstance(meta, dict) and isinstance(old, dict):
            fields = cast("Json", meta)
            same = _kept(fields, cast("Json", old), {})
            fresh["metadata"] = {key: value for key, value in fields.items() if key not in same}
        required = [name for name in cast("list[str]", self.node.get("required") or []) if name not in kept]
        return fresh, {**self.node, "required": required}

    def at(self, path: Sequence[PathToken]) -> Json | None:
        """The schema of the value at a path; any token that is no text steps into a list. None: no such field."""
        node: Json | None = self.node
        for token in path:
            if node is None:
                return None
            node = _child(node, token) if isinstance(token, str) else _item(node)
        return node

    def list_rule(self, path: Sequence[PathToken]) -> ListRule:
        """How the list at the path is owned; atomic where the schema says nothing."""
        node = self.at(path) or {}
        kind = node.get("x-kubernetes-list-type", "atomic")
        return ListRule(kind, tuple(node.get("x-kubernetes-list-map-keys", ())))

    def atomic_map(self, path: Sequence[PathToken]) -> bool:
        """Whether the object at the path is owned whole."""
        return (self.at(path) or {}).get("x-kubernetes-map-type") == "atomic"

    def merge_keys(self, path: Sequence[PathToken]) -> str | None:
        """Strategic merge patch of the list at the path: its key, "" for plain values that merge, None: replaced."""
        return (self.at(path) or {}).get("x-kubernetes-patch-merge-key")


def _info(api_version: str, kind: str, entry: Json, *, built_in: bool) -> KindInfo:
    return KindInfo(
        api_version=api_version,
        kind=kind,
        plural=entry["plural"],
        singular=entry["singular"],
        namespaced=entry["namespaced"],
        short_names=tuple(entry["shortNames"]),
        categories=tuple(entry["categories"]),
        subresources=tuple(entry["subresources"]),
        storage=entry["storage"],
        columns=tuple(entry["columns"]),
        warning=entry.get("warning"),
        scale=entry.get("scale"),
        built_in=built_in,
    )


@cache
def _schema(home: str, api_version: str, kind: str) -> Schema:
    entry = _load(home)["kinds"][f"{api_version}/{kind}"]
    return Schema(resolve(entry["schema"]), _info(api_version, kind, entry, built_in=home == "core"))


def schema_for(api_version: str, kind: str) -> Schema | None:
    """The schema of a served kind, or None. The file of its group is read on first use."""
    home = _home(api_version)
    entry = cast("dict[str, Json]", _load(home)["kinds"]).get(f"{api_version}/{kind}")
    return _schema(home, api_version, kind) if entry else None


@cache
def kinds() -> tuple[KindInfo, ...]:
    """Every kind there is a schema for, built-in ones first; reads all files."""
    found: list[KindInfo] = []
    for home in sorted(_files(), key=lambda name: name != "core"):
        for key, entry in cast("dict[str, Json]", _load(home)["kinds"]).items():
            api_version, _, kind = key.rpartition("/")
            found.append(_info(api_version, kind, entry, built_in=home == "core"))
    return tuple(found)


def schema_from_crd(crd_version: Json) -> Schema:
    """The schema of one entry of a CRD's `spec.versions`.

    The server adds what every object has: apiVersion, kind, and metadata checked as ObjectMeta.
    """
    root = cast("Json", (crd_version.get("schema") or {}).get("openAPIV3Schema") or ANYTHING)
    node = {**root, "type": "object", "properties": {**(root.get("properties") or {}), **TYPE_META}}
    return Schema(node)
