"""OpenAI-compatible model servers on loopback that answer, are slow, hang, are rate-limited, or die, and count their calls."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Mode = Literal["answers", "hangs", "limited", "gone"]


class ModelServer:
    """One server. ``calls`` counts what reached it, ``heard`` keeps the messages of each request that it read. An answer takes
    ``seconds``."""

    def __init__(self, name: str, mode: Mode) -> None:
        self.name, self.mode, self.calls = name, mode, 0
        self.seconds = 0.0
        self.heard: list[list[dict[str, str]]] = []
        self.let_go = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
                outer.heard.append(asked.get("messages", []))
                outer.calls += 1
                if outer.mode == "gone":  # as a server does that dies while it holds connections open
                    self.close_connection = True
                    return
                if outer.mode == "hangs":
                    outer.let_go.wait(60)
                    self.close_connection = True
                    return
                outer.let_go.wait(outer.seconds)
                limited = outer.mode == "limited"
                body = json.dumps(LIMITED if limited else outer.answer()).encode()
                self.send_response(429 if limited else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    def answer(self) -> dict[str, Any]:
        """What a chat completion of this server says: its own name."""
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self.name}}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [choice],
            "usage": usage,
        }

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.let_go.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


LIMITED = {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}


@contextlib.contextmanager
def model_server(name: str, mode: Mode = "answers") -> Generator[ModelServer]:
    """A server that runs until the block ends."""
    server = ModelServer(name, mode)
    server.start()
    try:
        yield server
    finally:
        server.stop()
