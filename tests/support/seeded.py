"""A seeded state folder to copy, so that a suite's sandbox starts warm."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import anyio
from filelock import FileLock

import ai_platform_mcp.sandbox
from ai_platform_mcp.sandbox import process

WORLD = ("cluster.sqlite", "metrics.sqlite", "mlflow.sqlite")


def seeded_state(folder: Path) -> Path:
    """Fill a folder with the state of a new world that has been started once; return it.

    The original is made once a day and per state of the sandbox's code, in the user's temporary folder.
    """
    shelf = Path(tempfile.gettempdir()) / f"ai-platform-tests-{os.getuid()}"
    shelf.mkdir(mode=0o700, exist_ok=True)
    original = shelf / _fingerprint()
    with FileLock(shelf / "lock"):
        if not original.exists():
            for old in shelf.glob("world-*"):
                shutil.rmtree(old, ignore_errors=True)
            draft = Path(tempfile.mkdtemp(dir=shelf, prefix="world-draft-"))
            anyio.run(lambda: process.ensure_up(draft))
            anyio.run(process.down, draft)
            _move(draft / "mlflow.sqlite", draft, original)
            draft.rename(original)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in WORLD:
            shutil.copy(original / name, folder / name)
        shutil.copytree(original / "artifacts", folder / "artifacts", dirs_exist_ok=True)
    _move(folder / "mlflow.sqlite", original, folder)
    return folder


def _fingerprint() -> str:
    """Changes with the sandbox's code, the interpreter, and the day: the world's dates are relative to its first start."""
    code = hashlib.sha256(f"{sys.version}{datetime.now(UTC):%Y%m%d}".encode())
    root = Path(ai_platform_mcp.sandbox.__file__).parent
    for file in sorted(root.rglob("*")):
        if file.suffix in (".py", ".json"):
            code.update(file.read_bytes())
    return f"world-{code.hexdigest()[:16]}"


def _move(registry: Path, before: Path, after: Path) -> None:
    """Let the registry's artifacts be found in the folder that they are in now."""
    with closing(sqlite3.connect(registry)) as database, database:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            change = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"
            database.execute(change, (before.as_uri(), after.as_uri()))
