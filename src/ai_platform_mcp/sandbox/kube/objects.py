"""Small questions about objects: paths into them, private copies, JSON paths of printer columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ai_platform_mcp.sandbox.kube.status import Json


def private(value: Any) -> Any:
    """A copy that shares no container with `value`; several times quicker than `copy.deepcopy` on JSON."""
    if isinstance(value, dict):
        return {key: private(entry) if isinstance(entry, (dict, list)) else entry for key, entry in value.items()}
    if isinstance(value, list):
        return [private(entry) if isinstance(entry, (dict, list)) else entry for entry in value]
    return value


def meta(obj: Json) -> Json:
    """`metadata`, always there to be written to."""
    found = obj.get("metadata")
    if not isinstance(found, dict):
        found = obj["metadata"] = {}
    return found


def name_of(obj: Json) -> str:
    """`metadata.name`, or an empty text."""
    return str(meta(obj).get("name") or "")


def namespace_of(obj: Json) -> str:
    """`metadata.namespace`, or an empty text for cluster-scoped objects."""
    return str(meta(obj).get("namespace") or "")


def labels_of(obj: Json) -> dict[str, str]:
    """`metadata.labels`, or none."""
    return obj.get("metadata", {}).get("labels") or {}


def dig(obj: Any, *path: str | int, default: Any = None) -> Any:
    """Follow keys and indexes; `default` where the path ends early."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(obj, list) or step >= len(obj):
                return default
            obj = obj[step]
        elif isinstance(obj, dict) and step in obj:
            obj = obj[step]
        else:
            return default
    return obj


def without_nulls(value: Any) -> Any:
    """Keys whose value is null mean the same as absent keys once decoded; drop them, also inside lists."""
    if isinstance(value, dict):
        return {key: without_nulls(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [without_nulls(entry) for entry in value]
    return value


def condition(obj: Json, kind: str) -> str:
    """`status.conditions[type=kind].status`, or an empty text."""
    for entry in dig(obj, "status", "conditions", default=[]) or []:
        if entry.get("type") == kind:
            return str(entry.get("status", ""))
    return ""


_STEP = re.compile(
    r"\.?((?:[^.\[\]\\]|\\.)+)|\[(-?\d+:?|\*)\]|\[\?\(@\.([\w.]+)\s*==\s*[\"']?([^\"')]*)[\"']?\)\]|\['([^']+)'\]"
)


def json_path(obj: Any, path: str) -> Iterator[Any]:
    """The values that a Kubernetes JSONPath (`.status.conditions[?(@.type=="Ready")].status`) finds.

    Names, indexes, `[*]`, `[-1:]`, equality filters and quoted names: the forms that printer columns and scale paths use.
    """
    found = [obj]
    for match in _STEP.finditer(path.strip()):
        name, index, filter_path, wanted, quoted = match.groups()
        found = [hit for value in found for hit in _advance(value, name or quoted, index, filter_path, wanted)]
    yield from found


def _advance(value: Any, name: str | None, index: str | None, filter_path: str | None, wanted: str) -> Iterator[Any]:
    if name is not None:
        key = name.replace("\\", "")
        if isinstance(value, dict) and key in value:
            yield value[key]
    elif not isinstance(value, list):
        return
    elif index == "*":
        yield from value
    elif index is not None:
        first = int(index.rstrip(":"))
        yield from value[first:] if index.endswith(":") else value[first:][:1]
    elif filter_path is not None:
        for entry in value:
            have = dig(entry, *filter_path.split("."))
            if (str(have).lower() if isinstance(have, bool) else str(have)) == wanted:
                yield entry
