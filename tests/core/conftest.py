from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.world import Platform, World


@pytest.fixture
async def platform(world: World, tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform with the real policies, over the session's sandbox, with a journal of its own."""
    async with world.platform(tmp_path) as opened:
        yield opened
