"""The sandbox's compact schemas judge as the released CRDs do."""

from __future__ import annotations

import copy
import importlib
import re
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ai_platform_mcp.sandbox.kube.schema import KindInfo, Schema, kinds, schema_for
from released_crds import CRDS, ROOT, documents, needs_released_crds, released_schema, verdict

pytestmark = needs_released_crds
CUSTOM = [k for k in kinds() if not k.built_in]
TEXTS = ["a", "b", "c", "1", "10s", "1Gi", "/a", "http://a", "sha256:" + "a" * 64, "a.b/c", "*", "A", "10.0", "9.5"]
LEAVES = ("string", "integer", "number", "boolean")


@dataclass
class Made:
    """A generated object and every place in it where a defect can be put."""

    places: list[tuple[Any, Any, dict[str, Any]]] = field(default_factory=list)  # container, key, schema
    objects: list[tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=list)  # object, schema

    def take(self, part: Made) -> None:
        self.places += part.places
        self.objects += part.objects


class CannotMake(Exception):
    """The schema asks for alternatives (oneOf); the generator leaves the field out."""


def make_text(node: dict[str, Any], rng: Random) -> str:
    if node.get("format") == "date-time":
        return "2026-11-22T10:00:00Z"
    if node.get("format") == "byte":
        return "YWJj"
    texts = [t * max(1, node.get("minLength", 1)) for t in TEXTS]
    pattern = node.get("pattern", "").replace("^(?i)", "(?i)^")
    fitting = [t for t in texts if re.search(pattern, t) and len(t) <= node.get("maxLength", 1000)]
    assert fitting, f"add a text for pattern {pattern!r}"
    return rng.choice(fitting)


def make(node: dict[str, Any], rng: Random, made: Made, depth: int) -> Any:
    """A valid value of a released schema."""
    if any(k in node for k in ("oneOf", "not", "allOf")) or (
        "anyOf" in node and not node.get("x-kubernetes-int-or-string")
    ):
        raise CannotMake
    if "enum" in node:
        return rng.choice(node["enum"])
    kind = node.get("type")
    if node.get("x-kubernetes-int-or-string"):
        return rng.choice([rng.randint(1, 9), make_text(node, rng)])
    if kind == "string":
        return make_text(node, rng)
    if kind == "boolean":
        return rng.random() < 0.5
    if kind in ("integer", "number"):
        low = int(node.get("minimum", 0))
        return rng.randint(low, int(node.get("maximum", low + 100)))
    if kind == "array":
        return make_list(node, rng, made, depth)
    if kind == "object":
        return make_object(node, rng, made, depth)
    return {"any": ["thing", 1, None]}


def make_list(node: dict[str, Any], rng: Random, made: Made, depth: int) -> list[Any]:
    count = max(node.get("minItems", 0), rng.choice([0, 1, 1, 2]))
    items: list[Any] = []
    for _ in range(count):
        part = Made()
        item = make(node["items"], rng, part, depth + 1)
        keys = node.get("x-kubernetes-list-map-keys")
        named = [i if not keys else {k: i.get(k) for k in keys} for i in items]
        same = item if not keys else {k: item.get(k) for k in keys}
        if same not in named or node.get("x-kubernetes-list-type") not in ("set", "map"):
            items.append(item)
            made.take(part)
    made.places += [(items, i, node["items"]) for i in range(len(items))]
    return items


def make_object(node: dict[str, Any], rng: Random, made: Made, depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    properties, required = node.get("properties", {}), node.get("required", [])
    # Deep in a PodSpec every level offers dozens of fields: a few of them, ever fewer.
    optional = [name for name in properties if name not in required]
    chosen = set(rng.sample(optional, min(len(optional), rng.randint(0, max(1, 5 - depth)) if depth < 9 else 0)))
    if depth == 0:
        chosen |= {"spec"} & set(optional)
    chosen |= set(optional[: max(0, node.get("minProperties", 0) - len(chosen))])
    for name, child in properties.items():
        if name not in required and name not in chosen:
            continue
        part = Made()
        try:
            out[name] = make(child, rng, part, depth + 1)
        except CannotMake:
            assert name not in required
            continue
        made.take(part)
        made.places.append((out, name, child))
    extra = node.get("additionalProperties")
    if isinstance(extra, dict):
        for name in ["k1", "k2"][: max(node.get("minProperties", 0), rng.randint(0, 2))]:
            out[name] = make(extra, rng, made, depth + 1)
            made.places.append((out, name, extra))
    made.objects.append((out, node))
    return out


def add_unknown(made: Made, rng: Random) -> bool:
    closed = [
        o
        for o, n in made.objects
        if not n.get("additionalProperties") and not n.get("x-kubernetes-preserve-unknown-fields")
    ]
    rng.choice(closed)["notAField"] = rng.choice([1, {"a": 1}, None])
    return True


def wrong_type(made: Made, rng: Random) -> bool:
    typed = [p for p in made.places if p[2].get("type") or p[2].get("x-kubernetes-int-or-string")]
    if not typed:
        return False
    container, key, node = rng.choice(typed)
    wrong = {"string": 7, "integer": "seven", "number": "seven", "boolean": "yes", "array": "list", "object": ["list"]}
    container[key] = wrong.get(node.get("type", ""), 1.5)
    return True


def drop_required(made: Made, rng: Random) -> bool:
    full = [(o, name) for o, n in made.objects for name in n.get("required", []) if name in o and name != "metadata"]
    if not full:
        return False
    obj, name = rng.choice(full)
    del obj[name]
    return True


def bad_enum(made: Made, rng: Random) -> bool:
    listed = [p for p in made.places if "enum" in p[2]]
    if not listed:
        return False
    container, key, _ = rng.choice(listed)
    container[key] = "notAValue"
    return True


def out_of_range(made: Made, rng: Random) -> bool:
    bounded = [p for p in made.places if any(k in p[2] for k in ("minimum", "maximum", "maxLength", "maxItems"))]
    if not bounded:
        return False
    container, key, node = rng.choice(bounded)
    if "maxLength" in node:
        container[key] = "x" * (node["maxLength"] + 1)
    elif "maxItems" in node:
        container[key] = [container[key][0] if container[key] else "x"] * (node["maxItems"] + 1)
    else:
        container[key] = node["maximum"] + 1 if "maximum" in node else node["minimum"] - 1
    return True


DEFECTS = [add_unknown, wrong_type, drop_required, bad_enum, out_of_range]


def generate(info: KindInfo, rng: Random) -> tuple[dict[str, Any], Made]:
    schema = dict(released_schema(info.api_version, info.plural))
    schema["properties"] = {
        k: v for k, v in schema["properties"].items() if k not in ("apiVersion", "kind", "metadata")
    }
    made = Made()
    obj = make(schema, rng, made, 0)
    made.places = [p for p in made.places if p[0] is not obj] or made.places
    obj |= {"apiVersion": info.api_version, "kind": info.kind, "metadata": {"name": "a"}}
    return obj, made


def compact_verdict(schema: Schema, obj: dict[str, Any]) -> tuple[frozenset[str], bool]:
    return frozenset(schema.unknown_fields(obj)), not schema.errors(obj)


def compact_schema(info: KindInfo) -> Schema:
    schema = schema_for(info.api_version, info.kind)
    assert schema is not None
    return schema


def name_of(info: KindInfo) -> str:
    return f"{info.api_version}/{info.kind}"


@pytest.mark.parametrize("info", CUSTOM, ids=name_of)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(seed=st.integers(0, 2**32), defect=st.sampled_from([None, *DEFECTS]))
def test_both_schemas_say_the_same_of_an_object(info: KindInfo, seed: int, defect: Any) -> None:
    rng = Random(seed)
    obj, made = generate(info, rng)
    applied = defect is not None and defect(made, rng)
    released = verdict(released_schema(info.api_version, info.plural), obj)
    unknown, valid = compact_verdict(compact_schema(info), obj)
    assert (unknown, valid) == (released.unknown, not released.invalid)
    assert released.accepted == (not applied), released


@pytest.mark.parametrize("info", CUSTOM, ids=name_of)
def test_pruning_removes_exactly_the_unknown_fields(info: KindInfo) -> None:
    rng = Random(7)
    obj, made = generate(info, rng)
    before = copy.deepcopy(obj)
    add_unknown(made, rng)
    schema = compact_schema(info)
    assert schema.prune(obj) == before
    assert schema.unknown_fields(schema.prune(obj)) == []


@pytest.mark.parametrize("info", CUSTOM, ids=name_of)
def test_defaults_keep_an_object_valid_and_what_was_given(info: KindInfo) -> None:
    obj, _ = generate(info, Random(11))
    schema = compact_schema(info)
    filled = schema.default(obj)
    assert (schema.unknown_fields(filled), schema.errors(filled)) == ([], [])
    assert schema.default(filled) == filled
    assert schema.prune(obj).items() <= filled.items() or obj.keys() <= filled.keys()


def test_deriving_again_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script: Any = importlib.import_module("derive_schemas")
    kept = {f.stem: f.read_text(encoding="utf-8") for f in script.OUT.glob("*.json")}
    assert script.derive(script.load_crds(CRDS, documents)) == kept
    assert sum(map(len, kept.values())) < 700_000
