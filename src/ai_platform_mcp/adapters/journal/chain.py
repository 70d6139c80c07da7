"""The audit's hash chain: every row's hash covers its content and the hash before it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from ai_platform_mcp.adapters.journal.schema import about, audit, audit_head, to_text
from ai_platform_mcp.core.model import canonical_json, digest_of
from ai_platform_mcp.core.records import AuditEvent, AuditRow, AuditVerdict
from ai_platform_mcp.core.redact import redact

COLUMNS = ("time", "principal", "mode", "outcome")
"""Fields of the document that are columns as well, so that they can be searched; verifying compares both."""
_CHUNK = 500
_MODES = {True: ("plan", "apply", "approve", "resume"), False: ("read",)}
"""Modes of the calls to tools that change something, planning included, and of the others."""


def genesis(journal: str) -> str:
    """Return the hash before the first row: it names the journal, so that chains cannot be exchanged unnoticed."""
    return digest_of({"schema": "ai-platform.audit/v1", "journal": journal})


def row_hash(sequence: int, previous: str, event: dict[str, Any]) -> str:
    """Return SHA-256 over the canonical JSON of place, previous hash and event."""
    return digest_of({"sequence": sequence, "previous": previous, "event": event})


def append(connection: Connection, event: AuditEvent) -> AuditRow:
    """Append one event, secrets removed. The head row is the lock under which chains of several writers stay one."""
    head = connection.execute(select(audit_head).with_for_update()).one()
    body = event.model_dump(mode="json")
    body |= {"arguments": redact(body["arguments"]), "time": to_text(event.time)}
    sequence = head.sequence + 1
    digest = row_hash(sequence, head.hash, body)
    connection.execute(
        insert(audit).values(
            sequence=sequence,
            document=canonical_json(body).decode(),
            previous=head.hash,
            hash=digest,
            **{name: body[name] for name in COLUMNS},
        )
    )
    connection.execute(update(audit_head).values(sequence=sequence, hash=digest))
    return AuditRow(**body, sequence=sequence, previous=head.hash, hash=digest)


def newest(connection: Connection, limit: int, before: int | None) -> Sequence[AuditRow]:
    """Return rows, newest first."""
    query = select(audit).order_by(audit.c.sequence.desc()).limit(limit)
    if before is not None:
        query = query.where(audit.c.sequence < before)
    return [
        AuditRow(**json.loads(row.document), sequence=row.sequence, previous=row.previous, hash=row.hash)
        for row in connection.execute(query)
    ]


def count_calls(connection: Connection, principal_id: str, since: str, mutating: bool) -> int:
    """Count calls since a time; those that were refused for their rate do not count again."""
    query = (
        select(func.count())
        .select_from(audit)
        .where(
            audit.c.principal == principal_id,
            audit.c.time >= since,
            audit.c.mode.in_(_MODES[mutating]),
            audit.c.outcome != "rate_limited",
        )
    )
    return int(connection.execute(query).scalar_one())


def head(connection: Connection) -> str:
    """Return the chain's head as ``rows:hash``."""
    row = connection.execute(select(audit_head)).one()
    return f"{row.sequence}:{row.hash}"


def verify(connection: Connection, expected: str) -> AuditVerdict:
    """Recompute the chain from its first row and compare it with the stored head and with an ``expected`` older one."""
    journal = connection.execute(select(about.c.value).where(about.c.name == "journal")).scalar_one_or_none()
    previous, place = genesis(journal or ""), 0
    anchor_place, _, anchor_hash = expected.partition(":")
    seen = {0: previous}
    for chunk in _chunks(connection):
        for row in chunk:
            problem = _problem(row, place + 1, previous)
            if problem:
                return AuditVerdict(
                    rows=place, intact=False, first_bad_sequence=place + 1, problem=problem, head=previous
                )
            place, previous = row.sequence, row.hash
            if str(place) == anchor_place:
                seen[place] = previous
    problem = _head_problem(connection, place, previous)
    if not problem and expected and (not anchor_place.isdigit() or seen.get(int(anchor_place)) != anchor_hash):
        problem = f"the chain does not contain the head {expected[:80]} that was exported earlier: rows were cut off or rewritten"
    if problem:
        return AuditVerdict(rows=place, intact=False, first_bad_sequence=place + 1, problem=problem, head=previous)
    return AuditVerdict(rows=place, intact=True, head=previous)


def _chunks(connection: Connection) -> Iterator[Sequence[Any]]:
    """Yield all rows in order, some at a time; the first query has no lower bound, so that no place is below it."""
    query = select(audit).order_by(audit.c.sequence).limit(_CHUNK)
    rows = connection.execute(query).all()
    while rows:
        yield rows
        rows = connection.execute(query.where(audit.c.sequence > rows[-1].sequence)).all()


def _problem(row: Any, place: int, previous: str) -> str:
    """Return why this row cannot stand at this place, empty where it can."""
    if row.sequence != place:
        return f"row {place} is missing: row {row.sequence} stands in its place"
    if row.previous != previous:
        return f"row {place} does not follow the row before it: it was moved, or the one before was replaced"
    try:
        body: Any = json.loads(row.document)
        intact = (
            canonical_json(body).decode() == row.document
            and row_hash(place, previous, body) == row.hash
            and all(body.get(name) == getattr(row, name) for name in COLUMNS)
        )
    except (ValueError, AttributeError, TypeError):
        intact = False
    return "" if intact else f"row {place} was edited"


def _head_problem(connection: Connection, place: int, previous: str) -> str:
    row = connection.execute(select(audit_head)).one_or_none()
    if row is None:
        return "the head of the chain is gone"
    if row.sequence > place:
        return f"{row.sequence - place} rows are missing at the end"
    if (row.sequence, row.hash) != (place, previous):
        return "the last row is not the one the head names"
    return ""
