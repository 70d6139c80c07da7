"""The journal: core.ports.Journal over one SQL database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from ai_platform_mcp.adapters.journal.database import Database, Duplicate
from ai_platform_mcp.adapters.journal.owner import Owner, this_process
from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.ports import Clock
from ai_platform_mcp.core.records import (
    AuditEvent,
    AuditRow,
    AuditVerdict,
    Operation,
    OperationState,
    StepRecord,
    StoredPlan,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

_VERIFY_SECONDS = 600.0
"""A verification reads every row there is: measured 17,000 rows per second of CPU time."""


def _operations():
    """Import what needs SQLAlchemy on the worker thread that first works with it."""
    from ai_platform_mcp.adapters.journal import operations

    return operations


def _chain():
    from ai_platform_mcp.adapters.journal import chain

    return chain


def _text(moment: datetime) -> str:
    from ai_platform_mcp.adapters.journal.schema import to_text

    return to_text(moment)


class SqlJournal:
    """Durable memory in SQL (SQLite, PostgreSQL); nothing is opened or imported before the first call.

    An operation belongs to the process that began it as long as its lease runs (90 s, renewed with every step) and, on
    the same host, as long as that process lives. Whoever lost an operation cannot write to it any more: its next
    ``step_started`` is a Conflict, before anything is sent. Plans are kept as they are, since they must be executed as
    they are, so secrets do not belong into tool arguments; the audit, results, errors and notes are redacted.

    A stored plan is compared with its digest whenever it is read: one that was altered in the database is refused.
    """

    def __init__(self, url: str, clock: Clock):
        """Take the SQLAlchemy URL and the clock that leases and expiries are measured by (real time, not sandbox time)."""
        self.database = Database(url)
        self.clock = clock

    @cached_property
    def _owner(self) -> Owner:
        return this_process()

    def close(self) -> None:
        """Close idle connections; the next call opens new ones."""
        self.database.close()

    async def save_plan(self, stored: StoredPlan) -> None:
        """Remember a plan and its decision."""
        await self.database.write(lambda connection: _operations().save_plan(connection, stored))

    async def plan(self, plan_id: str) -> StoredPlan | None:
        """Return a stored plan.

        Raises:
            Conflict: its record was altered and is no longer the plan of its digest.
        """
        return await self.database.read(lambda connection: _operations().plan_by_id(connection, plan_id))

    async def latest_plan(
        self, principal_id: str, tool: str, arguments_digest: str, since: datetime
    ) -> StoredPlan | None:
        """Return the newest plan of this principal for the same tool and arguments made after ``since``."""
        return await self.database.read(
            lambda connection: _operations().latest_plan(connection, principal_id, tool, arguments_digest, _text(since))
        )

    async def operation_by_key(self, principal_id: str, key: str) -> Operation | None:
        """Return the operation that was begun under this idempotency key."""
        now = self.clock.now()
        return await self.database.read(
            lambda connection: _operations().operation_by_key(connection, principal_id, key, now)
        )

    async def plan_by_key(self, principal_id: str, key: str) -> StoredPlan | None:
        """Return the newest plan made under this idempotency key."""
        return await self.database.read(lambda connection: _operations().plan_by_key(connection, principal_id, key))

    async def begin(self, stored: StoredPlan, approval_id: str | None) -> Operation | None:
        """Record the intent durably, and consume the approval in the same transaction.

        Returns None when this call won; otherwise the operation that already exists for this operation id or key.

        Raises:
            Conflict: the approval was consumed, rejected or withdrawn in the meantime, expired, or is for another plan.
        """
        now, owner = self.clock.now(), self._owner

        def work(connection: Connection) -> Operation | None:
            existing = _operations().begin(connection, stored, approval_id, owner, now)
            return None if existing is None else _operations().operation(connection, existing, now)

        try:
            return await self.database.write(work)
        except (Duplicate, Conflict):
            # A database without BEGIN IMMEDIATE let two begin at once: look for the other one, which is there now.
            return await self.database.write(work)

    async def step_started(self, operation_id: str, step_id: str) -> None:
        """Record that a step is about to be sent; renews the lease.

        Raises:
            Conflict: the operation is closed or another process has taken it over: nothing must be sent.
        """
        await self.step_finished(operation_id, StepRecord(step_id=step_id, state="started"))

    async def step_finished(self, operation_id: str, record: StepRecord) -> None:
        """Record what became of a step; renews the lease.

        Raises:
            Conflict: the operation is closed or another process has taken it over.
        """
        now, owner = self.clock.now(), self._owner
        await self.database.write(
            lambda connection: _operations().record_step(connection, operation_id, record, owner, now)
        )

    async def finish(
        self, operation_id: str, state: OperationState, *, result: type_json | None, error: type_json | None
    ) -> None:
        """Close an operation; ``unknown`` leaves it open for anyone to resume.

        Raises:
            Conflict: it is closed already, or another process has taken it over.
        """
        now, owner = self.clock.now(), self._owner
        await self.database.write(
            lambda connection: _operations().finish(connection, operation_id, state, result, error, owner, now)
        )

    async def operation(self, operation_id: str) -> Operation | None:
        """Return one operation."""
        now = self.clock.now()
        return await self.database.read(lambda connection: _operations().operation(connection, operation_id, now))

    async def operations(
        self, *, state: str = "", tool: str = "", limit: int = 50, token: str = ""
    ) -> Sequence[Operation]:
        """Return operations, newest first; ``token`` is the last id of the page before."""
        now = self.clock.now()
        return await self.database.read(
            lambda connection: _operations().newest(connection, state, tool, limit, token, now)
        )

    async def claim_unfinished(self) -> Sequence[Operation]:
        """Take over running or unknown operations whose lease has lapsed or whose process is dead, oldest first."""
        now, owner = self.clock.now(), self._owner
        return await self.database.write(lambda connection: _operations().claim(connection, owner, now))

    async def request_cancel(self, operation_id: str) -> bool:
        """Ask a running operation to stop before its next step; False where it is not running."""
        return await self.database.write(lambda connection: _operations().request_cancel(connection, operation_id))

    async def cancel_requested(self, operation_id: str) -> bool:
        """Tell whether somebody asked this operation to stop."""
        return await self.database.read(lambda connection: _operations().cancel_requested(connection, operation_id))

    async def append_audit(self, event: AuditEvent) -> AuditRow:
        """Append one event to the chain, its arguments redacted."""
        return await self.database.write(lambda connection: _chain().append(connection, event))

    async def audit(self, *, limit: int = 100, before: int | None = None) -> Sequence[AuditRow]:
        """Return rows, newest first."""
        return await self.database.read(lambda connection: _chain().newest(connection, limit, before))

    async def audit_head(self) -> str:
        """Return the head of the chain as ``rows:hash``, to be kept where the journal's writers cannot reach it."""
        return await self.database.read(lambda connection: _chain().head(connection))

    async def verify_audit(self, expected_head: str = "") -> AuditVerdict:
        """Recompute the whole chain and compare.

        Found from the database alone: an edited row, a missing one (at the end too: the head row counts them), moved or
        smuggled-in rows. Not to be found from it alone: the work of someone who can write everything and knows this
        program, who cuts off the end and sets the head back, or rewrites the chain from some row on with new hashes.
        Against that, keep ``audit_head`` elsewhere (a log, a Git commit, a ticket) and pass it as ``expected_head``:
        whatever was recorded before that export can then no longer be changed or cut off unseen. Rows appended after
        the newest export, and before the tampering, stay unprotected.
        """
        return await self.database.read(lambda connection: _chain().verify(connection, expected_head), _VERIFY_SECONDS)

    async def calls_since(self, principal_id: str, since: datetime, *, mutating: bool) -> int:
        """Count audited calls to tools that change something (planning included), or (not ``mutating``) reads.

        Calls that were refused for their rate are not counted, so that waiting helps.
        """
        return await self.database.read(
            lambda connection: _chain().count_calls(connection, principal_id, _text(since), mutating)
        )
