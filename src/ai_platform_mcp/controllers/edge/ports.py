"""What the controller is handed: a way to read and write single objects, and caches that somebody feeds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol

from ai_platform_mcp.core.model import Value, type_json

FIELD_MANAGER = "ai-platform-mcp-controller"
"""The field manager of every write here: what a person or the server applies is not the controller's, and the reverse."""
Verb = Literal["apply", "merge", "create", "replace", "delete"]


class Write(Value):
    """One effect as data. ``why`` completes «could not …»."""

    verb: Verb
    path: str
    body: Any
    why: str


class Api(Protocol):
    """Single requests to the one cluster that the controller runs in."""

    async def read(self, path: str) -> type_json:
        """Return an object.

        Raises:
            NotFound: it is not there.
            Unavailable and others of the core's errors.
        """
        ...

    async def write(self, write: Write) -> type_json:
        """Perform a write and return the answer.

        Raises:
            Conflict: the object is not what the write was made for.
            NotFound, Rejected, Forbidden, Unavailable, OutcomeUnknown: as they say.
        """
        ...


class Feeds(Protocol):
    """Keeps the caches current by watching."""

    def current(self) -> bool:
        """Whether everything has been read and a watch is open on every kind."""
        ...

    async def run(self) -> None:
        """Keep the caches current until cancelled."""
        ...


class Kept(Protocol):
    """Takes the objects of one kind as they come, by «namespace, NUL, name»."""

    def put(self, key: str, live: type_json) -> None:
        """Take an object that is new or changed."""
        ...

    def drop(self, key: str) -> None:
        """Forget an object."""
        ...

    def known(self) -> Iterable[str]:
        """Return the keys of what is kept."""
        ...
