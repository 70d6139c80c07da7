"""The audit covers every call whatever becomes of it; secrets reach neither journal nor answer."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import anyio
import pytest

from ai_platform_mcp.core.errors import Denied, InvalidInput, PlatformError, Rejected
from support.engines import Engine
from support.sundry import ActingReader, Sundry
from support.world import Platform, World

SECRETS = {
    "hf": "hf_" + "abcdefghij" * 3,
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLWJ5dGVz",
    "aws": "AKIAABCDEFGHIJKLMNOP",
    "url": "https://ada:correct-horse@registry.example/x",
}


def journal_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def attempt(platform: Platform, tool: str, **arguments: Any) -> None:
    try:
        await platform.call(tool, **arguments)
    except PlatformError:
        return


async def test_every_outcome_of_a_call_is_in_the_audit_and_the_chain_holds(world: World, tmp_path: Path):
    model, name = world.model(), f"audited-{tmp_path.name}"
    async with world.platform(tmp_path, tools=(ActingReader(),), guard={"writes_per_minute": 7}) as platform:
        move = {"model": model, "version": "2", "alias": "challenger"}
        await platform.call("peek", name=name)
        await platform.call("promote_model", **move)
        await platform.call("promote_model", **move, mode="apply")
        await platform.call("promote_model", **move, mode="apply")
        await attempt(
            platform,
            "promote_model",
            **(move | {"model": "llama-3.3-70b", "version": "1", "alias": "mine"}),
            mode="apply",
        )
        await attempt(platform, "promote_model", **(move | {"alias": "champion"}), mode="apply")
        await attempt(platform, "promote_model", **(move | {"model": "nowhere"}))
        await attempt(platform, "promote_model", nonsense=1, mode="apply")
        await attempt(platform, "promote_model", **move)
        await attempt(platform, "no_such_tool")
        assert await platform.audit() == [
            ("peek", "read", "read"),
            ("promote_model", "plan", "planned"),
            ("promote_model", "apply", "applied"),
            ("promote_model", "apply", "replayed"),
            ("promote_model", "apply", "denied"),
            ("promote_model", "apply", "awaiting_approval"),
            ("promote_model", "plan", "not_found"),
            ("promote_model", "apply", "invalid_input"),
            ("promote_model", "plan", "rate_limited"),
            ("no_such_tool", "read", "not_found"),
        ]
        journal = (await platform.app.readers()).journal
        assert (await journal.verify_audit()).intact
        rows = {row.outcome: row for row in await journal.audit()}
        assert rows["applied"].operation_id and rows["applied"].plan_digest and rows["applied"].effect == "allow"
        assert rows["denied"].codes and rows["denied"].effect == "deny"
        assert rows["planned"].policy_revision and rows["planned"].principal == platform.who.id


async def test_a_failed_step_and_a_failing_tool_are_audited(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with world.platform(tmp_path, tools=(Sundry(), ActingReader()), policy=Engine()) as platform:
        writer = (await platform.app.wiring()).guard._executor._writers.clusters

        async def refuse(*_: Any) -> Any:
            raise Rejected("the server does not want it")

        monkeypatch.setattr(writer, "execute", refuse)
        failed = await platform.call("sundry", name="fails", mode="apply")
        assert failed.is_error and failed.data["status"] == "failed"

        async def bug() -> None:
            raise KeyError("a bug")

        monkeypatch.setattr(platform.app.tools()["peek"], "act", bug)
        with pytest.raises(KeyError):
            await platform.call("peek")
        with pytest.raises(KeyError):
            await platform.app.look("cluster://x", platform.caller(), lambda _: bug())  # type: ignore[arg-type,return-value]
        assert [outcome for *_, outcome in await platform.audit()] == ["failed", "internal_error", "internal_error"]


async def test_a_call_that_is_given_up_is_audited_as_cancelled(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with world.platform(tmp_path, tools=(ActingReader(),)) as platform:
        reached = anyio.Event()

        async def hang() -> None:
            reached.set()
            await anyio.sleep_forever()

        monkeypatch.setattr(platform.app.tools()["peek"], "act", hang)
        async with anyio.create_task_group() as group:
            group.start_soon(platform.call, "peek")
            await reached.wait()
            group.cancel_scope.cancel()
        assert await platform.audit() == [("peek", "read", "cancelled")]


async def test_a_caller_that_hangs_up_during_an_apply_does_not_leave_it_half_told(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = world.model(versions=1)
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Engine()) as platform:
        registry: Any = (await platform.app.readers()).registry
        execute, reached = registry.execute, anyio.Event()

        async def slow(*arguments: Any) -> Any:
            reached.set()
            await anyio.sleep(0.05)
            return await execute(*arguments)

        monkeypatch.setattr(registry, "execute", slow)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: platform.call("sundry", name="hung-up", model=model, mode="apply"))
            await reached.wait()
            group.cancel_scope.cancel()
        operation = (await (await platform.app.readers()).journal.operations())[0]
        assert operation.state == "applied"
        assert [outcome for *_, outcome in await platform.audit()] == ["applied"]


async def test_an_edited_a_deleted_and_a_moved_row_are_found(world: World, tmp_path: Path):
    async with world.platform(tmp_path, tools=(ActingReader(),)) as platform:
        for name in ("one", "two", "three", "four"):
            await platform.call("peek", name=name)
        journal = (await platform.app.readers()).journal
        assert (await journal.verify_audit()).intact
        database = sqlite3.connect(tmp_path / "journal.sqlite")
        for name in ("audit_refuses_update", "audit_refuses_delete"):
            database.execute(f"DROP TRIGGER IF EXISTS {name}")
        original = database.execute("SELECT document FROM audit WHERE sequence = 2").fetchone()[0]
        edited = json.dumps(json.loads(original) | {"principal": "local:eve"})
        edit, move = (
            "UPDATE audit SET document = ? WHERE sequence = 2",
            "UPDATE audit SET sequence = ? WHERE sequence = ?",
        )
        for tamper, repair in (
            ((edit, (edited,)), (edit, (original,))),
            ((move, (20, 2)), (move, (2, 20))),
            (("DELETE FROM audit WHERE sequence = 4", ()), None),
        ):
            database.execute(*tamper)
            database.commit()
            verdict = await journal.verify_audit()
            assert not verdict.intact and verdict.problem
            if repair is not None:
                database.execute(*repair)
                database.commit()
                assert (await journal.verify_audit()).intact
        database.close()


@pytest.mark.parametrize("kind", SECRETS)
async def test_an_argument_that_looks_like_a_secret_is_refused_and_kept_nowhere(
    world: World, tmp_path: Path, kind: str
):
    secret, name = SECRETS[kind], world.fresh("secretive")
    async with world.platform(tmp_path, tools=(Sundry(), ActingReader()), policy=Engine()) as platform:
        for mode in ("plan", "apply"):
            with pytest.raises(InvalidInput, match="seems to hold a secret") as caught:
                await platform.call("sundry", name=name, text=f"use {secret} please", mode=mode)
            assert secret not in json.dumps(caught.value.as_dict())
        with pytest.raises(InvalidInput, match="seems to hold a secret"):
            await platform.call("sundry", name=name, idempotency_key=secret)
        with pytest.raises(InvalidInput) as caught:
            await platform.call("sundry", name=name, copies=secret)
        assert secret not in json.dumps(caught.value.as_dict())
        with pytest.raises(InvalidInput):
            await platform.call("sundry", name=name, password="correct-horse-battery")
        await platform.call("peek", name=secret)
        await platform.app.look(f"x://{secret}", platform.caller(), _nothing)
        assert await platform.object("ConfigMap", name) is None
        assert len(await platform.audit()) == 7
    kept = journal_bytes(tmp_path)
    needle = secret.split("//")[-1].split("@")[0]
    assert needle.encode() not in kept and b"correct-horse-battery" not in kept
    assert b"[redacted]" in kept


async def _nothing(_: Any) -> str:
    return "nothing"


async def test_a_secret_in_what_a_backend_says_is_not_kept(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with world.platform(tmp_path, tools=(Sundry(),), policy=Engine()) as platform:
        writer = (await platform.app.wiring()).guard._executor._writers.clusters

        async def refuse(*_: Any) -> Any:
            raise Rejected(f"cannot pull with {SECRETS['hf']}", cause=SECRETS["jwt"])

        monkeypatch.setattr(writer, "execute", refuse)
        await platform.call("sundry", name="leaks", mode="apply")
    kept = journal_bytes(tmp_path)
    assert SECRETS["hf"].encode() not in kept and SECRETS["jwt"].encode() not in kept


async def test_a_denial_names_every_rule_with_a_sentence_and_a_remedy(platform: Platform):
    with pytest.raises(Denied) as caught:
        await platform.call("promote_model", model="llama-3.3-70b", version="1", alias="mine", mode="apply")
    assert caught.value.cause and caught.value.remedy
    rows = caught.value.details["plan"]["decision"]["violations"]
    assert rows and all(row["code"] and row["text"] and row["remedy"] for row in rows)
