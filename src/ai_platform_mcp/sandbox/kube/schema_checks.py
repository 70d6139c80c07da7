"""Is a value what its schema asks for? The checks are jsonschema's, the words are the API server's.

OpenAPI v3 differs from JSON Schema (draft 4) in a few keywords: `nullable`, Kubernetes' int-or-string, its list types,
and references that are ours. These are added here; the rest is the library's.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from jsonschema import Draft4Validator, FormatChecker, ValidationError, validators

Json = dict[str, Any]
Resolve = Callable[[Json], Json]
MAX_SHOWN = 256  # characters of a rejected value that go into a message


@dataclass(frozen=True, slots=True)
class FieldError:
    """One cause of a 422: path, machine-readable reason, the server's words, the rejected value."""

    path: str
    reason: str
    message: str
    value: Any = None


FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _date_time(value: object) -> bool:
    """RFC 3339, as metav1.Time is read."""
    if not isinstance(value, str):
        return True
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", value):
        return False
    datetime.fromisoformat(re.sub(r"\.\d+", "", value).upper())
    return True


@FORMATS.checks("byte", raises=binascii.Error)
def _byte(value: object) -> bool:
    if isinstance(value, str):
        base64.b64decode(value, validate=True)
    return True


@FORMATS.checks("int32")
def _int32(value: object) -> bool:
    return not isinstance(value, int) or -(2**31) <= value < 2**31


@FORMATS.checks("int64")
def _int64(value: object) -> bool:
    return not isinstance(value, int) or -(2**63) <= value < 2**63


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """A Go pattern for Python: a flag group may follow the anchor there, and `$` is the very end of the text.

    None for what only Go's engine knows (``\\pL`` and the like, in CRDs of users): such a pattern is not checked.
    """
    flags_first = pattern.replace("^(?i)", "(?i)^")
    for candidate in (re.sub(r"(?<!\\)\$(?=$|[|)])", r"\\Z", flags_first), flags_first):
        try:
            return re.compile(candidate)
        except re.error:
            continue
    return None


def _pattern(_validator: Any, pattern: str, value: object, _node: Json) -> Iterator[ValidationError]:
    compiled = _compiled(pattern) if isinstance(value, str) else None
    if compiled and isinstance(value, str) and not compiled.search(value):
        yield ValidationError("pattern")


def _type(validator: Any, kind: str, value: object, node: Json) -> Iterator[ValidationError]:
    nullable = value is None and node.get("nullable")
    if not nullable and not validator.is_type(value, kind):
        yield ValidationError("type")


def _int_or_string(_validator: Any, wanted: bool, value: object, node: Json) -> Iterator[ValidationError]:
    fits = isinstance(value, int | str) and not isinstance(value, bool)
    if wanted and not fits and not (value is None and node.get("nullable")):
        yield ValidationError("type")


def _required(_validator: Any, names: list[str], value: object, _node: Json) -> Iterator[ValidationError]:
    if isinstance(value, dict):
        for name in names:
            if name not in value:
                yield ValidationError("required", path=(name,))


def _list_type(_validator: Any, kind: str, value: object, node: Json) -> Iterator[ValidationError]:
    """No two items of a set are equal, no two of a map list have the same keys."""
    if not isinstance(value, list) or kind not in ("set", "map"):
        return
    keys, seen = node.get("x-kubernetes-list-map-keys", ()), set[str]()
    for index, item in enumerate(cast("list[Any]", value)):
        named = {k: cast("Json", item)[k] for k in keys if k in item} if keys and isinstance(item, dict) else item
        text = json.dumps(named, sort_keys=True, default=str)
        if text in seen:
            yield ValidationError("duplicate", path=(index,), instance=named)
        seen.add(text)


def _validator_class(resolve: Resolve, *, lists: bool) -> Any:
    def _reference(validator: Any, _reference: str, value: object, node: Json) -> Iterator[ValidationError]:
        yield from validator.descend(value, resolve(node))

    own: dict[str, Any] = {
        "$ref": _reference,
        "type": _type,
        "required": _required,
        "pattern": _pattern,
        "x-kubernetes-int-or-string": _int_or_string,
    }
    if lists:
        own["x-kubernetes-list-type"] = _list_type
    return cast("Any", validators).extend(Draft4Validator, own)


@lru_cache(maxsize=4)
def _validators(resolve: Resolve, lists: bool) -> Any:
    return _validator_class(resolve, lists=lists)


def check(value: Any, node: Json, resolve: Resolve, *, lists: bool) -> list[FieldError]:
    """Everything wrong with a value; `lists` also refuses duplicates in set and map lists."""
    found = cast(
        "Iterable[ValidationError]", _validators(resolve, lists)(node, format_checker=FORMATS).iter_errors(value)
    )
    return sorted((_field_error(error) for error in found), key=lambda e: (e.path, e.reason, e.message))


def _path(tokens: Iterable[str | int]) -> str:
    text = "".join(f"[{t}]" if isinstance(t, int) else f".{t}" for t in tokens)
    return text.removeprefix(".")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


def _type_name(value: object) -> str:
    """How the server names what it got."""
    if value is None:
        return "null"
    names: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return names.get(cast("type", type(value)), "object")


# keyword: how the server ends «Invalid value: …: PATH in body …»
_SENTENCES: dict[str, str] = {
    "pattern": "should match '{0}'",
    "minimum": "should be greater than or equal to {0}",
    "maximum": "should be less than or equal to {0}",
    "minLength": "should be at least {0} chars long",
    "minItems": "should have at least {0} items",
    "minProperties": "should have at least {0} properties",
    "maxProperties": "should have at most {0} properties",
    "multipleOf": "should be a multiple of {0}",
    "anyOf": "must validate at least one schema (anyOf)",
    "oneOf": "must validate one and only one schema (oneOf)",
    "allOf": "must validate all the schemas (allOf)",
    "not": "must not validate the schema (not)",
}


def _field_error(error: ValidationError) -> FieldError:
    """An error of the library in the server's reason and words."""
    path, keyword, limit, value = _path(error.absolute_path), error.validator, error.validator_value, error.instance
    limit = cast("Any", limit)
    if keyword == "required":
        return FieldError(path, "FieldValueRequired", "Required value")
    if keyword in ("type", "x-kubernetes-int-or-string"):
        wanted, got = (limit if keyword == "type" else "integer or string"), _type_name(value)
        message = f'Invalid value: "{got}": {path} in body must be of type {wanted}: "{got}"'
        return FieldError(path, "FieldValueTypeInvalid", message, got)
    if keyword == "enum":
        values = ", ".join(_shown(v) for v in limit)
        message = f"Unsupported value: {_shown(value)}: supported values: {values}"
        return FieldError(path, "FieldValueNotSupported", message, value)
    if keyword == "maxLength":
        return FieldError(path, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes", value)
    if keyword == "maxItems":
        count = len(cast("list[Any]", value))
        return FieldError(path, "FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", count)
    if keyword == "x-kubernetes-list-type":
        return FieldError(path, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}", value)
    if keyword == "format":
        message = f"Invalid value: {_shown(value)}: {path} in body must be of type {limit}: {_shown(value)}"
        return FieldError(path, "FieldValueInvalid", message, value)
    ending = _SENTENCES.get(str(keyword), "is not valid").format(limit)
    return FieldError(path, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {path} in body {ending}", value)
