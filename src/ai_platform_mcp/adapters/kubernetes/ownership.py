"""Fields that we own twice over: by apply, and by a patch of our own.

Server-side apply tells field managers apart by name *and* operation: after one of our merge patches (``Update``) our next
apply would conflict with ourselves, and a field that only the patch set would outlive it. The remedy is the documented one:
the entry of the patch is moved into the entry of the apply, by a JSON patch that holds only for the resourceVersion read.
Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#upgrading-from-client-side-apply-to-server-side-apply
Other managers' entries are never touched, and nothing is forced.

Conflicts with others are told with the other manager, the field and the time.
"""

from __future__ import annotations

import copy
from typing import Any, cast

from ai_platform_mcp.adapters.kubernetes.discovery import Discovery
from ai_platform_mcp.adapters.kubernetes.transport import Request
from ai_platform_mcp.core.errors import FieldConflict
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import ObjectRef
from ai_platform_mcp.core.rows import GitOpsOwner
from ai_platform_mcp.domain.field_owners import since
from ai_platform_mcp.domain.gitops_verdict import titled
from ai_platform_mcp.domain.objects import FIELD_MANAGER, metadata_of, rows, section


def has_own_updates(live: type_json | None) -> bool:
    """Tell whether a patch or creation of ours owns fields of the object."""
    return any(_is_own(entry, "Update") for entry in _entries(live))


def is_applied(live: type_json | None) -> bool:
    """Tell whether an apply of ours owns fields of the object."""
    return any(_is_own(entry, "Apply") for entry in _entries(live))


def gathered(live: type_json) -> list[type_json]:
    """Return the object's ``managedFields`` with everything of ours under one entry of operation ``Apply``.

    Entries of another apiVersion than that entry's stay: their field paths may mean other fields.
    """
    entries = [copy.deepcopy(entry) for entry in _entries(live)]
    own = [entry for entry in entries if _is_own(entry, "Apply")] or [
        entry for entry in entries if _is_own(entry, "Update")
    ]
    home = own[0]
    home["operation"] = "Apply"
    moved = [entry for entry in entries if _is_own(entry, "Update") and entry["apiVersion"] == home["apiVersion"]]
    for entry in moved:
        _unite(section(home, "fieldsV1"), section(entry, "fieldsV1"))
    return [entry for entry in entries if entry not in moved]


async def gathering(cluster: str, ref: ObjectRef, live: type_json, discovery: Discovery) -> Request:
    """Return the request that gathers our fields of ``live``; a conflict where the object changed since it was read."""
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": gathered(live)},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": str(metadata_of(live)["resourceVersion"])},
    ]
    return Request(
        "PATCH",
        await discovery.path(cluster, ref),
        f"gather our fields of {ref}",
        query=(("fieldManager", FIELD_MANAGER),),
        body=patch,
        content_type="application/json-patch+json",
    )


def after_gathering(live: type_json, manifest: type_json, applied: type_json) -> type_json:
    """Return the dry run's object as it will be when our fields were gathered before the apply.

    What only a patch of ours set, and the manifest leaves out, goes then; a dry run by itself would leave it in place.
    Items of lists are left to the server: they are decided by the entry of the apply.
    """
    result = copy.deepcopy(applied)
    own = [entry for entry in _entries(live) if _is_own(entry, "Update")]
    mine = [*own, *(entry for entry in _entries(live) if _is_own(entry, "Apply"))]
    others = [section(entry, "fieldsV1") for entry in _entries(live) if entry not in mine]
    for entry in own:
        _release(result, section(entry, "fieldsV1"), manifest, others)
    return result


def explained(conflict: FieldConflict, live: type_json | None, owner: GitOpsOwner | None = None) -> FieldConflict:
    """Return the conflict with the time at which each manager set its field, and where a GitOps tool's field is changed."""
    told = [{**row, "since": since(live, str(row["manager"]))} for row in conflict.details["conflicts"]]
    first = told[0]
    when = f", since {first['since']}" if first["since"] else ""
    details: type_json = {**conflict.details, "conflicts": told}
    remedy = conflict.remedy
    if owner is not None:
        where = ", ".join(text for text in (owner.repository, f"path {owner.path}" if owner.path else None) if text)
        remedy = f"Change it where {titled(owner.tool)} ({owner.owner}) has it from: {where or 'its source'}. {remedy}"
        details |= {"gitops": owner.model_dump(mode="json", exclude_none=True)}
    return FieldConflict(f"{conflict.message[:-1]}{when}.", cause=conflict.cause, remedy=remedy, details=details)


def _entries(live: type_json | None) -> list[type_json]:
    return rows(metadata_of(live or {}), "managedFields")


def _is_own(entry: type_json, operation: str) -> bool:
    return (
        entry.get("manager") == FIELD_MANAGER and entry.get("operation") == operation and not entry.get("subresource")
    )


def _unite(into: type_json, other: type_json) -> None:
    for key, value in other.items():
        _unite(cast("type_json", into.setdefault(key, {})), cast("type_json", value))


def _release(value: Any, fields: type_json, kept: Any, others: list[type_json]) -> None:
    """Take out of ``value`` each field of ``fields`` that neither the manifest nor another entry holds."""
    if not isinstance(value, dict):
        return
    found = cast("type_json", value)
    for key, child in fields.items():
        name = key[2:]
        if not key.startswith("f:") or name not in found:
            continue
        inner = section(kept).get(name)
        held = [section(entry, key) for entry in others if key in entry]
        if inner is None and not held:
            del found[name]
        elif child:
            _release(found[name], cast("type_json", child), inner, held)
            if found[name] == {} and inner is None:
                del found[name]
