"""The API server over HTTP: who asks, for what, in which form."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ai_platform_mcp.sandbox.kube import discovery, openapi, patches, reviews, tables
from ai_platform_mcp.sandbox.kube.access import Access, Attributes, User
from ai_platform_mcp.sandbox.kube.engine import Preconditions, Write
from ai_platform_mcp.sandbox.kube.listing import Listing, listing
from ai_platform_mcp.sandbox.kube.negotiation import (
    Form,
    Stream,
    add_warnings,
    body_of,
    encode,
    media_of,
    object_of,
    respond,
    wanted,
)
from ai_platform_mcp.sandbox.kube.objects import dig, meta, name_of
from ai_platform_mcp.sandbox.kube.routes import Target, target
from ai_platform_mcp.sandbox.kube.status import ApiError, Json, bad_request, no_such_path
from ai_platform_mcp.sandbox.kube.storage import parse_version
from ai_platform_mcp.sandbox.kube.store import Store
from ai_platform_mcp.sandbox.kube.subresources import Subresources
from ai_platform_mcp.sandbox.kube.watching import Event, watch_in_batches

log = logging.getLogger(__name__)

_HEALTH = ("/healthz", "/livez", "/readyz")
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_LONGEST_WATCH = 1800  # seconds; the real server draws from 30 to 60 minutes
_CHUNK = 500  # objects encoded between two turns of the event loop


def build_kube_app(store: Store, access: Access) -> Starlette:
    """The Kubernetes API over a world. The caller opens and closes the store and runs the server."""
    server = _Server(store, access)
    return Starlette(routes=[Route("/{path:path}", server.handle, methods=_METHODS)])


class _Server:
    def __init__(self, store: Store, access: Access) -> None:
        self._store = store
        self._access = access
        self._engine = store.engine
        self._registry = store.registry
        self._sub = Subresources(store, access)
        self._swagger: tuple[int, bytes] = (-1, b"")

    async def handle(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except ApiError as failure:
            refused = respond(failure.status(), Form(), failure.code)
            if failure.retry_after is not None:
                refused.headers["Retry-After"] = str(failure.retry_after)
            return refused
        except Exception as failure:
            log.exception("%s %s failed", request.method, request.url.path)
            trouble = ApiError(500, "InternalError", f"Internal error occurred: {type(failure).__name__}: {failure}")
            return respond(trouble.status(), Form(), 500)

    async def _answer(self, request: Request) -> Response:
        path = request.url.path.rstrip("/") or "/"
        if path in _HEALTH:
            return PlainTextResponse("ok")
        if path == "/version":
            return respond(discovery.VERSION, Form())
        user = self._user(request)
        if (told := await self._about(request, path, user)) is not None:
            return told
        at = target(self._registry, request)
        self._access.require(user, at.attributes())
        answer = await self._serve(request, at, user)
        if at.resource.deprecated:
            add_warnings(answer, [at.resource.deprecated])
        return answer

    def _user(self, request: Request) -> User:
        user = self._access.identify(request.headers.get("authorization"))
        return self._access.impersonated(user, request.headers, request.headers.getlist("impersonate-group"))

    # --- about the API itself ---------------------------------------------------------------------------------------

    async def _about(self, request: Request, path: str, user: User) -> Response | None:
        if path == "/openid/v1/jwks":
            self._access.require(user, Attributes("get", path=path))
            return respond(self._access.key_set(), Form())
        parts = path.strip("/").split("/")
        is_discovery = parts[0] in ("api", "apis") and len(parts) <= (2 if parts[0] == "api" else 3)
        if not is_discovery and parts[0] not in ("openapi", ""):
            return None
        self._access.require(user, Attributes("get", path=path))
        if parts[0] == "openapi":
            return await self._openapi(request, parts)
        form = wanted(request.headers.get("accept"))
        if len(parts) == 1 and form.kind == "APIGroupDiscoveryList" and parts[0]:
            told = discovery.aggregated(self._registry, parts[0] == "api")
            media = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            return Response(encode(told), media_type=media)
        body = self._discovered(parts)
        if body is None:
            raise no_such_path()
        return respond(body, Form(form.media))

    def _discovered(self, parts: list[str]) -> Json | None:
        match parts:
            case [""]:
                return {"paths": ["/api", "/apis", *_HEALTH, "/openapi/v2", "/openapi/v3", "/version"]}
            case ["api"]:
                return discovery.api_versions()
            case ["apis"]:
                return discovery.group_list(self._registry)
            case ["apis", group]:
                return discovery.group(self._registry, group)
            case ["api", version]:
                return discovery.resource_list(self._registry, "", version)
            case ["apis", group, version]:
                return discovery.resource_list(self._registry, group, version)
            case _:
                return None

    async def _openapi(self, request: Request, parts: list[str]) -> Response:
        form = Form(wanted(request.headers.get("accept")).media)
        if parts[1:] == ["v2"]:
            if self._swagger[0] != self._registry.generation:
                generation = self._registry.generation
                document = await anyio.to_thread.run_sync(openapi.document_v2, self._registry)
                self._swagger = (generation, await anyio.to_thread.run_sync(encode, document))
            return Response(self._swagger[1], media_type="application/json")
        if parts[1:] == ["v3"]:
            return respond(openapi.index(self._registry), form)
        api_version = "/".join(parts[3:])
        served = [entry for entry in self._registry if entry.api_version == api_version]
        if parts[1:2] != ["v3"] or not served:
            raise no_such_path()
        return respond(await anyio.to_thread.run_sync(openapi.document_v3, served), form)

    # --- about objects ----------------------------------------------------------------------------------------------

    async def _serve(self, request: Request, at: Target, user: User) -> Response:
        if at.verb in ("list", "watch"):
            return await self._read_many(request, at)
        if at.verb == "get":
            return await self._read_one(request, at)
        write = _write(request, user, at.subresource)
        if at.verb == "create":
            return await self._create(request, at, user, write)
        if at.verb in ("delete", "deletecollection"):
            return await self._delete(request, at, write)
        existed = self._engine.find(at.resource, at.home, at.name) is not None
        result = await self._change(request, at, write)
        return self._one(request, at, result, 200 if existed else 201, write.warnings)

    async def _read_one(self, request: Request, at: Target) -> Response:
        if at.subresource == "log":
            tail = request.query_params.get("tailLines")
            container = request.query_params.get("container", "")
            return PlainTextResponse(await self._sub.log(at, container, int(tail) if tail else None))
        if at.subresource == "scale":
            return respond(self._sub.get_scale(at), wanted(request.headers.get("accept")))
        return self._one(request, at, self._engine.read(at.resource, at.home, at.name), 200, [])

    def _one(self, request: Request, at: Target, obj: Json, code: int, warnings: list[str]) -> Response:
        form = wanted(request.headers.get("accept"))
        if obj.get("kind") == at.resource.kind and form.kind == "Table":
            obj = self._table(request, at, [obj], dig(obj, "metadata", "resourceVersion", default=""))
        elif obj.get("kind") == at.resource.kind and form.kind == "PartialObjectMetadata":
            obj = tables.partial(obj)
        return respond(obj, form, code, warnings)

    def _table(self, request: Request, at: Target, items: list[Json], version: str) -> Json:
        include = request.query_params.get("includeObject", "Metadata")
        now = self._store.clock.now()
        return {
            "kind": "Table",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": {"resourceVersion": version},
            "columnDefinitions": tables.definitions(at.resource),
            "rows": [tables.row(at.resource, obj, now, include) for obj in items],
        }

    async def _create(self, request: Request, at: Target, user: User, write: Write) -> Response:
        body = await object_of(request)
        if at.resource.verbs == ("create",):
            told = reviews.answer(self._access, at.resource.kind, user, body, at.home)
            return respond(told, wanted(request.headers.get("accept")), 201)
        outcome = self._sub.create(at, body, write) if at.subresource else None
        result = outcome or self._engine.create(at.resource, at.home, body, write)
        return self._one(request, at, await self._store.settled(result), 201, write.warnings)

    async def _change(self, request: Request, at: Target, write: Write) -> Json:
        media = media_of(request.headers)
        if at.verb == "update":
            body = await object_of(request)
            if at.subresource == "scale":
                return await self._store.settled(self._sub.put_scale(at, body, write))
            return await self._store.settled(self._engine.update(at.resource, at.home, at.name, body, write))
        applies = media in patches.APPLY
        change = await body_of(request, "yaml" if applies else media)
        if applies and not request.query_params.get("fieldManager"):
            message = (
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
            )
            raise ApiError(422, "Invalid", message)
        if at.subresource == "scale":
            return await self._store.settled(self._sub.patch_scale(at, change, media, write))
        result = self._engine.patch(at.resource, at.home, at.name, change, media, write)
        return await self._store.settled(result)

    async def _delete(self, request: Request, at: Target, write: Write) -> Response:
        options = await object_of(request)
        if "All" in (options.get("dryRun") or []):
            write.dry_run = True
        gate = options.get("preconditions") or {}
        wish = options.get("propagationPolicy") or request.query_params.get("propagationPolicy")
        if options.get("orphanDependents"):
            wish = "Orphan"
        remove = partial(
            self._engine.delete,
            at.resource,
            write=write,
            preconditions=Preconditions(gate.get("uid"), gate.get("resourceVersion")),
            propagation=wish or "Background",
        )
        if at.verb == "delete":
            result = await self._store.settled(remove(namespace=at.home, name=at.name))
            return self._one(request, at, result, 200, write.warnings)
        page = await self._page(request, at)
        for obj in page.items:
            if self._engine.find(at.resource, meta(obj).get("namespace", ""), name_of(obj)) is not None:
                remove(namespace=meta(obj).get("namespace", ""), name=name_of(obj))
        told = _list_head(at, page) | {"items": page.items}
        return respond(await self._store.settled(told), Form())

    async def _page(self, request: Request, at: Target) -> Listing:
        query = request.query_params
        scope = self._store.scope(at.resource, at.namespace, query.get("labelSelector"), query.get("fieldSelector"))
        limit = query.get("limit") or "0"
        if not limit.isdigit():
            raise bad_request(f'limit: Invalid value: "{limit}"')
        return await listing(
            self._store.storage,
            scope,
            limit=int(limit),
            continue_token=query.get("continue") or "",
            version=parse_version(query.get("resourceVersion")),
            exact=query.get("resourceVersionMatch") == "Exact",
        )

    async def _read_many(self, request: Request, at: Target) -> Response:
        form = wanted(request.headers.get("accept"))
        if at.verb == "watch":
            return self._watch(request, at, form)
        page = await self._page(request, at)
        if form.kind == "Table":
            table = self._table(request, at, page.items, page.resource_version)
            table["metadata"] = _list_head(at, page)["metadata"]
            return respond(table, form)
        head = _list_head(at, page)
        items = page.items
        if form.kind.startswith("Partial"):
            head |= {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            items = [tables.partial(obj) for obj in items]
        if form.media != "application/json" or len(items) <= _CHUNK:
            return respond(head | {"items": items}, form)
        return Stream(_encoded_list(head, items))

    def _watch(self, request: Request, at: Target, form: Form) -> Response:
        query = request.query_params
        initial = query.get("sendInitialEvents") == "true"
        if initial and query.get("resourceVersionMatch") != "NotOlderThan":
            message = "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            raise ApiError(422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: {message}')
        scope = self._store.scope(at.resource, at.namespace, query.get("labelSelector"), query.get("fieldSelector"))
        if at.name:
            raise bad_request("watch by name uses fieldSelector=metadata.name")
        seconds = int(query.get("timeoutSeconds") or _LONGEST_WATCH)
        batches = watch_in_batches(
            self._store.storage,
            scope,
            since=parse_version(query.get("resourceVersion")),
            initial=initial,
            bookmarks=query.get("allowWatchBookmarks") in ("true", "1"),
            seconds=seconds,
        )
        return Stream(self._lines(request, at, form, batches))

    async def _lines(
        self, request: Request, at: Target, form: Form, batches: AsyncGenerator[list[Event]]
    ) -> AsyncIterator[bytes]:
        async with aclosing(batches):
            async for batch in batches:
                yield b"".join(self._line(request, at, form, event) for event in batch)

    def _line(self, request: Request, at: Target, form: Form, event: Event) -> bytes:
        obj = event.obj
        if event.type not in ("BOOKMARK", "ERROR"):
            if form.kind == "Table":
                obj = self._table(request, at, [obj], meta(obj)["resourceVersion"])
            elif form.kind.startswith("Partial"):
                obj = tables.partial(obj)
        elif event.type == "BOOKMARK" and form.kind == "Table":
            obj = self._table(request, at, [], meta(obj)["resourceVersion"])
        return encode({"type": event.type, "object": obj}) + b"\n"


def _write(request: Request, user: User, subresource: str) -> Write:
    """How a write is meant, from its query; raises BadRequest for options that do not exist."""
    query = request.query_params
    dry = query.getlist("dryRun")
    if dry not in ([], ["All"], [""]):
        raise bad_request(f'dryRun: Unsupported value: "{dry[0]}": supported values: "All"')
    mode = query.get("fieldValidation") or "Warn"
    if mode not in ("Strict", "Warn", "Ignore"):
        raise bad_request(f'fieldValidation: Unsupported value: "{mode}": supported values: "Ignore", "Warn", "Strict"')
    agent = request.headers.get("user-agent", "unknown").partition("/")[0]
    return Write(
        manager=query.get("fieldManager") or agent,
        dry_run=dry == ["All"],
        validation=mode,
        force=query.get("force") in ("true", "1"),
        user=user.name,
        groups=user.groups,
        subresource=subresource,
    )


def _list_head(at: Target, page: Listing) -> Json:
    metadata: Json = {"resourceVersion": page.resource_version}
    if page.continue_token:
        metadata["continue"] = page.continue_token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
    return {"kind": f"{at.resource.kind}List", "apiVersion": at.resource.api_version, "metadata": metadata}


async def _encoded_list(head: Json, items: list[Json]) -> AsyncIterator[bytes]:
    """A long list in pieces, so that encoding it never holds up the others."""
    yield encode(head)[:-1] + b',"items":['
    for start in range(0, len(items), _CHUNK):
        piece = b",".join(encode(obj) for obj in items[start : start + _CHUNK])
        yield (b"," if start else b"") + piece
    yield b"]}"
