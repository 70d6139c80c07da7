"""One audit event per call, written whatever becomes of the call."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from ai_platform_mcp.core.decision import Decision
from ai_platform_mcp.core.memory import Journal
from ai_platform_mcp.core.plan import Plan
from ai_platform_mcp.core.ports import Clock
from ai_platform_mcp.core.records import AuditEvent
from ai_platform_mcp.core.redact import redact
from ai_platform_mcp.core.tool import Caller


class Recorder:
    """Opens an entry when a call begins; the entry is closed when it ends."""

    def __init__(self, journal: Journal, clock: Clock):
        self._journal = journal
        self._clock = clock

    class Entry:
        """What is learnt of one call while it runs."""

        def __init__(self, recorder: Recorder, tool: str, arguments: Mapping[str, Any], caller: Caller):
            self.mode: Literal["read", "plan", "apply", "approve", "resume"] = "read"
            self.outcome = "cancelled"
            self.operation_id = ""
            self._recorder = recorder
            self._tool = tool
            self._arguments = redact(dict(arguments))
            self._caller = caller
            self._plan: Plan | None = None
            self._decision: Decision | None = None

        def judged(self, plan: Plan, decision: Decision) -> None:
            """Take in the plan and what policy said of it."""
            self._plan, self._decision = plan, decision

        async def close(self, started: float) -> None:
            """Append the event to the chain. ``started`` is a monotonic time in seconds."""
            await self._recorder.append(self, round((time.monotonic() - started) * 1000))

        def event(self, duration_ms: int) -> AuditEvent:
            """Return the event as it stands."""
            plan, decision, caller = self._plan, self._decision, self._caller
            return AuditEvent(
                time=self._recorder.now(),
                request_id=caller.request_id,
                principal=caller.principal.id,
                team=caller.principal.team,
                tool=self._tool,
                action=plan.action if plan else "",
                mode=self.mode,
                outcome=self.outcome,
                effect=decision.effect if decision else "",
                codes=tuple(row.code for row in decision.violations) if decision else (),
                plan_digest=plan.digest if plan else "",
                operation_id=self.operation_id,
                policy_revision=decision.revision if decision else "",
                arguments=self._arguments,
                duration_ms=duration_ms,
            )

    def entry(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> Recorder.Entry:
        """Open an entry for one call."""
        return Recorder.Entry(self, tool, arguments, caller)

    def now(self):
        """Return the clock's time."""
        return self._clock.now()

    async def append(self, entry: Recorder.Entry, duration_ms: int) -> None:
        """Write the entry's event."""
        await self._journal.append_audit(entry.event(duration_ms))
