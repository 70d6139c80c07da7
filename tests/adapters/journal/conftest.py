from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from adapters.journal.builders import HandClock, Store
from ai_platform_mcp.adapters.journal.sql import SqlJournal
from real_servers import postgres_server
from real_targets import both, met

HERE = Path(__file__).parent


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def file_store(tmp_path: Path) -> Store:
    met("postgresql", f"SQLite {sqlite3.sqlite_version}", "sandbox")
    return Store(f"sqlite:///{tmp_path / 'journal.db'}")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres_server() as url:
        admin = create_engine(url)
        with admin.connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
        admin.dispose()
        met("postgresql", f"{version} ({'TEST_POSTGRES_URL' if os.environ.get('TEST_POSTGRES_URL') else 'postgres'})")
        yield url


@pytest.fixture
def server_store(postgres_url: str) -> Iterator[Store]:
    """A schema of its own on a database server."""
    schema = f"journal_{uuid4().hex[:12]}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    url = make_url(postgres_url).update_query_dict({"options": f"-csearch_path={schema}"})
    yield Store(url.render_as_string(hide_password=False))
    with admin.connect() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()


@pytest.fixture(params=both("postgresql"))
def store(request: pytest.FixtureRequest) -> Store:
    """One suite over SQLite and PostgreSQL."""
    return request.getfixturevalue("file_store" if request.param == "sandbox" else "server_store")


@pytest.fixture
def journal(store: Store, clock: HandClock) -> Iterator[SqlJournal]:
    opened = store.open(clock)
    yield opened
    opened.close()


@pytest.fixture
def worker(store: Store) -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(task: str, name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), task, store.url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(HERE.parents[1])},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
