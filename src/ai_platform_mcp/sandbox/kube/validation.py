"""Is this an object that the server takes: its names, its fields, its schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, TypeAlias

from ai_platform_mcp.sandbox.kube.objects import dig, meta, name_of
from ai_platform_mcp.sandbox.kube.resources import Resource, crd_version
from ai_platform_mcp.sandbox.kube.schema import FieldError, Schema, resolve, schema_for, schema_from_crd
from ai_platform_mcp.sandbox.kube.shape import FREE, Shape
from ai_platform_mcp.sandbox.kube.status import ApiError, Json, bad_request, cause, invalid, strict_decoding
from ai_platform_mcp.sandbox.kube.systems import COMPACT

FieldValidation: TypeAlias = Literal["Strict", "Warn", "Ignore"]

_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_WHO_IS_A_LABEL = {"namespaces", "services"}
_PATH_SEGMENT_GROUP = "rbac.authorization.k8s.io"

_BAD_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    f"with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_BAD_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    f"alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_BAD_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_BAD_KEY = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)


def quoted(value: object) -> str:
    """A value as field errors print it."""
    return json.dumps(value, ensure_ascii=False)


def _bad(field: str, value: object, why: str) -> Json:
    return cause("FieldValueInvalid", f"Invalid value: {quoted(value)}: {why}", field)


def check_metadata(resource: Resource, obj: Json) -> None:
    """Names and labels; raises Invalid with every cause."""
    causes = [*_name_causes(resource, name_of(obj)), *_label_causes(obj)]
    if causes:
        raise invalid(resource, name_of(obj), causes)


def _name_causes(resource: Resource, name: str) -> Iterator[Json]:
    field = "metadata.name"
    if not name:
        yield cause("FieldValueRequired", "Required value: name or generateName is required", field)
    elif resource.group == _PATH_SEGMENT_GROUP:
        if name in (".", "..") or "/" in name or "%" in name:
            yield _bad(field, name, "may not contain '/' or '%', nor be '.' or '..'")
    elif resource.bucket in _WHO_IS_A_LABEL:
        if not re.fullmatch(_LABEL, name):
            yield _bad(field, name, _BAD_LABEL)
        elif len(name) > 63:
            yield _bad(field, name, "must be no more than 63 characters")
    elif not re.fullmatch(_SUBDOMAIN, name):
        yield _bad(field, name, _BAD_SUBDOMAIN)
    elif len(name) > 253:
        yield _bad(field, name, "must be no more than 253 characters")


def _label_causes(obj: Json) -> Iterator[Json]:
    for field in ("labels", "annotations"):
        for key, value in (meta(obj).get(field) or {}).items():
            if not re.fullmatch(_QUALIFIED, key.rpartition("/")[2]) or len(key.rpartition("/")[2]) > 63:
                yield _bad(f"metadata.{field}", key, _BAD_KEY)
            elif not isinstance(value, str):
                yield _bad(f"metadata.{field}", value, "must be a string")
            elif field == "labels" and not re.fullmatch(f"({_QUALIFIED})?", value):
                yield _bad("metadata.labels", value, _BAD_VALUE)
            elif field == "labels" and len(value) > 63:
                yield _bad("metadata.labels", value, "must be no more than 63 characters")


@lru_cache(maxsize=512)
def _crd_schema(text: str) -> Schema:
    return schema_from_crd(json.loads(text))


def schema_of(resource: Resource) -> Schema | None:
    """The schema that a kind is held to: ours for the systems we know, the definition's own for any other."""
    if resource.custom is None or dig(resource.custom, "metadata", "labels", COMPACT):
        return schema_for(resource.api_version, resource.kind)
    return _crd_schema(json.dumps({"schema": crd_version(resource).get("schema")}, sort_keys=True))


def shape_of(resource: Resource) -> Shape:
    """How objects of a kind merge."""
    schema = schema_of(resource)
    return FREE if schema is None else Shape(schema.node, resolve)


def decode(resource: Resource, obj: Json, mode: FieldValidation, warnings: list[str]) -> Json:
    """The object without fields that the schema does not know: refused, warned of or dropped in silence, by `mode`."""
    _check_type(resource, obj)
    schema = schema_of(resource)
    if schema is None:
        return obj
    if mode != "Ignore" and (unknown := schema.unknown_fields(obj)):
        told = [f'unknown field "{path}"' for path in unknown]
        if mode == "Strict":
            raise strict_decoding(resource, told)
        warnings.extend(told)
    return schema.prune(obj)


def _check_type(resource: Resource, obj: Json) -> None:
    for field, expected in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        given = obj.get(field)
        if given is not None and given != expected:
            raise bad_request(
                f"the {'API version' if field == 'apiVersion' else 'kind'} in the data ({given}) does not match the expected "
                f"{'API version' if field == 'apiVersion' else 'kind'} ({expected})"
            )
    if not isinstance(obj.get("metadata", {}), dict):
        raise bad_request(
            f"{resource.kind} in version {quoted(resource.version)} cannot be handled as a {resource.kind}"
        )
    obj |= {"apiVersion": resource.api_version, "kind": resource.kind}


def check_declared(resource: Resource, config: Json) -> None:
    """Server-side apply of an undeclared field: the real server answers 500 here, not 400 or 422."""
    schema = schema_of(resource)
    unknown = schema.unknown_fields(config) if schema else []
    if unknown:
        name = f"{meta(config).get('namespace') or ''}/{name_of(config)}"
        told = "\n".join(f".{path}: field not declared in schema" for path in unknown)
        kind = f"{resource.api_version}, Kind={resource.kind}"
        if len(unknown) > 1:
            told = "errors:\n" + "\n".join(f"  {line}" for line in told.splitlines())
        raise ApiError(500, "", f"failed to create typed patch object ({name}; {kind}): {told}")


def check_schema(resource: Resource, obj: Json, before: Json | None = None) -> None:
    """Types, required fields, enumerations; raises BadRequest (a built-in kind's wrong type) or Invalid.

    What is as it was ``before`` is not judged again (KEP-4008, CRD validation ratcheting).
    """
    schema = schema_of(resource)
    errors = schema.errors(obj, before) if schema else []
    if not errors:
        return
    wrong = [error for error in errors if error.reason == "FieldValueTypeInvalid"]
    if wrong and resource.custom is None:
        raise bad_request(_undecodable(resource, wrong[0]))
    raise invalid(resource, name_of(obj), [cause(e.reason, e.message, e.path) for e in errors])


def _undecodable(resource: Resource, error: FieldError) -> str:
    kinds = {str: "string", bool: "bool", dict: "object", list: "array", int: "number", float: "number"}
    found = kinds.get(type(error.value), "value")
    return (
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: json: cannot unmarshal '
        f"{found} into Go struct field .{error.path}"
    )
