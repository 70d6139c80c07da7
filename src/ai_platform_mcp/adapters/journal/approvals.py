"""Approval records, votes, approvers and attempts in SQL. What they prove is judged in ``adapters/approvals``.

Every function works inside the transaction it is given.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, or_, select, update

from ai_platform_mcp.adapters.journal.schema import approvals, approvers, attempts, to_text, to_time, votes
from ai_platform_mcp.core.decision import ApprovalRequirement
from ai_platform_mcp.core.model import canonical_json


@dataclass(frozen=True)
class Vote:
    """One approver's word on one record, with its signature."""

    record_id: str
    approver_id: str
    verdict: str
    method: str
    """``passphrase`` (signed by the approver's key), ``login`` or ``self`` (signed by the server's key)."""
    roles: tuple[str, ...]
    signature: str
    comment: str
    created_at: datetime


@dataclass(frozen=True)
class Approver:
    """An enrolled approver: what it takes to derive the key again, and the public key to compare it with."""

    id: str
    roles: tuple[str, ...]
    salt: str
    parameters: dict[str, int]
    public_key: str
    enrolled_by: str
    """The approver who vouched for this one; empty for the first, for whom the server's key did."""
    signature: str
    created_at: datetime


@dataclass(frozen=True)
class Request:
    """A stored approval record. ``seal`` is the server's signature over everything that must not change."""

    id: str
    plan_id: str
    plan_digest: str
    tool: str
    summary: str
    requester: str
    requirements: tuple[ApprovalRequirement, ...]
    policy_revision: str
    state: str
    created_at: datetime
    expires_at: datetime
    comment: str
    seal: str
    votes: tuple[Vote, ...] = ()


def add_request(connection: Connection, request: Request) -> None:
    """Insert a record."""
    connection.execute(
        insert(approvals).values(
            id=request.id,
            plan_id=request.plan_id,
            plan_digest=request.plan_digest,
            tool=request.tool,
            summary=request.summary,
            requester=request.requester,
            requirements=_list([requirement.model_dump(mode="json") for requirement in request.requirements]),
            policy_revision=request.policy_revision,
            state=request.state,
            created_at=to_text(request.created_at),
            expires_at=to_text(request.expires_at),
            comment=request.comment,
            seal=request.seal,
        )
    )


def request(connection: Connection, record_id: str) -> Request | None:
    """Return one record with its votes; locked until the transaction ends where the database locks rows."""
    found = _requests(connection, select(approvals).where(approvals.c.id == record_id).with_for_update())
    return found[0] if found else None


def requests_for(connection: Connection, plan_digest: str, policy_revision: str) -> Sequence[Request]:
    """Return every record of a plan under a revision of policy, newest first."""
    return _requests(
        connection,
        select(approvals)
        .where(approvals.c.plan_digest == plan_digest, approvals.c.policy_revision == policy_revision)
        .order_by(approvals.c.sequence.desc()),
    )


def newest(connection: Connection, state: str, limit: int, now: datetime) -> Sequence[Request]:
    """Return records, newest first; ``expired`` are open ones whose time is over."""
    query = select(approvals).order_by(approvals.c.sequence.desc()).limit(limit)
    return _requests(connection, query.where(_in_state(state, to_text(now))) if state else query)


def set_state(connection: Connection, record_id: str, state: str, comment: str) -> None:
    """Move a record on."""
    connection.execute(update(approvals).where(approvals.c.id == record_id).values(state=state, comment=comment))


def add_vote(connection: Connection, vote: Vote) -> None:
    """Insert a vote."""
    connection.execute(
        insert(votes).values(
            record_id=vote.record_id,
            approver_id=vote.approver_id,
            verdict=vote.verdict,
            method=vote.method,
            roles=_list(vote.roles),
            signature=vote.signature,
            comment=vote.comment,
            created_at=to_text(vote.created_at),
        )
    )


def all_approvers(connection: Connection) -> dict[str, Approver]:
    """Return every enrolled approver by id; there are few."""
    return {
        row.id: Approver(
            id=row.id,
            roles=tuple(json.loads(row.roles)),
            salt=row.salt,
            parameters=json.loads(row.parameters),
            public_key=row.public_key,
            enrolled_by=row.enrolled_by,
            signature=row.signature,
            created_at=to_time(row.created_at),
        )
        for row in connection.execute(select(approvers).order_by(approvers.c.created_at))
    }


def add_approver(connection: Connection, approver: Approver) -> None:
    """Insert an approver."""
    connection.execute(
        insert(approvers).values(
            id=approver.id,
            roles=_list(approver.roles),
            salt=approver.salt,
            parameters=canonical_json(approver.parameters).decode(),
            public_key=approver.public_key,
            enrolled_by=approver.enrolled_by,
            signature=approver.signature,
            created_at=to_text(approver.created_at),
        )
    )


def add_attempt(connection: Connection, approver_id: str, now: datetime, since: datetime, limit: int) -> int:
    """Count an attempt before it is judged, so that attempts at once count too; return its number.

    An attempt above the limit is not judged, so it is not counted either, and waiting helps.
    """
    connection.execute(delete(attempts).where(attempts.c.at <= to_text(since)))
    recent = select(func.count()).select_from(attempts).where(attempts.c.approver_id == approver_id)
    count = int(connection.execute(recent).scalar_one())
    if count < limit:
        connection.execute(insert(attempts).values(approver_id=approver_id, at=to_text(now)))
    return count + 1


def clear_attempts(connection: Connection, approver_id: str) -> None:
    """Forget the attempts of somebody who got it right."""
    connection.execute(delete(attempts).where(attempts.c.approver_id == approver_id))


def _in_state(state: str, now: str) -> ColumnElement[bool]:
    still_open = or_(approvals.c.state == "pending", approvals.c.state == "approved")
    if state == "expired":
        return and_(still_open, approvals.c.expires_at <= now)
    if state in {"pending", "approved"}:
        return and_(approvals.c.state == state, approvals.c.expires_at > now)
    return approvals.c.state == state


def _requests(connection: Connection, query: Select[Any]) -> list[Request]:
    rows = connection.execute(query).all()
    cast: dict[str, list[Vote]] = {row.id: [] for row in rows}
    for vote in connection.execute(select(votes).where(votes.c.record_id.in_(cast)).order_by(votes.c.created_at)):
        cast[vote.record_id].append(
            Vote(
                record_id=vote.record_id,
                approver_id=vote.approver_id,
                verdict=vote.verdict,
                method=vote.method,
                roles=tuple(json.loads(vote.roles)),
                signature=vote.signature,
                comment=vote.comment,
                created_at=to_time(vote.created_at),
            )
        )
    return [
        Request(
            id=row.id,
            plan_id=row.plan_id,
            plan_digest=row.plan_digest,
            tool=row.tool,
            summary=row.summary,
            requester=row.requester,
            requirements=tuple(ApprovalRequirement.model_validate(item) for item in json.loads(row.requirements)),
            policy_revision=row.policy_revision,
            state=row.state,
            created_at=to_time(row.created_at),
            expires_at=to_time(row.expires_at),
            comment=row.comment,
            seal=row.seal,
            votes=tuple(cast[row.id]),
        )
        for row in rows
    ]


def _list(items: Sequence[Any]) -> str:
    return canonical_json(list(items)).decode()
