"""The contract with policy: what it is told, what it answers, and how a doubtful answer becomes a refusal."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError

from ai_platform_mcp.core.facts import Facts
from ai_platform_mcp.core.model import Value
from ai_platform_mcp.core.plan import Cost, Plan, Target
from ai_platform_mcp.core.principal import Principal

INPUT_SCHEMA = "ai-platform.input/v1"
DECISION_SCHEMA = "ai-platform.decision/v1"

KNOWN_OBLIGATIONS = frozenset({"annotate"})
"""Obligations this enforcement point can fulfil. ``annotate``: params are annotations put on every applied object."""


class GrantedApproval(Value):
    """An approval as policy sees it: a server-side record, never a word of the caller."""

    id: str
    approvers: tuple[str, ...]
    action_digest: str
    policy_revision: str
    expires_at: str


class PolicyInput(Value):
    """``ai-platform.input/v1``. Times are RFC 3339 with ``Z``; every number is whole."""

    schema_: Literal["ai-platform.input/v1"] = Field(INPUT_SCHEMA, alias="schema")
    request_id: str
    tool: str
    action: str
    dry_run: bool
    time: str
    principal: Principal
    targets: tuple[Target, ...]
    args: dict[str, Any]
    cost: Cost | None
    facts: Facts
    plan_digest: str
    approval: GrantedApproval | None = None


class Violation(Value):
    """One rule that the plan breaks (or, as a warning, nearly breaks). ``code`` is stable."""

    code: str
    severity: Literal["low", "medium", "high", "critical"]
    msg: str = ""
    details: dict[str, Any] = Field(default_factory=dict)


class ApprovalRequirement(Value):
    """Who must agree. ``self`` among the approvers lets the requester agree in person, where the client can ask."""

    reason: str
    approvers: tuple[str, ...]
    min_approvals: int
    expires_in_seconds: int


class Obligation(Value):
    """Something the enforcement point must do when it lets the plan through."""

    type: str
    mandatory: bool
    params: dict[str, Any] = Field(default_factory=dict)


class Decision(Value):
    """``ai-platform.decision/v1``, with what the server adds about how it was reached."""

    schema_: Literal["ai-platform.decision/v1"] = Field(DECISION_SCHEMA, alias="schema")
    effect: Literal["allow", "deny", "require_approval"]
    allow: bool
    violations: tuple[Violation, ...]
    warnings: tuple[Violation, ...]
    approvals: tuple[ApprovalRequirement, ...]
    obligations: tuple[Obligation, ...]
    limits: dict[str, int]
    revision: str
    engine: str = ""
    bundle_sha256: str = ""
    input_digest: str = ""
    duration_us: int = 0

    def annotations(self) -> dict[str, str]:
        """Return the annotations that ``annotate`` obligations demand."""
        merged: dict[str, str] = {}
        for obligation in self.obligations:
            if obligation.type == "annotate":
                merged |= {str(key): str(value) for key, value in obligation.params.items()}
        return merged


def policy_input(
    plan: Plan,
    *,
    args: dict[str, Any],
    request_id: str,
    principal: Principal,
    now: str,
    dry_run: bool,
    approval: GrantedApproval | None,
) -> PolicyInput:
    """Build the input for one plan. Facts come from the plan, which the server made; nothing is taken from the model.

    ``args`` are the arguments the plan was made with: the caller's, cut to policy's limits where they went beyond them.
    """
    return PolicyInput(
        schema=INPUT_SCHEMA,
        request_id=request_id,
        tool=plan.tool,
        action=plan.action,
        dry_run=dry_run,
        time=now,
        principal=principal,
        targets=plan.targets,
        args=args,
        cost=plan.cost,
        facts=plan.facts,
        plan_digest=plan.digest,
        approval=approval,
    )


def refusal(code: str, message: str, *, revision: str = "", **details: Any) -> Decision:
    """Return a denial for what policy could not judge: undefined, error, time-out, or an answer of unknown shape."""
    return Decision(
        schema=DECISION_SCHEMA,
        effect="deny",
        allow=False,
        violations=(Violation(code=code, severity="critical", msg=message, details=details),),
        warnings=(),
        approvals=(),
        obligations=(),
        limits={},
        revision=revision,
    )


def read_decision(document: object) -> Decision:
    """Read an engine's answer; anything doubtful becomes a denial (fail closed), never an exception.

    Denied are: a document of another shape, ``allow`` that contradicts ``effect``, an allow with violations, an approval
    without requirements, and a mandatory obligation that this server does not know.
    """
    try:
        decision = document if isinstance(document, Decision) else Decision.model_validate(document)
    except ValidationError as error:
        return refusal(
            "policy_error", "The policy engine answered a document of unknown shape.", errors=len(error.errors())
        )
    if decision.allow != (decision.effect == "allow"):
        return refusal("policy_error", "The policy answer contradicts itself: allow is not its effect.")
    if decision.violations and decision.effect != "deny":
        return refusal("policy_error", "The policy answer contradicts itself: violations without a denial.")
    if decision.effect == "require_approval" and not decision.approvals:
        return refusal("policy_error", "Policy demands an approval and does not say whose.")
    unknown = sorted({o.type for o in decision.obligations if o.mandatory and o.type not in KNOWN_OBLIGATIONS})
    if unknown:
        return refusal("unknown_obligation", "Policy demands something this server cannot do.", obligations=unknown)
    return decision
