"""What the tests run in another process: `worker.py begin|append|hold URL …`."""

from __future__ import annotations

import asyncio
import sys

from adapters.journal.builders import HandClock, event, stored_plan
from ai_platform_mcp.adapters.journal.sql import SqlJournal


async def begin(journal: SqlJournal, name: str) -> None:
    sys.stdin.readline()
    won = await journal.begin(stored_plan(f"op-{name}", key="same"), None) is None
    print("won" if won else "lost", flush=True)


async def append(journal: SqlJournal, name: str) -> None:
    sys.stdin.readline()
    for number in range(40):
        await journal.append_audit(event(request_id=f"{name}-{number}"))


async def hold(journal: SqlJournal, name: str) -> None:
    await journal.begin(stored_plan(f"op-{name}"), None)
    await journal.step_started(f"op-{name}", "s1")
    print("holding", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    work = {"begin": begin, "append": append, "hold": hold}[sys.argv[1]]
    asyncio.run(work(SqlJournal(sys.argv[2], HandClock()), sys.argv[3]))
