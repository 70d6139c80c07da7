"""Time by hand: an event loop whose clock stands still while anything is to be done and jumps to what is due next otherwise.

Server, controller and nodes of a simulated fleet live on one such loop and speak over loopback. What they wait for (timers,
back-off, deadlines, leases) takes no time at all, and nothing overtakes anything: the clock moves only when no callback is
ready, no socket has anything to read, nothing is under way between two sockets, and no thread is at work.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio.to_thread

BEGIN = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
"""When every simulated world begins: a Monday morning."""
_ARRIVES = 0.5
"""Real seconds within which what was sent over loopback arrives, also on a machine that has other things to do."""
_STUCK = 30.0
"""Real seconds without anything to do and without anything due, after which a run is given up."""


class HandLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is ``moment``, in seconds since the world began."""

    def __init__(self) -> None:
        self.moment = 0.0
        self.threads: Callable[[], int] = lambda: 0
        """How many threads work for the loop, those of its own executor apart."""
        self.journey = Journey()
        self._working = 0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return the seconds since the world began."""
        return self.moment

    @property
    def busy(self) -> bool:
        """Whether a thread works for the loop, or something is between two of its sockets."""
        return bool(self._working or self.threads() or self.journey.under_way)

    @contextlib.contextmanager
    def at_work(self) -> Generator[None]:
        """Let no time pass until the end of the block."""
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Run a function in a thread, and let no time pass until it has ended."""
        future = super().run_in_executor(executor, func, *args)
        self._working += 1
        future.add_done_callback(self._worked)
        return future

    def _worked(self, future: Any) -> None:
        self._working -= 1

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Connect, and let no time pass until that has ended."""
        with self.at_work():
            await super().sock_connect(sock, address)

    def _make_socket_transport(self, sock: socket.socket, *args: Any, **options: Any) -> Any:
        made: Any = super()._make_socket_transport  # pyright: ignore  (asyncio's own, where every connection passes)
        return made(_Counted(sock, self.journey), *args, **options)


class Journey:
    """What has been sent over the loop's connections and not been read yet."""

    def __init__(self) -> None:
        self._bytes: Counter[tuple[Any, Any]] = Counter()
        self._open: set[tuple[Any, Any]] = set()
        self._ends: set[tuple[Any, Any]] = set()

    @property
    def under_way(self) -> bool:
        """Whether anything is."""
        return bool(self._bytes or self._ends)

    def opened(self, here: Any, there: Any) -> None:
        """Note one side of a connection."""
        self._open.add((here, there))

    def sent(self, here: Any, there: Any, size: int) -> None:
        """Note bytes that leave; where nobody is on the other side any more they go nowhere."""
        self._bytes[here, there] += size

    def read(self, here: Any, there: Any, size: int) -> None:
        """Note bytes that have arrived; none at all is the end of the connection."""
        self._bytes[there, here] -= size
        if self._bytes[there, here] <= 0:
            del self._bytes[there, here]
        if not size:
            self._ends.discard((here, there))

    def closed(self, here: Any, there: Any) -> None:
        """Note that one side has closed: what is under way to it is lost, and the other side hears of the end."""
        self._open.discard((here, there))
        self._ends.discard((here, there))
        del self._bytes[there, here]
        if (there, here) in self._open:
            self._ends.add((there, here))
        else:
            del self._bytes[here, there]

    def lost(self) -> None:
        """Forget what does not arrive: somebody has stopped reading."""
        self._bytes.clear()
        self._ends.clear()


class _Counted(socket.socket):
    """One side of a connection of the loop."""

    def __init__(self, sock: socket.socket, journey: Journey):
        self._ends = sock.getsockname(), sock.getpeername()
        self._journey = journey
        super().__init__(fileno=sock.detach())
        self.setblocking(False)
        journey.opened(*self._ends)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Read."""
        try:
            data = super().recv(bufsize, flags)
        except (BlockingIOError, InterruptedError):
            raise
        except OSError:
            self._journey.read(*self._ends, 0)
            raise
        self._journey.read(*self._ends, len(data))
        return data

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send."""
        size = super().send(data, flags)
        self._journey.sent(*self._ends, size)
        return size

    def close(self) -> None:
        """Close."""
        if self.fileno() >= 0:
            self._journey.closed(*self._ends)
        super().close()


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing but what is under way; where nothing is, it lets the time pass instead."""

    def __init__(self, loop: HandLoop):
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready; where nothing is, move the clock by ``timeout``."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.busy:
            ready = super().select(_ARRIVES)
            if not ready:
                self._loop.journey.lost()
            return ready
        if timeout is None:
            ready = super().select(_STUCK)
            if not ready:
                raise RuntimeError(f"nothing is due and nothing happens, {self._loop.moment:.0f} s into the run")
            return ready
        self._loop.moment += timeout
        return []


class HandClock:
    """The loop's time as a date, for the sandbox's store and for the controller."""

    def __init__(self, loop: HandLoop):
        self._loop = loop

    def now(self) -> datetime:
        """The present moment."""
        return BEGIN + timedelta(seconds=self._loop.moment)

    def second(self) -> datetime:
        """The present moment in whole seconds."""
        return self.now().replace(microsecond=0)


@contextlib.contextmanager
def by_hand() -> Generator[tuple[HandLoop, HandClock]]:
    """Make the running loop's time the only one: what reads the monotonic clock reads it too, until the end of the block."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HandLoop)
    limiter = anyio.to_thread.current_default_thread_limiter()
    loop.threads = lambda: int(limiter.borrowed_tokens)
    real = time.monotonic
    time.monotonic = loop.time
    try:
        yield loop, HandClock(loop)
    finally:
        time.monotonic = real
