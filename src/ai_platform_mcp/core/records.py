"""What the journal remembers: plans, operations, approvals and the audit."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.decision import ApprovalRequirement, Decision
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.core.plan import Plan
from ai_platform_mcp.core.principal import Principal

OperationState = Literal["running", "applied", "failed", "unknown", "cancelled", "interrupted"]


class StepRecord(Value):
    """What the journal knows of one step."""

    step_id: str
    state: Literal["started", "applied", "unchanged", "failed", "unknown"]
    version: str = ""
    note: str = ""


class Operation(Value):
    """One execution of one plan."""

    id: str
    plan: Plan
    principal: Principal
    idempotency_key: str | None
    state: OperationState
    steps: tuple[StepRecord, ...]
    result: type_json | None
    error: type_json | None
    started_at: datetime
    finished_at: datetime | None
    live: bool
    """Whether the process that executes it still holds its lease."""


class StoredPlan(Value):
    """A plan that was made and judged, not necessarily executed."""

    plan: Plan
    principal: Principal
    idempotency_key: str | None
    decision: Decision


class ApprovalRecord(Value):
    """A pending or settled approval, bound to a plan digest and a policy revision; single use."""

    id: str
    plan_id: str
    plan_digest: str
    tool: str
    summary: str
    requester: str
    requirement: ApprovalRequirement
    policy_revision: str
    state: Literal["pending", "approved", "rejected", "consumed", "expired"]
    approvers: tuple[str, ...] = ()
    created_at: datetime
    expires_at: datetime
    comment: str = ""


class AuditEvent(Value):
    """One row of the append-only audit, before it is chained."""

    time: datetime
    request_id: str
    principal: str
    team: str
    tool: str
    action: str
    mode: Literal["read", "plan", "apply", "approve", "resume"]
    outcome: str
    """``read``, ``planned``, ``applied``, ``denied``, ``awaiting_approval``, ``replayed``, or an error code."""
    effect: str = ""
    codes: tuple[str, ...] = ()
    plan_digest: str = ""
    operation_id: str = ""
    policy_revision: str = ""
    arguments: type_json = Field(default_factory=dict)
    duration_ms: int = 0


class AuditRow(AuditEvent):
    """An audit row in the chain: ``hash`` covers the row and ``previous``."""

    sequence: int
    previous: str
    hash: str


class AuditVerdict(Value):
    """The result of verifying the chain."""

    rows: int
    intact: bool
    first_bad_sequence: int | None = None
    problem: str = ""
    head: str = ""
