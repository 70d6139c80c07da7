"""Several servers with one journal, on a database server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from adapters.journal.builders import START, HandClock, Store, decision, event, make_plan, stored_plan
from ai_platform_mcp.adapters.approvals import SignedApprovals
from ai_platform_mcp.adapters.journal.sql import SqlJournal
from ai_platform_mcp.core.decision import ApprovalRequirement
from ai_platform_mcp.core.principal import Principal
from real_targets import on

pytestmark = on("postgresql")


@pytest.fixture
def journals(server_store: Store, clock: HandClock) -> Iterator[list[SqlJournal]]:
    """Return four servers' journals on one empty schema."""
    opened = [server_store.open(clock) for _ in range(4)]
    yield opened
    for journal in opened:
        journal.close()


async def test_servers_that_share_a_database_have_one_effect_and_one_chain(
    journals: list[SqlJournal], clock: HandClock, tmp_path: Path
) -> None:
    won: list[int] = []

    async def work(place: int, journal: SqlJournal) -> None:
        for number in range(5):
            if await journal.begin(stored_plan(f"op-{place}-{number}", key="same"), None) is None:
                won.append(place)
            await journal.append_audit(event(request_id=f"{place}-{number}"))

    async with anyio.create_task_group() as group:
        for place, journal in enumerate(journals):
            group.start_soon(work, place, journal)
    verdict = await journals[0].verify_audit(await journals[1].audit_head())
    assert (len(won), verdict.intact, verdict.rows) == (1, True, 20)
    clock.forward(seconds=91)
    claimed: list[str] = []

    async def claim(journal: SqlJournal) -> None:
        claimed.extend(operation.id for operation in await journal.claim_unfinished())

    async with anyio.create_task_group() as group:
        for journal in journals:
            group.start_soon(claim, journal)
    assert len(claimed) == 1


async def test_an_approval_is_consumed_once_by_servers_that_share_a_database(
    journals: list[SqlJournal], tmp_path: Path
) -> None:
    desk = SignedApprovals(journals[0], tmp_path / "key")
    await desk.enrol("grace", ["lead"], "correct horse battery")
    requirement = ApprovalRequirement(reason="r", approvers=("lead",), min_approvals=1, expires_in_seconds=60)
    record = await desk.request(make_plan(), decision(requirement), Principal(id="agent"))
    await desk.settle(record.id, "grace", "correct horse battery", approve=True)
    assert await desk.granted(make_plan().digest, "r1") is not None
    outcomes: list[str] = []

    async def begin(journal: SqlJournal) -> None:
        outcomes.append("replayed" if await journal.begin(stored_plan(), record.id) else "began")

    async with anyio.create_task_group() as group:
        for journal in journals:
            group.start_soon(begin, journal)
    assert sorted(outcomes) == ["began", "replayed", "replayed", "replayed"]
    assert await desk.granted(make_plan().digest, "r1") is None
    assert await journals[1].calls_since("grace", START, mutating=True) == 2
