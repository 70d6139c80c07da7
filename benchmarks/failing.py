"""What is left when backends are gone or hang."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.report import Section, Target, Times, milliseconds
from benchmarks.servers import OURS, Server, running

CALL_LIMIT = 1000.0
PING_LIMIT = 50.0
REPEATS = 5
HANG_SECONDS = 3.0
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "Kubernetes: inspect_platform": ("inspect_platform", {"kind": "gpu_pools"}),
    "registry: inspect_platform": ("inspect_platform", {"kind": "models"}),
    "metrics: query_metrics": ("query_metrics", {"promql": "up"}),
    "planned write: request_gpu": ("request_gpu", {"purpose": "train", "hours": 1}),
}


@dataclass(frozen=True)
class Ports:
    """Where the backends would be."""

    kubernetes: int
    registry: int
    metrics: int


def down(folder: Path) -> Section:
    """Every backend refuses connections: start, list, and call each of them."""
    command = _configured(folder, Ports(*(_refusing() for _ in range(3))))
    first: dict[str, float] = {}
    later: dict[str, list[float]] = {label: [] for label in CALLS}
    started: list[float] = []
    for _ in range(2):
        for label, (name, arguments) in CALLS.items():
            with running(command, folder) as server:
                server.shake_hands()
                server.ask("tools/list")
                started.append(server.age)
                first[label] = min(first.get(label, float("inf")), _failed_call(server, name, arguments))
                for _ in range(REPEATS):
                    later[label].append(_failed_call(server, name, arguments))
    rows = [("start and `tools/list`", milliseconds(Times(tuple(started)).p50), "", "")]
    for label, taken in later.items():
        times = Times(tuple(taken))
        rows.append((label, milliseconds(first[label]), milliseconds(times.p50), milliseconds(times.most)))
    worst, worst_first = max(max(taken) for taken in later.values()), max(first.values())
    return Section(
        title="Every backend down",
        how="Settings name loopback ports that refuse connections. Each call is a tool error; two servers per call, the "
        f"lesser first call, {2 * REPEATS} later ones.",
        columns=("", "first call (imports included)", "later, p50", "later, worst"),
        rows=tuple(rows),
        targets=(
            Target(f"a call fails within 1 s: worst {milliseconds(worst)}", worst <= CALL_LIMIT),
            Target(f"… the first call of a process too: worst {milliseconds(worst_first)}", worst_first <= CALL_LIMIT),
        ),
    )


def hanging(folder: Path) -> Section:
    """Every backend accepts and never answers: ``ping`` while a call waits for it."""
    rows: list[tuple[str, ...]] = []
    settled: list[float] = []
    with contextlib.ExitStack() as stack:
        ports = Ports(*(stack.enter_context(_silent()) for _ in range(3)))
        command = _configured(folder, ports)
        for label, (name, arguments) in CALLS.items():
            with running(command, folder) as server:
                server.shake_hands()
                server.ask("tools/list")
                first = _pings(server, name, arguments)
                again = _pings(server, name, arguments)
                settled += again.values
                rows.append(
                    (
                        label,
                        str(len(again.values)),
                        milliseconds(again.p50),
                        milliseconds(again.p99),
                        milliseconds(again.most),
                        f"{milliseconds(first.p50)} / {milliseconds(first.most)}",
                    )
                )
    times = Times(tuple(settled))
    return Section(
        title="A backend hangs",
        how=f"The backend accepts connections and never answers. `ping` is sent every 10 ms for {HANG_SECONDS:g} s while a "
        "call waits; the last column is the first call of a process, which imports the client at the same time.",
        columns=("waiting call", "pings", "p50", "p99", "worst", "during the first call, p50 / worst"),
        rows=tuple(rows),
        targets=(
            Target(
                f"ping within {PING_LIMIT:g} ms while a call hangs: p99 {milliseconds(times.p99)}, "
                f"worst {milliseconds(times.most)}",
                times.p99 <= PING_LIMIT,
            ),
        ),
    )


def _pings(server: Server, name: str, arguments: dict[str, Any]) -> Times:
    call = server.send("tools/call", {"name": name, "arguments": arguments})
    taken: list[float] = []
    until = time.perf_counter() + HANG_SECONDS
    pending = True
    while time.perf_counter() < until and pending:
        started = time.perf_counter()
        ping = server.send("ping")
        while (answered := server.receive()["id"]) != ping:
            pending = pending and answered != call
        taken.append(1000 * (time.perf_counter() - started))
        time.sleep(0.01)
    while pending:
        pending = server.receive()["id"] != call
    return Times(tuple(taken))


def _failed_call(server: Server, name: str, arguments: dict[str, Any]) -> float:
    started = time.perf_counter()
    answer = server.call(name, arguments)
    spent = 1000 * (time.perf_counter() - started)
    if not answer.get("isError"):
        raise RuntimeError(f"{name} should have failed: {answer}")
    return spent


def _configured(folder: Path, ports: Ports) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    cluster = {"server": f"http://127.0.0.1:{ports.kubernetes}"}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "gone",
        "clusters": [{"name": "gone", "cluster": cluster}],
        "users": [{"name": "gone", "user": {"token": "none"}}],
        "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))
    platform = {
        "clusters": [{"name": "gone", "kubeconfig": str(folder / "kubeconfig"), "environment": "dev"}],
        "mlflow": {"uri": f"http://127.0.0.1:{ports.registry}", "seconds": 4},
        "prometheus": {"url": f"http://127.0.0.1:{ports.metrics}", "seconds": 4},
        "guard": {"read_seconds": 4, "plan_seconds": 4},
    }
    (folder / "platform.yaml").write_text(yaml.safe_dump(platform))
    return [*OURS, "--config", str(folder / "platform.yaml")]


def _refusing() -> int:
    """Return a loopback port on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextlib.contextmanager
def _silent() -> Generator[int]:
    """Listen on a loopback port, accept, and never say anything."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(listener.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(2)
            for connection in accepted:
                connection.close()
