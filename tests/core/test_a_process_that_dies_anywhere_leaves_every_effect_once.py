"""The process is killed at every boundary of an apply with four steps in two systems, and another one resumes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ai_platform_mcp.core.records import Operation
from support.engines import Engine
from support.sundry import Sundry
from support.world import Platform, World

DYING = Path(__file__).with_name("dying.py")
STEPS = ("s1", "s2", "s3", "s4")
BOUNDARIES = 2 + 3 * len(STEPS) + 1
"""Before the intent and after it; after each step's start, effect and end; after the outcome."""
NOTHING = {"applied": 0, "submitted": 0, "versions": 0, "tags": 0}
ONCE = dict.fromkeys(NOTHING, 1)


@dataclass
class Call:
    """One call and how the process that ran it ended."""

    folder: Path
    name: str
    model: str
    ended: int = -1

    @property
    def arguments(self) -> dict[str, str]:
        return {"name": self.name, "model": self.model}


@pytest.fixture(scope="module")
def calls(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Call]:
    """One call per boundary, each run until its process died there, and one that lived."""
    folder = tmp_path_factory.mktemp("dying")
    calls: dict[int, Call] = {}
    for boundary in range(1, BOUNDARIES + 2):
        own = folder / str(boundary)
        own.mkdir()
        model = world.model(versions=1)
        calls[boundary] = Call(own, f"dying-{boundary}-{model}", model)
    jobs = [
        {"settings": world.document(call.folder), "arguments": call.arguments, "boundary": boundary}
        for boundary, call in calls.items()
    ]
    told = folder / "jobs.json"
    told.write_text(json.dumps(jobs))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AI_PLATFORM_")}
    done = subprocess.run([sys.executable, str(DYING), str(told)], capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    for call, ended in zip(calls.values(), json.loads(done.stdout), strict=True):
        assert ended in (0, 9), done.stderr.decode()[-3000:]
        call.ended = ended
    return calls


async def effects(platform: Platform, world: World, call: Call) -> dict[str, int]:
    """How often each effect of the call is there."""
    clusters = (await platform.app.readers()).clusters
    maps = (await clusters.list("sandbox", "v1", "ConfigMap", namespace="vision-dev")).items
    names = [row["metadata"]["name"] for row in maps]
    return {
        "applied": names.count(call.name),
        "submitted": len([row for row in names if row.startswith(f"{call.name}-")]),
        "versions": len(world.mlflow.search_model_versions(f"name = '{call.model}'")) - 1,
        "tags": int("touched" in world.tags(call.model, "1")),
    }


async def assert_whole(platform: Platform, operation: Operation, world: World, call: Call) -> None:
    assert operation.state == "applied", operation.error
    assert [record.step_id for record in operation.steps] == list(STEPS)
    assert {record.state for record in operation.steps} <= {"applied", "unchanged"}
    assert await effects(platform, world, call) == ONCE


def test_the_call_that_lived_passed_every_boundary(calls: dict[int, Call]):
    assert [call.ended for call in calls.values()] == [9] * BOUNDARIES + [0]
    assert (calls[BOUNDARIES + 1].folder / "boundaries").read_text() == str(BOUNDARIES)


@pytest.mark.parametrize("boundary", range(1, BOUNDARIES + 2))
async def test_it_is_finished_by_the_next_process_and_nothing_is_done_twice(
    world: World, calls: dict[int, Call], boundary: int
):
    call = calls[boundary]
    async with world.platform(call.folder, tools=(Sundry(),), policy=Engine()) as platform:
        journal = (await platform.app.readers()).journal  # opening it finishes what the dead process left
        before = list(await journal.operations())
        if boundary == 1:
            assert before == [] and await effects(platform, world, call) == NOTHING
        else:
            await assert_whole(platform, before[0], world, call)
        again = await platform.call("sundry", **call.arguments, mode="apply", idempotency_key="k")
        assert again.data["status"] == "applied" and again.data["replayed"] == (boundary != 1)
        operations = await journal.operations()
        assert len(operations) == 1
        await assert_whole(platform, operations[0], world, call)
        assert (await journal.verify_audit()).intact
        resumed = [row for row in await platform.audit() if row[1] == "resume"]
        assert len(resumed) == (1 if 1 < boundary < BOUNDARIES else 0)
