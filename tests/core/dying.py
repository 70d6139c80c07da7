"""Applies that die: ``dying.py JOBS_JSON`` runs each job in a child that ends at its boundary with code 9.

The boundaries of a call are the moment before its intent is recorded, and the moments after every call of the journal and
of the writers: between any two of them nothing durable happens. What is heavy is imported once, before the children.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

sys.path.insert(0, str(Path(__file__).parents[1]))

from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.tool import Caller
from ai_platform_mcp.settings import Settings
from support.engines import Engine
from support.sundry import Sundry
from support.warm_parent import import_all
from support.world import HandClock, OpenedApp

JOURNAL = ("begin", "step_started", "step_finished", "finish")
DIED = 9
AT_ONCE = 4


def mortal(method: Callable[..., Any], passed: Callable[[], None], before: bool = False) -> Callable[..., Any]:
    async def call(*arguments: Any, **named: Any) -> Any:
        if before:
            passed()
        answer = await method(*arguments, **named)
        passed()
        return answer

    return call


async def apply(job: dict[str, Any]) -> None:
    """Run the call of one job, and die at its boundary; end normally where it has fewer."""
    count = 0

    def passed() -> None:
        nonlocal count
        count += 1
        if count == job["boundary"]:
            os._exit(DIED)

    app = OpenedApp(Settings(**job["settings"]), clock=HandClock(), tools=(Sundry(),), policy=Engine())
    wiring = await app.wiring()
    journal = wiring.journal
    originals = {name: getattr(journal, name) for name in JOURNAL}

    async def step_started(operation_id: str, step_id: str) -> None:
        journal.step_finished = originals["step_finished"]  # the one is made of the other: one boundary, not two
        await originals["step_started"](operation_id, step_id)
        journal.step_finished = mortal(originals["step_finished"], passed)
        passed()

    for name in JOURNAL:
        setattr(journal, name, mortal(originals[name], passed, before=name == "begin"))
    journal.step_started = step_started
    writers: Any = wiring.guard._executor._writers
    for writer in (writers.clusters, writers.registry):
        writer.execute = mortal(writer.execute, passed)
    caller = Caller(principal=Principal(id="local:ada", team="vision"), request_id="req-dying")
    await app.call("sundry", {**job["arguments"], "mode": "apply", "idempotency_key": "k"}, caller)
    await app.aclose()
    Path(job["settings"]["state_dir"], "boundaries").write_text(str(count))


def start(job: dict[str, Any]) -> int:
    """Run one job in a child; return the child's id."""
    child = os.fork()
    if child == 0:
        try:
            anyio.run(apply, job)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def run(jobs: list[dict[str, Any]]) -> list[int]:
    """Run the jobs, a few at a time; return how each child ended."""
    ended: list[int] = []
    for place in range(0, len(jobs), AT_ONCE):
        children = [start(job) for job in jobs[place : place + AT_ONCE]]
        ended += [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return ended


if __name__ == "__main__":
    import_all()
    print(json.dumps(run(json.loads(Path(sys.argv[1]).read_text()))))
