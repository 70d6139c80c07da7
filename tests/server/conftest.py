from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.serving import Http, Way, http_server, stdio
from support.world import World


@pytest.fixture(scope="session")
def http(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    """One server over HTTP per session, with the real policies."""
    with http_server(world.platform_file(tmp_path_factory.mktemp("http"))) as server:
        yield server


@pytest.fixture(scope="session")
def session_file(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A platform file for servers on stdio that share a journal."""
    return world.platform_file(tmp_path_factory.mktemp("stdio"))


@pytest.fixture
def platform_file(world: World, tmp_path: Path) -> Path:
    return world.platform_file(tmp_path)


@pytest.fixture(params=["legacy", "auto"])
def on_stdio(request: pytest.FixtureRequest, session_file: Path) -> Way:
    """A server of its own on pipes, in each era."""
    return Way(stdio(session_file), request.param)


@pytest.fixture(params=["legacy", "auto"])
def on_http(request: pytest.FixtureRequest, http: Http) -> Way:
    """The session's server, in each era."""
    return Way(http.url, request.param)


@pytest.fixture(params=["stdio-legacy", "stdio-modern", "http-legacy", "http-modern"])
def way(request: pytest.FixtureRequest, session_file: Path) -> Way:
    """Each transport in each era."""
    transport, _, era = request.param.partition("-")
    where = stdio(session_file) if transport == "stdio" else request.getfixturevalue("http").url
    return Way(where, "auto" if era == "modern" else "legacy")
