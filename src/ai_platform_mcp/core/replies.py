"""What the guard answers for a mutating call, as data. The surfaces render it; they decide nothing."""

from __future__ import annotations

import difflib
from typing import Any

from ai_platform_mcp.core.decision import Decision
from ai_platform_mcp.core.errors import Denied
from ai_platform_mcp.core.plan import AnyStep, Change, Plan, Target
from ai_platform_mcp.core.ports import PolicyEngine
from ai_platform_mcp.core.records import ApprovalRecord, Operation

MAX_STEPS_SHOWN = 12
MAX_CHANGES_SHOWN = 12
LONG_TEXT = 600
"""Characters of a text before and after its change, beyond which only the lines that differ are shown."""
MOST_COMPARED = 200_000
"""Characters that are compared line by line: beyond, comparing would hold up other calls."""
MAX_LINES_SHOWN = 30
MAX_LINE = 160


def plan_data(plan: Plan, decision: Decision, policy: PolicyEngine) -> dict[str, Any]:
    """Return the plan as callers see it: what would change, where, at what cost, and what policy says of it."""
    steps = [_step(step) for step in plan.steps[:MAX_STEPS_SHOWN]]
    data: dict[str, Any] = {
        "plan_id": plan.id,
        "summary": plan.summary,
        "steps": steps,
        "targets": [_target(target) for target in plan.targets],
        "decision": decision_data(decision, policy),
        "expires_at": plan.expires_at.isoformat(timespec="seconds"),
    }
    if len(plan.steps) > MAX_STEPS_SHOWN:
        data["omitted_steps"] = len(plan.steps) - MAX_STEPS_SHOWN
    if plan.cost is not None:
        data["cost"] = {
            key: value for key, value in plan.cost.model_dump(exclude_none=True).items() if key != "at_most" or value
        }
    if plan.reasons:
        data["reasons"] = list(plan.reasons)
    if plan.risks:
        data["risks"] = [risk.model_dump() for risk in plan.risks]
    if plan.evidence:
        data["evidence"] = [row.model_dump(exclude_defaults=True) for row in plan.evidence]
    return data


def _target(target: Target) -> dict[str, Any]:
    """Return where the plan acts; of the cluster's policy facts only those that say anything."""
    data = target.model_dump(exclude_defaults=True)
    if not data.get("cluster_facts", True):
        del data["cluster_facts"]
    return data


def _step(step: AnyStep) -> dict[str, Any]:
    row: dict[str, Any] = {"id": step.id, "title": step.title}
    if step.diff is not None:
        row["action"] = step.diff.action
        if step.diff.action == "update":
            row["changes"] = [_change(change) for change in step.diff.changes[:MAX_CHANGES_SHOWN]]
        hidden = step.diff.omitted + max(0, len(step.diff.changes) - MAX_CHANGES_SHOWN)
        if hidden and step.diff.action == "update":
            row["omitted_changes"] = hidden
    return row


def _change(change: Change) -> dict[str, Any]:
    """Return one changed field; of a long text the lines that differ, for the whole of it twice is nothing to read."""
    texts = [text or "" for text in (change.before, change.after) if text is None or isinstance(text, str)]
    length = sum(map(len, texts))
    if len(texts) < 2 or length <= LONG_TEXT:
        return change.model_dump()
    if length > MOST_COMPARED:
        return {"path": change.path, "lines": [f"({len(texts[0])} → {len(texts[1])} characters: too long to compare)"]}
    compared = difflib.unified_diff(texts[0].splitlines(), texts[1].splitlines(), lineterm="", n=0)
    lines = [line for line in list(compared)[2:] if not line.startswith("@@")]
    shown: dict[str, Any] = {"path": change.path, "lines": [line[:MAX_LINE] for line in lines[:MAX_LINES_SHOWN]]}
    return shown | ({"omitted_lines": len(lines) - MAX_LINES_SHOWN} if len(lines) > MAX_LINES_SHOWN else {})


def decision_data(decision: Decision, policy: PolicyEngine) -> dict[str, Any]:
    """Return the decision with a sentence and a remedy for each code."""
    data: dict[str, Any] = {"effect": decision.effect, "revision": decision.revision}
    for name, rows in (("violations", decision.violations), ("warnings", decision.warnings)):
        if rows:
            data[name] = []
            for row in rows:
                sentence, remedy = policy.explain(row.code, row.details)
                data[name].append({"code": row.code, "severity": row.severity, "text": sentence, "remedy": remedy})
    if decision.approvals:
        data["approvals"] = [
            {"reason": row.reason, "approvers": list(row.approvers), "min_approvals": row.min_approvals}
            for row in decision.approvals
        ]
    if decision.limits:
        data["limits"] = dict(decision.limits)
    return data


def denied(plan: Plan, decision: Decision, policy: PolicyEngine) -> Denied:
    """Return the refusal as an error that says which rules, and what would unlock it."""
    told = [policy.explain(row.code, row.details) for row in decision.violations]
    return Denied(
        f"Policy refuses: {plan.summary.removesuffix('.')}.",
        cause=" ".join(sentence for sentence, _ in told[:5]),
        remedy=" ".join(dict.fromkeys(remedy for _, remedy in told[:5] if remedy)),
        details={"status": "denied", "plan": plan_data(plan, decision, policy)},
    )


def operation_data(operation: Operation) -> dict[str, Any]:
    """Return an operation as callers see it."""
    done = {record.step_id: record for record in operation.steps}
    data: dict[str, Any] = {
        "operation_id": operation.id,
        "state": operation.state,
        "summary": operation.plan.summary,
        "plan_id": operation.plan.id,
        "steps": [
            {"id": step.id, "title": step.title, "state": done[step.id].state if step.id in done else "pending"}
            for step in operation.plan.steps[:MAX_STEPS_SHOWN]
        ],
        "follow": f"operation://{operation.id}",
    }
    if operation.error:
        data["error"] = operation.error
    return data


def approval_data(record: ApprovalRecord) -> dict[str, Any]:
    """Return a pending approval as callers see it, with the way to settle it that the requester cannot take."""
    return {
        "approval_id": record.id,
        "state": record.state,
        "reason": record.requirement.reason,
        "approvers": list(record.requirement.approvers),
        "min_approvals": record.requirement.min_approvals,
        "expires_at": record.expires_at.isoformat(timespec="seconds"),
        "how": f"An approver runs `platform approvals approve {record.id}` in their own terminal; "
        f"then call again with mode=apply and plan_id={record.plan_id}.",
    }
