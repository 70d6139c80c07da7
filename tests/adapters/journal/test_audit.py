from __future__ import annotations

import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.exc import DBAPIError

from adapters.journal.builders import START, Store, event, journal_in, stored_plan
from ai_platform_mcp.adapters.journal.chain import row_hash
from ai_platform_mcp.adapters.journal.schema import to_text
from ai_platform_mcp.adapters.journal.sql import SqlJournal
from ai_platform_mcp.core.model import canonical_json
from ai_platform_mcp.core.records import AuditVerdict

ROWS = 9
Worker = Callable[[str, str], "subprocess.Popen[str]"]


def tamper(database: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Do what somebody does who can write the file: take the triggers away, then change rows."""
    connection = sqlite3.connect(database)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for sql, values in statements:
        connection.execute(sql, values)
    connection.commit()
    connection.close()


async def filled(folder: Path, rows: int = ROWS) -> SqlJournal:
    journal = journal_in(folder)
    for number in range(rows):
        await journal.append_audit(event(request_id=f"req-{number}", time=START + timedelta(seconds=number)))
    return journal


@cache
def chain_file() -> bytes:
    """Return a database with ROWS rows; made once, copied for every example."""

    async def fill(folder: str) -> None:
        (await filled(Path(folder))).close()

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as thread:
        thread.submit(anyio.run, fill, folder).result()
        return (Path(folder) / "journal.db").read_bytes()


async def verdict_after(*statements: tuple[str, tuple[Any, ...]]) -> AuditVerdict:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "journal.db").write_bytes(chain_file())
        journal = journal_in(Path(folder))
        tamper(Path(folder) / "journal.db", *statements)
        verdict = await journal.verify_audit()
        journal.close()
        return verdict


async def test_an_untouched_chain_is_intact(tmp_path: Path) -> None:
    journal = await filled(tmp_path)
    verdict = await journal.verify_audit()
    assert (verdict.intact, verdict.rows, verdict.problem) == (True, ROWS, "")
    rows = await journal.audit(limit=3)
    assert [row.request_id for row in rows] == ["req-8", "req-7", "req-6"]
    assert rows[0].hash == verdict.head
    assert [row.sequence for row in await journal.audit(before=3)] == [2, 1]
    journal.close()


async def test_an_empty_chain_is_intact(journal: SqlJournal) -> None:
    assert (await journal.verify_audit()).intact


@settings(max_examples=25, deadline=None)
@given(
    place=st.integers(1, ROWS),
    column=st.sampled_from(["time", "principal", "mode", "outcome", "document", "previous", "hash"]),
    value=st.text(max_size=30),
)
async def test_any_edit_of_any_row_is_found(place: int, column: str, value: str) -> None:
    verdict = await verdict_after((f"UPDATE audit SET {column} = ? WHERE sequence = ?", (value, place)))
    assert not verdict.intact
    assert verdict.first_bad_sequence == place


@settings(max_examples=10, deadline=None)
@given(place=st.integers(1, ROWS), principal=st.sampled_from(["mallory", ""]))
async def test_an_edit_with_a_fitting_hash_is_found_at_the_next_row_or_the_head(place: int, principal: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "journal.db").write_bytes(chain_file())
        journal = journal_in(Path(folder))
        row = (await journal.audit(limit=1, before=place + 1))[0]
        body = row.model_dump(mode="json", exclude={"sequence", "previous", "hash"})
        body |= {"principal": principal, "time": to_text(row.time)}
        tamper(
            Path(folder) / "journal.db",
            (
                "UPDATE audit SET principal = ?, document = ?, hash = ? WHERE sequence = ?",
                (principal, canonical_json(body).decode(), row_hash(place, row.previous, body), place),
            ),
        )
        verdict = await journal.verify_audit()
        assert not verdict.intact
        assert verdict.first_bad_sequence == place + 1
        journal.close()


@settings(max_examples=10, deadline=None)
@given(places=st.sets(st.integers(1, ROWS), min_size=1))
async def test_deleted_rows_are_found_at_the_tail_too(places: set[int]) -> None:
    verdict = await verdict_after(*(("DELETE FROM audit WHERE sequence = ?", (place,)) for place in places))
    assert not verdict.intact
    assert verdict.first_bad_sequence == min(places)


@settings(max_examples=10, deadline=None)
@given(pair=st.lists(st.integers(1, ROWS), min_size=2, max_size=2, unique=True))
async def test_reordered_rows_are_found(pair: list[int]) -> None:
    one, two = pair
    move = "UPDATE audit SET sequence = ? WHERE sequence = ?"
    verdict = await verdict_after((move, (-1, one)), (move, (one, two)), (move, (two, -1)))
    assert not verdict.intact
    assert verdict.first_bad_sequence == min(pair)


async def test_a_row_smuggled_in_before_the_first_is_found() -> None:
    verdict = await verdict_after(
        ("INSERT INTO audit SELECT -5, time, principal, mode, outcome, document, previous, hash FROM audit LIMIT 1", ())
    )
    assert not verdict.intact


async def test_a_clean_cut_is_found_with_an_exported_head_only(tmp_path: Path) -> None:
    journal = await filled(tmp_path)
    exported = await journal.audit_head()
    assert (await journal.verify_audit(exported)).intact
    (row,) = await journal.audit(limit=1, before=ROWS)
    tamper(
        tmp_path / "journal.db",
        ("DELETE FROM audit WHERE sequence = ?", (ROWS,)),
        ("UPDATE audit_head SET sequence = ?, hash = ?", (row.sequence, row.hash)),
    )
    assert (await journal.verify_audit()).intact  # as its docstring says
    assert not (await journal.verify_audit(exported)).intact
    for nonsense in ("x", "3:", ":", "-1:ab"):
        assert not (await journal.verify_audit(nonsense)).intact
    journal.close()


async def test_the_database_itself_refuses_to_change_the_audit(journal: SqlJournal, store: Store) -> None:
    await journal.append_audit(event())
    emptied = [] if store.url.startswith("sqlite") else ["TRUNCATE audit"]
    for sql in ("UPDATE audit SET principal = 'x'", "DELETE FROM audit", *emptied):
        with pytest.raises(DBAPIError, match="append-only"):
            store.query(sql)
    assert (await journal.verify_audit()).rows == 1


async def test_secrets_never_reach_the_file(tmp_path: Path) -> None:
    journal = journal_in(tmp_path)
    secrets = ["hunter2-the-word", "hf_abcdefghijklmnopqrstuvwx", "AKIAABCDEFGHIJKLMNOP", "geheim:wort"]
    await journal.append_audit(
        event(
            arguments={
                "password": secrets[0],
                "note": f"use {secrets[1]} please",
                "env": [{"name": "KEY", "value": secrets[2]}],
                "source": f"https://{secrets[3]}@models.example/x",
            }
        )
    )
    await journal.begin(stored_plan(), None)
    await journal.finish("op-1", "failed", result={"token": secrets[0]}, error={"cause": f"bad {secrets[1]}"})
    bytes_on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"please" in bytes_on_disk
    assert [secret for secret in secrets if secret.encode() in bytes_on_disk] == []
    journal.close()


async def test_appending_costs_the_same_however_long_the_chain(tmp_path: Path) -> None:
    """Counts steps of SQLite's virtual machine, which do not depend on how busy the machine is."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def watch(connection: Any, _record: object) -> None:
        connection.set_progress_handler(count, 10)

    journal = journal_in(tmp_path)
    sqlalchemy_event.listen(Engine, "connect", watch)
    try:
        costs: list[int] = []
        for number in range(500):
            steps = 0
            await journal.append_audit(event(request_id=f"req-{number}"))
            costs.append(steps)
    finally:
        sqlalchemy_event.remove(Engine, "connect", watch)
    early, late = sum(costs[50:100]), sum(costs[450:500])
    assert 0 < late <= early * 1.3
    assert (await journal.verify_audit()).rows == 500
    journal.close()


async def test_processes_that_append_at_once_keep_one_chain(worker: Worker, journal: SqlJournal) -> None:
    writers = [worker("append", name) for name in "abc"]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    verdict = await journal.verify_audit()
    assert (verdict.intact, verdict.rows) == (True, 120)


async def test_calls_are_counted_by_principal_time_and_kind(journal: SqlJournal) -> None:
    for mode, outcome in (("read", "read"), ("plan", "planned"), ("apply", "applied"), ("apply", "rate_limited")):
        await journal.append_audit(event(mode=mode, outcome=outcome))
    await journal.append_audit(event(mode="apply", outcome="applied", principal="bob"))
    await journal.append_audit(event(mode="apply", outcome="applied", time=START - timedelta(hours=1)))
    assert await journal.calls_since("ada", START, mutating=False) == 1
    assert await journal.calls_since("ada", START, mutating=True) == 2
