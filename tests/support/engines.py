"""Policy engines that tests put in the place of the real one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import anyio

from ai_platform_mcp.core.codes import explain
from ai_platform_mcp.core.decision import DECISION_SCHEMA, ApprovalRequirement, Decision, PolicyInput
from ai_platform_mcp.core.rows import PolicyInfo

REVISION = "r-test"


def allowing(*approvers: str, **changes: Any) -> Decision:
    """Return a decision that allows, or with approvers one that asks them."""
    effect = "require_approval" if approvers else "allow"
    need = ApprovalRequirement(reason="test", approvers=approvers, min_approvals=1, expires_in_seconds=3600)
    body: dict[str, Any] = {
        "schema": DECISION_SCHEMA,
        "effect": effect,
        "allow": not approvers,
        "violations": (),
        "warnings": (),
        "approvals": (need,) if approvers else (),
        "obligations": (),
        "limits": {},
        "revision": REVISION,
    }
    return Decision(**(body | changes))


class Engine:
    """Answers always the same, and asks for an approval until one is granted."""

    def __init__(self, answer: Decision | None = None):
        self.answer = answer or allowing()
        self.asked: list[PolicyInput] = []

    async def decide(self, question: PolicyInput) -> Any:
        self.asked.append(question)
        if self.answer.effect == "require_approval" and question.approval is not None:
            return allowing()
        return self.answer

    async def info(self) -> PolicyInfo:
        return PolicyInfo(engine="test", revision=REVISION, bundle_sha256="0" * 64)

    async def law(self) -> Mapping[str, str]:
        return {}

    def explain(self, code: str, details: Mapping[str, Any]) -> tuple[str, str]:
        return explain(code, details)

    async def aclose(self) -> None:
        """Nothing is open."""


class Raising(Engine):
    """An engine with a bug."""

    async def decide(self, question: PolicyInput) -> Any:
        raise RuntimeError("the engine fell over")


class Hanging(Engine):
    """An engine that never answers."""

    async def decide(self, question: PolicyInput) -> Any:
        await anyio.sleep(math.inf)


class Talking(Engine):
    """An engine that answers something else than a decision."""

    def __init__(self, answer: Any):
        super().__init__()
        self.said = answer

    async def decide(self, question: PolicyInput) -> Any:
        return self.said
