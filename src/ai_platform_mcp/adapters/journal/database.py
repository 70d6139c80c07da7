"""One database: connections, transactions on worker threads, and errors in our words."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread

from ai_platform_mcp.core.errors import DeadlineExceeded, Misconfigured, Unavailable
from ai_platform_mcp.core.redact import untrusted

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

T = TypeVar("T")

BUSY_SECONDS = 10
"""How long a write waits for another process's transaction."""
READERS = 4
DEADLINE_SECONDS = 15.0
"""How long a read may take; a write ends by the busy time-out."""


class Duplicate(Exception):
    """Another writer inserted the same key in the same moment; look again."""


class Database:
    """Runs work in transactions, one writer at a time in this process; nothing is opened before the first use.

    SQLite runs in WAL mode (readers never wait), with ``synchronous=FULL`` (a committed write survives a power cut), and
    every write begins with ``BEGIN IMMEDIATE``, so that what it reads cannot change before it commits. Other databases
    serialise through row locks and unique constraints.
    """

    def __init__(self, url: str):
        """Remember the URL; ``sqlite:///path``, or ``postgresql+psycopg://…`` where a driver is installed.

        Raises:
            Misconfigured: an SQLite database in memory, which remembers nothing.
        """
        self.url = url
        if url.startswith("sqlite") and (":memory:" in url or url.rstrip("/") in {"sqlite:", "sqlite"}):
            raise Misconfigured(
                "The journal cannot live in memory.",
                cause="Its purpose is to survive a crash.",
                remedy="Give it a file: sqlite:////path/journal.db",
            )
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        self._writer = anyio.CapacityLimiter(1)
        self._readers = anyio.CapacityLimiter(READERS)

    async def read(self, work: Callable[[Connection], T], seconds: float = DEADLINE_SECONDS) -> T:
        """Run ``work`` in a read transaction on a worker thread, for at most ``seconds``.

        Raises:
            DeadlineExceeded: the database did not answer in time.
            Unavailable: it cannot be reached or is damaged.
        """
        try:
            with anyio.fail_after(seconds):
                return await anyio.to_thread.run_sync(
                    self._run, work, False, limiter=self._readers, abandon_on_cancel=True
                )
        except TimeoutError:
            raise DeadlineExceeded(
                f"The journal did not answer within {seconds:.0f} s.",
                remedy="Check the disk or the database server that holds the journal.",
            ) from None

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a write transaction; it is durable when this returns.

        A write that has begun is not abandoned when the caller is cancelled: whether it happened is never in doubt.

        Raises:
            Duplicate: a unique constraint refused it.
            Unavailable: the database cannot be reached, is locked for too long, or is damaged.
        """
        return await anyio.to_thread.run_sync(self._run, work, True, limiter=self._writer)

    def close(self) -> None:
        """Close idle connections."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _run(self, work: Callable[[Connection], T], writes: bool) -> T:
        from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

        try:
            engine = self._open()
            with engine.connect() as plain:
                connection = plain.execution_options(immediate=writes)
                if not writes and engine.dialect.name != "sqlite":  # one moment for all queries, as SQLite reads anyway
                    connection = connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.begin():
                    return work(connection)
        except IntegrityError as error:
            raise Duplicate(str(error.orig)) from error
        except DBAPIError as error:
            raise Unavailable(
                "The journal's database refuses to work.",
                cause=untrusted(str(error.orig)),
                remedy="Check that its file or server is reachable, writable, not full, and not locked by another program.",
            ) from error
        except (SQLAlchemyError, OSError) as error:  # no free connection; the lock beside the file: held, or not ours
            raise Unavailable(
                "The journal's database cannot be used.",
                cause=untrusted(f"{type(error).__name__}: {error}"),
                remedy="Check that the state folder is writable, and that no other program holds the journal's lock.",
            ) from error

    def _open(self) -> Engine:
        with self._opening:
            if self._engine is None:
                self._engine = _connect(self.url)
            return self._engine


def _connect(url: str) -> Engine:
    from sqlalchemy import create_engine, event
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import DBAPIError

    parsed = make_url(url)
    # Parameters stay out of error texts: they hold people's words.
    if parsed.get_backend_name() != "sqlite":
        engine = _engine_of_server(parsed)
        try:
            _prepare(engine)
        except DBAPIError:  # another process made the tables in the same moment; they are there now
            _prepare(engine)
        return engine
    from filelock import FileLock

    file = Path(parsed.database or "")
    _private(file)
    engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    with FileLock(f"{file}.lock", timeout=BUSY_SECONDS):  # switching to WAL does not honour the busy time-out
        _prepare(engine)
    return engine


def _engine_of_server(url: URL) -> Engine:
    from sqlalchemy import create_engine

    try:
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"No driver for {url.drivername} is installed.",
            cause=f"The module {error.name} is missing.",
            remedy="Install it beside ai-platform-mcp, for example psycopg[binary] for postgresql+psycopg.",
        ) from None


def _private(file: Path) -> None:
    """Create the file readable by its owner only; SQLite gives its companions the same mode."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"The journal's file {file} cannot be created.",
            cause=error.strerror or "",
            remedy="Choose another state folder.",
        ) from error


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would come too late, and never be IMMEDIATE
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_SECONDS * 1000}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(
        "BEGIN IMMEDIATE" if connection.get_execution_options().get("immediate") else "BEGIN DEFERRED"
    )


def _prepare(engine: Engine) -> None:
    """Create the tables and the first rows, or refuse a database of another version."""
    from uuid import uuid4

    from sqlalchemy import insert, select

    from ai_platform_mcp.adapters.journal import schema
    from ai_platform_mcp.adapters.journal.chain import genesis

    with engine.connect() as plain:
        connection = plain.execution_options(immediate=True)
        with connection.begin():
            schema.create(connection)
            rows = {row.name: row.value for row in connection.execute(select(schema.about))}
            if not rows:
                journal = uuid4().hex
                rows = {"schema_version": str(schema.SCHEMA_VERSION), "journal": journal}
                connection.execute(
                    insert(schema.about), [{"name": name, "value": value} for name, value in rows.items()]
                )
                connection.execute(insert(schema.audit_head).values(id=1, sequence=0, hash=genesis(journal)))
    if rows["schema_version"] != str(schema.SCHEMA_VERSION):
        raise Misconfigured(
            f"The journal has schema version {rows['schema_version']}; this program knows {schema.SCHEMA_VERSION}.",
            remedy="Use the version of ai-platform-mcp that wrote it, or give this one another state folder.",
        )
