"""The verbs of the API, one object at a time: create, update, patch, apply, delete.

Each is synchronous from reading to committing, so on one event loop it is atomic. What must follow (garbage collection,
emptying a namespace) is queued for `lifecycle`.
"""

from __future__ import annotations

import secrets
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ai_platform_mcp.sandbox.kube import admission, ownership, patches, rules, strategy, validation
from ai_platform_mcp.sandbox.kube.clock import Clock, stamp
from ai_platform_mcp.sandbox.kube.conversion import converted
from ai_platform_mcp.sandbox.kube.defaults import set_defaults
from ai_platform_mcp.sandbox.kube.objects import dig, meta, name_of, namespace_of, private, without_nulls
from ai_platform_mcp.sandbox.kube.ownership import Manager, Ownership
from ai_platform_mcp.sandbox.kube.resources import Registry, Resource
from ai_platform_mcp.sandbox.kube.status import (
    ApiError,
    Json,
    already_exists,
    bad_request,
    cause,
    conflict,
    invalid,
    not_found,
    success,
    unsupported_media,
)
from ai_platform_mcp.sandbox.kube.storage import Key, Storage

_SERVER_OWNED = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
)
_RANDOM = "bcdfghjklmnpqrstvwxz2456789"  # generateName's alphabet: no vowels, so no words


Event: TypeAlias = Literal["added", "marked", "removed"]
"""What happened to an object that something else must follow from."""


@dataclass
class Write:
    """How one write is meant, who makes it, and what the server had to say besides (`warnings`).

    `trusted`: the sandbox's own kubelets make it, by the thousand, from objects that were checked: its form is not looked at,
    and no field is owned by it.
    """

    manager: str = "sandbox"
    dry_run: bool = False
    validation: validation.FieldValidation = "Strict"
    force: bool = False
    user: str = "system:sandbox"
    groups: Sequence[str] = ("system:masters",)
    subresource: str = ""
    trusted: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Preconditions:
    """What must still be so when an object is deleted."""

    uid: str | None = None
    resource_version: str | None = None


class Engine:
    """Verbs over the storage; every object goes in and out in the version of the `Resource` it is asked for with."""

    def __init__(self, storage: Storage, registry: Registry, clock: Clock) -> None:
        self.storage = storage
        self.registry = registry
        self.clock = clock
        self.aftermath: deque[tuple[Event, str, Key, Json]] = deque()

    def now(self) -> str:
        """The moment as metadata carries it."""
        return stamp(self.clock.now())

    def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
        """An object as stored, in the resource's version; not to be changed."""
        key = (namespace if resource.namespaced else "", name)
        found = self.storage.bucket(resource.bucket).objects.get(key)
        return None if found is None else converted(resource.bucket, found, resource.api_version)

    def read(self, resource: Resource, namespace: str, name: str) -> Json:
        """Like `find`; raises NotFound."""
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(resource, name)
        return found

    # --- create -----------------------------------------------------------------------------------------------------

    def create(
        self, resource: Resource, namespace: str, obj: Json, write: Write, owners: Ownership | None = None
    ) -> Json:
        """Store a new object; raises AlreadyExists, Invalid, Forbidden, BadRequest."""
        new = self._decoded(resource, obj, write)
        metadata = meta(new)
        for name in (*_SERVER_OWNED, "managedFields"):
            metadata.pop(name, None)
        if metadata.pop("resourceVersion", ""):
            raise bad_request("resourceVersion should not be set on objects to be created")
        self._place(resource, namespace, new)
        if not metadata.get("name") and metadata.get("generateName"):
            suffix = "".join(secrets.choice(_RANDOM) for _ in range(5))
            metadata["name"] = str(metadata["generateName"])[:58] + suffix
        admission.check_namespace(self, resource, namespace)
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": self.now()}
        strategy.on_create(resource, new, self.now())
        new = self._checked(resource, None, new, write)
        if self.find(resource, namespace, name_of(new)) is not None:
            raise already_exists(resource, name_of(new))
        self._own(resource, {}, new, write, owners)
        admission.check_quota(self, resource, new)
        return self._commit(resource, new, write, added=True)

    def _place(self, resource: Resource, namespace: str, obj: Json) -> None:
        given = namespace_of(obj)
        if not resource.namespaced:
            meta(obj).pop("namespace", None)
        elif given and given != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        else:
            meta(obj)["namespace"] = namespace

    def _decoded(self, resource: Resource, obj: Json, write: Write) -> Json:
        if write.trusted:
            return private(obj)
        return validation.decode(resource, private(obj), write.validation, write.warnings)

    def _checked(self, resource: Resource, old: Json | None, new: Json, write: Write) -> Json:
        """Defaults, validation and policy: what every object passes on its way in."""
        if write.trusted:
            set_defaults(resource.bucket, new)
            return new
        schema = validation.schema_of(resource)
        if schema is not None:
            new = schema.default(without_nulls(new) if resource.custom is None else new, old)
        set_defaults(resource.bucket, new)
        validation.check_metadata(resource, new)
        validation.check_schema(resource, new, old)
        if schema is not None and resource.custom is not None:
            rules.check_rules(resource, schema.node, old, new)
        strategy.check_kind(resource, old, new, write.warnings)
        admission.check_policies(self, resource, old, new, write)
        return new

    def _own(self, resource: Resource, old: Json, new: Json, write: Write, owners: Ownership | None) -> None:
        if write.trusted:
            return
        before = ownership.decode(old)
        if owners is None:
            owners = ownership.carried(old, new)
            manager = Manager(write.manager, "Update", resource.api_version, write.subresource)
            ownership.settle(owners, old, new, validation.shape_of(resource), manager)
        encoded = ownership.encode(owners, before, self.now())
        if encoded:
            meta(new)["managedFields"] = encoded
        else:
            meta(new).pop("managedFields", None)

    def _commit(self, resource: Resource, obj: Json, write: Write, *, added: bool = False) -> Json:
        if write.dry_run:
            return obj
        key = (namespace_of(obj), name_of(obj))
        stored = converted(resource.bucket, obj, resource.storage)
        committed = self.storage.commit(resource.bucket, key, stored)
        if added:
            self.aftermath.append(("added", resource.bucket, key, committed))
        return converted(resource.bucket, committed, resource.api_version)

    # --- update -----------------------------------------------------------------------------------------------------

    def update(self, resource: Resource, namespace: str, name: str, obj: Json, write: Write) -> Json:
        """Replace an object (or only its status, when `write.subresource` says so); raises Conflict, NotFound, Invalid."""
        old = self.read(resource, namespace, name)
        new = self._decoded(resource, obj, write)
        if name_of(new) and name_of(new) != name:
            raise bad_request(f"the name of the object ({name_of(new)}) does not match the name on the URL ({name})")
        meta(new)["name"] = name
        self._place(resource, namespace, new)
        return self._replace(resource, old, new, write, None)

    def _replace(self, resource: Resource, old: Json, new: Json, write: Write, owners: Ownership | None) -> Json:
        self._check_fresh(resource, old, new)
        if write.subresource == "status":
            new = {**{key: part for key, part in old.items() if key != "status"}, "status": new.get("status", {})}
            new["metadata"] = private(old["metadata"])
        else:
            self._keep_identity(resource, old, new)
            strategy.on_update(resource, old, new)
        new = self._checked(resource, old, new, write)
        self._own(resource, old, new, write, owners)
        if _same(old, new):
            return old
        if meta(new).get("deletionTimestamp") and not meta(new).get("finalizers") and not write.dry_run:
            committed = self._commit(resource, new, write)
            if resource.bucket == "namespaces":
                self.aftermath.append(("marked", resource.bucket, ("", name_of(new)), committed))
            else:
                self._remove(resource, committed)
            return committed
        return self._commit(resource, new, write)

    def _check_fresh(self, resource: Resource, old: Json, new: Json) -> None:
        version = meta(new).get("resourceVersion")
        if version and version != meta(old)["resourceVersion"]:
            raise conflict(resource, name_of(old))
        uid = meta(new).get("uid")
        if uid and uid != meta(old)["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta(old)['uid']}"
            raise conflict(resource, name_of(old), why)

    def _keep_identity(self, resource: Resource, old: Json, new: Json) -> None:
        for name in (*_SERVER_OWNED, "resourceVersion", "generateName"):
            meta(new).pop(name, None)
            if name in meta(old):
                meta(new)[name] = meta(old)[name]
        fresh = set(meta(new).get("finalizers") or ()) - set(meta(old).get("finalizers") or ())
        if meta(old).get("deletionTimestamp") and fresh:
            text = "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers"
            raise invalid(
                resource, name_of(old), [cause("FieldValueForbidden", f"{text} {sorted(fresh)}", "metadata.finalizers")]
            )

    # --- patch ------------------------------------------------------------------------------------------------------

    def patch(self, resource: Resource, namespace: str, name: str, body: Any, media: str, write: Write) -> Json:
        """Change an object by one of the four patch types; apply creates it when it is not there."""
        if media in patches.APPLY:
            return self.apply(resource, namespace, name, body, write)
        old = self.read(resource, namespace, name)
        new = self._patched(resource, private(old), body, media)
        if name_of(new) != name:
            raise bad_request("the name of the object may not be changed by a patch")
        try:
            new = validation.decode(resource, new, write.validation, write.warnings)
        except ApiError as refused:
            if "strict decoding error" not in refused.message:
                raise
            told = refused.message[refused.message.index("strict decoding error") :]
            text = f"Invalid value: {validation.quoted(str(body))}: {told}"
            raise invalid(resource, name, [cause("FieldValueInvalid", text, "patch")]) from refused
        return self._replace(resource, old, new, write, None)

    def _patched(self, resource: Resource, old: Json, body: Any, media: str) -> Json:
        if media == patches.JSON:
            return patches.json_patch(old, body)
        if not isinstance(body, dict):
            raise bad_request("the patch must be an object")
        if media == patches.MERGE:
            return patches.merge_patch(old, body)
        if media == patches.STRATEGIC and resource.custom is None:
            return patches.strategic_merge(old, body, validation.shape_of(resource))
        taken = [patches.JSON, patches.MERGE, patches.APPLY[0]]
        if resource.custom is None:
            taken.insert(2, patches.STRATEGIC)
        told = ", ".join(taken)
        raise unsupported_media(
            f"the body of the request was in an unknown format - accepted media types include: {told}"
        )

    def apply(self, resource: Resource, namespace: str, name: str, config: Json, write: Write) -> Json:
        """Server-side apply; raises Conflict (with a cause per field) unless `write.force`."""
        config = self._configuration(resource, namespace, name, config)
        live = self.find(resource, namespace, name)
        if live is not None:
            self._check_fresh(resource, live, config)
        if write.subresource == "status":
            config = {key: part for key, part in config.items() if key in ("apiVersion", "kind", "metadata", "status")}
            config["metadata"] = {key: part for key, part in config["metadata"].items() if key in ("name", "namespace")}
        elif resource.has_status:
            config.pop("status", None)
        manager = Manager(write.manager, "Apply", resource.api_version, write.subresource)
        shape = validation.shape_of(resource)
        result, owners = ownership.apply(live, config, shape, manager, write.force)
        if live is not None:
            return self._replace(resource, live, private(result), write, owners)
        if write.subresource:
            raise not_found(resource, name)
        return self.create(resource, namespace, result, write, owners)

    def _configuration(self, resource: Resource, namespace: str, name: str, body: Any) -> Json:
        if not isinstance(body, dict):
            raise bad_request("the apply configuration must be an object")
        for wanted in ("apiVersion", "kind"):
            if not body.get(wanted):
                raise bad_request(f"invalid object type: {wanted} must be set")
        config: Json = without_nulls(private(body))
        if meta(config).get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if name_of(config) and name_of(config) != name:
            raise bad_request(f"the name of the object ({name_of(config)}) does not match the name on the URL ({name})")
        meta(config)["name"] = name
        self._place(resource, namespace, config)
        validation.decode(resource, config, "Ignore", [])
        validation.check_declared(resource, config)
        return config

    # --- delete -----------------------------------------------------------------------------------------------------

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        write: Write,
        preconditions: Preconditions = Preconditions(),  # noqa: B008  frozen
        propagation: str = "Background",
    ) -> Json:
        """Delete an object, or mark it while finalizers hold it; the answer is a Status, or the marked object."""
        old = self.read(resource, namespace, name)
        self._check_deletion(resource, old, preconditions)
        admission.check_policies(self, resource, old, None, write)
        marked = private(old)
        self._add_propagation(resource, marked, propagation)
        details = {"name": name, "kind": resource.plural, "uid": meta(old)["uid"]}
        details |= {"group": resource.group} if resource.group else {}
        held = bool(meta(marked).get("finalizers")) or resource.bucket == "namespaces"
        if not held:
            if not write.dry_run:
                self._remove(resource, old)
            return old if resource.bucket == "pods" else success(details)
        if not meta(marked).get("deletionTimestamp"):
            meta(marked).update(deletionTimestamp=self.now(), deletionGracePeriodSeconds=0)
            if "generation" in meta(marked):
                meta(marked)["generation"] += 1
        if resource.bucket == "namespaces":
            marked.setdefault("status", {})["phase"] = "Terminating"
        if not write.dry_run:
            self.aftermath.append(("marked", resource.bucket, (namespace_of(old), name), marked))
        return old if _same(old, marked) else self._commit(resource, marked, write)

    def _check_deletion(self, resource: Resource, old: Json, wanted: Preconditions) -> None:
        for label, want, have in (
            ("UID", wanted.uid, meta(old)["uid"]),
            ("ResourceVersion", wanted.resource_version, meta(old)["resourceVersion"]),
        ):
            if want and want != have:
                text = f"{label} in precondition: {want}, {label} in object meta: {have}"
                raise conflict(resource, name_of(old), f"Precondition failed: {text}")

    def _add_propagation(self, resource: Resource, obj: Json, propagation: str) -> None:
        finalizer = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation)
        held = meta(obj).get("finalizers") or []
        if finalizer and finalizer not in held and dig(obj, "metadata", "uid") in self.storage.dependents:
            meta(obj)["finalizers"] = [*held, finalizer]

    def _remove(self, resource: Resource, obj: Json) -> None:
        key = (namespace_of(obj), name_of(obj))
        self.expunge(resource.bucket, key)

    def expunge(self, bucket: str, key: Key) -> None:
        """Take an object out without asking anyone: the end of a finalizer, or of its definition."""
        if key in self.storage.bucket(bucket).objects:
            gone = self.storage.commit(bucket, key, None)
            self.aftermath.append(("removed", bucket, key, gone))


def _same(old: Json, new: Json) -> bool:
    """Whether nothing would change but the time and version that the server keeps."""

    def settled(obj: Json) -> Json:
        metadata = {key: part for key, part in meta(obj).items() if key != "resourceVersion"}
        return obj | {"metadata": metadata}

    return settled(old) == settled(new)
