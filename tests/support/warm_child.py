"""Stands for a process that has been forked elsewhere: hands its pipes on, passes signals on, and ends as that one ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from types import FrameType


def main() -> int:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(sys.argv[1])

    def pass_on(number: int, _: FrameType | None) -> None:
        connection.send(bytes([number]))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    here = os.getcwd()  # noqa: PTH109  # importing pathlib takes half of this start
    asked = json.dumps({"arguments": sys.argv[2:], "environment": dict(os.environ), "folder": here}).encode()
    socket.send_fds(connection, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    connection.sendall(asked)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    told = connection.recv(1)
    return told[0] if told else 1


if __name__ == "__main__":
    sys.exit(main())
