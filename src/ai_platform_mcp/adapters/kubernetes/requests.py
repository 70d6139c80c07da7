"""Steps as requests: the one place that knows how a plan step is said in HTTP, dry or for good."""

from __future__ import annotations

from typing import Any, cast

from ai_platform_mcp.adapters.kubernetes.discovery import Discovery
from ai_platform_mcp.adapters.kubernetes.transport import Request
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Apply, ClusterStep, Delete, Patch, Submit
from ai_platform_mcp.core.rows import Stamp
from ai_platform_mcp.domain.objects import (
    FIELD_MANAGER,
    OPERATION_ANNOTATION,
    PLAN_ANNOTATION,
    STAMP_ANNOTATIONS,
    STAMPED_ANNOTATION,
    STEP_ANNOTATION,
    annotations_of,
    escape_pointer,
    metadata_of,
    ref_of,
    section,
    step_ref,
)

_PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


async def request_for(
    step: ClusterStep, discovery: Discovery, live: type_json | None, stamp: Stamp | None = None
) -> Request:
    """Return the request that performs ``step``, or its dry run where ``stamp`` is None.

    ``live`` is the object before the step: a JSON patch needs it to know whether annotations exist.

    Raises:
        CapabilityMissing: the cluster does not serve the kind.
    """
    query = () if stamp is not None else (("dryRun", "All"),)
    if isinstance(step, Delete):
        return await _delete(step, discovery, query)
    query = (*query, ("fieldManager", FIELD_MANAGER), ("fieldValidation", "Strict"))
    if isinstance(step, Submit):
        return await _submit(step, discovery, query, stamp)
    if isinstance(step, Patch):
        return await _patch(step, discovery, query, live, stamp)
    return await _apply(step, discovery, query, live, stamp)


async def _apply(
    step: Apply, discovery: Discovery, query: tuple[tuple[str, str], ...], live: type_json | None, stamp: Stamp | None
) -> Request:
    ref = ref_of(step.manifest)
    return Request(
        "PATCH",
        await discovery.path(step.cluster, ref),
        f"apply {ref}",
        query=(*query, ("force", "true")) if step.force else query,
        body=_annotated(step.manifest, stamps(stamp, step)) if stamp else _restamped(step.manifest, live),
        content_type="application/apply-patch+yaml",
        idempotent=True,
    )


async def _patch(
    step: Patch, discovery: Discovery, query: tuple[tuple[str, str], ...], live: type_json | None, stamp: Stamp | None
) -> Request:
    body = step.patch
    if stamp is not None and step.subresource is None and not _starts_a_revision(step):
        body = _stamped_patch(step, stamps(stamp, step), live)
    return Request(
        "PATCH",
        await discovery.path(step.cluster, step.ref, step.subresource),
        f"patch {step.ref}" + (f" ({step.subresource})" if step.subresource else ""),
        query=query,
        body=body,
        content_type=_PATCH_TYPES[step.patch_type],
        idempotent=step.patch_type != "json",
    )


def _starts_a_revision(step: Patch) -> bool:
    """Whether the stamp alone would start a new revision of what serves.

    KServe copies the annotations of a service to its pods, and a changed pod template is a new revision: a promotion, which
    only moves traffic, must not start one. A merge patch is recognised by its values.
    """
    return step.ref.kind in ("InferenceService", "LLMInferenceService") and step.patch_type == "merge"


async def _delete(step: Delete, discovery: Discovery, query: tuple[tuple[str, str], ...]) -> Request:
    options: type_json = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": step.uid},
        "propagationPolicy": step.propagation,
    }
    if query:
        options["dryRun"] = ["All"]
    return Request(
        "DELETE",
        await discovery.path(step.cluster, step.ref),
        f"delete {step.ref}",
        query=query,
        body=options,
        idempotent=True,
    )


async def _submit(
    step: Submit, discovery: Discovery, query: tuple[tuple[str, str], ...], stamp: Stamp | None
) -> Request:
    ref = ref_of(step.manifest)
    if step.subresource is not None:
        parent = step_ref(step)
        return Request(
            "POST",
            await discovery.path(step.cluster, parent, step.subresource),
            f"create {step.manifest.get('kind')} for {parent}",
            query=query,
            body=step.manifest,
        )
    resource = await discovery.resource(step.cluster, ref.api_version, ref.kind)
    return Request(
        "POST",
        resource.path(ref.namespace),
        f"create {ref}",
        query=query,
        body=_annotated(step.manifest, stamps(stamp, step)) if stamp else step.manifest,
    )


def stamps(stamp: Stamp, step: ClusterStep) -> dict[str, str]:
    """Return the annotations by which an effect is recognised later."""
    demanded = {STAMPED_ANNOTATION: ",".join(sorted(stamp.annotations))} if stamp.annotations else {}
    return {
        **stamp.annotations,
        **demanded,
        OPERATION_ANNOTATION: stamp.operation_id,
        STEP_ANNOTATION: step.id,
        PLAN_ANNOTATION: stamp.plan_digest,
    }


def is_stamped(live: type_json | None, step: ClusterStep, stamp: Stamp) -> bool:
    """Tell whether the object carries the stamp of this very step."""
    found = annotations_of(live) if live is not None else {}
    return found.get(OPERATION_ANNOTATION) == stamp.operation_id and found.get(STEP_ANNOTATION) == step.id


def _annotated(manifest: type_json, extra: dict[str, str]) -> type_json:
    if not extra:
        return manifest
    meta = metadata_of(manifest)
    return {**manifest, "metadata": {**meta, "annotations": {**section(meta, "annotations"), **extra}}}


def _restamped(manifest: type_json, live: type_json | None) -> type_json:
    """Return the manifest with the stamp of the operation before: without it a dry run would show its removal."""
    old = annotations_of(live) if live is not None else {}
    names = STAMP_ANNOTATIONS | set(old.get(STAMPED_ANNOTATION, "").split(","))
    set_anyway = annotations_of(manifest)
    return _annotated(manifest, {key: value for key, value in old.items() if key in names and key not in set_anyway})


def _stamped_patch(step: Patch, extra: dict[str, str], live: type_json | None) -> Any:
    if not isinstance(step.patch, list):
        return _annotated(cast(type_json, step.patch), extra)
    operations = cast(list[Any], step.patch)
    if "annotations" not in metadata_of(live or {}):
        return [*operations, {"op": "add", "path": "/metadata/annotations", "value": extra}]
    added = [
        {"op": "add", "path": f"/metadata/annotations/{escape_pointer(key)}", "value": value}
        for key, value in extra.items()
    ]
    return [*operations, *added]
