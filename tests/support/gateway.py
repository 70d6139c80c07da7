"""A TLS gateway that demands client certificates and says why it refuses one, which asyncio's own TLS server does not."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


@contextlib.contextmanager
def gateway(context: ssl.SSLContext, upstream: str) -> Iterator[str]:
    """Terminate TLS before a plain HTTP server; gives the URL. Blocking sockets send the alert of a failed handshake."""
    target = (urlsplit(upstream).hostname or "", urlsplit(upstream).port or 80)
    listener = socket.create_server(("127.0.0.1", 0))
    open_: list[socket.socket] = []

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def serve(plain: socket.socket) -> None:
        open_.append(plain)
        with contextlib.suppress(OSError):  # a refused certificate is an SSLError, which is one
            secured = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            open_.append(secured)
            try:
                secured.do_handshake()
            except OSError:
                _end_in_order(secured)
                return
            far = socket.create_connection(target)
            open_.append(far)
            threading.Thread(target=pump, args=(far, secured), daemon=True).start()
            pump(secured, far)
        plain.close()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in open_:
            one.close()
        thread.join(5)


def _end_in_order(failed: ssl.SSLSocket) -> None:
    """Close without a reset, which would overtake the alert: what the client sent already is read first."""
    socket.socket.shutdown(failed, socket.SHUT_WR)
    while socket.socket.recv(failed, 65536):
        pass
    failed.close()
