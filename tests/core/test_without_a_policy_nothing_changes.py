"""Policy taken away in every way: what would change something is denied, and nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ai_platform_mcp.core import judge
from ai_platform_mcp.core.decision import Obligation, Violation
from ai_platform_mcp.core.errors import Denied
from ai_platform_mcp.core.ports import PolicyEngine
from support.engines import Engine, Hanging, Raising, Talking, allowing
from support.world import Platform, World

POLICIES = Path(__file__).parents[2] / "policies"


def move(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "version": "2", "alias": "challenger", **more}


async def assert_denied(platform: Platform, world: World, *codes: str) -> None:
    model = world.model()
    planned = await platform.call("promote_model", **move(model))
    assert planned.data["status"] == "denied" and planned.is_error
    found = {row["code"] for row in planned.data["decision"]["violations"]}
    assert found & set(codes), found
    assert all(row["text"] for row in planned.data["decision"]["violations"])
    for arguments in (move(model, mode="apply"), move(model, mode="apply", plan_id=planned.data["plan_id"])):
        with pytest.raises(Denied):
            await platform.call("promote_model", **arguments)
    assert world.alias(model, "challenger") is None
    assert await platform.operations() == 0
    assert [outcome for *_, outcome in await platform.audit()] == ["denied"] * 3


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def broken(folder: Path) -> None:
    (folder / "promote_model.rego").write_text("package aiplatform.promote_model\n\nviolations contains {\n")


def without_entry(folder: Path) -> None:
    (folder / "main.rego").unlink()


def without_data(folder: Path) -> None:
    (folder / "data.json").write_text("{}")


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize("spoil", [empty, broken, without_entry, without_data, removed])
async def test_policy_files_that_are_missing_or_broken_deny(
    world: World, tmp_path: Path, spoil: Callable[[Path], None]
):
    folder = tmp_path / "law"
    shutil.copytree(POLICIES, folder)
    spoil(folder)
    async with world.platform(tmp_path, law={"dir": folder}) as platform:
        await assert_denied(platform, world, "policy_unavailable", "policy_error", "facts_missing", "data_missing")


async def test_an_opa_that_is_down_denies(world: World, tmp_path: Path):
    async with world.platform(tmp_path, law={"engine": "opa", "opa_url": "http://127.0.0.1:9"}) as platform:
        await assert_denied(platform, world, "policy_unavailable")


@pytest.mark.parametrize(
    ("engine", "code"),
    [
        (Raising(), "policy_error"),
        (Hanging(), "policy_unavailable"),
        (Talking(None), "policy_error"),
        (Talking({"allow": True}), "policy_error"),
        (Talking(allowing().model_copy(update={"effect": "deny"})), "policy_error"),
        (Talking(allowing().model_copy(update={"violations": (Violation(code="x", severity="low"),)})), "policy_error"),
        (Talking(allowing("x").model_copy(update={"approvals": ()})), "policy_error"),
        (
            Talking(allowing().model_copy(update={"obligations": (Obligation(type="sign", mandatory=True),)})),
            "unknown_obligation",
        ),
    ],
    ids=["raises", "hangs", "nothing", "half", "contradiction", "allowed violation", "nobody", "obligation"],
)
async def test_an_engine_that_does_not_answer_properly_denies(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: PolicyEngine, code: str
):
    monkeypatch.setattr(judge, "POLICY_SECONDS", 0.3)
    async with world.platform(tmp_path, policy=engine) as platform:
        await assert_denied(platform, world, code)


async def test_an_engine_that_cannot_say_what_is_in_force_lets_no_approval_count(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    engine = Engine(allowing("self"))
    async with world.platform(tmp_path, policy=engine) as platform:
        model = world.model()
        waiting = await platform.call("promote_model", **move(model, mode="apply"))
        await platform.app.agree(waiting.data["approval"]["approval_id"], platform.who)

        async def lost() -> Any:
            raise RuntimeError("no info")

        monkeypatch.setattr(engine, "info", lost)
        again = await platform.call("promote_model", **move(model, mode="apply"))
        assert again.data["status"] == "awaiting_approval"
        assert world.alias(model, "challenger") is None
