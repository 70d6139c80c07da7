"""Doors to a part of an object: scale, eviction, binding, token, log. (`status` is a plain write, see `engine`.)"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ai_platform_mcp.sandbox.kube import patches
from ai_platform_mcp.sandbox.kube.access import Access
from ai_platform_mcp.sandbox.kube.disruption import check_eviction
from ai_platform_mcp.sandbox.kube.engine import Preconditions, Write
from ai_platform_mcp.sandbox.kube.objects import dig, json_path, meta, private
from ai_platform_mcp.sandbox.kube.resources import Resource, crd_version
from ai_platform_mcp.sandbox.kube.routes import Target
from ai_platform_mcp.sandbox.kube.selectors import selector_text
from ai_platform_mcp.sandbox.kube.status import Json, bad_request, cause, invalid, method_not_allowed, success
from ai_platform_mcp.sandbox.kube.store import Store


class Subresources:
    """Answers for every subresource but `status`."""

    def __init__(self, store: Store, access: Access) -> None:
        self._store = store
        self._engine = store.engine
        self._access = access

    def get_scale(self, at: Target) -> Json:
        """`autoscaling/v1 Scale` of an object."""
        return self._scale(at.resource, self._engine.read(at.resource, at.home, at.name))

    def _scale(self, resource: Resource, obj: Json) -> Json:
        wanted, have, selector = _scale_paths(resource)
        replicas = next(json_path(obj, wanted), 0)
        text = next(json_path(obj, selector), "") if selector else selector_text(dig(obj, "spec", "selector"))
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {name: meta(obj)[name] for name in kept if name in meta(obj)},
            "spec": {"replicas": replicas},
            "status": {"replicas": next(json_path(obj, have), 0), "selector": text},
        }

    def put_scale(self, at: Target, body: Json, write: Write) -> Json:
        """Set the number of replicas; a resourceVersion in the body must still hold."""
        replicas = dig(body, "spec", "replicas", default=0)
        if not isinstance(replicas, int) or replicas < 0:
            text = f"Invalid value: {replicas}: must be greater than or equal to 0"
            raise invalid(at.resource, at.name, [cause("FieldValueInvalid", text, "spec.replicas")])
        old = private(self._engine.read(at.resource, at.home, at.name))
        holder: Any = old
        *way, last = _scale_paths(at.resource)[0].strip(".").split(".")
        for step in way:
            holder = holder.setdefault(step, {})
        holder[last] = replicas
        meta(old)["resourceVersion"] = meta(body).get("resourceVersion") or meta(old)["resourceVersion"]
        plain = replace(write, subresource="")
        new = self._engine.update(at.resource, at.home, at.name, old, plain)
        write.warnings[:] = plain.warnings
        return self._scale(at.resource, new)

    def patch_scale(self, at: Target, body: Any, media: str, write: Write) -> Json:
        """Change the Scale by a patch."""
        scale = self.get_scale(at)
        changed = patches.json_patch(scale, body) if media == patches.JSON else patches.merge_patch(scale, body)
        if "resourceVersion" not in meta(body if isinstance(body, dict) else {}):
            meta(changed).pop("resourceVersion", None)
        return self.put_scale(at, changed, write)

    def evict(self, at: Target, body: Json, write: Write) -> Json:
        """Delete a pod if every budget allows it."""
        pod = self._engine.read(at.resource, at.home, at.name)
        check_eviction(self._store.storage, pod)
        options = body.get("deleteOptions") or {}
        wanted = dig(options, "preconditions", default={}) or {}
        gate = Preconditions(wanted.get("uid"), wanted.get("resourceVersion"))
        dry = write.dry_run or "All" in (options.get("dryRun") or [])
        self._engine.delete(at.resource, at.home, at.name, replace(write, subresource="", dry_run=dry), gate)
        return success()

    def bind(self, at: Target, body: Json, write: Write) -> Json:
        """Put a pod on a node, once."""
        pod = private(self._engine.read(at.resource, at.home, at.name))
        if dig(pod, "spec", "nodeName"):
            raise bad_request(f"pod {at.name} is already assigned to node {pod['spec']['nodeName']!r}")
        pod["spec"]["nodeName"] = str(dig(body, "target", "name", default=""))
        self._engine.update(at.resource, at.home, at.name, pod, replace(write, subresource=""))
        return success()

    def token(self, at: Target, body: Json) -> Json:
        """`authentication.k8s.io/v1 TokenRequest`: a token of the ServiceAccount."""
        account = self._engine.read(at.resource, at.home, at.name)
        seconds = dig(body, "spec", "expirationSeconds") or 3600
        if seconds < 600:
            text = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
            raise invalid(at.resource, at.name, [cause("FieldValueInvalid", text, "spec.expirationSeconds")])
        audiences = dig(body, "spec", "audiences") or []
        token, ends = self._access.issue(account, seconds, audiences)
        answer = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": body.get("metadata") or {},
        }
        spec = {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": None}
        return answer | {"spec": spec, "status": {"token": token, "expirationTimestamp": ends}}

    async def log(self, at: Target, container: str, tail: int | None) -> str:
        """The log of a pod's container, from whoever runs pods in this sandbox."""
        pod = private(self._engine.read(at.resource, at.home, at.name))
        names = [entry["name"] for entry in dig(pod, "spec", "containers", default=[])]
        if not container and len(names) > 1:
            raise bad_request(
                f"a container name must be specified for pod {at.name}, choose one of: [{' '.join(names)}]"
            )
        chosen = container or names[0]
        if chosen not in names:
            raise bad_request(f"container {chosen} is not valid for pod {at.name}")
        text = await self._store.log_source(pod, chosen)
        return text if tail is None else "".join(text.splitlines(keepends=True)[-tail:] if tail else [])

    def create(self, at: Target, body: Json, write: Write) -> Json:
        """POST to a subresource."""
        match at.subresource:
            case "eviction":
                return self.evict(at, body, write)
            case "binding":
                return self.bind(at, body, write)
            case "token":
                return self.token(at, body)
            case _:
                raise method_not_allowed()


def _scale_paths(resource: Resource) -> tuple[str, str, str]:
    """Where the wanted and the actual number of replicas and the selector are."""
    own = dig(crd_version(resource), "subresources", "scale")
    if own is None:
        return ".spec.replicas", ".status.replicas", ""
    return own["specReplicasPath"], own["statusReplicasPath"], own.get("labelSelectorPath", "")
