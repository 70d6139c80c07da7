"""Reads of clusters: objects, pages, watches, access reviews, and what the server thinks of a step before it is done."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import anyio

from ai_platform_mcp.adapters.kubernetes.discovery import Discovery, Resource
from ai_platform_mcp.adapters.kubernetes.failures import HistoryExpired
from ai_platform_mcp.adapters.kubernetes.gitops import Kept, keeper
from ai_platform_mcp.adapters.kubernetes.ownership import after_gathering, explained, has_own_updates
from ai_platform_mcp.adapters.kubernetes.requests import request_for
from ai_platform_mcp.adapters.kubernetes.transport import Answer, Request, Transport
from ai_platform_mcp.core.errors import CapabilityMissing, FieldConflict, InvalidInput, NotFound, Unavailable
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply, ClusterStep, Delete, Diff, ObjectRef, Patch, Submit
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import Access, ClusterIdentity, ClusterInfo, DryRun, GitOpsOwner, Page
from ai_platform_mcp.domain.field_owners import drift, taken
from ai_platform_mcp.domain.gitops_owner import GITOPS_MANAGERS
from ai_platform_mcp.domain.gitops_verdict import judge
from ai_platform_mcp.domain.objects import FIELD_MANAGER, diff_objects, metadata_of, rows, section, step_ref

_IDLE_SECONDS = 90.0
_MOVED_TRIES = 2
"""A watch that says nothing for this long is opened anew. Servers send a bookmark about once a minute."""
_MOST_PER_PAGE = 1000


class KubernetesReader:
    """The ``ClusterReader`` of ``core.ports`` over real API servers."""

    def __init__(self, transport: Transport, discovery: Discovery):
        self._transport = transport
        self._discovery = discovery

    async def clusters(self) -> Sequence[ClusterInfo]:
        """Return the configured clusters; no cluster is contacted."""
        return self._transport.connections.infos()

    async def serves(self, cluster: str, api_version: str, kind: str) -> bool:
        """Tell whether the cluster serves this kind."""
        return await self._discovery.find(cluster, api_version, kind) is not None

    async def kinds(self, cluster: str) -> frozenset[str]:
        """Return every served kind as ``group/version/Kind`` (``v1/Pod`` for the core group)."""
        return await self._discovery.kinds(cluster)

    async def version(self, cluster: str) -> str:
        """Return the API server's version."""
        return await self._discovery.version(cluster)

    async def get(
        self, cluster: str, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> type_json | None:
        """Return one object, None where it does not exist."""
        return await self.live(cluster, ObjectRef(api_version=api_version, kind=kind, name=name, namespace=namespace))

    async def live(self, cluster: str, ref: ObjectRef, subresource: str | None = None) -> type_json | None:
        """Return the object (or its subresource) that ``ref`` names, None where it does not exist."""
        resource = await self._discovery.resource(cluster, ref.api_version, ref.kind)
        if resource.namespaced and not ref.namespace:
            raise InvalidInput(
                f"{ref.kind} {untrusted(ref.name, 80)!r} needs a namespace.", remedy="Name its namespace."
            )
        path = resource.path(ref.namespace, ref.name, subresource)
        try:
            return (await self._transport.call(cluster, Request("GET", path, f"read {ref}"))).body
        except NotFound:
            return None

    async def list(
        self,
        cluster: str,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
        token: str = "",
    ) -> Page:
        """Return one page of at most ``limit`` objects (1 to 1000).

        Raises:
            InvalidInput: the token is too old, or a selector does not parse.
        """
        resource = await self._discovery.resource(cluster, api_version, kind)
        options = {
            "labelSelector": labels,
            "fieldSelector": fields,
            "limit": str(max(1, min(limit, _MOST_PER_PAGE))),
            "continue": token,
        }
        query = tuple((key, value) for key, value in options.items() if value)
        answer = await self._transport.call(
            cluster, Request("GET", resource.path(namespace), f"list {resource.plural}", query=query)
        )
        meta = metadata_of(answer.body)
        remaining = meta.get("remainingItemCount")
        return Page(
            # Servers leave apiVersion and kind out of the items of built-in lists.
            items=tuple({"apiVersion": api_version, "kind": kind, **item} for item in rows(answer.body, "items")),
            token=str(meta.get("continue") or ""),
            remaining=remaining if isinstance(remaining, int) else None,
            resource_version=str(meta.get("resourceVersion") or ""),
        )

    async def watch(
        self,
        cluster: str,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        name: str | None = None,
        seconds: int = 60,
    ) -> AsyncIterator[type_json]:
        """Yield what is there now, then objects as they change, for at most ``seconds``.

        A deleted object comes with ``metadata.deletionTimestamp``. A broken connection is resumed where it broke; when
        the server has forgotten that point (410) everything is listed and yielded again.
        """
        resource = await self._discovery.resource(cluster, api_version, kind)
        fields = f"metadata.name={name}" if name else ""
        deadline = time.monotonic() + seconds
        version = ""
        failures = 0
        while (left := deadline - time.monotonic()) > 0:
            try:
                if not version:
                    page = await self._everything(cluster, api_version, kind, namespace, fields)
                    version = page.resource_version
                    for item in page.items:
                        yield item
                    continue
                async for live, seen in self._events(cluster, resource, namespace, fields, version, left):
                    version = seen
                    if live is not None:
                        yield live
                failures = 0
            except HistoryExpired:
                version = ""
            except Unavailable:
                failures += 1
                if failures > 5:
                    raise
                await anyio.sleep(max(0.0, min(0.2 * 2**failures, deadline - time.monotonic())))

    async def _everything(self, cluster: str, api_version: str, kind: str, namespace: str | None, fields: str) -> Page:
        items: list[type_json] = []
        page = await self.list(cluster, api_version, kind, namespace=namespace, fields=fields)
        while True:
            items += page.items
            if not page.token:
                return page.model_copy(update={"items": tuple(items)})
            page = await self.list(cluster, api_version, kind, namespace=namespace, fields=fields, token=page.token)

    async def _events(
        self, cluster: str, resource: Resource, namespace: str | None, fields: str, version: str, seconds: float
    ) -> AsyncGenerator[tuple[type_json | None, str]]:
        """Give (object, resourceVersion) of one watch request; bookmarks have no object."""
        request = watch_request(resource, namespace, fields, version, seconds)
        end = time.monotonic() + seconds
        async with self._transport.watch(cluster, request, idle_seconds=min(_IDLE_SECONDS, seconds + 1)) as events:
            async for event in events:
                yield read_event(event)
                if time.monotonic() > end:  # the server was asked to end it
                    return

    async def dry_run(self, step: ClusterStep) -> DryRun:
        """Ask the API server what the step would do (``dryRun=All``, strict field validation); nothing changes.

        A conflict with a GitOps tool that would undo the step is no error: the diff is made, and ``gitops`` says it.

        Raises:
            Rejected: schema, quota or admission refuses it.
            FieldConflict: another manager owns a field.
            NotFound: the object of a patch, or the namespace, does not exist.
        """
        subresource = step.subresource if isinstance(step, Patch) else None
        live = await self.live(step.cluster, step_ref(step), subresource)
        if isinstance(step, Delete) and (live is None or metadata_of(live).get("uid") != step.uid):
            return DryRun(diff=Diff(action="none"), live=live)
        whole = live is not None and subresource is None and not isinstance(step, Submit)
        kept = await keeper(self, step.cluster, live) if live is not None and whole else None
        answer, conflict = await self._try(step, live, kept)
        for _ in range(_MOVED_TRIES):
            if live is None or isinstance(step, Delete | Submit) or not _moved(live, answer.body):
                break
            # Somebody wrote between the two: the diff would tell their change as ours.
            live = await self.live(step.cluster, step_ref(step), subresource)
            answer, conflict = await self._try(step, live, kept)
        diff = _diff(step, live, answer)
        if live is None or not whole or diff.action == "none":
            return DryRun(diff=diff, warnings=answer.warnings, live=live)
        owner = _owner(step, live, answer, kept)
        if conflict is not None and (owner is None or owner.state != "reverted"):
            raise explained(conflict, live, owner)
        return DryRun(
            diff=diff,
            warnings=answer.warnings,
            live=live,
            gitops=owner,
            taken=() if isinstance(step, Delete) else taken(live, answer.body, GITOPS_MANAGERS),
            drift=drift(live, GITOPS_MANAGERS),
        )

    async def _try(
        self, step: ClusterStep, live: type_json | None, kept: Kept | None
    ) -> tuple[Answer, FieldConflict | None]:
        """Send the dry run; with it comes the conflict with a GitOps tool that the real apply would meet.

        What we own by an earlier patch is no conflict: the writer gathers it before it applies.
        """
        conflict: FieldConflict | None = None
        try:
            answer = await self._transport.call(step.cluster, await request_for(step, self._discovery, live))
        except FieldConflict as refused:
            rivals = set(refused.details["managers"]) - ({FIELD_MANAGER} if has_own_updates(live) else set[str]())
            undone = kept is not None and kept.mark.continuous and rivals <= set(kept.mark.managers)
            if not isinstance(step, Apply) or (rivals and not undone):
                raise explained(refused, live, _conflicting(live, kept, rivals)) from None
            conflict = refused if rivals else None
            forced = step.model_copy(update={"force": True})  # with whom is clear, and this is a dry run
            answer = await self._transport.call(step.cluster, await request_for(forced, self._discovery, live))
        if isinstance(step, Apply) and live is not None and has_own_updates(live):
            return replace(answer, body=after_gathering(live, step.manifest, answer.body)), conflict
        return answer, conflict

    async def allowed(self, cluster: str, verb: str, ref: ObjectRef, subresource: str | None = None) -> Access:
        """Ask the server whether this identity may do that (SelfSubjectAccessReview)."""
        resource = await self._discovery.resource(cluster, ref.api_version, ref.kind)
        attributes = {
            "verb": verb,
            "group": resource.group,
            "version": resource.version,
            "resource": resource.plural,
            "subresource": subresource or "",
            "namespace": (ref.namespace or "") if resource.namespaced else "",
            "name": "" if verb == "create" and not subresource else ref.name,
        }
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        answer = await self._transport.call(cluster, Request("POST", path, "review access", body=body))
        status = section(answer.body, "status")
        if "allowed" not in status:
            raise CapabilityMissing(
                f"Cluster {cluster!r} did not answer the access review.",
                remedy="Check that it serves authorization.k8s.io/v1.",
            )
        reason = status.get("reason") or status.get("evaluationError") or ""
        return Access(
            allowed=status.get("allowed") is True,
            reason=untrusted(str(reason)),
            identity=self._transport.identity(cluster).label(),
            resource=".".join(filter(None, (resource.plural, resource.group)))
            + (f"/{subresource}" if subresource else ""),
            namespace=attributes["namespace"],
        )

    async def whoami(self, cluster: str) -> ClusterIdentity:
        """Ask the server who it takes us for (SelfSubjectReview, Kubernetes 1.28 or later)."""
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await self._transport.call(cluster, Request("POST", path, "tell who we are", body=body))
        found = section(answer.body, "status", "userInfo")
        extra = section(found, "extra")
        return ClusterIdentity(
            access=self._transport.connections.config(cluster).access,
            user=untrusted(str(found.get("username") or ""), 300),
            uid=untrusted(str(found.get("uid") or ""), 300),
            groups=tuple(untrusted(str(group), 300) for group in found.get("groups") or ()),
            extra={untrusted(key, 100): tuple(untrusted(str(v), 300) for v in values) for key, values in extra.items()},
        )


def watch_request(resource: Resource, namespace: str | None, fields: str, version: str, seconds: float) -> Request:
    """Return the request of one watch with bookmarks that the server ends after ``seconds``."""
    options = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(max(1, int(seconds))),
        "fieldSelector": fields,
    }
    query = tuple((key, value) for key, value in options.items() if value)
    return Request("GET", resource.path(namespace), f"watch {resource.plural}", query=query)


def read_event(event: type_json) -> tuple[type_json | None, str]:
    """Return (object, resourceVersion) of a watch event; a bookmark has no object, a deleted one a deletionTimestamp.

    Raises:
        HistoryExpired: the server forgot the point we were at.
        Unavailable: the server ends the watch with another error.
    """
    found = section(event, "object")
    kind = event.get("type")
    if kind == "ERROR":
        text = untrusted(str(found.get("message") or ""))
        if found.get("code") == 410 or found.get("reason") in ("Expired", "Gone"):
            raise HistoryExpired("The watch is too old.", cause=text, remedy="List again.")
        raise Unavailable("The server ended a watch.", cause=text, remedy="Try again.")
    version = str(metadata_of(found).get("resourceVersion") or "")
    if kind == "BOOKMARK":
        return None, version
    if kind == "DELETED" and not metadata_of(found).get("deletionTimestamp"):
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = {**found, "metadata": {**metadata_of(found), "deletionTimestamp": now}}
    return found, version


def _owner(step: ClusterStep, live: type_json, answer: Answer, kept: Kept | None) -> GitOpsOwner | None:
    """Return who keeps the object, and what becomes of the step."""
    if kept is None:
        return None
    return judge(kept.mark, live, None if isinstance(step, Delete) else answer.body, kept.declared)


def _conflicting(live: type_json | None, kept: Kept | None, managers: set[str]) -> GitOpsOwner | None:
    """Return the GitOps tool that is among the managers of a conflict."""
    if live is None or kept is None or not managers & set(kept.mark.managers):
        return None
    return judge(kept.mark, live, live, kept.declared)


def _moved(live: type_json, after: type_json) -> bool:
    """Tell whether the dry run saw another state than was read: it changes nothing, so it answers with that state's version."""
    version = metadata_of(after).get("resourceVersion")
    return bool(version) and version != metadata_of(live).get("resourceVersion")


def _diff(step: ClusterStep, live: type_json | None, answer: Answer) -> Diff:
    if isinstance(step, Delete):
        return Diff(action="delete")
    if isinstance(step, Submit) and step.subresource is not None:
        return Diff(action="delete" if step.subresource == "eviction" else "update")
    before = None if isinstance(step, Submit) else live
    status = isinstance(step, Patch) and step.subresource == "status"
    return diff_objects(before, answer.body, status=status)
