"""The three patches that say what to change: JSON patch, merge patch, strategic merge patch. (Apply is in ownership.py.)"""

from __future__ import annotations

from typing import Any

import jsonpatch

from ai_platform_mcp.sandbox.kube.objects import private
from ai_platform_mcp.sandbox.kube.shape import Shape
from ai_platform_mcp.sandbox.kube.status import ApiError, Json, bad_request

JSON = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")


def json_patch(obj: Json, operations: Any) -> Json:
    """RFC 6902; raises Invalid when an operation does not fit the object, BadRequest when it is no patch."""
    if not isinstance(operations, list):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    try:
        return jsonpatch.JsonPatch(operations).apply(private(obj))
    except jsonpatch.JsonPatchTestFailed as failure:
        message = f"the server rejected our request due to an error in our request: testing value failed: {failure}"
        raise ApiError(422, "Invalid", message) from failure
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as failure:
        message = f"the server rejected our request due to an error in our request: {failure}"
        raise ApiError(422, "Invalid", message) from failure


def merge_patch(value: Any, patch: Any) -> Any:
    """RFC 7386: null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return private(patch)
    result = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        if part is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), part)
    return result


def strategic_merge(value: Any, patch: Any, shape: Shape) -> Any:
    """A merge patch that knows which lists merge by a key, with the directives `$patch`, `$retainKeys` and `$delete…`."""
    if isinstance(patch, list):
        return _merge_list(value if isinstance(value, list) else [], patch, shape)
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch")
    if directive == "replace":
        return private({key: part for key, part in patch.items() if key != "$patch"})
    if directive == "delete":
        return {}
    result = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        _merge_field(result, key, part, shape)
    keep = patch.get("$retainKeys")
    return result if keep is None else {key: part for key, part in result.items() if key in keep}


def _merge_field(result: Json, key: str, part: Any, shape: Shape) -> None:
    if key.startswith("$deleteFromPrimitiveList/"):
        name = key.partition("/")[2]
        result[name] = [entry for entry in result.get(name) or [] if entry not in part]
    elif key.startswith("$"):
        return
    elif part is None:
        result.pop(key, None)
    elif isinstance(part, dict | list):
        result[key] = strategic_merge(result.get(key), part, shape.field(key))
    else:
        result[key] = part


def _merge_list(live: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    key = shape.patch_key
    if any(isinstance(entry, dict) and entry.get("$patch") == "replace" for entry in patch):
        return [private(entry) for entry in patch if entry.get("$patch") != "replace"]
    if key is None:
        return private(patch)
    if key == "":  # a list of plain values that merges, such as finalizers
        return [*live, *(entry for entry in patch if entry not in live)]
    result = list(live)
    for entry in patch:
        if key not in entry:
            raise bad_request(f"map: {entry} does not contain declared merge key: {key}")
        index = next((at for at, have in enumerate(result) if have.get(key) == entry[key]), None)
        if entry.get("$patch") == "delete":
            result = [have for have in result if have.get(key) != entry[key]]
        elif index is None:
            result.append(strategic_merge({}, entry, shape.item()))
        else:
            result[index] = strategic_merge(result[index], entry, shape.item())
    return result
