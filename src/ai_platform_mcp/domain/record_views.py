"""What operations and approvals look like as rows, and one operation as a document. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from ai_platform_mcp.core.followed import Followed
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.records import ApprovalRecord, Operation
from ai_platform_mcp.core.replies import operation_data
from ai_platform_mcp.domain.objects import section
from ai_platform_mcp.domain.progress import Progress, canary_percent, overall, progress_of
from ai_platform_mcp.domain.text import Listing, age, clip
from ai_platform_mcp.domain.views import MESSAGE, said


def progress_parts(rows: Sequence[Followed]) -> list[Progress]:
    """Return the progress of each followed object; one that could not be read says so."""
    return [
        Progress(state="unknown", sentence="Its cluster could not be asked.", said=said(row.problem))
        if row.problem
        else progress_of(row.live)
        for row in rows
    ]


def operation_state(operation: Operation, parts: list[Progress]) -> str:
    """Return the state that people ask for: of the long work once all steps are applied, else of the steps."""
    whole = overall(parts)
    return whole.state if operation.state == "applied" and whole is not None else operation.state


def operations(rows: Sequence[tuple[Operation, Sequence[Followed]]], now: datetime) -> Listing:
    """Return operations, newest first, each with what its followed objects say."""
    listed: list[tuple[str | int | None, ...]] = []
    for operation, objects in rows:
        parts = progress_parts(objects)
        whole = overall(parts)
        listed.append(
            (
                operation.id,
                operation.plan.tool,
                operation_state(operation, parts),
                None if whole is None else whole.percent,
                age(operation.started_at, now),
                operation.principal.id,
                clip(operation.plan.summary, MESSAGE),
                "" if whole is None else clip(whole.sentence, MESSAGE),
            )
        )
    return Listing(
        kind="operations",
        columns=("operation", "tool", "state", "percent", "age", "by", "summary", "progress"),
        rows=tuple(listed),
        empty="No operation matches. Only applied plans become operations.",
        notes=("One in full: kind=operations name=<operation>. Steer it with control_operation.",),
        facts={"age_seconds": 0},
    )


def operation_document(operation: Operation, objects: Sequence[Followed]) -> dict[str, Any]:
    """Return one operation in full: its steps, what its objects say now, and what can be done next.

    ``progress`` is there only where long work is followed; its ``said`` texts are the cluster's own (untrusted).
    """
    parts = progress_parts(objects)
    document: dict[str, Any] = {
        **operation_data(operation),
        "tool": operation.plan.tool,
        "action": operation.plan.action,
        "by": operation.principal.id,
        "started_at": operation.started_at.isoformat(timespec="seconds"),
    }
    if operation.finished_at is not None:
        document["finished_at"] = operation.finished_at.isoformat(timespec="seconds")
    whole = overall(parts)
    if whole is not None and operation.state == "applied":
        document["progress"] = _progress(whole)
        document["objects"] = [
            {"object": str(row.follow.ref), "cluster": row.follow.cluster, **_progress(part)}
            for row, part in zip(objects, parts, strict=True)
        ]
    document["next"] = next_steps(operation, objects, parts)
    return document


def _progress(part: Progress) -> dict[str, Any]:
    return part.model_dump(exclude_defaults=True)


def next_steps(operation: Operation, objects: Sequence[Followed], parts: Sequence[Progress]) -> str:
    """Say in one sentence what the caller can do now."""
    if operation.state in ("unknown", "running") and not operation.live:
        return "Its process is gone: `platform operations resume` reads back what happened and finishes it."
    if operation.state == "running":
        return (
            "Its steps are being applied; look again in a few seconds, or stop it: "
            f"control_operation operation_id={operation.id} action=cancel."
        )
    if operation.state != "applied":
        return "Nothing more will happen by itself; plan again once the cause is removed."
    if operation.plan.tool == "route_model":
        return f"It is done; control_operation operation_id={operation.id} action=rollback takes it back."
    states = {part.state for part in parts}
    kinds = {row.follow.ref.kind for row in objects}
    releases = bool(kinds & {"InferenceService", "LLMInferenceService", "EdgeRollout", "CanaryRollout"})
    if not objects or (states <= {"succeeded"} and not releases):
        return "It is done."
    actions = ["cancel"] if states & {"running", "queued", "paused"} else []
    if kinds - {"InferenceService", "LLMInferenceService"}:
        actions += ["resume"] if "paused" in states else ["pause"] if states & {"running", "queued"} else []
    moved = [_moves(row.live, part) for row, part in zip(objects, parts, strict=True) if row.live is not None]
    actions += [name for name in ("promote", "rollback") if moved and all(name in row for row in moved)]
    if actions:
        return f"control_operation operation_id={operation.id} action={'|'.join(actions)}."
    return "It is over; deploy_model serves another version." if releases else "It ended."


def _moves(live: type_json, part: Progress) -> frozenset[str]:
    """Return which of promote and rollback a release's object takes now: nothing is offered that would be refused."""
    kind = live.get("kind")
    if kind == "EdgeRollout":
        back = {"rollback"} if section(live, "spec", "rollbackTo") else set[str]()
        return frozenset(back if part.settled else back | {"promote"})
    under_way = not part.settled if kind == "CanaryRollout" else canary_percent(live) is not None
    return frozenset({"promote", "rollback"} if under_way else ())


def operation_lines(document: Mapping[str, Any]) -> list[str]:
    """Return an operation's document as lines for people."""
    lines = [
        f"  {document['state']}: {document['summary']}",
        f"  {document['tool']} by {document['by']}, {document['started_at']}",
    ]
    lines += [f"  {row['id']} {row['state']}: {row['title']}" for row in document["steps"]]
    for row in document.get("objects", []):
        percent = f" {row['percent']} %" if "percent" in row else ""
        told = f' Cluster says (untrusted): "{row["said"]}"' if row.get("said") else ""
        lines.append(f"  {row['object']}: {row['state']}{percent}. {row['sentence']}{told}")
    error = document.get("error")
    if error:
        lines.append(f"  error: {error['message']} {error.get('cause', '')} {error.get('remedy', '')}".rstrip())
    return [*lines, f"  next: {document['next']}"]


def approvals(rows: Sequence[ApprovalRecord], now: datetime) -> Listing:
    """Return approval records, newest first."""
    return Listing(
        kind="approvals",
        columns=("approval", "state", "tool", "requester", "approvers", "age", "expires", "plan", "summary", "reason"),
        rows=tuple(
            (
                row.id,
                row.state,
                row.tool,
                row.requester,
                " ".join(row.approvers or row.requirement.approvers),
                age(row.created_at, now),
                row.expires_at.strftime("%m-%d %H:%MZ"),
                row.plan_id,
                clip(row.summary, MESSAGE),
                clip(row.requirement.reason, MESSAGE),
            )
            for row in rows
        ),
        empty="No approval matches. Filter: state=pending|approved|rejected|consumed|expired.",
        notes=("An approver settles one with `platform approvals approve <approval>` in their own terminal.",),
        facts={"age_seconds": 0},
    )
