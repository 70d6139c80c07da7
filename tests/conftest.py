from __future__ import annotations

import contextlib
import gc
import pkgutil
from collections.abc import Iterator
from importlib import import_module

import anyio
import pytest
from hypothesis import HealthCheck, settings

from real_report import register
from support import warm
from support.world import World, running_world

# pytest rewrites the modules of every package that brings a plugin. Imported late, in the middle of a test with threads, that
# can trip over a bug of CPython 3.11 (python/cpython#106905), so what is imported lazily is imported now.
for module in pkgutil.walk_packages(anyio.__path__, "anyio."):
    if "trio" not in module.name and "pytest" not in module.name:
        with contextlib.suppress(ImportError):
            import_module(module.name)

settings.register_profile(
    "patient", deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.register_profile("search", settings.get_profile("patient"), derandomize=False, max_examples=500)
settings.load_profile("patient")
"""A loaded machine is no reason to fail, and the same code gives the same verdict: the examples follow from the test, thirty
each, within the suite's time. New ones are sought with ``pytest -m hypothesis --hypothesis-profile=search``."""


def pytest_configure(config: pytest.Config) -> None:
    register(config)


def pytest_unconfigure() -> None:
    warm.end()


@pytest.fixture(autouse=True)
def no_collection_at_the_bottom_of_a_recursion(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where an answer is nested deeper than Python recurses, a collection there would run finalizers without any stack left."""
    if "nested JSON" not in request.node.name:
        yield
        return
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One fast sandbox per session, and with pytest-xdist one per worker: its cold start is the expensive part."""
    with running_world(tmp_path_factory.mktemp("world")) as running:
        yield running
