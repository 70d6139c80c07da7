from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from ai_platform_mcp.sandbox import process
from support.seeded import seeded_state
from support.terminal import Terminal

SPEED = 20_000.0


@pytest.fixture(scope="session")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal over one running sandbox."""
    state = seeded_state(tmp_path_factory.mktemp("state"))
    anyio.run(lambda: process.ensure_up(state, speed=SPEED))
    try:
        yield Terminal(state, tmp_path_factory.mktemp("home"))
    finally:
        anyio.run(process.down, state)
