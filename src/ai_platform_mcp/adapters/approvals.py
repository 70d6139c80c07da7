"""Approvals with proof: records in the journal whose grants are signatures, not states."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from ai_platform_mcp.adapters import approval_proof as proof
from ai_platform_mcp.adapters import approval_records as records
from ai_platform_mcp.adapters.journal.sql import SqlJournal
from ai_platform_mcp.core.decision import Decision
from ai_platform_mcp.core.errors import Conflict, Denied, Forbidden, InvalidInput, NotFound, RateLimited
from ai_platform_mcp.core.plan import Plan
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.records import ApprovalRecord, AuditEvent
from ai_platform_mcp.core.redact import redact

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from sqlalchemy import Connection

    from ai_platform_mcp.adapters.journal.approvals import Approver, Request

ATTEMPTS = 5
ATTEMPT_WINDOW = timedelta(minutes=15)
MIN_PASSPHRASE = 12
"""Characters. The salt and the public key lie in the journal, so whoever reads it can guess as fast as scrypt lets them."""


def _store():
    """Import what needs SQLAlchemy on the worker thread that first works with it."""
    from ai_platform_mcp.adapters.journal import approvals

    return approvals


class SignedApprovals:
    """core.ports.Approvals: a grant is believed for its signatures, never for what a row says.

    Three ways to give an approval, and what each protects:

    * ``settle`` (passphrase): the approver's passphrase, stretched by scrypt, *is* an Ed25519 key, which exists only
      while it signs. The journal holds salt and public key. Nobody who lacks the passphrase can approve, whatever they
      write into the database, and neither can the server. It does not protect against somebody who reads the passphrase
      where it is typed (the same account on the same machine can, with effort, watch a terminal), against a weak
      passphrase (salt and public key allow guessing offline), or against a changed program.
    * ``settle_as`` (an approver's own verified login over HTTP): the server saw a valid token and signs with its own
      key, a file that only its account can read. It protects against everyone who can write to the database but not
      read that file. It does not protect against the server's own account: who runs as it can sign anything.
    * ``grant_by_requester`` (the requester agrees in person, where policy names ``self``): the server signs that its
      client said so. It proves that the client asked, not that a person answered.

    The server's key also seals each request (who asked, what for, who must agree) and vouches for the first approver;
    each further approver is vouched for by an earlier one. So whoever has the server's account, and thus its key and its
    database, can replace the whole list of approvers: separate the server's account from its callers' where that matters.
    On a laptop, where an agent may run as the same user, this stops tools and scripts, leaves a trace in the audit, and is
    no wall against deliberate attack. Servers that share one database must share one key file.
    """

    def __init__(self, journal: SqlJournal, key_file: Path):
        """Keep records in ``journal``; ``key_file`` holds the server's key, made on first use with mode 0600."""
        self._journal = journal
        self._key_file = key_file
        self._stretching = anyio.CapacityLimiter(1)

    async def request(self, plan: Plan, decision: Decision, requester: Principal) -> ApprovalRecord:
        """Create the pending record for this plan digest, or return the one that is pending or approved already.

        Every requirement of the decision must be met; the record shows them as one.

        Raises:
            InvalidInput: the decision demands no approval.
        """
        if not decision.approvals:
            raise InvalidInput("The decision demands no approval.", remedy="Apply the plan.")
        now = self._now()
        key = await self._server_key()

        def work(connection: Connection) -> Request:
            asked = _request(plan, decision, requester, now)
            asked = replace(asked, seal=proof.sign(key, proof.request_body(asked)))
            for found in _store().requests_for(connection, plan.digest, decision.revision):
                same = found.requester == asked.requester and found.requirements == asked.requirements
                if same and records.state(found, now) in {"pending", "approved"}:
                    return found
            _store().add_request(connection, asked)
            return asked

        return records.shown(await self._journal.database.write(work), now)

    async def granted(self, plan_digest: str, policy_revision: str) -> ApprovalRecord | None:
        """Return an approved, unexpired, unconsumed record whose proof verifies."""
        now = self._now()
        server = proof.public_text(await self._server_key())

        def work(connection: Connection) -> Request | None:
            approvers = _store().all_approvers(connection)
            for found in _store().requests_for(connection, plan_digest, policy_revision):
                if records.state(found, now) == "approved" and proof.proven(found, approvers, server):
                    return found
            return None

        found = await self._journal.database.read(work)
        return None if found is None else records.shown(found, now)

    async def grant_by_requester(self, record_id: str, requester: Principal) -> ApprovalRecord:
        """Record that the requester agreed in person, where the requirement names ``self``.

        Raises:
            Denied: the requirement does not name ``self``, or somebody else asked.
        """
        found = await self._pending(record_id)
        if found.requester != requester.id or not any("self" in item.approvers for item in found.requirements):
            raise Denied(
                f"{requester.id} cannot settle approval {record_id}.",
                cause="Policy demands somebody other than the requester."
                if found.requester == requester.id
                else "Somebody else asked for it.",
                remedy=records.who(found.requirements),
            )
        key = await self._server_key()
        return await self._cast(found, requester.id, requester.roles, "self", key, True, "")

    async def settle(
        self, record_id: str, approver_id: str, passphrase: str, *, approve: bool, comment: str = ""
    ) -> ApprovalRecord:
        """Approve or reject with an enrolled approver's passphrase.

        Raises:
            Forbidden: no such approver, or not this passphrase.
            RateLimited: five attempts within 15 minutes failed.
            Denied: the approver asked for it, or has none of the roles demanded.
            Conflict: the record is no longer pending, or this approver has spoken already.
        """
        found = await self._pending(record_id)
        approver, key = await self._unlock(approver_id, passphrase)
        return await self._cast(found, approver.id, approver.roles, "passphrase", key, approve, comment)

    async def settle_as(
        self, record_id: str, principal: Principal, *, approve: bool, comment: str = ""
    ) -> ApprovalRecord:
        """Approve or reject by the approver's own verified login; the server signs. Roles and groups both count as roles.

        Raises:
            Forbidden: the principal did not come with a verified token.
            Denied: the approver asked for it, or has none of the roles demanded.
            Conflict: the record is no longer pending, or this approver has spoken already.
        """
        if principal.auth_method != "oidc":
            raise Forbidden(
                "Only a verified login can settle an approval this way.",
                cause=f"{principal.id} is known by {principal.auth_method}, which anybody on the machine could claim.",
                remedy="Approve with a passphrase at a terminal: platform approvals approve ID",
            )
        found = await self._pending(record_id)
        key = await self._server_key()
        roles = tuple(sorted({*principal.roles, *principal.groups}))
        return await self._cast(found, principal.id, roles, "login", key, approve, comment)

    async def enrol(
        self, approver_id: str, roles: Sequence[str], passphrase: str, *, by: str = "", by_passphrase: str = ""
    ) -> None:
        """Enrol an approver. The first one needs nobody; every further one an enrolled approver's passphrase.

        Raises:
            InvalidInput: a passphrase below 12 characters, no id, or no role.
            Forbidden: nobody vouches, or not with the right passphrase.
            Conflict: the approver is enrolled already.
        """
        if len(passphrase) < MIN_PASSPHRASE or not approver_id or not roles:
            raise InvalidInput(
                "An approver needs an id, a role, and a passphrase of at least 12 characters.",
                remedy="Four random words make a good one.",
            )
        voucher = await self._unlock(by, by_passphrase) if by else None
        salt, now = secrets.token_hex(16), self._now()
        own = await self._stretch(passphrase, salt, proof.SCRYPT)
        signer = voucher[1] if voucher else await self._server_key()

        def work(connection: Connection) -> None:
            known = _store().all_approvers(connection)
            if known and voucher is None:
                raise Forbidden(
                    "There are approvers already; one of them must vouch for a new one.",
                    remedy=f"Let one of these enrol {approver_id}: {', '.join(known)}",
                )
            if approver_id in known:
                raise Conflict(f"{approver_id} is enrolled already.", remedy="Choose another id.")
            fresh = _store().Approver(
                id=approver_id,
                roles=tuple(sorted(set(roles))),
                salt=salt,
                parameters=dict(proof.SCRYPT),
                public_key=proof.public_text(own),
                enrolled_by=by,
                signature="",
                created_at=now,
            )
            fresh = replace(fresh, signature=proof.sign(signer, proof.approver_body(fresh)))
            _store().add_approver(connection, fresh)
            _audit(
                connection, now, by or approver_id, "enrol", "enrolled", {"approver": approver_id, "roles": [*roles]}
            )

        await self._journal.database.write(work)

    async def approvers(self) -> dict[str, tuple[str, ...]]:
        """Return the roles of every enrolled approver."""
        found = await self._journal.database.read(lambda connection: _store().all_approvers(connection))
        return {name: approver.roles for name, approver in found.items()}

    async def approval(self, record_id: str) -> ApprovalRecord | None:
        """Return one record."""
        found = await self._journal.database.read(lambda connection: _store().request(connection, record_id))
        return None if found is None else records.shown(found, self._now())

    async def approvals(self, *, state: str = "", limit: int = 50) -> Sequence[ApprovalRecord]:
        """Return records, newest first."""
        now = self._now()
        found = await self._journal.database.read(lambda connection: _store().newest(connection, state, limit, now))
        return [records.shown(item, now) for item in found]

    def _now(self) -> datetime:
        return self._journal.clock.now().astimezone(UTC)

    async def _server_key(self) -> Ed25519PrivateKey:
        return await anyio.to_thread.run_sync(proof.server_key, self._key_file)

    async def _stretch(self, passphrase: str, salt: str, parameters: dict[str, int]) -> Ed25519PrivateKey:
        return await anyio.to_thread.run_sync(
            proof.passphrase_key, passphrase, salt, parameters, limiter=self._stretching
        )

    async def _pending(self, record_id: str) -> Request:
        found = await self._journal.database.read(lambda connection: _store().request(connection, record_id))
        if found is None:
            raise NotFound(f"There is no approval {record_id}.", remedy="List them: platform approvals list")
        records.refuse_settled(found, self._now())
        return found

    async def _unlock(self, approver_id: str, passphrase: str) -> tuple[Approver, Ed25519PrivateKey]:
        """Return the approver and the key, or count the failure. The attempt is durable before it is judged."""
        now = self._now()

        def attempt(connection: Connection) -> tuple[int, Approver | None]:
            count = _store().add_attempt(connection, approver_id, now, now - ATTEMPT_WINDOW, ATTEMPTS)
            return count, _store().all_approvers(connection).get(approver_id)

        count, approver = await self._journal.database.write(attempt)
        if count > ATTEMPTS:
            raise RateLimited(
                f"Too many attempts as {approver_id}.",
                cause=f"{ATTEMPTS} attempts within 15 minutes failed.",
                remedy="Wait 15 minutes; if it was not you, look into the audit.",
            )
        key = None
        if approver is not None:
            key = await self._stretch(passphrase, approver.salt, approver.parameters)
        if approver is None or key is None or proof.public_text(key) != approver.public_key:
            await self._journal.database.write(
                lambda connection: _audit(connection, now, approver_id, "approve", "forbidden", {})
            )
            raise Forbidden(
                "No such approver, or not this passphrase.",
                remedy=f"{ATTEMPTS - count} attempts are left within 15 minutes.",
            )
        await self._journal.database.write(lambda connection: _store().clear_attempts(connection, approver_id))
        return approver, key

    async def _cast(
        self,
        found: Request,
        approver_id: str,
        roles: tuple[str, ...],
        method: str,
        key: Ed25519PrivateKey,
        approve: bool,
        comment: str,
    ) -> ApprovalRecord:
        """Sign and store one vote, and move the record on where it settles it."""
        now = self._now()
        server = proof.public_text(await self._server_key())

        def work(connection: Connection) -> Request:
            current = _store().request(connection, found.id) or found
            records.refuse_settled(current, now)
            vote = _store().Vote(
                record_id=current.id,
                approver_id=approver_id,
                verdict="approve" if approve else "reject",
                method=method,
                roles=roles,
                signature="",
                comment=str(redact(comment)),
                created_at=now,
            )
            records.refuse_ineligible(current, vote)
            vote = replace(vote, signature=proof.sign(key, proof.vote_body(current, vote)))
            _store().add_vote(connection, vote)
            current = replace(current, votes=(*current.votes, vote), comment=vote.comment)
            if not approve:
                current = replace(current, state="rejected")
            elif proof.proven(current, _store().all_approvers(connection), server):
                current = replace(current, state="approved")
            _store().set_state(connection, current.id, current.state, current.comment)
            _audit(connection, now, approver_id, vote.verdict, current.state, {"comment": vote.comment}, current)
            return current

        return records.shown(await self._journal.database.write(work), now)


def _request(plan: Plan, decision: Decision, requester: Principal, now: datetime) -> Request:
    lifetime = min(item.expires_in_seconds for item in decision.approvals)
    return _store().Request(
        id=f"approval-{secrets.token_hex(8)}",
        plan_id=plan.id,
        plan_digest=plan.digest,
        tool=plan.tool,
        summary=plan.summary,
        requester=requester.id,
        requirements=decision.approvals,
        policy_revision=decision.revision,
        state="pending",
        created_at=now,
        expires_at=now + timedelta(seconds=lifetime),
        comment="",
        seal="",
    )


def _audit(
    connection: Connection,
    now: datetime,
    who: str,
    action: str,
    outcome: str,
    arguments: dict[str, object],
    request: Request | None = None,
) -> None:
    from ai_platform_mcp.adapters.journal import chain

    event = AuditEvent(
        time=now,
        request_id=request.id if request else "",
        principal=who,
        team="",
        tool=request.tool if request else "",
        action=action,
        mode="approve",
        outcome=outcome,
        plan_digest=request.plan_digest if request else "",
        policy_revision=request.policy_revision if request else "",
        arguments=arguments,
    )
    chain.append(connection, event)
