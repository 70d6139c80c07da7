"""May the caller do what a step says? The cluster is asked while planning, verb by verb, before a person is."""

from __future__ import annotations

import anyio

from ai_platform_mcp.core.errors import CredentialMissing, Forbidden
from ai_platform_mcp.core.plan import Apply, ClusterStep, ObjectRef, Patch, Submit
from ai_platform_mcp.core.ports import ClusterReader
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.core.rows import Access

_VERBS = {"apply": "patch", "patch": "patch", "delete": "delete", "submit": "create"}


async def check_access(step: ClusterStep, ref: ObjectRef, clusters: ClusterReader) -> Forbidden | None:
    """Ask for every verb that the step takes; return the refusal that counts only where its object is new.

    A server-side apply is a ``patch``, and a ``create`` besides where there is no such object yet. Every step reads its
    object first, so ``get`` is asked too. With a subresource the verb is asked for that.

    Raises:
        Forbidden: the cluster would refuse the step; verb, resource, namespace and identity are named.
    """
    # An eviction reads the pod and creates its subresource; a patch reads what it patches.
    acted = step.subresource if isinstance(step, Patch | Submit) else None
    read = step.subresource if isinstance(step, Patch) else None
    asked = [("get", read), (_VERBS[step.kind], acted)]
    asked += [("create", None)] if isinstance(step, Apply) else []
    answers: dict[str, Access] = {}

    async def ask(verb: str, subresource: str | None) -> None:
        answers[verb] = await clusters.allowed(step.cluster, verb, ref, subresource)

    async with anyio.create_task_group() as group:
        for verb, subresource in asked:
            group.start_soon(ask, verb, subresource)
    when_new = _refusal(step, ref, "create", answers["create"]) if isinstance(step, Apply) else None
    for verb, _ in asked[:2]:
        refused = _refusal(step, ref, verb, answers[verb])
        if refused is not None:
            raise refused
    return when_new


def _refusal(step: ClusterStep, ref: ObjectRef, verb: str, access: Access) -> Forbidden | None:
    if access.allowed:
        return None
    where = f"in namespace {access.namespace!r}" if access.namespace else "at cluster scope"
    return Forbidden(
        f"Cluster {step.cluster!r} would refuse this: {access.identity or 'this identity'} may not {verb} "
        f"{access.resource or ref.kind} {where}.",
        cause=untrusted(access.reason) or f"No RBAC rule there grants it (needed for {ref}).",
        remedy="Ask the cluster's administrator for that verb in that namespace, or choose another target.",
        details={
            "cluster": step.cluster,
            "verb": verb,
            "resource": access.resource,
            "namespace": access.namespace,
            "identity": access.identity,
        },
    )


def better_told(refused: Forbidden, when_new: Forbidden | None) -> Forbidden:
    """Return which of two refusals tells more: what the dry run met, or the verb that a new object lacks."""
    return refused if when_new is None or isinstance(refused, CredentialMissing) else when_new
