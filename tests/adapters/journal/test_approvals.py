from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from adapters.journal.builders import HandClock, Store, decision, make_plan
from ai_platform_mcp.adapters import approval_proof
from ai_platform_mcp.adapters.approvals import SignedApprovals
from ai_platform_mcp.adapters.journal.sql import SqlJournal
from ai_platform_mcp.core.decision import ApprovalRequirement, Decision
from ai_platform_mcp.core.errors import Conflict, Denied, Forbidden, InvalidInput, Misconfigured, NotFound, RateLimited
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.records import ApprovalRecord, StoredPlan

WORDS = "correct horse battery"
OTHER_WORDS = "another four random words"
REQUESTER = Principal(id="agent-7")


def needs(*approvers: str, count: int = 1, seconds: int = 3600) -> ApprovalRequirement:
    return ApprovalRequirement(
        reason="production", approvers=approvers, min_approvals=count, expires_in_seconds=seconds
    )


LEAD = decision(needs("ml-lead"))


@pytest.fixture(autouse=True)
def quick_scrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approval_proof, "SCRYPT", {"n": 2, "r": 8, "p": 1})


@pytest.fixture
async def desk(journal: SqlJournal, tmp_path: Path) -> AsyncIterator[SignedApprovals]:
    desk = SignedApprovals(journal, tmp_path / "server.key")
    await desk.enrol("grace", ["ml-lead"], WORDS)
    yield desk


async def asked(desk: SignedApprovals, law: Decision = LEAD, operation: str = "op-1") -> ApprovalRecord:
    return await desk.request(make_plan(operation), law, REQUESTER)


async def granted(desk: SignedApprovals, revision: str = "r1") -> ApprovalRecord | None:
    return await desk.granted(make_plan().digest, revision)


async def test_an_approver_with_the_passphrase_grants(desk: SignedApprovals) -> None:
    record = await asked(desk)
    assert (record.state, record.requirement.approvers) == ("pending", ("ml-lead",))
    assert await granted(desk) is None
    assert await asked(desk) == record
    settled = await desk.settle(record.id, "grace", WORDS, approve=True, comment="looks right")
    assert (settled.state, settled.approvers, settled.comment) == ("approved", ("grace",), "looks right")
    assert await granted(desk) == settled
    assert await desk.approval(record.id) == settled
    assert await asked(desk) == settled


async def test_a_grant_is_for_one_plan_under_one_law(desk: SignedApprovals) -> None:
    record = await asked(desk)
    await desk.settle(record.id, "grace", WORDS, approve=True)
    assert await granted(desk, "r2") is None
    assert await desk.granted(make_plan("op-2").digest, "r1") is None


async def test_a_rejection_stays_and_a_new_request_may_be_made(desk: SignedApprovals) -> None:
    record = await asked(desk)
    settled = await desk.settle(record.id, "grace", WORDS, approve=False, comment="not on a Friday")
    assert (settled.state, settled.approvers) == ("rejected", ())
    assert await granted(desk) is None
    with pytest.raises(Conflict, match="rejected"):
        await desk.settle(record.id, "grace", WORDS, approve=True)
    assert (await asked(desk)).id != record.id


async def test_an_expired_approval_grants_nothing(desk: SignedApprovals, clock: HandClock, journal: SqlJournal) -> None:
    record = await asked(desk)
    late = await asked(desk, operation="op-2")
    await desk.settle(record.id, "grace", WORDS, approve=True)
    clock.forward(seconds=3599)
    assert await granted(desk) is not None
    clock.forward(seconds=1)
    assert await granted(desk) is None
    with pytest.raises(Conflict, match="expired"):
        await desk.settle(late.id, "grace", WORDS, approve=True)
    assert [row.id for row in await desk.approvals(state="expired")] == [late.id, record.id]
    assert await desk.approvals(state="pending") == []
    with pytest.raises(Conflict):
        await journal.begin(stored(), record.id)


def stored(operation: str = "op-1", key: str | None = None) -> StoredPlan:
    return StoredPlan(plan=make_plan(operation), principal=REQUESTER, idempotency_key=key, decision=LEAD)


async def test_an_approval_is_consumed_once_under_concurrency(
    desk: SignedApprovals, journal: SqlJournal, store: Store, clock: HandClock
) -> None:
    record = await asked(desk)
    await desk.settle(record.id, "grace", WORDS, approve=True)
    journals = [journal, *(store.open(clock) for _ in range(4))]
    outcomes: list[str] = []

    async def apply(mine: SqlJournal) -> None:
        outcomes.append("replayed" if await mine.begin(stored(), record.id) else "began")

    async with anyio.create_task_group() as group:
        for mine in journals:
            group.start_soon(apply, mine)
    assert sorted(outcomes) == ["began", *["replayed"] * 4]
    assert await granted(desk) is None
    consumed = await desk.approval(record.id)
    assert consumed is not None and consumed.state == "consumed"
    store.query("DELETE FROM operations")
    with pytest.raises(Conflict, match="cannot be used"):
        await journal.begin(stored(), record.id)
    for mine in journals[1:]:
        mine.close()


async def test_an_approval_cannot_be_used_for_another_plan(desk: SignedApprovals, journal: SqlJournal) -> None:
    record = await asked(desk)
    await desk.settle(record.id, "grace", WORDS, approve=True)
    with pytest.raises(Conflict, match="cannot be used"):
        await journal.begin(stored("op-2"), record.id)
    assert await granted(desk) is not None


async def test_the_requester_cannot_approve(desk: SignedApprovals) -> None:
    await desk.enrol(REQUESTER.id, ["ml-lead"], OTHER_WORDS, by="grace", by_passphrase=WORDS)
    record = await asked(desk)
    login = REQUESTER.model_copy(update={"auth_method": "oidc", "roles": ("ml-lead",)})
    with pytest.raises(Denied, match="themselves"):
        await desk.settle(record.id, REQUESTER.id, OTHER_WORDS, approve=True)
    with pytest.raises(Denied, match="themselves"):
        await desk.settle_as(record.id, login, approve=True)
    with pytest.raises(Denied):
        await desk.grant_by_requester(record.id, REQUESTER)
    assert await granted(desk) is None


async def test_the_requester_agrees_in_person_where_policy_names_self(desk: SignedApprovals) -> None:
    record = await asked(desk, decision(needs("self", "ml-lead")))
    with pytest.raises(Denied, match="cannot settle"):
        await desk.grant_by_requester(record.id, Principal(id="agent-8"))
    assert (await desk.grant_by_requester(record.id, REQUESTER)).state == "approved"
    assert await granted(desk) is not None


async def test_a_role_called_self_is_not_the_requester_in_person(desk: SignedApprovals) -> None:
    await desk.enrol("eve", ["self"], OTHER_WORDS, by="grace", by_passphrase=WORDS)
    record = await asked(desk, decision(needs("self")))
    with pytest.raises(Denied):
        await desk.settle(record.id, "eve", OTHER_WORDS, approve=True)


async def test_the_wrong_role_grants_nothing(desk: SignedApprovals) -> None:
    await desk.enrol("linus", ["viewer"], OTHER_WORDS, by="grace", by_passphrase=WORDS)
    record = await asked(desk)
    with pytest.raises(Denied, match="none of the roles") as refused:
        await desk.settle(record.id, "linus", OTHER_WORDS, approve=True)
    assert "ml-lead" in refused.value.remedy
    named = await asked(desk, decision(needs("linus"), revision="r2"))
    assert (await desk.settle(named.id, "linus", OTHER_WORDS, approve=True)).state == "approved"


async def test_every_requirement_needs_its_own_distinct_approvers(desk: SignedApprovals) -> None:
    await desk.enrol("linus", ["security"], OTHER_WORDS, by="grace", by_passphrase=WORDS)
    await desk.enrol("barbara", ["ml-lead"], OTHER_WORDS, by="linus", by_passphrase=OTHER_WORDS)
    record = await asked(desk, decision(needs("ml-lead", count=2), needs("security", seconds=60)))
    assert (record.requirement.min_approvals, record.requirement.approvers) == (2, ("ml-lead", "security"))
    assert (record.expires_at - record.created_at).total_seconds() == 60
    assert (await desk.settle(record.id, "grace", WORDS, approve=True)).state == "pending"
    with pytest.raises(Conflict, match="already"):
        await desk.settle(record.id, "grace", WORDS, approve=True)
    assert (await desk.settle(record.id, "barbara", OTHER_WORDS, approve=True)).state == "pending"
    assert await granted(desk) is None
    assert (await desk.settle(record.id, "linus", OTHER_WORDS, approve=True)).state == "approved"
    assert await granted(desk) is not None


async def test_a_verified_login_grants_and_a_claimed_one_does_not(desk: SignedApprovals) -> None:
    record = await asked(desk)
    claimed = Principal(id="ida", kind="human", groups=("ml-lead",))
    with pytest.raises(Forbidden, match="verified login"):
        await desk.settle_as(record.id, claimed, approve=True)
    verified = claimed.model_copy(update={"auth_method": "oidc"})
    assert (await desk.settle_as(record.id, verified, approve=True)).state == "approved"
    found = await granted(desk)
    assert found is not None and found.approvers == ("ida",)


FORGERIES = {
    "the state alone": "",
    "a vote without a signature": "'grace', 'approve', 'passphrase', '[\"ml-lead\"]', ''",
    "a vote with a signature of zeros": f"'grace', 'approve', 'passphrase', '[\"ml-lead\"]', '{'00' * 64}'",
    "a login nobody made": f"'ida', 'approve', 'login', '[\"ml-lead\"]', '{'00' * 64}'",
    "an agreement nobody gave": f"'agent-7', 'approve', 'self', '[]', '{'00' * 64}'",
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_rows_written_by_hand_do_not_grant(desk: SignedApprovals, store: Store, forgery: str) -> None:
    record = await asked(desk)
    store.query("UPDATE approvals SET state = 'approved'")
    if FORGERIES[forgery]:
        store.query(f"INSERT INTO votes VALUES (?, {FORGERIES[forgery]}, '', '2026-03-02T09:00:00Z')", record.id)
    shown = await desk.approval(record.id)
    assert shown is not None and shown.state == "approved"
    assert await granted(desk) is None


ALTERATIONS = {
    "another requester": "UPDATE approvals SET requester = 'somebody'",
    "weaker requirements": """UPDATE approvals SET requirements = replace(requirements, 'ml-lead', 'self')""",
    "another plan": "UPDATE approvals SET plan_digest = '{other}'",
    "another law": "UPDATE approvals SET policy_revision = 'r2'",
    "a longer life": "UPDATE approvals SET expires_at = '2027-03-02T09:00:00.000000+00:00'",
    "another approver's vote": "UPDATE votes SET approver_id = 'ida'",
    "roles in the vote": 'UPDATE votes SET roles = \'["ml-lead","security"]\'',
    "roles of the approver": 'UPDATE approvers SET roles = \'["ml-lead","security"]\'',
    "an approver that is gone": "DELETE FROM approvers",
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
async def test_a_grant_altered_by_hand_is_none(desk: SignedApprovals, store: Store, alteration: str) -> None:
    record = await asked(desk)
    await desk.settle(record.id, "grace", WORDS, approve=True)
    assert await granted(desk) is not None
    other = make_plan("op-2").digest
    store.query(ALTERATIONS[alteration].format(other=other))
    for digest in (make_plan().digest, other):
        for revision in ("r1", "r2"):
            assert await desk.granted(digest, revision) is None


async def test_an_approver_enrolled_by_hand_grants_nothing(desk: SignedApprovals, store: Store) -> None:
    """Mallory writes her own key into the database, and vouches for herself or claims that grace did."""
    record = await asked(desk)
    key = approval_proof.passphrase_key(OTHER_WORDS, "00" * 16, approval_proof.SCRYPT)
    for voucher in ("", "grace", "mallory"):
        store.query("DELETE FROM approvers WHERE id = 'mallory'")
        body = {"schema": "ai-platform.approver/v1", "approver": "mallory", "roles": ["ml-lead"], "salt": "00" * 16}
        body |= {
            "parameters": approval_proof.SCRYPT,
            "public_key": approval_proof.public_text(key),
            "enrolled_by": voucher,
        }
        row = ("mallory", '["ml-lead"]', "00" * 16, json.dumps(approval_proof.SCRYPT), approval_proof.public_text(key))
        store.query(
            "INSERT INTO approvers VALUES (?, ?, ?, ?, ?, ?, ?, '2026-03-02T09:00:00.000000+00:00')",
            *row,
            voucher,
            approval_proof.sign(key, body),
        )
        store.query("DELETE FROM votes")
        assert (await desk.settle(record.id, "mallory", OTHER_WORDS, approve=True)).state == "pending"
        store.query("UPDATE approvals SET state = 'approved'")
        assert await granted(desk) is None
        store.query("UPDATE approvals SET state = 'pending'")


async def test_wrong_passphrases_are_counted_and_the_count_survives_a_restart(
    desk: SignedApprovals, store: Store, tmp_path: Path, clock: HandClock
) -> None:
    record = await asked(desk)
    for left in (4, 3, 2):
        with pytest.raises(Forbidden) as refused:
            await desk.settle(record.id, "grace", "a wrong passphrase", approve=True)
        assert f"{left} attempts" in refused.value.remedy
    restarted = SignedApprovals(store.open(clock), tmp_path / "server.key")
    for _ in range(2):
        with pytest.raises(Forbidden):
            await restarted.settle(record.id, "grace", "a wrong passphrase", approve=True)
    with pytest.raises(RateLimited):
        await restarted.settle(record.id, "grace", WORDS, approve=True)
    clock.forward(minutes=15)
    assert (await restarted.settle(record.id, "grace", WORDS, approve=True)).state == "approved"


async def test_guessing_at_once_gets_no_more_attempts(desk: SignedApprovals) -> None:
    record = await asked(desk)
    refusals: list[str] = []

    async def guess(number: int) -> None:
        try:
            await desk.settle(record.id, "grace", f"a wrong passphrase {number}", approve=True)
        except (Forbidden, RateLimited) as error:
            refusals.append(error.code)

    async with anyio.create_task_group() as group:
        for number in range(9):
            group.start_soon(guess, number)
    assert (refusals.count("forbidden"), refusals.count("rate_limited")) == (5, 4)


async def test_later_approvers_need_one_who_vouches(desk: SignedApprovals) -> None:
    with pytest.raises(Forbidden, match="vouch"):
        await desk.enrol("eve", ["ml-lead"], OTHER_WORDS)
    with pytest.raises(Forbidden):
        await desk.enrol("eve", ["ml-lead"], OTHER_WORDS, by="grace", by_passphrase="not her words")
    with pytest.raises(Conflict):
        await desk.enrol("grace", ["admin"], OTHER_WORDS, by="grace", by_passphrase=WORDS)
    with pytest.raises(InvalidInput):
        await desk.enrol("eve", ["ml-lead"], "too short", by="grace", by_passphrase=WORDS)
    assert await desk.approvers() == {"grace": ("ml-lead",)}


async def test_everything_is_audited_and_no_passphrase_is_anywhere(
    desk: SignedApprovals, journal: SqlJournal, store: Store, tmp_path: Path
) -> None:
    record = await asked(desk)
    with pytest.raises(Forbidden):
        await desk.settle(record.id, "grace", "the wrong horse battery", approve=True)
    await desk.settle(record.id, "grace", WORDS, approve=True)
    rows = await journal.audit()
    assert [(row.action, row.outcome, row.principal) for row in reversed(rows)] == [
        ("enrol", "enrolled", "grace"),
        ("approve", "forbidden", "grace"),
        ("approve", "approved", "grace"),
    ]
    tables = ("approvals", "approvers", "votes", "audit", "operations", "plans")
    kept = repr([store.query(f"SELECT * FROM {table}") for table in tables])
    kept += repr([path.read_bytes() for path in tmp_path.iterdir()])
    assert "grace" in kept
    assert "horse battery" not in kept


async def test_a_server_key_that_others_can_read_is_refused(desk: SignedApprovals, tmp_path: Path) -> None:
    file = tmp_path / "server.key"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o644)
    with pytest.raises(Misconfigured, match="read by others"):
        await granted(desk)
    file.chmod(0o600)
    file.write_text("no key")
    with pytest.raises(Misconfigured, match="holds no key"):
        await granted(desk)


async def test_what_is_not_there_cannot_be_settled(desk: SignedApprovals) -> None:
    with pytest.raises(NotFound):
        await desk.settle("approval-none", "grace", WORDS, approve=True)
    with pytest.raises(InvalidInput):
        await desk.request(make_plan(), decision(), REQUESTER)
    assert await desk.approval("approval-none") is None


def test_the_passphrase_makes_the_same_key_however_its_accents_are_typed() -> None:
    strong = {"n": 2**15, "r": 8, "p": 3}
    one, two = (
        approval_proof.passphrase_key(word, "00" * 16, strong)
        for word in ("caf\u00e9 cr\u00e8me", "cafe\u0301 cre\u0300me")
    )
    assert approval_proof.public_text(one) == approval_proof.public_text(two)
