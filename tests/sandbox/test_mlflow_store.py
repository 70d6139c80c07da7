from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from ai_platform_mcp.adapters.mlflow.registry import MlflowRegistry
from ai_platform_mcp.domain.evidence import model_facts
from ai_platform_mcp.sandbox.mlflow_store import MODELS, seed_registry

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    assert seed_registry(uri, NOW)
    return uri


async def test_the_champion_carries_every_proof(uri: str) -> None:
    registry = MlflowRegistry(uri, 60)
    champion, model = await registry.version("vision-v2", "champion"), await registry.model("vision-v2")
    assert champion is not None
    facts = model_facts(champion, model, NOW)
    assert (facts.version, facts.owner_team, facts.licence) == ("4", "vision", "Apache-2.0")
    assert facts.digest is not None and facts.signed and facts.card
    assert [(gate.verdict, gate.age_seconds < 14 * 86400) for gate in facts.gates] == [("pass", True)]


async def test_vision_v3_is_trained_and_not_registered(uri: str) -> None:
    registry = MlflowRegistry(uri, 60)
    assert await registry.model("vision-v3") is None
    newest, *_ = await registry.runs(experiment="vision-v3")
    assert (newest.status, newest.metrics["accuracy"]) == ("FINISHED", 0.942)
    assert newest.datasets[0].startswith("line-images-2026q1@")
    file = anyio.Path(newest.artifact_uri.removeprefix("file://")) / "model.json"
    assert newest.tags["aiplatform.digest"] == f"sha256:{hashlib.sha256(await file.read_bytes()).hexdigest()}"


async def test_every_team_has_models_with_all_their_versions(uri: str) -> None:
    models = {row.name: row for row in (await MlflowRegistry(uri, 60).models()).items}
    assert {row.tags["aiplatform.team"] for row in models.values()} == {"vision", "nlp", "platform"}
    assert {name: row.latest for name, row in models.items()} == {row.name: str(len(row.releases)) for row in MODELS}


async def test_seeding_again_changes_nothing(uri: str, tmp_path: Path) -> None:
    before = (await MlflowRegistry(uri, 60).models()).items
    assert not await anyio.to_thread.run_sync(seed_registry, uri, NOW)
    assert (await MlflowRegistry(uri, 60).models()).items == before


async def test_an_interrupted_seeding_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    create, made = MlflowClient.create_model_version, []

    def fail_at_the_third(self: MlflowClient, *args: object, **kwargs: object) -> object:
        made.append(args)
        if len(made) == 3:
            raise KeyboardInterrupt
        return create(self, *args, **kwargs)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(MlflowClient, "create_model_version", fail_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        seed_registry(uri, NOW)
    assert seed_registry(uri, NOW)
    models = (await MlflowRegistry(uri, 60).models()).items
    assert {row.name: row.latest for row in models} == {row.name: str(len(row.releases)) for row in MODELS}
    assert {row.name: len(row.aliases) for row in models} == {row.name: len(row.aliases) for row in MODELS}
