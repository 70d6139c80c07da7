"""The few bodies that kubectl sends in protobuf and in no other form, read into objects.

client-go's typed clients write `application/vnd.kubernetes.protobuf` without asking. Field numbers are those of the
published `generated.proto` files; a field that is not listed is passed over, a kind that is not listed is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from ai_platform_mcp.sandbox.kube.status import Json, unsupported_media

MEDIA = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"

Message: TypeAlias = dict[int, tuple[str, Any]]
"""Field number to name and form: str, int, bool, [str], {} for a map of texts, or another message."""

_META: Message = {
    1: ("name", str),
    2: ("generateName", str),
    3: ("namespace", str),
    11: ("labels", {}),
    12: ("annotations", {}),
}
_GATE: Message = {1: ("uid", str), 2: ("resourceVersion", str)}
_DELETE: Message = {
    1: ("gracePeriodSeconds", int),
    2: ("preconditions", _GATE),
    3: ("orphanDependents", bool),
    4: ("propagationPolicy", str),
    5: ("dryRun", [str]),
}
_NAMES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
_ASKED: Message = {
    1: ("resourceAttributes", {number: (name, str) for number, name in enumerate(_NAMES, start=1)}),
    2: ("nonResourceAttributes", {1: ("path", str), 2: ("verb", str)}),
}
_TOKEN: Message = {1: ("audiences", [str]), 4: ("expirationSeconds", int)}
_KINDS: dict[str, Message] = {
    "DeleteOptions": _DELETE,
    "Eviction": {1: ("metadata", _META), 2: ("deleteOptions", _DELETE)},
    "Namespace": {1: ("metadata", _META)},
    "ServiceAccount": {1: ("metadata", _META)},
    "SelfSubjectAccessReview": {1: ("metadata", _META), 2: ("spec", _ASKED)},
    "SelfSubjectReview": {1: ("metadata", _META)},
    "SelfSubjectRulesReview": {1: ("metadata", _META), 2: ("spec", {1: ("namespace", str)})},
    "TokenRequest": {1: ("metadata", _META), 2: ("spec", _TOKEN)},
}


def decode(raw: bytes) -> Json:
    """The object in a `runtime.Unknown` envelope; raises UnsupportedMediaType for kinds that are not listed."""
    envelope = dict(_fields(raw.removeprefix(_MAGIC)))
    told = {number: bytes(value).decode() for number, value in _fields(envelope.get(1, b""))}
    api_version, kind = told.get(1, ""), told.get(2, "")
    message = _KINDS.get(kind)
    if message is None:
        raise unsupported_media(
            f"{kind} is not read in protobuf here - accepted media types include: application/json, application/yaml"
        )
    return {"apiVersion": api_version, "kind": kind} | _read(envelope.get(2, b""), message)


def _read(raw: bytes, message: Message) -> Json:
    found: Json = {}
    for number, value in _fields(raw):
        if number not in message:
            continue
        name, form = message[number]
        if form == [str]:
            found.setdefault(name, []).append(value.decode())
        elif form == {}:
            pair = {key: part.decode() for key, part in _fields(value)}
            found.setdefault(name, {})[pair.get(1, "")] = pair.get(2, "")
        elif isinstance(form, dict):
            found[name] = _read(value, form)  # pyright: ignore[reportUnknownArgumentType]
        elif form is not str:
            found[name] = form(value)
        elif value:  # Go writes empty texts, which mean nothing
            found[name] = value.decode()
    return found


def _fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field: an integer for varints, bytes for everything with a length."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        if tag & 7 == 0:
            value, at = _varint(raw, at)
            yield tag >> 3, value
        elif tag & 7 == 2:
            size, at = _varint(raw, at)
            yield tag >> 3, raw[at : at + size]
            at += size
        else:
            raise unsupported_media("a protobuf body with fixed-width fields is not read here")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (raw[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if raw[at - 1] < 0x80:
            return value, at
