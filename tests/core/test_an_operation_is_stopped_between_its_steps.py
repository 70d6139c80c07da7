"""Cancelling what still runs: a step that asks it to stop, planned, judged and recorded like any other."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from ai_platform_mcp.adapters.kubernetes.writer import KubernetesWriter
from ai_platform_mcp.adapters.policy.embedded import EmbeddedPolicy
from ai_platform_mcp.core.decision import PolicyInput
from ai_platform_mcp.core.errors import Conflict
from ai_platform_mcp.core.executor import Executor
from ai_platform_mcp.core.plan import CancelOperation, Draft, Plan, seal
from ai_platform_mcp.core.ports import Writers
from ai_platform_mcp.core.principal import Principal
from ai_platform_mcp.core.records import StoredPlan
from ai_platform_mcp.core.tool import Result
from support.engines import Engine, allowing
from support.sundry import Sundry
from support.world import Platform, World

STRANGER = Principal(id="local:eve", kind="agent", team="nlp", roles=("developer",))


class Law(Engine):
    """The real policies, for every tool that they know; the tool of this test is allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.real = EmbeddedPolicy()

    async def decide(self, question: PolicyInput) -> Any:
        return self.answer if question.tool == "sundry" else await self.real.decide(question)

    async def aclose(self) -> None:
        await self.real.aclose()


class Slow:
    """Holds the first cluster step of an operation until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.begun, self.go_on = anyio.Event(), anyio.Event()
        execute = KubernetesWriter.execute

        async def held(writer: KubernetesWriter, step: Any, stamp: Any) -> Any:
            done = await execute(writer, step, stamp)
            self.begun.set()
            await self.go_on.wait()
            return done

        monkeypatch.setattr(KubernetesWriter, "execute", held)


@asynccontextmanager
async def under_way(
    world: World, platform: Platform, monkeypatch: pytest.MonkeyPatch, name: str
) -> AsyncGenerator[tuple[str, Slow, list[Result]]]:
    """An operation of four steps whose first has been sent and not answered yet; the list gets its result."""
    slow, results = Slow(monkeypatch), list[Result]()

    async def work() -> None:
        results.append(await platform.call("sundry", name=name, model=world.model(), mode="apply"))

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        await slow.begun.wait()
        (running,) = await (await platform.app.readers()).journal.operations(state="running", tool="sundry")
        yield running.id, slow, results
        slow.go_on.set()


async def test_an_operation_whose_steps_run_stops_before_its_next_one(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Law()) as platform:
        async with under_way(world, platform, monkeypatch, "halted") as (operation_id, slow, results):
            cancelled = await platform.call(
                "control_operation", operation_id=operation_id, action="cancel", mode="apply"
            )
            assert cancelled.data["status"] == "applied", cancelled.text
            again = await platform.call("control_operation", operation_id=operation_id, action="cancel", mode="apply")
            assert again.data["replayed"] is True
            slow.go_on.set()
        assert results[0].data["status"] == "cancelled"
        assert [row["state"] for row in results[0].data["steps"]] == ["applied", "pending", "pending", "pending"]
        assert await platform.object("ConfigMap", "halted") is not None
        with pytest.raises(Conflict, match="left nothing behind"):
            await platform.call("control_operation", operation_id=operation_id, action="cancel", mode="apply")


async def test_a_plan_to_stop_what_has_ended_meanwhile_is_not_applied(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Law()) as platform:
        async with under_way(world, platform, monkeypatch, "too-late") as (operation_id, slow, _):
            arguments: dict[str, Any] = {"operation_id": operation_id, "action": "cancel"}
            planned = await platform.call("control_operation", **arguments)
            assert [row["title"] for row in planned.data["steps"]] == [f"Stop {operation_id} before its next step"]
            assert "0 of its 4 steps are done" in planned.data["risks"][0]["text"]
            slow.go_on.set()
        with pytest.raises(Conflict, match="left nothing behind"):
            await platform.call("control_operation", **arguments, mode="apply", plan_id=planned.data["plan_id"])


async def test_another_team_stops_nothing(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Law()) as platform:
        async with under_way(world, platform, monkeypatch, "theirs") as (operation_id, slow, results):
            answer = await platform.call("control_operation", by=STRANGER, operation_id=operation_id, action="cancel")
            assert answer.data["status"] == "denied"
            assert "object_of_other_team" in {row["code"] for row in answer.data["decision"]["violations"]}
            slow.go_on.set()
        assert results[0].data["status"] == "applied", results[0].text


async def test_what_still_runs_is_not_paused(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with (
        world.platform(tmp_path, tools=(Sundry(),), policy=Law()) as platform,
        under_way(world, platform, monkeypatch, "unpaused") as (operation_id, _, _),
    ):
        with pytest.raises(Conflict, match="still being applied"):
            await platform.call("control_operation", operation_id=operation_id, action="pause")


def sealed(operation_id: str) -> Plan:
    at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    step = CancelOperation(title="Stop it", operation_id=operation_id)
    draft = Draft(action="cancel", summary="Stop it", steps=(step,), targets=())
    return seal(draft, tool="t", arguments={}, operation_id="op-9", created_at=at, expires_at=at + timedelta(hours=1))


def test_the_digest_says_which_operation_is_stopped_and_the_step_survives_the_journal():
    assert sealed("op-1").digest != sealed("op-2").digest
    assert sealed("op-1").digest == sealed("op-1").digest
    assert Plan.model_validate_json(sealed("op-1").model_dump_json()) == sealed("op-1")


async def test_a_request_that_comes_when_the_last_step_is_over_fails_and_says_how_to_go_on(platform: Platform):
    readers = await platform.app.readers()
    plan = sealed("op-over")
    nothing = Writers(clusters=cast("Any", None), registry=cast("Any", None), git=None)
    plan_of = StoredPlan(plan=plan, principal=platform.who, idempotency_key=None, decision=allowing())
    await readers.journal.save_plan(plan_of)
    assert await readers.journal.begin(plan_of, None) is None

    execution = await Executor(nothing, readers.journal).run(plan, {})

    assert execution.state == "failed"
    assert execution.error is not None
    assert "Cancel it again" in execution.error.remedy
