from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from support.world import World, running_world

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
"""A loaded machine is no reason to fail."""


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One fast sandbox per session, and with pytest-xdist one per worker: its cold start is the expensive part."""
    with running_world(tmp_path_factory.mktemp("world")) as running:
        yield running
