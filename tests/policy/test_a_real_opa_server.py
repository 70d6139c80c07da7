"""The adapter on a real OPA over REST: it decides as the embedded engine does, and says what is wrong with a server."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ai_platform_mcp.adapters.policy.bundle import load_bundle, stamp
from ai_platform_mcp.adapters.policy.embedded import EmbeddedPolicy
from ai_platform_mcp.adapters.policy.opa import OpaPolicy
from policy.questions import ACTIONS, question
from policy.support import POLICIES
from real_servers import opa_server
from real_targets import on

pytestmark = on("opa")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with opa_server(tmp_path_factory.mktemp("opa")) as url:
        yield url


@pytest.fixture
async def server(url: str) -> AsyncIterator[OpaPolicy]:
    policy = OpaPolicy(url, POLICIES, connect_seconds=5, read_seconds=20)
    yield policy
    await policy.aclose()


async def test_a_server_decides_as_the_embedded_engine_does(server: OpaPolicy) -> None:
    embedded = EmbeddedPolicy(POLICIES)
    own = {"engine", "duration_us"}
    try:
        for tool, environment in itertools.product(ACTIONS, ("staging", "production")):
            asked = question(tool, environment=environment)
            mine, theirs = await embedded.decide(asked), await server.decide(asked)
            assert (mine.engine.split()[0], theirs.engine) == ("regorus", "opa")
            assert theirs.model_dump(exclude=own) == mine.model_dump(exclude=own)
            assert theirs.revision == load_bundle(POLICIES).revision
    finally:
        await embedded.aclose()


async def test_a_server_with_the_law_loaded_has_no_problem(server: OpaPolicy) -> None:
    info = await server.info()
    assert (info.engine, info.problem) == ("opa", "")


def other_law(folder: Path) -> Path:
    """The repository's law with another limit, stamped as anyone would who changed it."""
    law = shutil.copytree(POLICIES, folder / "law")
    data = json.loads((law / "data.json").read_text())
    data["aiplatform"]["teams"]["vision"]["max_hours"] += 1
    (law / "data.json").write_text(json.dumps(data, indent=2))
    stamp(law)
    return law


async def test_a_server_with_another_law_is_not_believed(tmp_path: Path) -> None:
    with opa_server(tmp_path, other_law(tmp_path)) as url:
        policy = OpaPolicy(url, POLICIES, connect_seconds=5, read_seconds=20)
        decision, info = await policy.decide(question("request_gpu")), await policy.info()
        await policy.aclose()
    assert [row.code for row in decision.violations] == ["policy_revision_mismatch"]
    assert f"these policies are {load_bundle(POLICIES).revision}" in info.problem


async def test_a_server_without_a_law_denies(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with opa_server(tmp_path, tmp_path / "empty") as url:
        policy = OpaPolicy(url, POLICIES, connect_seconds=5, read_seconds=20)
        decision, info = await policy.decide(question("request_gpu")), await policy.info()
        await policy.aclose()
    assert [row.code for row in decision.violations] == ["policy_error"]
    assert "not loaded" in info.problem
