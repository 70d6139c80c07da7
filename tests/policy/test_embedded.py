"""The embedded engine, contained: whatever happens in it, the answer is a decision, and a doubtful one is a denial."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import anyio
import pytest

from ai_platform_mcp.adapters.policy import cell as cells
from ai_platform_mcp.adapters.policy.bundle import load_bundle, stamp
from ai_platform_mcp.adapters.policy.embedded import EmbeddedPolicy
from ai_platform_mcp.adapters.policy.wire import MAX_ITEMS, EngineFailure, decode
from ai_platform_mcp.core.decision import KNOWN_OBLIGATIONS, Decision
from policy.questions import ACTIONS, put, question
from policy.support import POLICIES

GOOD = question("request_gpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(POLICIES, tmp_path / "policies"))


def codes(decision: Decision) -> list[str]:
    return [row.code for row in decision.violations]


def engine_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "policy-engine"}


async def test_every_tool_is_judged_with_provenance_and_words() -> None:
    policy = EmbeddedPolicy()
    law = load_bundle(POLICIES)
    for tool in ACTIONS:
        good = await policy.decide(question(tool))
        bad = await policy.decide(question(tool, put("principal.roles", [])))
        assert (good.effect, bad.effect) == ("allow", "deny")
        assert good.revision == law.revision
        assert good.bundle_sha256 == law.digest
        assert good.engine.startswith("regorus ")
        assert len(good.input_digest) == 64
        assert good.duration_us > 0
        assert {row.type for row in good.obligations} <= KNOWN_OBLIGATIONS
        assert good.annotations() == {"aiplatform.dev/team": "vision", "aiplatform.dev/cost-center": "cc-2100"}
        assert "roles" in bad.violations[0].msg
    assert policy.explain("role_missing", {"roles": ["a", "b"]})[0] == "Changes need one of the roles: a, b."
    info = await policy.info()
    assert (info.revision, info.bundle_sha256, info.stale, info.problem) == (law.revision, law.digest, False, "")
    assert set(await policy.law()) == set(law.files)
    await policy.aclose()


async def test_an_approval_is_asked_for_in_words() -> None:
    policy = EmbeddedPolicy()
    decision = await policy.decide(question("request_gpu", put("cost.total_cents", 1_000_000)))
    assert decision.effect == "require_approval"
    assert decision.approvals[0].reason == "This request costs much."
    assert decision.approvals[0].approvers == ("platform-approver",)
    await policy.aclose()


async def test_many_callers_at_once_each_get_their_own_answer() -> None:
    others = engine_threads()
    policy = EmbeddedPolicy(deadline_seconds=60)
    wrong: list[int] = []

    async def ask(number: int) -> None:
        hours = number + 1
        decision = await policy.decide(question("request_gpu", put("facts.compute.hours", 72 + hours)))
        if decision.violations[0].details["hours"] != 72 + hours:
            wrong.append(number)

    async with anyio.create_task_group() as group:
        for number in range(24):
            group.start_soon(ask, number)
    assert wrong == []
    assert len(engine_threads() - others) == 1
    await policy.aclose()


async def test_a_question_that_engines_read_differently_is_denied_unasked() -> None:
    policy = EmbeddedPolicy()
    for value in (2**60, "x" * 300_000, list(range(MAX_ITEMS + 1)), "\ud800"):
        decision = await policy.decide(GOOD.model_copy(update={"args": {"a": value}}))
        assert codes(decision) == ["policy_error"]
    deep: object = 1
    for _ in range(40):
        deep = [deep]
    assert codes(await policy.decide(GOOD.model_copy(update={"args": {"a": deep}}))) == ["policy_error"]
    await policy.aclose()


@pytest.mark.parametrize("text", ['"<undefined>"', "", "{", "NaN", '{"a": 1, "a": 2}', "[" * 100_000, "1" * 300_000])
def test_an_answer_that_is_no_clear_json_is_refused(text: str) -> None:
    with pytest.raises(EngineFailure):
        decode(text)


async def test_policies_that_do_not_load_deny_everything_and_say_why(folder: Path) -> None:
    (folder / "main.rego").write_text("package aiplatform.main\n\ndecision := {\n")
    policy = EmbeddedPolicy(folder)
    assert codes(await policy.decide(GOOD)) == ["policy_unavailable"]
    assert "do not load" in (await policy.info()).problem
    await policy.aclose()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("main.rego", 'package aiplatform.main\n\ndecision := {"allow": true}\n'),
        ("main.rego", "package aiplatform.main\n\ndecision := no_such_function(input)\n"),
        ("main.rego", "package aiplatform.main\n\nother := 1\n"),
        ("selftest.jsonl", ""),
        ("selftest.jsonl", "nonsense\n"),
        ("data.json", '{"aiplatform": {"revision": ""}}'),
    ],
)
async def test_policies_that_fail_their_self_test_are_never_served(folder: Path, file: str, text: str) -> None:
    (folder / file).write_text(text)
    policy = EmbeddedPolicy(folder)
    decision = await policy.decide(GOOD)
    assert decision.effect == "deny"
    assert (await policy.info()).problem
    await policy.aclose()


async def test_a_self_test_without_a_denial_is_refused(folder: Path) -> None:
    lines = (folder / "selftest.jsonl").read_text().splitlines(keepends=True)
    (folder / "selftest.jsonl").write_text("".join(line for line in lines if '"effect":"allow"' in line))
    policy = EmbeddedPolicy(folder)
    assert "lacks" in (await policy.info()).problem
    await policy.aclose()


async def test_a_broken_reload_keeps_the_old_law_and_says_so(folder: Path) -> None:
    policy = EmbeddedPolicy(folder)
    before = await policy.info()
    sound = (folder / "lib" / "say.rego").read_text()
    (folder / "lib" / "say.rego").write_text("package aiplatform.lib.say\n\nfinding(\n")
    kept = await policy.reload()
    assert kept.stale
    assert "older ones stay in force" in kept.problem
    assert kept.revision == before.revision
    assert (await policy.decide(GOOD)).effect == "allow"
    (folder / "lib" / "say.rego").write_text(sound)
    data = folder / "data.json"
    data.write_text(data.read_text().replace('"max_hours": 72', '"max_hours": 8'))
    fresh = await policy.reload()
    assert (fresh.stale, fresh.problem) == (False, "")
    assert fresh.revision == stamp(folder) != before.revision
    assert codes(await policy.decide(question("request_gpu", put("facts.compute.hours", 9)))) == ["gpu_hours_exceeded"]
    await policy.aclose()


async def test_a_panic_is_a_denial_and_the_next_question_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    class Panic(BaseException):
        """What the engine raises when it is touched wrongly: no Exception."""

    policy = EmbeddedPolicy()
    await policy.info()
    sound = cells.evaluate
    built: list[int] = []
    build = cells.build_engine

    def panic(engine: object, payload: bytes) -> object:
        raise Panic("unsendable")

    def count(bundle: object) -> object:
        built.append(1)
        return build(bundle)  # type: ignore[arg-type]

    monkeypatch.setattr(cells, "build_engine", count)
    monkeypatch.setattr(cells, "evaluate", panic)
    assert codes(await policy.decide(GOOD)) == ["policy_error"]
    monkeypatch.setattr(cells, "evaluate", sound)
    assert (await policy.decide(GOOD)).effect == "allow"
    assert built == [1]
    await policy.aclose()


async def test_the_engine_touched_from_another_thread_does_panic() -> None:
    """The reason for the engine's own thread: were this to change, the cell could be simpler."""
    engine = cells.build_engine(load_bundle(POLICIES))
    caught: list[BaseException] = []

    def touch() -> None:
        try:
            engine.set_input_json("null")
        except BaseException as panic:
            caught.append(panic)

    thread = threading.Thread(target=touch)
    thread.start()
    thread.join()
    assert caught
    assert not isinstance(caught[0], Exception)


async def test_a_late_decision_is_denied_and_the_engine_is_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, release = threading.Event(), threading.Event()
    policy = EmbeddedPolicy(deadline_seconds=0.3)
    await policy.info()
    sound = cells.evaluate

    def hang(engine: object, payload: bytes) -> object:
        entered.set()
        release.wait(20)
        return sound(engine, payload)

    first = policy._cell  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(cells, "evaluate", hang)

    async def ask() -> None:
        assert codes(await policy.decide(GOOD)) == ["policy_unavailable"]

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.to_thread.run_sync(entered.wait)
        monkeypatch.setattr(cells, "evaluate", sound)
    assert policy._cell is not first  # pyright: ignore[reportPrivateUsage]
    release.set()
    monkeypatch.setattr(policy, "_deadline", 30)
    assert (await policy.decide(GOOD)).effect == "allow"
    await policy.aclose()


async def test_the_previous_question_is_forgotten() -> None:
    law = load_bundle(POLICIES)
    engine = cells.build_engine(law)
    cells.evaluate(engine, GOOD.model_dump_json(by_alias=True).encode())
    assert engine.eval_query_as_json("input").count("req-1") == 0
