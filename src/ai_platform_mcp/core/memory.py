"""What the inside remembers, as ports: the journal of plans, operations and the audit, and the approvals."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ai_platform_mcp.core.decision import Decision
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Plan
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.records import (
    ApprovalRecord,
    AuditEvent,
    AuditRow,
    AuditVerdict,
    Operation,
    OperationState,
    StepRecord,
    StoredPlan,
)


class Journal(Protocol):
    """Durable memory: plans, operations, steps, approvals, the audit chain. A write is durable when the call returns."""

    async def save_plan(self, stored: StoredPlan) -> None:
        """Remember a plan and its decision."""
        ...

    async def plan(self, plan_id: str) -> StoredPlan | None:
        """Return a stored plan."""
        ...

    async def latest_plan(
        self, principal_id: str, tool: str, arguments_digest: str, since: datetime
    ) -> StoredPlan | None:
        """Return the newest plan of this principal for the same tool and arguments made after ``since``."""
        ...

    async def operation_by_key(self, principal_id: str, key: str) -> Operation | None:
        """Return the operation that was begun under this idempotency key."""
        ...

    async def plan_by_key(self, principal_id: str, key: str) -> StoredPlan | None:
        """Return the newest plan made under this idempotency key."""
        ...

    async def begin(self, stored: StoredPlan, approval_id: str | None) -> Operation | None:
        """Record the intent durably, and consume the approval in the same transaction.

        Returns None when this call won; otherwise the operation that already exists for this operation id or key.
        Raises:
            Conflict: the approval was consumed or withdrawn in the meantime.
        """
        ...

    async def step_started(self, operation_id: str, step_id: str) -> None:
        """Record that a step is about to be sent; renews the lease."""
        ...

    async def step_finished(self, operation_id: str, record: StepRecord) -> None:
        """Record what became of a step; renews the lease."""
        ...

    async def finish(
        self, operation_id: str, state: OperationState, *, result: type_json | None, error: type_json | None
    ) -> None:
        """Close an operation."""
        ...

    async def operation(self, operation_id: str) -> Operation | None:
        """Return one operation."""
        ...

    async def operations(
        self, *, state: str = "", tool: str = "", limit: int = 50, token: str = ""
    ) -> Sequence[Operation]:
        """Return operations, newest first; ``token`` is the last id of the page before."""
        ...

    async def claim_unfinished(self) -> Sequence[Operation]:
        """Take over running or unknown operations whose lease has lapsed or whose process is dead."""
        ...

    async def request_cancel(self, operation_id: str) -> bool:
        """Ask a running operation to stop before its next step; False where it is not running."""
        ...

    async def cancel_requested(self, operation_id: str) -> bool:
        """Tell whether somebody asked this operation to stop."""
        ...

    async def append_audit(self, event: AuditEvent) -> AuditRow:
        """Append one event to the chain."""
        ...

    async def audit(self, *, limit: int = 100, before: int | None = None) -> Sequence[AuditRow]:
        """Return rows, newest first."""
        ...

    async def verify_audit(self) -> AuditVerdict:
        """Recompute the whole chain and compare."""
        ...

    async def calls_since(self, principal_id: str, since: datetime, *, mutating: bool) -> int:
        """Count audited calls of a principal, for rate limits."""
        ...


class Approvals(Protocol):
    """Approval records, whose grants carry proof that an approver (not the requester) gave them."""

    async def request(self, plan: Plan, decision: Decision, requester: Principal) -> ApprovalRecord:
        """Create the pending record for this plan digest, or return the one that is pending already."""
        ...

    async def granted(self, plan_digest: str, policy_revision: str) -> ApprovalRecord | None:
        """Return an approved, unexpired, unconsumed record whose proof verifies."""
        ...

    async def grant_by_requester(self, record_id: str, requester: Principal) -> ApprovalRecord:
        """Record that the requester agreed in person, where the requirement names ``self``.

        Raises:
            Denied: the requirement does not name ``self``.
        """
        ...

    async def approval(self, record_id: str) -> ApprovalRecord | None:
        """Return one record."""
        ...

    async def approvals(self, *, state: str = "", limit: int = 50) -> Sequence[ApprovalRecord]:
        """Return records, newest first."""
        ...
