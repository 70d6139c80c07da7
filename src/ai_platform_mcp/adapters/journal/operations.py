"""Plans and operations in SQL: what was planned, what was begun, by whom it is executed, and what became of it.

Every function works inside the transaction it is given.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, insert, or_, select, update

from ai_platform_mcp.adapters.journal.owner import Owner
from ai_platform_mcp.adapters.journal.schema import approvals, operations, plans, steps, to_text, to_time
from ai_platform_mcp.core.errors import Conflict, NotFound
from ai_platform_mcp.core.model import canonical_json, digest_of, type_json
from ai_platform_mcp.core.plan import Plan, seal
from ai_platform_mcp.core.records import Operation, OperationState, StepRecord, StoredPlan
from ai_platform_mcp.core.redact import redact

LEASE = timedelta(seconds=90)
"""How long an operation stays its executor's after the last step began or ended. A step's deadline must be shorter."""
UNFINISHED = ("running", "unknown")


def save_plan(connection: Connection, stored: StoredPlan) -> None:
    """Remember a plan; the same plan judged again replaces its decision."""
    plan = stored.plan
    values = {
        "principal_id": stored.principal.id,
        "tool": plan.tool,
        "arguments_digest": digest_of(plan.arguments),
        "idempotency_key": stored.idempotency_key,
        "created_at": to_text(plan.created_at),
        "document": _document(stored),
    }
    if connection.execute(update(plans).where(plans.c.id == plan.id).values(**values)).rowcount == 0:
        connection.execute(insert(plans).values(id=plan.id, **values))


def plan_by_id(connection: Connection, plan_id: str) -> StoredPlan | None:
    """Return one plan."""
    return _newest_plan(connection, select(plans).where(plans.c.id == plan_id))


def plan_by_key(connection: Connection, principal_id: str, key: str) -> StoredPlan | None:
    """Return the newest plan of this principal under this key."""
    return _newest_plan(
        connection, select(plans).where(plans.c.principal_id == principal_id, plans.c.idempotency_key == key)
    )


def latest_plan(
    connection: Connection, principal_id: str, tool: str, arguments_digest: str, since: str
) -> StoredPlan | None:
    """Return the newest plan for the same question made after ``since``."""
    return _newest_plan(
        connection,
        select(plans).where(
            plans.c.principal_id == principal_id,
            plans.c.tool == tool,
            plans.c.arguments_digest == arguments_digest,
            plans.c.created_at > since,
        ),
    )


def begin(
    connection: Connection, stored: StoredPlan, approval_id: str | None, owner: Owner, now: datetime
) -> str | None:
    """Record the intent; return the id of the operation that is there already, or None when this one was recorded.

    Raises:
        Conflict: the approval cannot be consumed.
    """
    existing = find_begun(connection, stored)
    if existing is not None:
        return existing
    if approval_id is not None:
        _consume(connection, approval_id, stored.plan.digest, now)
    connection.execute(
        insert(operations).values(
            id=stored.plan.operation_id,
            principal_id=stored.principal.id,
            idempotency_key=stored.idempotency_key,
            tool=stored.plan.tool,
            state="running",
            document=_document(stored),
            started_at=to_text(now),
            owner=owner.text(),
            lease_until=to_text(now + LEASE),
            cancel_requested=False,
        )
    )
    return None


def find_begun(connection: Connection, stored: StoredPlan) -> str | None:
    """Return the id of the operation with this plan's operation id, or with its principal's key."""
    same = operations.c.id == stored.plan.operation_id
    if stored.idempotency_key is not None:
        same = or_(
            same,
            and_(
                operations.c.principal_id == stored.principal.id,
                operations.c.idempotency_key == stored.idempotency_key,
            ),
        )
    return connection.execute(select(operations.c.id).where(same).order_by(operations.c.sequence)).scalars().first()


def record_step(connection: Connection, operation_id: str, record: StepRecord, owner: Owner, now: datetime) -> None:
    """Write a step's state and renew the lease.

    Raises:
        Conflict: another process has taken the operation over, so this one must stop.
    """
    renewed = connection.execute(
        update(operations)
        .where(
            operations.c.id == operation_id,
            operations.c.owner == owner.text(),
            operations.c.state.in_(UNFINISHED),
        )
        .values(lease_until=to_text(now + LEASE))
    )
    if renewed.rowcount != 1:
        raise _not_ours(connection, operation_id)
    values = {
        "state": record.state,
        "version": record.version,
        "note": str(redact(record.note)),
        "changed_at": to_text(now),
    }
    place = and_(steps.c.operation_id == operation_id, steps.c.step_id == record.step_id)
    if connection.execute(update(steps).where(place).values(**values)).rowcount == 0:
        connection.execute(insert(steps).values(operation_id=operation_id, step_id=record.step_id, **values))


def finish(
    connection: Connection,
    operation_id: str,
    state: OperationState,
    result: type_json | None,
    error: type_json | None,
    owner: Owner,
    now: datetime,
) -> None:
    """Close an operation; ``unknown`` leaves it open and gives up the lease, so that anyone may resume it.

    Raises:
        Conflict: another process has taken it over, or it is closed already.
    """
    closed = state not in UNFINISHED
    lapsed = {} if state == "running" else {"lease_until": to_text(now)}
    changed = connection.execute(
        update(operations)
        .where(
            operations.c.id == operation_id,
            operations.c.owner == owner.text(),
            operations.c.state.in_(UNFINISHED),
        )
        .values(
            state=state,
            result=None if result is None else canonical_json(redact(result)).decode(),
            error=None if error is None else canonical_json(redact(error)).decode(),
            finished_at=to_text(now) if closed else None,
            **lapsed,
        )
    )
    if changed.rowcount != 1:
        raise _not_ours(connection, operation_id)


def operation(connection: Connection, operation_id: str, now: datetime) -> Operation | None:
    """Return one operation."""
    rows = _operations(connection, select(operations).where(operations.c.id == operation_id), now)
    return rows[0] if rows else None


def operation_by_key(connection: Connection, principal_id: str, key: str, now: datetime) -> Operation | None:
    """Return the operation that was begun under a key."""
    query = select(operations).where(operations.c.principal_id == principal_id, operations.c.idempotency_key == key)
    rows = _operations(connection, query, now)
    return rows[0] if rows else None


def newest(connection: Connection, state: str, tool: str, limit: int, token: str, now: datetime) -> Sequence[Operation]:
    """Return operations, newest first, after the one with id ``token``."""
    query = select(operations).order_by(operations.c.sequence.desc()).limit(limit)
    if state:
        query = query.where(operations.c.state == state)
    if token:
        last = select(operations.c.sequence).where(operations.c.id == token).scalar_subquery()
        query = query.where(operations.c.sequence < last)
    return _operations(connection, query.where(operations.c.tool == tool) if tool else query, now)


def claim(connection: Connection, owner: Owner, now: datetime) -> Sequence[Operation]:
    """Take over what nobody executes any more; an intent that somebody altered is closed as failed instead."""
    query = select(operations).where(operations.c.state.in_(UNFINISHED)).order_by(operations.c.sequence)
    ids = [row.id for row in connection.execute(query.with_for_update()) if not _live(row, now)]
    connection.execute(
        update(operations).where(operations.c.id.in_(ids)).values(owner=owner.text(), lease_until=to_text(now + LEASE))
    )
    claimed: list[Operation] = []
    for found in _operations(connection, query.where(operations.c.id.in_(ids)), now):
        try:
            _refuse_altered(found.plan)
        except Conflict as error:
            finish(connection, found.id, "failed", None, error.as_dict(), owner, now)
        else:
            claimed.append(found)
    return claimed


def request_cancel(connection: Connection, operation_id: str) -> bool:
    """Ask a running operation to stop."""
    return (
        connection.execute(
            update(operations)
            .where(operations.c.id == operation_id, operations.c.state == "running")
            .values(cancel_requested=True)
        ).rowcount
        == 1
    )


def cancel_requested(connection: Connection, operation_id: str) -> bool:
    """Tell whether it was asked to."""
    query = select(operations.c.cancel_requested).where(operations.c.id == operation_id)
    return bool(connection.execute(query).scalar_one_or_none())


def _consume(connection: Connection, approval_id: str, plan_digest: str, now: datetime) -> None:
    spent = connection.execute(
        update(approvals)
        .where(
            approvals.c.id == approval_id,
            approvals.c.plan_digest == plan_digest,
            approvals.c.state == "approved",
            approvals.c.expires_at > to_text(now),
        )
        .values(state="consumed")
    )
    if spent.rowcount != 1:
        raise Conflict(
            f"Approval {approval_id} cannot be used for this plan.",
            cause="It was used, rejected or withdrawn in the meantime, has expired, or belongs to another plan.",
            remedy="Plan again and ask for a new approval.",
        )


def _document(stored: StoredPlan) -> str:
    return stored.model_dump_json(by_alias=True)


def _read(document: str) -> StoredPlan:
    return StoredPlan.model_validate_json(document)


def _newest_plan(connection: Connection, query: Select[Any]) -> StoredPlan | None:
    row = connection.execute(query.order_by(plans.c.sequence.desc()).limit(1)).first()
    if row is None:
        return None
    stored = _read(row.document)
    _refuse_altered(stored.plan)
    return stored


def _refuse_altered(plan: Plan) -> None:
    """Refuse a stored plan whose steps are no longer those of its digest: approvals are given for the digest."""
    again = seal(
        plan,
        tool=plan.tool,
        arguments=plan.arguments,
        operation_id=plan.operation_id,
        created_at=plan.created_at,
        expires_at=plan.expires_at,
    )
    if again.digest != plan.digest:
        raise Conflict(
            f"Stored plan {plan.id} is not the plan that was made.",
            cause="Its record in the journal was changed by something other than this program.",
            remedy="Make a new plan, and find out who can write to the journal: platform audit verify",
        )


def _operations(connection: Connection, query: Select[Any], now: datetime) -> list[Operation]:
    rows = connection.execute(query).all()
    done: dict[str, list[StepRecord]] = {row.id: [] for row in rows}
    for step in connection.execute(select(steps).where(steps.c.operation_id.in_(done))):
        done[step.operation_id].append(
            StepRecord(step_id=step.step_id, state=step.state, version=step.version, note=step.note)
        )
    return [_operation(row, done[row.id], now) for row in rows]


def _operation(row: Any, done: list[StepRecord], now: datetime) -> Operation:
    stored = _read(row.document)
    order = {step.id: place for place, step in enumerate(stored.plan.steps)}
    return Operation(
        id=row.id,
        plan=stored.plan,
        principal=stored.principal,
        idempotency_key=row.idempotency_key,
        state=row.state,
        steps=tuple(sorted(done, key=lambda record: order.get(record.step_id, len(order)))),
        result=None if row.result is None else json.loads(row.result),
        error=None if row.error is None else json.loads(row.error),
        started_at=to_time(row.started_at),
        finished_at=None if row.finished_at is None else to_time(row.finished_at),
        live=row.state in UNFINISHED and _live(row, now),
    )


def _live(row: Any, now: datetime) -> bool:
    """Tell whether the executor still holds the operation: its lease runs and its process is not known to be dead."""
    return row.lease_until > to_text(now) and not Owner.parse(row.owner).dead()


def _not_ours(connection: Connection, operation_id: str) -> Conflict | NotFound:
    row = connection.execute(select(operations.c.state).where(operations.c.id == operation_id)).first()
    if row is None:
        return NotFound(
            f"There is no operation {operation_id}.", remedy="List the operations: platform operations list"
        )
    if row.state not in UNFINISHED:
        return Conflict(f"Operation {operation_id} is closed: {row.state}.", remedy="Begin a new one.")
    return Conflict(
        f"Operation {operation_id} is executed by another process now.",
        cause="This process let its lease lapse, and another took the operation over.",
        remedy=f"Follow it instead: platform operations show {operation_id}",
    )
