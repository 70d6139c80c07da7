from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from adapters.journal.builders import START, HandClock, Store, journal_in, stored_plan
from ai_platform_mcp.adapters.journal.sql import SqlJournal
from ai_platform_mcp.core.errors import Conflict, Misconfigured, NotFound, Unavailable
from ai_platform_mcp.core.model import digest_of
from ai_platform_mcp.core.records import StepRecord

Worker = Callable[[str, str], "subprocess.Popen[str]"]


async def test_a_plan_comes_back_as_it_was_stored(journal: SqlJournal) -> None:
    stored = stored_plan(key="k1")
    await journal.save_plan(stored)
    await journal.save_plan(stored)
    digest = digest_of(stored.plan.arguments)
    assert await journal.plan(stored.plan.id) == stored
    assert await journal.plan_by_key("ada", "k1") == stored
    assert await journal.latest_plan("ada", "register_model", digest, START.replace(hour=8)) == stored
    assert await journal.latest_plan("ada", "register_model", digest, START.replace(hour=10)) is None
    assert await journal.latest_plan("bob", "register_model", digest, START.replace(hour=8)) is None
    assert await journal.plan("plan-unknown") is None


async def test_an_intent_survives_a_restart(journal: SqlJournal, store: Store, clock: HandClock) -> None:
    stored = stored_plan(key="k1")
    assert await journal.begin(stored, None) is None
    await journal.step_started("op-1", "s1")
    await journal.step_finished("op-1", StepRecord(step_id="s1", state="applied", version="7"))
    journal.close()
    found = await store.open(clock).operation_by_key("ada", "k1")
    assert found is not None
    assert (found.plan, found.state, found.live) == (stored.plan, "running", True)
    assert found.steps == (StepRecord(step_id="s1", state="applied", version="7"),)


async def test_the_second_begin_gets_the_first_operation(journal: SqlJournal) -> None:
    await journal.begin(stored_plan("op-1", key="k"), None)
    by_key = await journal.begin(stored_plan("op-2", key="k"), None)
    by_id = await journal.begin(stored_plan("op-1"), None)
    assert by_key is not None and by_key.id == "op-1"
    assert by_id is not None and by_id.id == "op-1"
    assert await journal.begin(stored_plan("op-3", key="k", principal="bob"), None) is None
    assert await journal.begin(stored_plan("op-4"), None) is None
    assert await journal.begin(stored_plan("op-5"), None) is None


async def test_concurrent_begins_in_one_process_have_one_winner(journal: SqlJournal) -> None:
    won: list[str] = []

    async def attempt(number: int) -> None:
        if await journal.begin(stored_plan(f"op-{number}", key="same"), None) is None:
            won.append(f"op-{number}")

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(attempt, number)
    assert len(won) == 1
    assert [row.id for row in await journal.operations()] == won


def test_processes_that_begin_with_one_key_have_one_effect(worker: Worker, store: Store) -> None:
    racers = [worker("begin", name) for name in "abcd"]
    answers = sorted(racer.communicate("go\n")[0].strip() for racer in racers)
    assert answers == ["lost", "lost", "lost", "won"]
    assert store.query("SELECT count(*) FROM operations") == [(1,)]


async def test_a_killed_process_loses_its_operation_at_once_and_a_living_one_keeps_it(
    worker: Worker, journal: SqlJournal
) -> None:
    holder = worker("hold", "a")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "holding\n"
    assert await journal.claim_unfinished() == []
    held = await journal.operation("op-a")
    assert held is not None and held.live

    holder.kill()
    holder.wait()
    orphan = await journal.operation("op-a")
    assert orphan is not None and not orphan.live
    (claimed,) = await journal.claim_unfinished()
    assert (claimed.id, claimed.live, claimed.steps[0].state) == ("op-a", True, "started")
    assert await journal.claim_unfinished() == []
    await journal.finish("op-a", "applied", result={"ok": True}, error=None)
    finished = await journal.operation("op-a")
    assert finished is not None
    assert (finished.state, finished.result, finished.live, finished.finished_at) == (
        "applied",
        {"ok": True},
        False,
        START,
    )


async def test_who_lost_its_lease_can_write_nothing_more(journal: SqlJournal, store: Store, clock: HandClock) -> None:
    await journal.begin(stored_plan(), None)
    other = store.open(clock)
    clock.forward(seconds=89)
    assert await other.claim_unfinished() == []
    await journal.step_started("op-1", "s1")
    clock.forward(seconds=89)
    assert await other.claim_unfinished() == []
    clock.forward(seconds=2)
    assert [row.id for row in await other.claim_unfinished()] == ["op-1"]
    for late in (
        journal.step_started("op-1", "s2"),
        journal.step_finished("op-1", StepRecord(step_id="s1", state="applied")),
        journal.finish("op-1", "applied", result=None, error=None),
    ):
        with pytest.raises(Conflict):
            await late
    await other.step_started("op-1", "s2")
    other.close()


async def test_an_unknown_outcome_may_be_resumed_at_once(journal: SqlJournal, store: Store, clock: HandClock) -> None:
    await journal.begin(stored_plan(), None)
    await journal.finish("op-1", "unknown", result=None, error={"code": "outcome_unknown"})
    left = await journal.operation("op-1")
    assert left is not None and left.finished_at is None and not left.live
    assert [row.id for row in await store.open(clock).claim_unfinished()] == ["op-1"]


async def test_a_closed_operation_stays_closed(journal: SqlJournal, clock: HandClock) -> None:
    await journal.begin(stored_plan(), None)
    assert await journal.request_cancel("op-1")
    assert await journal.cancel_requested("op-1")
    await journal.finish("op-1", "cancelled", result=None, error=None)
    clock.forward(hours=1)
    assert await journal.claim_unfinished() == []
    assert not await journal.request_cancel("op-1")
    with pytest.raises(Conflict, match="closed"):
        await journal.step_started("op-1", "s2")
    with pytest.raises(NotFound):
        await journal.step_started("op-9", "s1")


async def test_operations_are_paged_newest_first(journal: SqlJournal) -> None:
    for number in range(5):
        await journal.begin(stored_plan(f"op-{number}"), None)
    await journal.finish("op-3", "failed", result=None, error={"code": "rejected"})
    first = await journal.operations(limit=2)
    second = await journal.operations(limit=2, token=first[-1].id)
    assert [row.id for row in (*first, *second)] == ["op-4", "op-3", "op-2", "op-1"]
    assert [row.id for row in await journal.operations(state="failed")] == ["op-3"]
    assert await journal.operations(tool="deploy_model") == []


async def test_a_plan_altered_in_the_database_is_refused(journal: SqlJournal, store: Store, clock: HandClock) -> None:
    stored = stored_plan()
    await journal.save_plan(stored)
    await journal.begin(stored, None)
    for table in ("plans", "operations"):
        ((text,),) = store.query(f"SELECT document FROM {table}")
        document = json.loads(text)
        document["plan"]["steps"][0]["value"] = "other"
        store.query(f"UPDATE {table} SET document = ?", json.dumps(document))
    with pytest.raises(Conflict, match="not the plan that was made"):
        await journal.plan(stored.plan.id)
    clock.forward(hours=1)
    assert await journal.claim_unfinished() == []
    refused = await journal.operation("op-1")
    assert refused is not None and refused.state == "failed"


async def test_what_cannot_serve_as_a_journal_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        SqlJournal("sqlite://", HandClock())
    (tmp_path / "journal.db").write_text("this is a diary, not a database" * 100)
    with pytest.raises(Unavailable, match="refuses to work"):
        await journal_in(tmp_path).operations()


async def test_a_missing_driver_is_told() -> None:
    with pytest.raises(Misconfigured, match="No driver"):
        await SqlJournal("postgresql+pg8000://host/database", HandClock()).operations()


async def test_a_journal_of_a_newer_program_is_left_alone(journal: SqlJournal, store: Store) -> None:
    await journal.operations()
    store.query("UPDATE about SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(Misconfigured, match="version 99"):
        await store.open().operations()


async def test_the_journals_file_is_private_to_its_owner(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    await journal.save_plan(stored_plan())
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir() if "lock" not in path.name}
    assert modes.keys() >= {"journal.db", "journal.db-wal"}
    assert set(modes.values()) == {0}
    journal.close()
