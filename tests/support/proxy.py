"""A TLS proxy before the sandbox's API server that loses answers on command."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.abc
import yaml
from anyio.streams.tls import TLSListener, TLSStream

from support.world import World

Match = Callable[[str], bool]


@dataclass
class Proxy:
    """Passes bytes on; where a request line matches, the request arrives and its answer does not."""

    kubeconfig: Path
    upstream: tuple[str, int]
    context: ssl.SSLContext
    swallowed: int = 0
    _match: Match | None = None
    _left: int = 0
    _cut: bool = False
    _down: bool = False

    def swallow(self, match: Match, *, times: int) -> None:
        """Lose the next answers to matching requests, that many times."""
        self._match, self._left, self._cut = match, times, False

    def cut_after(self, match: Match) -> None:
        """Lose the next matching answer, and refuse everything from then on."""
        self._match, self._left, self._cut = match, 1, True

    def mend(self) -> None:
        """Lose nothing more."""
        self._match, self._left, self._cut, self._down = None, 0, False, False

    def _loses(self, data: bytes) -> bool:
        line = data.split(b"\r\n", 1)[0].decode("latin-1")
        if self._match is None or not self._left or not self._match(line):
            return False
        self._left -= 1
        self.swallowed += 1
        return True

    async def handle(self, client: TLSStream) -> None:
        """Serve one connection."""
        losing = anyio.Event()
        host, port = self.upstream
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            async with client:
                if self._down:
                    return
                server = await anyio.connect_tcp(host, port, ssl_context=self.context, tls_standard_compatible=False)
                async with server, anyio.create_task_group() as group:
                    group.start_soon(self._answers, server, client, losing, group.cancel_scope)
                    with contextlib.suppress(anyio.EndOfStream):
                        while True:
                            data = await client.receive()
                            if self._down:
                                break
                            if self._loses(data):
                                losing.set()
                            await server.send(data)
                    group.cancel_scope.cancel()

    async def _answers(
        self, server: TLSStream, client: TLSStream, losing: anyio.Event, scope: anyio.CancelScope
    ) -> None:
        with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                data = await server.receive()
                if losing.is_set():  # the server has answered, so the change is made: nobody hears of it
                    self._down = self._down or self._cut
                    break
                await client.send(data)
        scope.cancel()


@contextlib.asynccontextmanager
async def through(world: World, folder: Path) -> AsyncIterator[Proxy]:
    """Open a proxy, and write a kubeconfig that leads through it."""
    document: dict[str, Any] = yaml.safe_load(Path(world.status.kubeconfig).read_text())
    cluster = document["clusters"][0]["cluster"]
    to = urlsplit(cluster["server"])
    tls = Path(world.status.state_dir) / "tls"
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(next(tls.glob("*.crt")), next(tls.glob("*.key")))
    upstream = ssl.create_default_context()
    upstream.check_hostname, upstream.verify_mode = False, ssl.CERT_NONE
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    cluster["server"] = f"https://127.0.0.1:{port}"
    path = folder / "through-proxy.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    path.chmod(0o600)
    proxy = Proxy(path, (str(to.hostname), int(to.port or 443)), upstream)
    async with TLSListener(listener, serving, standard_compatible=False) as secured, anyio.create_task_group() as group:
        group.start_soon(secured.serve, proxy.handle)
        yield proxy
        group.cancel_scope.cancel()
