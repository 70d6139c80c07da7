from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from support.life import Life, open_life


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a seeded world at rest, to copy."""
    path = tmp_path_factory.mktemp("life") / "cluster.sqlite"

    async def make() -> None:
        async with open_life(path):
            pass

    anyio.run(make)
    return path


@pytest.fixture
async def life(seeded: Path, tmp_path: Path) -> AsyncIterator[Life]:
    """The seeded world at rest."""
    async with open_life(shutil.copy(seeded, tmp_path / "cluster.sqlite")) as life:
        yield life


@pytest.fixture
async def queues() -> AsyncIterator[Life]:
    """A world of namespaces and queues only."""
    async with open_life(whole=False) as life:
        yield life
