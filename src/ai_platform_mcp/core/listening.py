"""A socket to serve on."""

from __future__ import annotations

import os
import socket

BACKLOG = 128


def tcp_listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 takes a free one.

    It names TCP as its protocol, which ``socket.create_server`` leaves open: asyncio sets TCP_NODELAY only on what says so, and
    without it the second part of an answer waits for the client's delayed acknowledgement, 40 ms on Linux.

    Raises:
        OSError: the address is taken, or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere it would let another process take the address over
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
