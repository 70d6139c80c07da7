"""The world of the sandbox, for whoever lives in the same process: the API server's verbs as plain async methods.

Objects that come out are private copies; objects that go in are copied. What the HTTP side answers with a Status is raised
here as `ApiError`. Writes are on disk when a method returns.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ai_platform_mcp.sandbox.kube import patches, resources, systems
from ai_platform_mcp.sandbox.kube.clock import Clock, WallClock
from ai_platform_mcp.sandbox.kube.engine import Engine, Preconditions, Write
from ai_platform_mcp.sandbox.kube.lifecycle import CRDS, Lifecycle
from ai_platform_mcp.sandbox.kube.listing import Listing, listing
from ai_platform_mcp.sandbox.kube.objects import dig, name_of, namespace_of, private
from ai_platform_mcp.sandbox.kube.resources import Registry, Resource
from ai_platform_mcp.sandbox.kube.roles import BOOTSTRAP_ROLES
from ai_platform_mcp.sandbox.kube.selectors import selection
from ai_platform_mcp.sandbox.kube.status import Json
from ai_platform_mcp.sandbox.kube.storage import Change, Storage, parse_version
from ai_platform_mcp.sandbox.kube.watching import Event, Scope, watch

__all__ = ["Event", "Listing", "Preconditions", "Store", "Write", "open_store"]

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
LogSource = Callable[[Json, str], Awaitable[str]]
"""Gives the log of a pod's container (pod, container name)."""


async def _no_log(pod: Json, container: str) -> str:
    return ""


class Store:
    """Verbs by `api_version` and `kind`; `namespace` is ignored for cluster-scoped kinds."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self.storage = storage
        self.clock = clock
        self.registry = Registry()
        self.engine = Engine(storage, self.registry, clock)
        self.lifecycle = Lifecycle(self.engine)
        self.log_source: LogSource = _no_log
        storage.listeners.append(self._learn)

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Json:
        """One object; raises NotFound."""
        return private(self.engine.read(self.registry.kind(api_version, kind), namespace, name))

    async def find(self, api_version: str, kind: str, name: str, namespace: str = "") -> Json | None:
        """One object, or None."""
        found = self.engine.find(self.registry.kind(api_version, kind), namespace, name)
        return None if found is None else private(found)

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> Listing:
        """Objects of a kind, in all namespaces or one, by label and field selector; paged when `limit` is given."""
        scope = self.scope(self.registry.kind(api_version, kind), namespace, labels, fields)
        page = await listing(self.storage, scope, limit=limit, continue_token=continue_token)
        return replace(page, items=[private(obj) for obj in page.items])

    async def create(self, obj: Json, write: Write | None = None) -> Json:
        """Store a new object; its namespace is `default` where it names none."""
        resource = self._of(obj)
        return await self._done(self.engine.create(resource, _home(obj), obj, write or Write()))

    async def update(self, obj: Json, write: Write | None = None) -> Json:
        """Replace an object; a stale resourceVersion raises Conflict, none overwrites."""
        resource = self._of(obj)
        return await self._done(self.engine.update(resource, _home(obj), name_of(obj), obj, write or Write()))

    async def update_status(self, obj: Json, write: Write | None = None) -> Json:
        """Replace an object's status and nothing else."""
        return await self.update(obj, replace(write or Write(), subresource="status"))

    async def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        body: Any,
        namespace: str = "",
        *,
        media: str = patches.MERGE,
        subresource: str = "",
        write: Write | None = None,
    ) -> Json:
        """Change an object by a patch (a merge patch unless `media` says otherwise), or its status by `subresource`."""
        meant = replace(write or Write(), subresource=subresource)
        resource = self.registry.kind(api_version, kind)
        return await self._done(self.engine.patch(resource, namespace, name, body, media, meant))

    async def apply(self, obj: Json, write: Write | None = None) -> Json:
        """Server-side apply under `write.manager`; raises Conflict unless `write.force`."""
        meant = write or Write()
        return await self._done(self.engine.apply(self._of(obj), _home(obj), name_of(obj), obj, meant))

    async def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        preconditions: Preconditions | None = None,
        propagation: str = "Background",
        write: Write | None = None,
    ) -> Json:
        """Delete an object and what it owns; a Status when it is gone, the object while finalizers hold it."""
        resource = self.registry.kind(api_version, kind)
        wanted = preconditions or Preconditions()
        return await self._done(self.engine.delete(resource, namespace, name, write or Write(), wanted, propagation))

    async def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        resource_version: str | None = None,
        labels: str = "",
        fields: str = "",
    ) -> AsyncIterator[Event]:
        """Changes after `resource_version`; without one, what exists now comes first. Close it with `aclosing`."""
        scope = self.scope(self.registry.kind(api_version, kind), namespace, labels, fields)
        async for event in watch(self.storage, scope, since=parse_version(resource_version)):
            yield Event(event.type, private(event.obj))

    async def close(self) -> None:
        """Write what is left and let go of the file."""
        await self.storage.close()

    # --- for the HTTP side ------------------------------------------------------------------------------------------

    def scope(self, resource: Resource, namespace: str | None, labels: str | None, fields: str | None) -> Scope:
        """A selection of one kind; raises BadRequest for selectors that cannot be read."""
        return Scope(resource, namespace if resource.namespaced else None, selection(resource, labels, fields))

    async def settled(self, result: Json) -> Json:
        """Let follow what must follow a write, make it durable, and hand its result on."""
        await self.lifecycle.settle()
        await self.storage.flush()
        return result

    async def _done(self, result: Json) -> Json:
        return private(await self.settled(result))

    def _of(self, obj: Json) -> Resource:
        return self.registry.kind(str(obj.get("apiVersion")), str(obj.get("kind")))

    def _learn(self, bucket: str, change: Change) -> None:
        """Serve what a CustomResourceDefinition says, from the moment it says it."""
        if bucket != CRDS:
            return
        self.registry.remove_custom(dig(change.obj, "spec", "group"), dig(change.obj, "spec", "names", "plural"))
        if change.kind != "DELETED":
            self.registry.add(resources.custom(change.obj))
        if change.before is not None and (change.kind == "DELETED" or change.before["spec"] != change.obj["spec"]):
            # The real server sets up the storage of a changed definition anew, and ends what read from the old one.
            self.storage.end_watches(name_of(change.obj))

    async def prepare(self) -> None:
        """Read the world back, furnish a new one, and finish what a stop left undone."""
        await self.storage.load()
        for crd in self.storage.bucket(CRDS).objects.values():
            self.registry.add(resources.custom(crd))
        known = set(self.storage.settings.get("furnished", "").split())
        base = [_object("v1", "Namespace", name) for name in NAMESPACES]
        for obj in [*base, *BOOTSTRAP_ROLES, *systems.definitions()]:
            title = f"{obj['kind']}/{name_of(obj)}"
            if title not in known:
                known.add(title)
                resource = self._of(obj)
                if self.engine.find(resource, "", name_of(obj)) is None:
                    self.engine.create(resource, "", obj, Write(manager="kube-apiserver"))
        self.storage.keep("furnished", " ".join(sorted(known)))
        await self.lifecycle.resume()
        await self.storage.flush()


def _object(api_version: str, kind: str, name: str) -> Json:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


def _home(obj: Json) -> str:
    return namespace_of(obj) or "default"


@asynccontextmanager
async def open_store(path: Path | None = None, clock: Clock | None = None) -> AsyncGenerator[Store]:
    """The world kept at `path` (a SQLite file; None: in memory only), closed and durable at the end of the block."""
    store = Store(Storage(path), clock or WallClock())
    await store.prepare()
    try:
        yield store
    finally:
        await store.close()
