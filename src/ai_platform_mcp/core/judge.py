"""From a tool and its parameters to a sealed plan and the decision on it. Reads only."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import anyio

from ai_platform_mcp.core.decision import (
    Decision,
    GrantedApproval,
    PolicyInput,
    policy_input,
    read_decision,
    refusal,
)
from ai_platform_mcp.core.errors import DeadlineExceeded
from ai_platform_mcp.core.plan import Draft, Plan, seal
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.records import ApprovalRecord, StoredPlan
from ai_platform_mcp.core.refine import refine
from ai_platform_mcp.core.tool import Caller, PlanContext, WriteTool

log = logging.getLogger(__name__)

POLICY_SECONDS = 10.0
"""The last bound on an engine, above the deadlines that engines keep themselves (settings: policy.seconds)."""


Rewrite = Callable[[Draft, str, Readers], Awaitable[Draft]]
"""Turns a dry-run draft of an operation into another way of making the same change, such as a commit."""

Review = Callable[[Draft, Readers], Awaitable[Draft]]
"""Adds to a dry-run draft what should be weighed of its manifests, as risks. Reads only, and changes nothing else."""


@dataclass(frozen=True)
class Judged:
    """A sealed plan, the decision on it, and the approval that the decision took into account."""

    stored: StoredPlan
    approval: ApprovalRecord | None

    @property
    def plan(self) -> Plan:
        """The sealed plan."""
        return self.stored.plan

    @property
    def decision(self) -> Decision:
        """What policy said."""
        return self.stored.decision


class Judge:
    """Plans, dry-runs, seals and asks policy."""

    def __init__(
        self,
        readers: Readers,
        lifetime: timedelta,
        seconds: float,
        rewrite: Rewrite | None = None,
        review: Review | None = None,
    ):
        self._readers = readers
        self._rewrite = rewrite
        self._review = review
        self._lifetime = lifetime
        self._seconds = seconds

    async def judge(self, tool: WriteTool, params: Any, caller: Caller, operation_id: str) -> Judged:
        """Return the judged plan. Where policy limits a parameter, the plan is made and judged once more, narrowed."""
        asked = params.arguments()
        judged = await self._once(tool, params, asked, caller, operation_id)
        narrowed = _narrowed(params, judged.decision.limits)
        return judged if narrowed is None else await self._once(tool, narrowed, asked, caller, operation_id)

    async def _once(
        self, tool: WriteTool, params: Any, asked: dict[str, Any], caller: Caller, operation_id: str
    ) -> Judged:
        """Judge once. ``asked`` are the caller's arguments, which bind the plan; ``params`` may be cut to policy's limits."""
        plan = await self._seal(tool, params, asked, caller, operation_id)
        revision = await self._revision()
        record = await self._readers.approvals.granted(plan.digest, revision)
        question = policy_input(
            plan,
            args=params.arguments(),
            request_id=caller.request_id,
            principal=caller.principal,
            now=plan.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            dry_run=params.mode == "plan",
            approval=_granted(record),
        )
        decision = await self._ask(question)
        stored = StoredPlan(
            plan=plan, principal=caller.principal, idempotency_key=params.idempotency_key, decision=decision
        )
        return Judged(stored, record)

    async def _revision(self) -> str:
        """Return the revision in force; empty where the engine cannot say, and then no approval fits."""
        try:
            with anyio.fail_after(POLICY_SECONDS):
                return (await self._readers.policy.info()).revision
        except Exception:
            log.exception("The policy engine does not say which policies are in force")
            return ""

    async def _ask(self, question: PolicyInput) -> Decision:
        """Ask policy. Engines deny what they cannot judge; one that fails or hangs all the same is a denial here."""
        try:
            with anyio.fail_after(POLICY_SECONDS):
                return read_decision(await self._readers.policy.decide(question))
        except TimeoutError:
            return refusal("policy_unavailable", f"The policy engine did not answer within {POLICY_SECONDS:g} s.")
        except Exception:
            log.exception("The policy engine failed")
            return refusal("policy_error", "The policy engine failed.")

    async def _seal(
        self, tool: WriteTool, params: Any, asked: dict[str, Any], caller: Caller, operation_id: str
    ) -> Plan:
        now = self._readers.clock.now()
        context = PlanContext(caller=caller, operation_id=operation_id, now=now)
        try:
            with anyio.fail_after(self._seconds):
                proposed = await tool.plan(params, self._readers, context)
                draft = await refine(proposed, self._readers.clusters, commits=self._rewrite is not None)
                if self._review is not None:
                    draft = await self._review(draft, self._readers)
                if self._rewrite is not None:
                    draft = await self._rewrite(draft, operation_id, self._readers)
        except TimeoutError:
            raise too_slow(tool.name, self._seconds) from None
        return seal(
            draft,
            tool=tool.name,
            arguments=asked,
            operation_id=operation_id,
            created_at=now,
            expires_at=now + self._lifetime,
        )


def _granted(record: ApprovalRecord | None) -> GrantedApproval | None:
    if record is None:
        return None
    return GrantedApproval(
        id=record.id,
        approvers=record.approvers,
        action_digest=record.plan_digest,
        policy_revision=record.policy_revision,
        expires_at=record.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _narrowed(params: Any, limits: Mapping[str, int]) -> Any | None:
    """Return the parameters cut to policy's limits (``max_<parameter>``), None where they are within them."""
    cuts = {
        name: limit
        for key, limit in limits.items()
        if (name := key.removeprefix("max_")) != key
        and isinstance(getattr(params, name, None), int)
        and getattr(params, name) > limit
    }
    return params.model_copy(update=cuts) if cuts else None


def too_slow(tool: str, seconds: float) -> DeadlineExceeded:
    """Return the error for a tool whose backends did not answer in time."""
    return DeadlineExceeded(
        f"{tool} did not finish within {seconds:g} s.",
        cause="A backend is slow or hangs.",
        remedy="Run `platform doctor` to see which backend answers; nothing was changed.",
    )
