from __future__ import annotations

import asyncio
import socket

import pytest

from ai_platform_mcp.core.listening import tcp_listener


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_what_is_served_is_sent_at_once_and_does_not_wait_for_an_acknowledgement(host: str):
    try:
        listener = tcp_listener(host, 0)
    except OSError as problem:
        pytest.skip(f"this machine has no {host}: {problem}")
    met: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(meet, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        assert await met
        writer.close()


def test_a_taken_address_is_refused_and_nothing_stays_open():
    with tcp_listener("127.0.0.1", 0) as taken, pytest.raises(OSError, match="Address already in use"):
        tcp_listener("127.0.0.1", taken.getsockname()[1])
