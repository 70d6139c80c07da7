"""Lists: a selection of one kind at one resourceVersion, whole or page by page."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

import anyio

from ai_platform_mcp.sandbox.kube.conversion import converted
from ai_platform_mcp.sandbox.kube.status import ApiError, Json, bad_request, expired
from ai_platform_mcp.sandbox.kube.storage import Key, Storage
from ai_platform_mcp.sandbox.kube.watching import Scope

_BREATH = 2_000  # objects looked at between two turns of the event loop


@dataclass(frozen=True)
class Listing:
    """One page: its objects (shared, not to be changed), the version they are of, and how to get the rest."""

    items: list[Json]
    resource_version: str
    continue_token: str = ""
    remaining: int | None = None


async def listing(
    storage: Storage,
    scope: Scope,
    *,
    limit: int = 0,
    continue_token: str = "",
    version: int | None = None,
    exact: bool = False,
) -> Listing:
    """A page of at most `limit` objects (0: all). All pages of one list show the state at its first page.

    Raises Expired when that state is forgotten, BadRequest for a token that is none, Timeout for a version not reached yet.
    """
    bucket = storage.bucket(scope.resource.bucket)
    at, after = storage.version, None
    if continue_token:
        at, after = _read_token(continue_token)
    elif version and version > storage.version:
        raise ApiError(
            504, "Timeout", f"Too large resource version: {version}, current: {storage.version}", retry_after=1
        )
    elif exact and version:
        at = version
    try:
        past = bucket.as_of(at)
    except ApiError as gone:
        message = "The provided continue parameter is too old" if continue_token else gone.message
        raise expired(message) from gone
    keys = past.span(scope.namespace, after)
    long = past is bucket and len(keys) > _BREATH  # the scan gives way to writers, so it works on a copy
    items, rest = await _select(scope, keys, dict(past.objects) if long else past.objects, limit)
    if not rest:
        return Listing(items, str(at))
    last = items[-1]["metadata"]
    token = _write_token(at, (last.get("namespace", ""), last["name"]))
    narrowed = bool(scope.selection.tests)
    return Listing(items, str(at), token, None if narrowed else rest)


async def _select(scope: Scope, keys: list[Key], objects: dict[Key, Json], limit: int) -> tuple[list[Json], int]:
    """The selected objects up to the limit, and how many keys are left after them."""
    resource = scope.resource
    items: list[Json] = []
    for index, key in enumerate(keys):
        obj = objects.get(key)
        if obj is not None and scope.covers(key) and scope.selection(obj):
            if limit and len(items) == limit:
                return items, len(keys) - index
            items.append(converted(resource.bucket, obj, resource.api_version))
        if index % _BREATH == _BREATH - 1:
            await anyio.lowlevel.checkpoint()
    return items, 0


def _write_token(version: int, after: Key) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": list(after)})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, Key]:
    try:
        body = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, name = body["start"]
        return int(body["rv"]), (str(namespace), str(name))
    except (ValueError, KeyError, TypeError, binascii.Error) as failure:
        raise bad_request(f"continue key is not valid: {failure}") from failure
