"""Definitions of Kubernetes' built-in kinds, from the official Python client's models and the tables of `builtin_rules`."""

from __future__ import annotations

import re
from typing import Any, cast

import builtin_rules as rules

Json = dict[str, Any]


class BuiltIn:
    """Definitions made from the client's models, reached from the served kinds."""

    def __init__(self, pod_template: Json) -> None:
        import kubernetes.client as client

        self.client = client
        self.definitions: dict[str, Json] = {}
        self.known: dict[str, Json] = {}  # what a released CRD says about a model's fields
        self.used: set[str] = set()
        self.learn("V1PodTemplateSpec", pod_template)

    def learn(self, model_name: str, node: Json) -> None:
        """Walk a model and the CRD's rendering of it side by side: list types, formats, quantities."""
        model = getattr(self.client, model_name)
        for attribute, kind in model.openapi_types.items():
            name = model.attribute_map[attribute]
            child = cast("Json | None", node.get("properties", {}).get(name))
            key = f"{short(model_name)}.{name}"
            if child is None or key in self.known:
                continue
            self.known[key] = child
            inner = re.search(r"V\d\w+|CoreV1\w+", kind)
            if inner:
                self.learn(inner[0], child.get("items", child))

    def define(self, model_name: str) -> Json:
        """A reference to the definition of a model, which is made on first use."""
        name = short(model_name)
        if name not in self.definitions:
            self.definitions[name] = {}
            model = getattr(self.client, model_name)
            definition: Json = {"type": "object"}
            if model.attribute_map:
                definition["properties"] = {
                    model.attribute_map[a]: self.field(name, model.attribute_map[a], kind)
                    for a, kind in sorted(model.openapi_types.items())
                }
            required = sorted(
                model.attribute_map[a]
                for a, f in model.model_fields.items()
                if f.is_required() and not self.lenient(name, model.attribute_map[a])
            )
            if required:
                definition["required"] = required
            if name in rules.ATOMIC_MAPS:
                definition["x-kubernetes-map-type"] = "atomic"
            self.definitions[name] = definition
        return {"$ref": f"core#{name}"}

    def lenient(self, name: str, field: str) -> bool:
        """The server takes what kubelets and controllers report without checking that fields are there."""
        reported = any(word in name for word in ("Status", "Condition", "ContainerState", "NodeSystemInfo"))
        return reported or self.applies(rules.NOT_REQUIRED, name, field)

    def applies(self, table: Any, name: str, field: str) -> bool:
        """Whether a table names the field; remembers it, so that names of no field are found out."""
        key = f"{name}.{field}"
        if key in table:
            self.used.add(key)
            return True
        return False

    def field(self, name: str, field: str, kind: str) -> Json:
        """The schema of one field: the model's type, what the CRD knows, what the tables add."""
        key, known = f"{name}.{field}", self.known.get(f"{name}.{field}", {})
        node = self.typed(kind, known)
        if self.applies(rules.QUANTITIES, name, field):
            node = {"type": "object", "additionalProperties": QUANTITY} if kind.startswith("Dict") else QUANTITY
        if self.applies(rules.INT_OR_STRING, name, field):
            node = {"x-kubernetes-int-or-string": True}
        node = dict(node)
        for keyword in ("x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"):
            if keyword in known and "$ref" not in node:
                node[keyword] = known[keyword]
        if known.get("default") and "$ref" not in node:
            node["default"] = known["default"]
        if self.applies(rules.LIST_TYPES, name, field):
            rule = rules.LIST_TYPES[key]
            node["x-kubernetes-list-type"] = "set" if rule == "set" else "map"
            if rule != "set":
                node["x-kubernetes-list-map-keys"] = rule.split(",")
        return node | self.ruled(name, field)

    def ruled(self, name: str, field: str) -> Json:
        """The keywords that the tables give a field."""
        key, node = f"{name}.{field}", cast("Json", {})
        if self.applies(rules.MERGE_KEYS, name, field):
            node["x-kubernetes-patch-merge-key"] = rules.MERGE_KEYS[key]
        if self.applies(rules.ATOMIC_FIELDS, name, field):
            node["x-kubernetes-map-type"] = "atomic"
        if self.applies(rules.ENUMS, name, field):
            node["enum"] = rules.ENUMS[key].split()
        if self.applies(rules.DEFAULTS, name, field):
            node["default"] = rules.DEFAULTS[key]
        if self.applies(rules.RANGES, name, field):
            low, high = rules.RANGES[key]
            node |= {k: v for k, v in (("minimum", low), ("maximum", high)) if v is not None}
        return node

    def typed(self, kind: str, known: Json) -> Json:
        """The schema of a type as the client spells it."""
        if match := re.fullmatch(r"List\[(.+)\]", kind):
            return {"type": "array", "items": self.typed(match[1], known.get("items", {}))}
        if match := re.fullmatch(r"Dict\[str, (.+)\]", kind):
            return {
                "type": "object",
                "additionalProperties": self.typed(match[1], known.get("additionalProperties", {})),
            }
        if known.get("x-kubernetes-int-or-string"):
            return {k: known[k] for k in ("x-kubernetes-int-or-string", "pattern") if k in known}
        if kind in SCALARS:
            extra = {"format": known["format"]} if "format" in known else {}
            return {**SCALARS[kind], **extra}
        return self.define(kind)


SCALARS: dict[str, Json] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
    "object": {"x-kubernetes-preserve-unknown-fields": True},
}
QUANTITY: Json = {
    "x-kubernetes-int-or-string": True,
    "pattern": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+))?$",
}


def short(model_name: str) -> str:
    """A model's name without its version: PodSpec for V1PodSpec."""
    return re.sub(r"^V\d+(?:(?:alpha|beta)\d+)?", "", model_name)


def derive(pod_template: Json) -> Json:
    """The content of core.json. `pod_template` is a released CRD's rendering of a PodTemplateSpec."""
    built_in = BuiltIn(pod_template)
    kinds: Json = {}
    for line in rules.KINDS.strip().splitlines():
        api_version, kind, plural, scope, short_names, subresources = line.split()
        key = f"{api_version}/{kind}"
        kinds[key] = {
            "plural": plural,
            "singular": kind.lower(),
            "namespaced": scope == "N",
            "shortNames": [] if short_names == "-" else short_names.split(","),
            "categories": [],
            "subresources": [] if subresources == "-" else sorted(subresources.split(",")),
            "storage": True,
            "columns": [],
            "schema": built_in.define(rules.MODEL_OF.get(key, f"V1{kind}")),
        }
    tables = (rules.MERGE_KEYS, rules.LIST_TYPES, rules.ENUMS, rules.DEFAULTS, rules.RANGES, rules.ATOMIC_FIELDS)
    named = {key for table in (*tables, rules.QUANTITIES, rules.INT_OR_STRING, rules.NOT_REQUIRED) for key in table}
    if unknown := sorted(named - built_in.used) + sorted(rules.ATOMIC_MAPS - set(built_in.definitions)):
        raise SystemExit(f"builtin_rules names fields that no served kind has: {unknown}")
    return {"definitions": built_in.definitions, "kinds": kinds}
