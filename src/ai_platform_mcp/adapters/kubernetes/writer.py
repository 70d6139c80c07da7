"""Writes to clusters: one plan step at a time, recognisable afterwards by its stamp, safe to send again."""

from __future__ import annotations

import logging

from ai_platform_mcp.adapters.kubernetes.discovery import Discovery
from ai_platform_mcp.adapters.kubernetes.ownership import explained, gathering, has_own_updates, is_applied
from ai_platform_mcp.adapters.kubernetes.reader import KubernetesReader
from ai_platform_mcp.adapters.kubernetes.requests import is_stamped, request_for
from ai_platform_mcp.adapters.kubernetes.transport import Transport
from ai_platform_mcp.core.errors import Conflict, FieldConflict, NotFound, PlanStale, PlatformError
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.permit import require_permit
from ai_platform_mcp.core.plan import Apply, ClusterStep, Delete, ObjectRef, Patch, Precondition, Submit
from ai_platform_mcp.core.rows import Outcome, Stamp
from ai_platform_mcp.domain.objects import (
    contains,
    covers,
    metadata_of,
    owned_fields,
    section,
    step_digest,
    step_ref,
    subject_of,
)

log = logging.getLogger(__name__)

_NOT_OURS = ("alias", "version")
"""Preconditions on the model registry, which no cluster can answer."""
_GATHERINGS = 4
"""Attempts to gather our fields of an object that others (controllers, by its status) change at the same time."""


class KubernetesWriter:
    """The ``ClusterWriter`` of ``core.ports``. Only the executor holds one, and each write needs its open permit."""

    def __init__(self, transport: Transport, discovery: Discovery, reader: KubernetesReader):
        self._transport = transport
        self._discovery = discovery
        self._reader = reader

    async def execute(self, step: ClusterStep, stamp: Stamp) -> Outcome:
        """Perform the step; done already under the same stamp, it is unchanged.

        Raises:
            PlanStale: a precondition no longer holds; nothing was sent.
            OutcomeUnknown: sent and not answered.
            FieldConflict, Conflict, Rejected, Forbidden, NotFound, CapabilityMissing, Unavailable: nothing was changed.
        """
        require_permit(f"execute step {step.id or step.title!r}")
        live = await self._live(step)
        if live is not None and self._done_before(step, stamp, live):
            return Outcome(state="unchanged", version=_version(live), note="done before by this operation")
        if isinstance(step, Delete):
            return await self._delete(step, stamp, live)
        await self._check(step, live)
        if isinstance(step, Submit):
            return await self._submit(step, stamp, live)
        if isinstance(step, Apply) and has_own_updates(live):
            live = await self._gather(step)
        try:
            answer = await self._transport.call(step.cluster, await request_for(step, self._discovery, live, stamp))
        except FieldConflict as conflict:
            raise explained(conflict, live) from None
        same = live is not None and _version(live) == _version(answer.body)
        version = _version(answer.body)
        if isinstance(step, Patch) and is_applied(answer.body) and has_own_updates(answer.body):
            version = _version(await self._tidy(step) or answer.body)
        return Outcome(state="unchanged" if same else "applied", version=version)

    async def _gather(self, step: ClusterStep) -> type_json | None:
        """Move what our patches own of the object into the entry of our apply; return the object as it is then.

        Raises:
            Conflict: the object keeps changing while this is tried.
        """
        for attempt in range(_GATHERINGS):
            live = await self._live(step)
            if live is None or not has_own_updates(live):
                return live
            try:
                request = await gathering(step.cluster, step_ref(step), live, self._discovery)
                return (await self._transport.call(step.cluster, request)).body
            except Conflict:
                if attempt + 1 == _GATHERINGS:
                    raise
        return None

    async def _tidy(self, step: Patch) -> type_json | None:
        """Gather right after a patch, so that the next plan's dry run is exact. The patch has landed: this may fail."""
        try:
            return await self._gather(step)
        except PlatformError as problem:
            log.warning("Our fields of %s stay with the patch: %s", step_ref(step), problem)
            return None

    async def read_back(self, step: ClusterStep, stamp: Stamp) -> bool:
        """Tell whether the step's effect is there."""
        live = await self._live(step)
        if isinstance(step, Delete):
            return live is None or _going(live) or metadata_of(live).get("uid") != step.uid
        if isinstance(step, Submit) and step.subresource is not None:
            return _evicted(step, live)
        if live is None:
            return False
        if isinstance(step, Submit):
            return is_stamped(live, step, stamp)
        if isinstance(step, Apply):
            # Values are compared first; where the server normalised them, the stamp and our ownership of each field tell.
            ours = is_stamped(live, step, stamp) and covers(owned_fields(live), _said(step.manifest))
            return contains(live, _said(step.manifest)) or ours
        if isinstance(step.patch, list):
            return is_stamped(live, step, stamp)
        return contains(live, step.patch)

    async def _live(self, step: ClusterStep) -> type_json | None:
        subresource = step.subresource if isinstance(step, Patch) else None
        return await self._reader.live(step.cluster, step_ref(step), subresource)

    def _done_before(self, step: ClusterStep, stamp: Stamp, live: type_json) -> bool:
        if isinstance(step, Delete) or (isinstance(step, Submit) and step.subresource is not None):
            return False
        if isinstance(step, Patch) and step.subresource is not None:
            return not isinstance(step.patch, list) and contains(live, step.patch)
        return is_stamped(live, step, stamp)

    async def _delete(self, step: Delete, stamp: Stamp, live: type_json | None) -> Outcome:
        if live is None or metadata_of(live).get("uid") != step.uid:
            return Outcome(state="unchanged", note="the object of this uid is gone already")
        if _going(live):
            return Outcome(state="unchanged", version=_version(live), note="the object is being deleted already")
        await self._check(step, live)
        try:
            answer = await self._transport.call(step.cluster, await request_for(step, self._discovery, live, stamp))
        except NotFound:
            return Outcome(state="applied", note="gone when the deletion arrived")
        except Conflict:
            if metadata_of(await self._live(step) or {}).get("uid") == step.uid:
                raise
            return Outcome(state="applied", note="gone when the deletion arrived, and another object has its name")
        return Outcome(state="applied", version=_version(answer.body))

    async def _submit(self, step: Submit, stamp: Stamp, live: type_json | None) -> Outcome:
        if step.subresource == "eviction" and _evicted(step, live):
            return Outcome(state="unchanged", note="the pod is gone already")
        try:
            answer = await self._transport.call(step.cluster, await request_for(step, self._discovery, live, stamp))
        except Conflict:
            found = await self._live(step)
            if found is not None and step.subresource is None and is_stamped(found, step, stamp):
                return Outcome(state="applied", version=_version(found), note="created before by this operation")
            raise
        except NotFound:
            if step.subresource == "eviction" and await self._live(step) is None:
                return Outcome(state="unchanged", note="the pod is gone already")
            raise
        return Outcome(state="applied", version=_version(answer.body))

    async def _check(self, step: ClusterStep, live: type_json | None) -> None:
        """Refuse the step where the cluster moved since it was planned.

        What a step expects of the registry (an alias) is compared by the guard, which plans anew right before it applies.

        Raises:
            PlanStale: names the precondition, what was expected and what is there.
        """
        own = subject_of(step_ref(step))
        for condition in step.preconditions:
            if condition.kind in _NOT_OURS:
                continue
            other = _ref(condition.subject) if condition.subject not in (own, str(step_ref(step))) else None
            found = await self._reader.live(step.cluster, other) if other is not None else live
            actual = _actual(condition, step, found)
            if actual != condition.expected:
                raise PlanStale(
                    f"{condition.subject} changed since the plan was made ({condition.kind}).",
                    cause=f"Expected {condition.kind} {condition.expected or '(none)'}, found {actual or '(none)'}.",
                    remedy="Plan again and look at the new diff.",
                    details={"precondition": condition.model_dump(mode="json"), "found": actual},
                )


def _actual(condition: Precondition, step: ClusterStep, live: type_json | None) -> str:
    """Return what is there now in place of the precondition's ``expected``."""
    if condition.kind == "absent":
        return condition.expected if live is None else f"uid {metadata_of(live).get('uid', '')}"
    if live is None:
        return "nothing"
    if condition.kind == "owned":
        return step_digest(step, live)
    return str(metadata_of(live).get(condition.kind, ""))


def _ref(subject: str) -> ObjectRef | None:
    """Return the object a subject of the form ``apiVersion Kind [namespace/]name`` names; None for any other text."""
    words = subject.split(" ")
    if len(words) != 3:
        return None
    namespace, _, name = words[2].rpartition("/")
    return ObjectRef(api_version=words[0], kind=words[1], name=name, namespace=namespace or None)


def _said(manifest: type_json) -> type_json:
    """Return what a manifest says beyond its identity."""
    kept = {key: value for key, value in metadata_of(manifest).items() if key in ("labels", "annotations")}
    body = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "metadata")}
    return {**body, "metadata": kept} if kept else body


def _evicted(step: Submit, pod: type_json | None) -> bool:
    wanted = section(step.manifest, "deleteOptions", "preconditions").get("uid")
    return pod is None or _going(pod) or (wanted is not None and metadata_of(pod).get("uid") != wanted)


def _going(live: type_json) -> bool:
    return bool(metadata_of(live).get("deletionTimestamp"))


def _version(live: type_json) -> str:
    return str(metadata_of(live).get("resourceVersion") or "")
