"""What a dead edge costs behind a real LiteLLM proxy with the configuration that a routing plan writes.

Alone, with its section written: ``LITELLM_COMMAND=…/bin/litellm python -m benchmarks.router --write``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml
from rich.console import Console

from ai_platform_mcp.domain.routing.facts import Request, ServiceTime, Slo
from ai_platform_mcp.domain.routing.facts import Target as Place
from ai_platform_mcp.domain.routing.plan import plan_routes
from ai_platform_mcp.tools._routes import proxy_of
from benchmarks.report import Section, Target, Times, facts, load, milliseconds, put, ratio, show
from benchmarks.servers import HERE

TITLE = "A dead edge, behind a real proxy"
CASES = {"healthy": "healthy", "refuses": "refuses connections", "silent": "takes the request and never answers"}
SLO_SECONDS = 1.0
FIRST, LATER, WARM = 2, 50, 20
"""Requests until the circuit opens (one failure is forgiven), those that are measured after, and those before any of it."""
MOST_ONCE_MS, MOST_LATER_MS = 2000.0, 100.0
START_SECONDS = 180.0
KEY = "sk-only-for-this-bench"


class _Model(BaseHTTPRequestHandler):
    """A server of the OpenAI API that answers at once."""

    protocol_version = "HTTP/1.1"
    body = json.dumps(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
    ).encode()

    def do_POST(self) -> None:
        """Answer a chat completion."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: only the clock is of interest."""


def router() -> Section:
    """Ask a healthy and two dead edges in turns, so that what else the machine does meets all of them."""
    program = os.environ.get("LITELLM_COMMAND")
    if not program:
        return _section((), ("Not measured: LITELLM_COMMAND names no LiteLLM proxy.",))
    with _servers() as urls, _proxy(program, urls) as client:
        for _ in range(WARM):
            _ask(client, "healthy")
        first = {case: [_ask(client, case) for _ in range(FIRST)] for case in CASES}
        later: dict[str, list[float]] = {case: [] for case in CASES}
        for _ in range(LATER):
            for case, taken in later.items():
                taken.append(_ask(client, case))
        version = client.get("/openapi.json").json()["info"]["version"]
    return _measured(first, {case: Times(tuple(taken)) for case, taken in later.items()}, str(version))


def _measured(first: dict[str, list[float]], later: dict[str, Times], version: str) -> Section:
    usual = later["healthy"].p50
    rows: list[tuple[str, ...]] = []
    targets: list[Target] = []
    for case, text in CASES.items():
        times = later[case]
        once = sum(max(0.0, one - usual) for one in first[case])
        begin = " + ".join(milliseconds(one) for one in first[case])
        cells = (milliseconds(times.p50), milliseconds(_p95(times)), ratio(times.p50 / usual))
        rows.append((text, begin, "" if case == "healthy" else milliseconds(once), *cells))
        if case != "healthy":
            told = f"an edge that {text} costs at most 2 s once: {milliseconds(once)}"
            targets.append(Target(told, once <= MOST_ONCE_MS))
            told = f"… and then under 100 ms per request: p95 {milliseconds(_p95(times))}"
            targets.append(Target(told, _p95(times) < MOST_LATER_MS))
    return _section(tuple(rows), (f"LiteLLM {version}, one process.",), tuple(targets))


def _section(rows: tuple[tuple[str, ...], ...], notes: tuple[str, ...], targets: tuple[Target, ...] = ()) -> Section:
    return Section(
        title=TITLE,
        how=f"Three models behind one LiteLLM proxy, each with an edge, a cloud and a promise of {SLO_SECONDS:g} s, configured "
        f"by what their routing plans write. The first {FIRST} requests open the circuit (one failure is forgiven); the {LATER} "
        "that follow are asked in turns over the models, on one connection, of servers that answer at once. Once: what the "
        "first requests took beyond a healthy edge's median.",
        columns=("the edge", "first requests", "once", "later, p50", "later, p95", "p50 beside a healthy edge"),
        rows=rows,
        targets=targets,
        notes=notes,
    )


def _p95(times: Times) -> float:
    return sorted(times.values)[-(-95 * len(times.values) // 100) - 1]


def _ask(client: httpx.Client, model: str) -> float:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    began = time.perf_counter()
    client.post("/v1/chat/completions", json=body).raise_for_status()
    return 1000 * (time.perf_counter() - began)


@contextlib.contextmanager
def _servers() -> Generator[dict[str, str]]:
    """Yield the URLs: a server that answers, a port that refuses, and one whose connections nobody takes from the queue."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    with socket.socket() as refusing, socket.socket() as silent:
        refusing.bind(("127.0.0.1", 0))
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        ports = {
            "healthy": http.server_port,
            "refuses": refusing.getsockname()[1],
            "silent": silent.getsockname()[1],
            "cloud": http.server_port,
        }
        try:
            yield {name: f"http://127.0.0.1:{port}/v1" for name, port in ports.items()}
        finally:
            http.shutdown()
            http.server_close()
            thread.join(5)


def _config(urls: dict[str, str]) -> str:
    """What the routing plans of the three models write."""
    service = ServiceTime(base_seconds=0.05)
    common: dict[str, Any] = {"region": "r", "service": service, "slots": 1000}
    plans = [
        plan_routes(
            case,
            [
                Place(name="edge", tier="edge", failure_domain="site", base_url=urls[case], **common),
                Place(name="cloud", tier="cloud", failure_domain="cloud", base_url=urls["cloud"], **common),
            ],
            Request(),
            Slo(seconds=SLO_SECONDS),
        )
        for case in CASES
    ]
    return yaml.safe_dump(proxy_of(plans))


@contextlib.contextmanager
def _proxy(program: str, urls: dict[str, str]) -> Generator[httpx.Client]:
    """Start the proxy in a session of its own; yield a client with its key."""
    with tempfile.TemporaryDirectory(prefix="bench-") as made, socket.socket() as probe:
        folder = Path(made)
        (folder / "config.yaml").write_text(_config(urls))
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        line = [program, "--config", str(folder / "config.yaml"), "--host", "127.0.0.1", "--port", port]
        quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "DISABLE_ADMIN_UI": "True"}
        environment = {"PATH": os.environ["PATH"], "HOME": made, "LITELLM_MASTER_KEY": KEY, **quiet}
        with (folder / "log").open("wb") as log:
            running = subprocess.Popen(line, cwd=made, env=environment, stdout=log, stderr=log)
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False, headers={"Authorization": f"Bearer {KEY}"}
        )
        try:
            _await(client, running, folder / "log")
            yield client
        finally:
            client.close()
            running.terminate()
            running.wait(30)


def _await(client: httpx.Client, running: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and running.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if client.get("/health/liveliness").is_success:
                return
        time.sleep(0.1)
    raise RuntimeError(f"LiteLLM did not come up: {log.read_text(errors='replace')[-1500:]}")


def main() -> None:
    """Measure this section alone; with ``--write``, put it into the page."""
    asked = argparse.ArgumentParser(description=main.__doc__)
    asked.add_argument("--write", action="store_true", help="put the section into benchmarks/results.md")
    chosen, before = asked.parse_args(), facts()
    found = router()
    show(found, Console(width=160))
    if chosen.write:
        ran = "; ".join(f"{name} {value}" for name, value in before.items())
        put(HERE / "results.md", found, f"This section is from a run of its own: {ran} → {load()}.")


if __name__ == "__main__":
    main()
