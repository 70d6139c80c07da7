"""How an approval record is shown, and which votes are refused before they are signed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from ai_platform_mcp.adapters import approval_proof as proof
from ai_platform_mcp.core.decision import ApprovalRequirement
from ai_platform_mcp.core.errors import Conflict, Denied
from ai_platform_mcp.core.records import ApprovalRecord

if TYPE_CHECKING:
    from ai_platform_mcp.adapters.journal.approvals import Request, Vote


def state(request: Request, now: datetime) -> str:
    """Return the state that holds now: what is open and too old is ``expired``."""
    return "expired" if request.state in {"pending", "approved"} and request.expires_at <= now else request.state


def shown(request: Request, now: datetime) -> ApprovalRecord:
    """Return the record as every surface shows it."""
    return ApprovalRecord.model_validate(
        {
            "id": request.id,
            "plan_id": request.plan_id,
            "plan_digest": request.plan_digest,
            "tool": request.tool,
            "summary": request.summary,
            "requester": request.requester,
            "requirement": _merged(request.requirements),
            "policy_revision": request.policy_revision,
            "state": state(request, now),
            "approvers": tuple(vote.approver_id for vote in request.votes if vote.verdict == "approve"),
            "created_at": request.created_at,
            "expires_at": request.expires_at,
            "comment": request.comment,
        }
    )


def _merged(requirements: tuple[ApprovalRequirement, ...]) -> ApprovalRequirement:
    """Return several requirements as one to show; each of them is judged on its own."""
    return ApprovalRequirement(
        reason=" ".join(dict.fromkeys(item.reason for item in requirements)),
        approvers=tuple(dict.fromkeys(name for item in requirements for name in item.approvers)),
        min_approvals=max(item.min_approvals for item in requirements),
        expires_in_seconds=min(item.expires_in_seconds for item in requirements),
    )


def who(requirements: tuple[ApprovalRequirement, ...]) -> str:
    """Return the remedy that names who can settle it."""
    wanted = _merged(requirements)
    return f"Ask {max(1, wanted.min_approvals)} of: {', '.join(wanted.approvers)}"


def refuse_settled(request: Request, now: datetime) -> None:
    """Raise Conflict unless the record is pending."""
    found = state(request, now)
    if found != "pending":
        raise Conflict(f"Approval {request.id} is {found} already.", remedy="Plan again to ask for a new one.")


def refuse_ineligible(request: Request, vote: Vote) -> None:
    """Raise Denied for a voter whose vote could not count, Conflict for a second vote."""
    if vote.method != "self" and vote.approver_id == request.requester:
        raise Denied("Nobody approves what they asked for themselves.", remedy=who(request.requirements))
    if not any(proof.eligible(item.approvers, vote) for item in request.requirements):
        raise Denied(f"{vote.approver_id} has none of the roles demanded.", remedy=who(request.requirements))
    if any(earlier.approver_id == vote.approver_id for earlier in request.votes):
        raise Conflict(f"{vote.approver_id} has settled this already.", remedy=who(request.requirements))
