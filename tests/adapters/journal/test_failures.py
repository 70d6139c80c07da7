"""A journal that cannot be written says so at once and in our words; clocks that differ never let two owners write."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from filelock import FileLock

from adapters.journal.builders import HandClock, stored_plan
from ai_platform_mcp.adapters.journal import database
from ai_platform_mcp.adapters.journal.sql import SqlJournal
from ai_platform_mcp.core.errors import Conflict, Unavailable


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)


async def refused(journal: SqlJournal) -> Unavailable:
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        await journal.save_plan(stored_plan())
    assert time.monotonic() - began < 5
    assert caught.value.cause and caught.value.remedy
    return caught.value


async def test_a_lock_that_another_program_holds_is_told(tmp_path: Path) -> None:
    with FileLock(f"{tmp_path / 'journal.db'}.lock"):
        journal = SqlJournal(f"sqlite:///{tmp_path / 'journal.db'}", HandClock())
        assert "lock" in (await refused(journal)).remedy
    await journal.save_plan(stored_plan())
    journal.close()


async def test_a_transaction_that_another_program_keeps_open_is_told(tmp_path: Path) -> None:
    journal = SqlJournal(f"sqlite:///{tmp_path / 'journal.db'}", HandClock())
    assert await journal.plan("none") is None
    other = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "locked" in (await refused(journal)).cause
    other.execute("ROLLBACK")
    other.close()
    await journal.save_plan(stored_plan())
    journal.close()


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database, and longer than the header of one" * 50)
    journal = SqlJournal(f"sqlite:///{tmp_path / 'journal.db'}", HandClock())
    assert "not a database" in (await refused(journal)).cause
    journal.close()


async def test_a_folder_where_a_file_stands_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    await refused(SqlJournal(f"sqlite:///{tmp_path / 'state' / 'journal.db'}", HandClock()))


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
async def test_machines_whose_clocks_differ_never_write_to_one_operation_both(tmp_path: Path, ahead: float) -> None:
    """The clock ahead may take an operation early; whoever had it is refused before it sends anything."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    ours, theirs = HandClock(), HandClock()
    theirs.forward(seconds=ahead)
    first, second = SqlJournal(url, ours), SqlJournal(url, theirs)
    await first.begin(stored_plan(), None)
    taken = [row.id for row in await second.claim_unfinished()]
    assert taken == (["op-1"] if ahead > 0 else [])
    owner, other = (second, first) if taken else (first, second)
    await owner.step_started("op-1", "s1")
    with pytest.raises(Conflict):
        await other.step_started("op-1", "s1")
    first.close()
    second.close()
