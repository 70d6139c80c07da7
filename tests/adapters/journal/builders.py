"""Plans, events and clocks for the tests of the journal and of approvals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from ai_platform_mcp.adapters.journal.sql import SqlJournal
from ai_platform_mcp.core.decision import DECISION_SCHEMA, ApprovalRequirement, Decision
from ai_platform_mcp.core.plan import Draft, Plan, SetTag, Target, seal
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.records import AuditEvent, StoredPlan

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class HandClock:
    """A clock that moves when it is told to."""

    def __init__(self, moment: datetime = START):
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def forward(self, **span: float) -> None:
        self.moment += timedelta(**span)


@dataclass(frozen=True)
class Store:
    """An empty database for one journal, which any number of servers may open, and what its administrator can do to it."""

    url: str

    def open(self, clock: HandClock | None = None) -> SqlJournal:
        return SqlJournal(self.url, clock or HandClock())

    def query(self, sql: str, *values: object) -> list[Any]:
        """Run a statement as written, with ``?`` for values; returns the rows it gives."""
        engine = create_engine(self.url)
        marks = sql if engine.dialect.name == "sqlite" else sql.replace("?", "%s")
        try:
            with engine.begin() as connection:
                result = connection.exec_driver_sql(marks, tuple(values))
                return list(result) if result.returns_rows else []
        finally:
            engine.dispose()


def journal_in(folder: Path, clock: HandClock | None = None) -> SqlJournal:
    return SqlJournal(f"sqlite:///{folder / 'journal.db'}", clock or HandClock())


def make_plan(
    operation_id: str = "op-1", *, tool: str = "register_model", at: datetime = START, **arguments: Any
) -> Plan:
    steps = tuple(SetTag(title="tag it", model="vision-v3", key=f"k{n}", value="v") for n in range(3))
    draft = Draft(
        action="tag",
        summary="Tag vision-v3.",
        steps=steps,
        targets=(Target(environment="dev", cluster="local"),),
    )
    return seal(
        draft,
        tool=tool,
        arguments=arguments or {"model": "vision-v3"},
        operation_id=operation_id,
        created_at=at,
        expires_at=at + timedelta(minutes=15),
    )


def decision(*requirements: ApprovalRequirement, revision: str = "r1") -> Decision:
    effect = "require_approval" if requirements else "allow"
    return Decision(
        schema=DECISION_SCHEMA,
        effect=effect,
        allow=effect == "allow",
        violations=(),
        warnings=(),
        approvals=requirements,
        obligations=(),
        limits={},
        revision=revision,
    )


def stored_plan(
    operation_id: str = "op-1",
    *,
    key: str | None = None,
    principal: str = "ada",
    at: datetime = START,
    **arguments: Any,
) -> StoredPlan:
    return StoredPlan(
        plan=make_plan(operation_id, at=at, **arguments),
        principal=Principal(id=principal),
        idempotency_key=key,
        decision=decision(),
    )


def event(**fields: Any) -> AuditEvent:
    base: dict[str, Any] = {
        "time": START,
        "request_id": "req-1",
        "principal": "ada",
        "team": "vision",
        "tool": "deploy_model",
        "action": "deploy",
        "mode": "plan",
        "outcome": "planned",
    }
    return AuditEvent(**(base | fields))
