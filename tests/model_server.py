"""A model server on loopback that speaks three protocols and behaves as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]


class ModelServer:
    """``answer`` gets the path and the body of a request and returns a status and what to say; it may wait."""

    def __init__(self, answer: Callable[[str, Json], tuple[int, Any]]):
        self.asked: list[tuple[str, Json]] = []
        self.at_once = self.most_at_once = 0
        lock, outer = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.asked.append((self.path, body))
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                try:
                    status, said = answer(self.path, body)
                finally:
                    with lock:
                        outer.at_once -= 1
                content = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # a client that gave up is no error here
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def echo(path: str, body: Json) -> tuple[int, Any]:
    """The model of the tests: it doubles numbers and repeats texts, under every protocol."""
    if path.endswith("/infer"):
        tensor = body["inputs"][0]
        doubled = [2 * value for value in tensor["data"]]
        return 200, {"outputs": [{"name": "y", "shape": tensor["shape"], "datatype": "FP32", "data": doubled}]}
    if path.endswith(":predict"):
        return 200, {"predictions": [2 * row for row in body["instances"]]}
    return 200, {"choices": [{"message": {"role": "assistant", "content": body["messages"][-1]["content"]}}]}
