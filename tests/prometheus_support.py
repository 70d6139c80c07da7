"""Shared by the metrics tests: samples from a list, a real Prometheus over any source, a server on loopback."""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import subprocess
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from ai_platform_mcp.sandbox.prometheus.model import NAME, Family, LabelSet, Matcher, Sample, label_set, matches
from ai_platform_mcp.sandbox.prometheus.platform import SeedNode, SeedQueue
from ai_platform_mcp.sandbox.prometheus.seed import seed_metrics
from ai_platform_mcp.sandbox.prometheus.serving import ServedModel
from ai_platform_mcp.sandbox.prometheus.world import MetricsWorld
from real_targets import absent, met

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


class FixedClock:
    """A clock that a test sets."""

    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class ListSource:
    """Samples written down in a test."""

    def __init__(self, data: Mapping[LabelSet, Sequence[Sample]]) -> None:
        self.data = {labels: list(samples) for labels, samples in data.items()}

    def series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> list[LabelSet]:
        return [
            labels
            for labels, samples in self.data.items()
            if matches(matchers, labels) and any(start_ms <= moment <= end_ms for moment, _ in samples)
        ]

    def samples(self, labels: LabelSet, start_ms: int, end_ms: int) -> list[Sample]:
        return [sample for sample in self.data.get(labels, []) if start_ms <= sample[0] <= end_ms]

    def latest(self, labels: LabelSet, moments: Sequence[int], lookback_ms: int) -> list[Sample | None]:
        samples = self.data.get(labels, [])
        times = [moment for moment, _ in samples]
        newest: list[Sample | None] = []
        for moment in moments:
            index = bisect_right(times, moment) - 1
            newest.append(samples[index] if index >= 0 and times[index] >= moment - lookback_ms else None)
        return newest

    def families(self) -> list[Family]:
        return [Family(name, "gauge", "from a list") for name in sorted({dict(labels)[NAME] for labels in self.data})]


def labelled(name: str, **labels: str) -> LabelSet:
    return label_set({**labels, NAME: name})


MODELS = (
    ServedModel("chat-7b", "3", "team-a", "ml-a", runtime="vllm", rps=4, latency_s=2.2, fallback_share=0.02),
    ServedModel("vision", "2", "team-b", "ml-b", rps=9, latency_s=0.07),
    ServedModel("vision", "2", "team-b", "ml-b", target="edge", rps=12, latency_s=0.05, dollars_per_request=0.00002),
)
NODES = (
    SeedNode("gpu-1", gpus=2, gpu_model="NVIDIA A100-SXM4-80GB", namespace="team-a"),
    SeedNode("edge-1", gpus=1, gpu_model="NVIDIA L4", gpu_memory_gib=24, region="eu", site="berlin"),
    SeedNode("edge-2", region="us", site="austin"),
    SeedNode("edge-3", region="us", site="reno", ready=False),
)
QUEUES = (
    SeedQueue("research-a100", "a100", "nvidia.com/gpu", 64, 40, pending=3),
    SeedQueue("prod-h100", "h100", "nvidia.com/gpu", 16, 16, cohort="prod"),
)


def seeded_world(folder: Path, clock: FixedClock | None = None) -> MetricsWorld:
    """A small world with every family the seed has."""
    world = MetricsWorld(folder / "metrics.sqlite", clock or FixedClock(), seed=7)
    seed_metrics(world, MODELS, NODES, QUEUES, NOW)
    return world


def openmetrics(rows: Mapping[LabelSet, Sequence[Sample]]) -> Iterator[str]:
    """The samples in the text form that promtool reads."""
    for labels, samples in rows.items():
        inner = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels if key != NAME)
        head = f"{dict(labels)[NAME]}{{{inner}}}"
        for moment, value in samples:
            yield f"{head} {_number(value)} {moment / 1000:.3f}\n"
    yield "# EOF\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return repr(value) if math.isfinite(value) else ("+Inf" if value > 0 else "-Inf")


@contextlib.contextmanager
def real_prometheus(folder: Path, rows: Mapping[LabelSet, Sequence[Sample]]) -> Iterator[str]:
    """Start a real Prometheus over these samples on a loopback port of its choice; yields its URL."""
    promtool = shutil.which("promtool")
    if promtool is None:
        # A server that somebody else runs has other samples: it is asked in test_a_prometheus_of_yours.py.
        absent("prometheus", "no prometheus and promtool on PATH, which load the samples that are compared")
    text = folder / "samples.om"
    text.write_text("".join(openmetrics(rows)))
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "data")],
        check=True,
        capture_output=True,
    )
    with _prometheus(folder, "scrape_configs: []\n", "--storage.tsdb.retention.time=100y") as url:
        yield url


@contextlib.contextmanager
def scraping_prometheus(folder: Path, target: str, milliseconds: int) -> Iterator[str]:
    """Start a real Prometheus that scrapes an exporter (host:port) so often; yields its URL."""
    config = (
        f"global: {{scrape_interval: {milliseconds}ms, scrape_timeout: {milliseconds}ms}}\n"
        f"scrape_configs: [{{job_name: test, honor_labels: true, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    with _prometheus(folder, config) as url:
        yield url


@contextlib.contextmanager
def configured_prometheus(folder: Path, config: str) -> Iterator[str]:
    """Start a real Prometheus with a configuration, as text; yields its URL."""
    with _prometheus(folder, config) as url:
        yield url


@contextlib.contextmanager
def _prometheus(folder: Path, config: str, *options: str) -> Iterator[str]:
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        absent("prometheus", "no prometheus on PATH")
    (folder / "prometheus.yml").write_text(config)
    process = subprocess.Popen(
        [
            prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            *options,
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    drain = threading.Thread(target=lambda: None)
    try:
        url = _address(process)
        # Its log must be read on, or it would block on a full pipe.
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        _await_ready(url)
        met("prometheus", f"{prometheus_version(url)} ({prometheus})")
        yield url
    finally:
        process.terminate()
        process.wait(20)
        if drain.ident is not None:
            drain.join(20)
        process.stderr.close()


def prometheus_version(url: str) -> str:
    answer = httpx.get(f"{url.rstrip('/')}/api/v1/status/buildinfo", timeout=20)
    return str(answer.json()["data"]["version"]) if answer.is_success else "of unknown version"


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    seen: list[str] = []
    for line in process.stderr:
        seen.append(line)
        match = re.search(r'msg="Listening on" address=(\S+)', line)
        if match:
            return f"http://{match.group(1)}"
    raise AssertionError("prometheus did not start: " + "".join(seen)[-2000:])


def _await_ready(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/-/ready").status_code == 200:
                return
        threading.Event().wait(0.05)
    raise AssertionError("prometheus was not ready within 30 s")


@contextlib.contextmanager
def served(app: Callable[..., Any]) -> Iterator[str]:
    """An ASGI application on a loopback port, in a thread; yields its URL."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert server.started, "the server did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
