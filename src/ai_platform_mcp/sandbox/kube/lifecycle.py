"""What follows a deletion: garbage collection by owner, emptying of namespaces, uninstalling of definitions.

The garbage collector and the namespace controller of kube-controller-manager, run to the end before the write that set them
off is answered. So nothing is ever half deleted, and tests need not wait.
"""

from __future__ import annotations

from collections.abc import Iterator

import anyio

from ai_platform_mcp.sandbox.kube import quota
from ai_platform_mcp.sandbox.kube.engine import Engine, Write
from ai_platform_mcp.sandbox.kube.objects import dig, meta, name_of, private
from ai_platform_mcp.sandbox.kube.status import Json
from ai_platform_mcp.sandbox.kube.storage import Key, Storage, uid_of

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
_BREATH = 200  # deletions between two turns of the event loop


class Lifecycle:
    """Works off the engine's queue of what was added, marked for deletion and removed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._storage: Storage = engine.storage
        self._quiet = Write(manager="kube-controller-manager")

    async def settle(self) -> None:
        """Run until nothing follows any more; not interrupted by a client that hangs up."""
        with anyio.CancelScope(shield=True):
            done = 0
            touched: set[str] = set()
            while self._engine.aftermath:
                event, bucket, key, obj = self._engine.aftermath.popleft()
                if event == "added":
                    self._after_added(bucket, key)
                elif event == "removed":
                    self._after_removed(bucket, key, obj)
                else:
                    self._after_marked(bucket, obj)
                touched.add(key[0])
                done += 1
                if done % _BREATH == 0:
                    await anyio.lowlevel.checkpoint()
            self._refresh_quotas(touched)

    async def resume(self) -> None:
        """Finish what a stop left undone: terminating namespaces and objects whose owner is gone."""
        for key in list(self._storage.bucket("namespaces").objects):
            self._empty(key[1])
        for uid in [uid for uid in self._storage.dependents if uid not in self._storage.uids]:
            self._collect(uid)
        await self.settle()

    def _after_marked(self, bucket: str, obj: Json) -> None:
        """An object was marked for deletion and is held by finalizers: do what those wait for."""
        if bucket == "namespaces":
            self._empty(name_of(obj))
        held = meta(obj).get("finalizers") or []
        if "foregroundDeletion" in held:
            for where in self._dependents(uid_of(obj)):
                self._delete(*where)
            self._let_go(uid_of(obj))
        if "orphan" in held:
            for where in self._dependents(uid_of(obj)):
                self._disown(where, uid_of(obj))
            self._drop_finalizer(uid_of(obj), "orphan")

    def _after_added(self, bucket: str, key: Key) -> None:
        obj = self._storage.bucket(bucket).objects.get(key)
        if obj is None:
            return
        if bucket == "namespaces":
            self._furnish(key[1])
        owners = meta(obj).get("ownerReferences") or []
        if owners and not any(owner.get("uid") in self._storage.uids for owner in owners):
            self._delete(bucket, key)

    def _after_removed(self, bucket: str, key: Key, obj: Json) -> None:
        self._collect(uid_of(obj))
        for owner in meta(obj).get("ownerReferences") or []:
            self._let_go(owner.get("uid", ""))
        if key[0]:
            self._empty(key[0])
        if bucket == CRDS:
            names = dig(obj, "spec", "names", "plural"), dig(obj, "spec", "group")
            for instance in list(self._storage.bucket(".".join(names)).objects):
                self._engine.expunge(".".join(names), instance)

    def _furnish(self, namespace: str) -> None:
        """Every namespace has a default ServiceAccount and the cluster's root certificate (empty: the sandbox has none)."""
        for kind, name, extra in (
            ("ServiceAccount", "default", {}),
            ("ConfigMap", "kube-root-ca.crt", {"data": {"ca.crt": ""}}),
        ):
            resource = self._engine.registry.kind("v1", kind)
            if self._engine.find(resource, namespace, name) is None:
                body = {"metadata": {"name": name}, **extra}
                self._engine.create(resource, namespace, body, self._quiet)

    def _dependents(self, uid: str) -> Iterator[tuple[str, Key]]:
        yield from list(self._storage.dependents.get(uid, ()))

    def _collect(self, uid: str) -> None:
        """An owner is gone: delete what nobody else owns, and strike the dead reference from the rest."""
        for bucket, key in self._dependents(uid):
            obj = self._storage.bucket(bucket).objects[key]
            owners = meta(obj).get("ownerReferences") or []
            if any(owner.get("uid") in self._storage.uids for owner in owners):
                self._disown((bucket, key), uid)
            else:
                self._delete(bucket, key)

    def _disown(self, where: tuple[str, Key], uid: str) -> None:
        obj = private(self._storage.bucket(where[0]).objects[where[1]])
        kept = [owner for owner in meta(obj).get("ownerReferences") or [] if owner.get("uid") != uid]
        meta(obj).pop("ownerReferences")
        if kept:
            meta(obj)["ownerReferences"] = kept
        self._storage.commit(*where, obj)

    def _delete(self, bucket: str, key: Key) -> None:
        resource = self._engine.registry.stored(bucket)
        if resource is None or key not in self._storage.bucket(bucket).objects:
            return
        self._engine.delete(resource, key[0], key[1], self._quiet)

    def _let_go(self, uid: str) -> None:
        """A foreground deletion ends when the last dependent that blocks it is gone."""
        blocking = (
            owner.get("blockOwnerDeletion")
            for bucket, key in self._dependents(uid)
            for owner in meta(self._storage.bucket(bucket).objects[key]).get("ownerReferences") or []
            if owner.get("uid") == uid
        )
        if not any(blocking):
            self._drop_finalizer(uid, "foregroundDeletion")

    def _drop_finalizer(self, uid: str, finalizer: str) -> None:
        where = self._storage.uids.get(uid)
        if where is None:
            return
        obj = private(self._storage.bucket(where[0]).objects[where[1]])
        held = meta(obj).get("finalizers") or []
        if finalizer not in held or not meta(obj).get("deletionTimestamp"):
            return
        meta(obj)["finalizers"] = [name for name in held if name != finalizer]
        self._storage.commit(*where, obj)
        if not meta(obj)["finalizers"]:
            self._engine.expunge(*where)

    def _empty(self, namespace: str) -> None:
        """Delete the content of a terminating namespace; when none is left, the namespace itself."""
        home = self._storage.bucket("namespaces").objects.get(("", namespace))
        if home is None or not meta(home).get("deletionTimestamp"):
            return
        left = False
        for name, bucket in list(self._storage.buckets.items()):
            for key in bucket.span(namespace) if namespace else []:
                if key in bucket.objects and not meta(bucket.objects[key]).get("deletionTimestamp"):
                    self._delete(name, key)
                left = left or key in bucket.objects
        if not left and not meta(home).get("finalizers"):
            self._engine.expunge("namespaces", ("", namespace))

    def _refresh_quotas(self, namespaces: set[str]) -> None:
        quotas = self._storage.bucket("resourcequotas")
        for key in [key for key in quotas.keys if key[0] in namespaces]:
            fresh = quota.refreshed(self._storage, quotas.objects[key])
            if fresh.get("status") != quotas.objects[key].get("status"):
                self._storage.commit("resourcequotas", key, fresh)
