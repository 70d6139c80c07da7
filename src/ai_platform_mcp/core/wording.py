"""Results in words: complete on their own, short, and the same on every surface."""

from __future__ import annotations

from typing import Any


def plan_text(data: dict[str, Any], *, how: bool = True) -> str:
    """Say what a plan would change, in lines a person can judge. Without ``how`` it leaves out how a tool applies it."""
    head = {
        "planned": "PLAN (nothing has changed yet)",
        "planned_needs_approval": "PLAN (needs approval; nothing has changed yet)",
        "denied": "DENIED by policy (nothing has changed)",
    }.get(str(data["status"]), "PLAN")
    return "\n".join([f"{head}: {data['summary']}", *_plan_lines(data), *(_next_lines(data) if how else ())])


def status_text(data: dict[str, Any], *, follow: str = "") -> str:
    """Say what became of a call to change something. ``follow``: how to follow it where it is read, a tool's way if empty."""
    if data["status"] == "awaiting_approval":
        approval = data["approval"]
        lines = [
            f"AWAITING APPROVAL: {data['summary']}",
            f"  {_wanted(approval)}",
            *_plan_lines(data),
            f"  {approval['how']}",
        ]
        return "\n".join(lines)
    head = f"{str(data['status']).upper()}: {data['summary']}"
    if data.get("replayed"):
        head += " (this was done before; nothing was done twice)"
    lines = [head, *(f"  {row['id']} {row['state']}: {row['title']}" for row in data["steps"])]
    error = data.get("error")
    if error:
        lines.append(f"  {error['message']} {error.get('cause', '')} {error.get('remedy', '')}".rstrip())
    way = f"inspect_platform kind=operations name={data['operation_id']} or {data['follow']}"
    lines.append(f"  operation {data['operation_id']}; follow it with {follow or way}")
    return "\n".join(lines)


def _plan_lines(data: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for step in data["steps"]:
        lines.append(f"  {step['id']} {step.get('action', 'do')}: {step['title']}")
        lines += [line for row in step.get("changes", []) for line in _changed(row)]
        if step.get("omitted_changes"):
            lines.append(f"      … {step['omitted_changes']} more changed fields")
    if data.get("omitted_steps"):
        lines.append(f"  … {data['omitted_steps']} more steps")
    cost = data.get("cost")
    if cost:
        total = f", {dollars(cost['total_cents'])} in all" if cost.get("total_cents") is not None else ""
        most = "at most " if cost.get("at_most") else ""
        lines.append(f"  cost: {most}{dollars(cost['hourly_cents'])} per hour{total} ({cost['basis']})")
    lines += [f"  why: {reason}" for reason in data.get("reasons", [])]
    lines += [f"  {risk['severity']}: {risk['text']}" for risk in data.get("risks", [])]
    decision = data["decision"]
    for row in decision.get("violations", []):
        lines.append(f"  violates {row['code']}: {row['text']} {row['remedy']}".rstrip())
    for row in decision.get("warnings", []):
        lines.append(f"  warning {row['code']}: {row['text']}")
    if data["status"] == "planned_needs_approval":
        lines += [f"  approval: {_wanted(row)}" for row in decision.get("approvals", [])]
    return lines


def _wanted(row: dict[str, Any]) -> str:
    """Say why an approval is wanted, and from whom."""
    count = f"{row['min_approvals']} of " if row["min_approvals"] > 1 else ""
    return f"{row['reason']} Approvers: {count}{', '.join(row['approvers'])}."


def _changed(row: dict[str, Any]) -> list[str]:
    """Say how one field changes; of a long text, line by line."""
    if "lines" not in row:
        return [f"      {row['path']}: {_short(row['before'])} → {_short(row['after'])}"]
    more = [f"        … {row['omitted_lines']} more lines"] if row.get("omitted_lines") else []
    return [f"      {row['path']}:", *(f"        {line}" for line in row["lines"]), *more]


def _next_lines(data: dict[str, Any]) -> list[str]:
    if data["status"] == "denied":
        return []
    return [f"  to apply exactly this: mode=apply plan_id={data['plan_id']} (until {data['expires_at']})"]


def dollars(cents: int) -> str:
    """Return cents as people write dollars."""
    return f"${cents / 100:,.2f}"


def _short(value: Any) -> str:
    text = "(none)" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
