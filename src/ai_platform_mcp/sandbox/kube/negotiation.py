"""In which form a request speaks and an answer is wanted: JSON, YAML, Table, metadata only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import anyio
import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ai_platform_mcp.sandbox.kube import protobuf
from ai_platform_mcp.sandbox.kube.status import Json, bad_request, not_acceptable, unsupported_media

_JSON = "application/json"
_YAML = "application/yaml"


@dataclass(frozen=True)
class Form:
    """The form an answer takes; `kind` is what `as=` asked for (empty: the objects themselves)."""

    media: str = _JSON
    kind: str = ""


_KINDS = {
    ("Table", "meta.k8s.io", "v1"),
    ("PartialObjectMetadata", "meta.k8s.io", "v1"),
    ("PartialObjectMetadataList", "meta.k8s.io", "v1"),
    ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2"),
}


def wanted(accept: str | None) -> Form:
    """The first form in an Accept header that is spoken here; raises NotAcceptable."""
    for entry in (accept or "*/*").split(","):
        media, *rest = (part.strip() for part in entry.split(";"))
        options = dict(part.split("=", 1) for part in rest if "=" in part)
        if media in ("*/*", "application/*"):
            media = _JSON
        if media not in (_JSON, _YAML):
            continue
        if "as" not in options:
            return Form(media)
        if (options["as"], options.get("g", ""), options.get("v", "")) in _KINDS:
            return Form(media, options["as"])
    raise not_acceptable()


def encode(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def respond(body: Any, form: Form, code: int = 200, warnings: Sequence[str] = ()) -> Response:
    """A whole answer in the wanted form."""
    content = yaml.safe_dump(body, sort_keys=False).encode() if form.media == _YAML else encode(body)
    answer = Response(content, code, media_type=form.media)
    add_warnings(answer, warnings)
    return answer


def add_warnings(answer: Response, warnings: Sequence[str]) -> None:
    """One `Warning: 299` header per distinct text, as clients print them."""
    for text in dict.fromkeys(warnings):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        answer.headers.append("Warning", f'299 - "{quoted}"')


async def body_of(request: Request, media: str) -> Any:
    """The decoded body; raises BadRequest when it cannot be read, UnsupportedMediaType for protobuf and the like."""
    raw = await request.body()
    if not raw:
        return {}
    try:
        if media.endswith("yaml"):
            return await anyio.to_thread.run_sync(yaml.safe_load, raw)
        if media.endswith("json") or media == "":
            return json.loads(raw)
        if media == protobuf.MEDIA:
            return protobuf.decode(raw)
    except (ValueError, IndexError, yaml.YAMLError) as failure:
        raise bad_request(f"the object provided is unrecognized: {failure}") from failure
    raise unsupported_media(
        f"the body of the request was in an unknown format - accepted media types include: {_JSON}, {_YAML}"
    )


async def object_of(request: Request) -> Json:
    """The body as an object."""
    media = media_of(request.headers)
    found = await body_of(request, media)
    if not isinstance(found, dict):
        raise bad_request("the object provided is unrecognized: it is not an object")
    return found


def media_of(headers: Mapping[str, str]) -> str:
    """The media type of a request's body, without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


class Stream(Response):
    """An answer that goes on until its source ends or the client hangs up, and closes its source either way."""

    def __init__(self, source: AsyncIterator[bytes], media: str = _JSON) -> None:
        super().__init__(media_type=media)
        del self.headers["content-length"]
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send chunks while watching for the client's end of the line."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with anyio.create_task_group() as group:

            async def hang_up() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(hang_up)
            async with aclosing(self._source) as source:  # pyright: ignore[reportArgumentType]
                async for chunk in source:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    await anyio.lowlevel.checkpoint()  # sending gives way only once the socket's buffer is full
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            group.cancel_scope.cancel()
