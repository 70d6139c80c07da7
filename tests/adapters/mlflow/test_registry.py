from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from typing import Any
from uuid import uuid4

import anyio
import pytest

from ai_platform_mcp.adapters.mlflow.registry import MlflowRegistry
from ai_platform_mcp.core.errors import Forbidden, InvalidInput, Misconfigured, NotFound, PlanStale
from ai_platform_mcp.core.permit import Permit, open_permit
from ai_platform_mcp.core.plan import CreateVersion, Precondition, RegistryStep, SetAlias, SetTag
from ai_platform_mcp.core.rows import Outcome, Stamp

PIN = "sha256:" + "ab" * 32


@pytest.fixture
def registry(uri: str) -> MlflowRegistry:
    return MlflowRegistry(uri, seconds=60)


@pytest.fixture
def name() -> str:
    return f"model-{uuid4().hex[:12]}"


def stamp(operation: str = "op-1") -> Stamp:
    return Stamp(operation_id=operation, plan_digest="d1", annotations={"aiplatform.cost-center": "cc-1"})


def create(name: str, **fields: Any) -> CreateVersion:
    base: dict[str, Any] = {
        "id": "s1",
        "title": "register",
        "model": name,
        "source": f"oci://registry/{name}@{PIN}",
        "run_id": None,
        "tags": {"aiplatform.digest": PIN},
        "model_tags": {"aiplatform.team": "vision"},
    }
    return CreateVersion(**(base | fields))


def alias(name: str, version: str, expected: str | None, called: str = "champion") -> SetAlias:
    return SetAlias(id="s1", title="move", model=name, alias=called, version=version, expected=expected)


async def do(registry: MlflowRegistry, step: RegistryStep, operation: str = "op-1") -> Outcome:
    with open_permit(Permit(operation, step.id)):
        return await registry.execute(step, stamp(operation))


def bound(name: str, expected: str, called: str = "candidate") -> CreateVersion:
    """A version that takes an alias, planned when the alias pointed at ``expected``."""
    condition = Precondition(kind="alias", subject=f"{name}@{called}", expected=expected)
    return create(name, aliases=(called,), preconditions=(condition,))


async def test_a_version_whose_alias_moved_since_the_plan_is_not_created(registry: MlflowRegistry, name: str) -> None:
    assert (await do(registry, bound(name, ""), "op-1")).version == "1"
    with pytest.raises(PlanStale, match="points at 1"):
        await do(registry, bound(name, ""), "op-2")
    assert len((await registry.versions(name)).items) == 1

    assert (await do(registry, bound(name, "1"), "op-3")).version == "2"
    assert (await do(registry, bound(name, "1"), "op-3")).state == "unchanged", "its own move is no other's"
    model = await registry.model(name)
    assert model is not None
    assert model.aliases == {"candidate": "2"}


async def test_a_version_is_created_with_its_model_tags_and_aliases(registry: MlflowRegistry, name: str) -> None:
    step = create(name, aliases=("candidate",), description="first")
    assert not await registry.read_back(step, stamp())
    assert await do(registry, step) == Outcome(state="applied", version="1")
    assert await registry.read_back(step, stamp())
    assert not await registry.read_back(step, stamp("op-2"))

    model = await registry.model(name)
    assert model is not None
    assert (model.aliases, model.tags, model.latest) == ({"candidate": "1"}, {"aiplatform.team": "vision"}, "1")
    found = await registry.version(name, "@candidate")
    assert found is not None and found == await registry.version(name, "1") == await registry.version(name, "candidate")
    assert (found.source, found.status, found.aliases, found.description) == (
        step.source,
        "READY",
        ("candidate",),
        "first",
    )
    assert (
        found.tags.items()
        >= {"aiplatform.digest": PIN, "aiplatform.operation": "op-1", "aiplatform.cost-center": "cc-1"}.items()
    )
    assert isinstance(found.created, datetime) and found.created.tzinfo is not None


async def test_one_operation_creates_its_version_once(registry: MlflowRegistry, name: str) -> None:
    step = create(name)
    await do(registry, step)
    assert await do(registry, step) == Outcome(state="unchanged", version="1")
    assert await do(registry, create(name, id="s2")) == Outcome(state="applied", version="2")
    assert await do(registry, step, "op-2") == Outcome(state="applied", version="3")
    assert len((await registry.versions(name)).items) == 3


async def test_a_crash_between_version_and_alias_is_healed_by_doing_it_again(
    registry: MlflowRegistry, name: str
) -> None:
    await do(registry, create(name))
    step = create(name, aliases=("candidate",))
    assert not await registry.read_back(step, stamp())
    assert await do(registry, step) == Outcome(state="applied", version="1")
    assert await registry.read_back(step, stamp())


async def test_an_alias_moves_only_from_where_the_plan_saw_it(registry: MlflowRegistry, name: str) -> None:
    for operation in ("op-1", "op-2", "op-3"):
        await do(registry, create(name), operation)
    assert (await do(registry, alias(name, "1", None))).state == "applied"
    assert (await do(registry, alias(name, "1", None))).state == "unchanged"
    assert await registry.read_back(alias(name, "1", None), stamp())
    with pytest.raises(PlanStale) as stale:
        await do(registry, alias(name, "3", "2"))
    assert stale.value.details == {"expected": "2", "found": "1"}
    with pytest.raises(PlanStale):
        await do(registry, alias(name, "3", None))
    model = await registry.model(name)
    assert model is not None and model.aliases == {"champion": "1"}
    assert (await do(registry, alias(name, "2", "1"))).state == "applied"
    assert [row.aliases for row in (await registry.versions(name)).items] == [(), ("champion",), ()]


async def test_an_alias_cannot_point_at_what_is_not_there(registry: MlflowRegistry, name: str) -> None:
    with pytest.raises(NotFound):
        await do(registry, alias(name, "1", None))
    await do(registry, create(name))
    with pytest.raises(NotFound):
        await do(registry, alias(name, "9", None))


async def test_tags_are_set_on_the_model_or_on_a_version(registry: MlflowRegistry, name: str) -> None:
    await do(registry, create(name))
    for version in (None, "1"):
        step = SetTag(id="s1", title="tag", model=name, version=version, key="aiplatform.stage", value="edge")
        assert not await registry.read_back(step, stamp())
        assert (await do(registry, step)).state == "applied"
        assert (await do(registry, step)).state == "unchanged"
        assert await registry.read_back(step, stamp())


async def test_nothing_is_written_without_a_permit(registry: MlflowRegistry, name: str) -> None:
    steps = (
        create(name),
        alias(name, "1", None),
        SetTag(id="s1", title="tag", model=name, key="k", value="v"),
    )
    for step in steps:
        with pytest.raises(Forbidden, match="no plan step"):
            await registry.execute(step, stamp())
    assert await registry.model(name) is None


async def test_lists_are_paged(registry: MlflowRegistry, name: str) -> None:
    for suffix in "abc":
        await do(registry, create(f"{name}-{suffix}"))
    for operation in ("op-2", "op-3"):
        await do(registry, create(f"{name}-a"), operation)
    first = await registry.models(contains=name.upper(), limit=2)
    second = await registry.models(contains=name.upper(), limit=2, token=first.token)
    assert [row.name for row in (*first.items, *second.items)] == [f"{name}-a", f"{name}-b", f"{name}-c"]
    assert [row.latest for row in first.items] == ["3", "1"]
    assert (bool(first.token), second.token) == (True, "")
    newest = await registry.versions(f"{name}-a", limit=2)
    oldest = await registry.versions(f"{name}-a", limit=2, token=newest.token)
    assert [row.version for row in (*newest.items, *oldest.items)] == ["3", "2", "1"]
    with pytest.raises(InvalidInput):
        await registry.models(token="no token")


async def test_what_does_not_exist_is_none(registry: MlflowRegistry, name: str) -> None:
    assert await registry.model(name) is None
    assert await registry.version(name, "1") is None
    assert (await registry.versions(name)).items == ()
    assert await registry.run("0" * 32) is None
    assert await registry.runs(experiment=name) == ()
    await do(registry, create(name))
    assert await registry.version(name, "7") is None
    assert await registry.version(name, "@champion") is None


async def test_names_cannot_break_out_of_a_search(registry: MlflowRegistry, name: str) -> None:
    await do(registry, create(name))
    for trick in ("' or name != '", '" or name != "', "%' and 1=1 --"):
        assert (await registry.models(contains=trick)).items == ()
        assert (await registry.versions(trick)).items == ()
    with pytest.raises(InvalidInput):
        await registry.models(contains="'\"")


async def test_runs_come_with_metrics_parameters_and_datasets(uri: str, registry: MlflowRegistry, name: str) -> None:
    def make() -> str:
        from mlflow.entities import Dataset, DatasetInput
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        experiment = client.create_experiment(name)
        client.create_run(experiment, run_name="older", start_time=1_000)
        run = client.create_run(experiment, run_name=f"{name}-train", start_time=2_000, tags={"team": "vision"})
        client.log_metric(run.info.run_id, "accuracy", 0.5, step=1)
        client.log_metric(run.info.run_id, "accuracy", 0.942, step=2)
        client.log_param(run.info.run_id, "epochs", "60")
        client.log_inputs(run.info.run_id, [DatasetInput(Dataset("images", "abc123", "oci", "oci://data"))])
        client.set_terminated(run.info.run_id, "FINISHED", 3_000)
        return run.info.run_id

    await registry.models(limit=1)
    run_id = await anyio.to_thread.run_sync(make)
    run = await registry.run(run_id)
    assert run is not None
    assert (run.experiment, run.status, run.metrics, run.params) == (
        name,
        "FINISHED",
        {"accuracy": 0.942},
        {"epochs": "60"},
    )
    assert (run.datasets, run.tags) == (("images@abc123",), {"team": "vision"})
    assert (run.started is not None and run.ended is not None) and (run.ended - run.started).total_seconds() == 1
    assert [row.name for row in await registry.runs(experiment=name)] == [f"{name}-train", "older"]
    assert [row.run_id for row in await registry.runs(contains=name)] == [run_id]
    assert len(await registry.runs(experiment=name, limit=1)) == 1


def test_a_registry_without_a_uri_is_refused() -> None:
    with pytest.raises(Misconfigured):
        MlflowRegistry("")


def test_mlflow_is_imported_by_the_first_call_only_and_says_nothing(sandbox_registry: str) -> None:
    script = f"""
import asyncio, sys
from ai_platform_mcp.adapters.mlflow.registry import MlflowRegistry
registry = MlflowRegistry({sandbox_registry.replace("mlflow.db", "quiet.db")!r})
assert "mlflow" not in sys.modules and "sqlalchemy" not in sys.modules
ticks = []
async def tick():
    while True:
        ticks.append(1)
        await asyncio.sleep(0.01)
async def main():
    ticking = asyncio.create_task(tick())
    assert (await registry.models()).items == ()
    ticking.cancel()
asyncio.run(main())
assert len(ticks) > 20, "the event loop stood still"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
