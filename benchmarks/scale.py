"""The inventory of a large cluster: first sync, memory, answers from the cache against listing, and staleness under churn."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from ai_platform_mcp.adapters.kubernetes.build import kubernetes_adapter
from ai_platform_mcp.adapters.kubernetes.connection import ClusterConfig
from ai_platform_mcp.adapters.kubernetes.keeping import Kept, key_of
from ai_platform_mcp.core.rows import ClusterInfo
from ai_platform_mcp.domain import views
from ai_platform_mcp.domain.answer import listing_result
from ai_platform_mcp.domain.text import json_tokens, tokens
from benchmarks.report import Section, Target, Times, milliseconds, ratio
from benchmarks.scale_server import STAMP, STAMPED
from benchmarks.scale_world import node_name
from benchmarks.servers import HERE, OURS, Server, running

NODES, PODS = 10_000, 100_000
SMALL = (20, 100)
ROUNDS = 40
SYNC_SECONDS = 300.0
"""After this long the bench gives up."""
CHURN = (200, 500)
"""Node heartbeats and pod changes per second."""
CHURN_SECONDS = 10.0
BURST = 10_000
CLUSTER = "large"
TARGET_MS = 50.0
STALE_MS = 1_000.0
DEFAULT_TOKENS, MOST_TOKENS = 2_000, 10_000

READS: dict[str, dict[str, Any]] = {
    "nodes, first page": {"kind": "nodes"},
    "nodes, a later page": {"kind": "nodes", "token": f"@{CLUSTER}|node-"},
    "nodes offline": {"kind": "nodes", "state": "offline"},
    "nodes by a label": {"kind": "nodes", "contains": "nodepool=pool-7"},
    "one node": {"kind": "nodes", "name": node_name(11)},
    "GPU pools and who holds them": {"kind": "gpu_pools"},
    "queues": {"kind": "queues"},
    "workloads of a queue": {"kind": "queues", "name": "queue-3"},
    "deployments": {"kind": "deployments"},
    "overview": {"kind": "overview"},
}
RESOURCE = f"cluster://inventory/{CLUSTER}"


@dataclass
class Measured:
    """What one run found."""

    sync_seconds: float = 0.0
    pings: list[float] = field(default_factory=list[float])
    before: int = 0
    after: int = 0
    quiet: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    churned: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    tokens: dict[str, int] = field(default_factory=dict[str, int])
    ages: list[float] = field(default_factory=list[float])
    churn: dict[str, float] = field(default_factory=dict[str, float])
    caught_up_seconds: float = 0.0
    burst_seconds: float = 0.0
    burst_made_seconds: float = 0.0
    walked: int = 0
    walked_distinct: int = 0
    pages: int = 0
    resident_end: int = 0
    listed: dict[str, float] = field(default_factory=dict[str, float])


def scale(folder: Path, nodes: int = NODES, pods: int = PODS) -> Section:
    """Measure all of it in one run, against one server."""
    measured = Measured()
    folder.mkdir(parents=True, exist_ok=True)
    measured.before = _baseline(folder / "small")
    with _cluster(folder, nodes, pods) as cluster:
        with _ours(folder) as ours:
            _sync(ours, measured)
            _read(ours, measured.quiet, measured.tokens)
            _under_churn(ours, cluster, measured)
            _burst(ours, cluster, measured)
            measured.resident_end = ours.resident
        anyio.run(_listing, folder / "kubeconfig", measured)
    return _section(measured, nodes, pods)


# --- the cluster -----------------------------------------------------------------------------------------------------


class Cluster:
    """The process that is the cluster."""

    def __init__(self, folder: Path, nodes: int, pods: int):
        command = [sys.executable, "-m", "benchmarks.scale_server", str(folder), str(nodes), str(pods)]
        self._process = subprocess.Popen(
            command, cwd=HERE.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.hear()

    def order(self, do: str, *how: float) -> None:
        """Send an order without waiting."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "how": how}).encode() + b"\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, float]:
        """Wait for what it says when it is done."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The cluster ended with {self._process.wait()}.")
        return json.loads(line)

    def stop(self) -> None:
        """End it."""
        self.order("stop")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def _cluster(folder: Path, nodes: int, pods: int) -> Generator[Cluster]:
    cluster = Cluster(folder, nodes, pods)
    try:
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def _ours(folder: Path) -> Generator[Server]:
    clusters = json.dumps([{"name": CLUSTER, "kubeconfig": str(folder / "kubeconfig")}])
    with running(OURS, folder / "state", AI_PLATFORM_CLUSTERS=clusters) as ours:
        ours.shake_hands()
        yield ours


# --- what is measured ------------------------------------------------------------------------------------------------


def _baseline(folder: Path) -> int:
    """Return the resident memory of a server that keeps next to nothing: with all it imports and opens for a cluster."""
    small = Measured()
    folder.mkdir()
    with _cluster(folder, *SMALL), _ours(folder) as ours:
        _sync(ours, small)
    return small.after


def _sync(ours: Server, measured: Measured) -> None:
    """Ask until everything has been read, with pings in between."""
    started = time.perf_counter()
    while time.perf_counter() - started < SYNC_SECONDS:
        if _complete(_pinging(ours, {"kind": "nodes", "limit": 1}, measured.pings)):
            measured.sync_seconds = time.perf_counter() - started
            measured.after = ours.resident
            return
        time.sleep(0.02)
    raise RuntimeError(f"not in sync after {SYNC_SECONDS:g} s")


def _pinging(ours: Server, arguments: dict[str, Any], pings: list[float]) -> dict[str, Any]:
    """Ask, and ping until the answer is there: the first question waits for the sync, and pings must not."""
    asked = ours.send("tools/call", {"name": "inspect_platform", "arguments": arguments})
    found: dict[str, Any] | None = None
    while found is None:
        begun = time.perf_counter()
        ping = ours.send("ping")
        while (answer := ours.receive())["id"] != ping:
            assert answer["id"] == asked
            found = answer["result"]["structuredContent"]
        pings.append(1000 * (time.perf_counter() - begun))
        time.sleep(0.005)
    return found


def _complete(data: dict[str, Any]) -> bool:
    return "pods" in data.get("columns", ()) and not any("being read" in note for note in data.get("notes", ()))


def _timed(ask: Callable[[], dict[str, Any]]) -> tuple[float, dict[str, Any]]:
    started = time.perf_counter()
    answer = ask()
    spent = 1000 * (time.perf_counter() - started)
    if answer.get("isError"):
        raise RuntimeError(str(answer["content"]))
    return spent, answer


def _read(ours: Server, taken: dict[str, list[float]], sizes: dict[str, int], rounds: int = ROUNDS) -> None:
    """Every read once per round."""
    for _ in range(rounds):
        for label, arguments in READS.items():
            spent, answer = _timed(lambda arguments=arguments: ours.call("inspect_platform", arguments))
            taken.setdefault(label, []).append(spent)
            text, data = answer["content"][0]["text"], answer["structuredContent"]
            sizes[label] = max(sizes.get(label, 0), tokens(text), json_tokens(data))
        spent, answer = _timed(lambda: ours.ask("resources/read", {"uri": RESOURCE}))
        taken.setdefault("resource of the cluster", []).append(spent)
        size = tokens(answer["contents"][0]["text"])
        sizes["resource of the cluster"] = max(sizes.get("resource of the cluster", 0), size)


def _under_churn(ours: Server, cluster: Cluster, measured: Measured) -> None:
    """Read, look at the stamp and walk through every page while the world changes."""
    cluster.order("churn", *CHURN, CHURN_SECONDS)
    heard: list[dict[str, float]] = []
    listener = threading.Thread(target=lambda: heard.append(cluster.hear()))
    listener.start()
    time.sleep(0.5)
    while listener.is_alive():
        now, seen = _stamp(ours)
        measured.ages.append((now - seen) / 1000)
        _read(ours, measured.churned, measured.tokens, rounds=1)
        if not measured.pages:
            _walk(ours, measured)
    listener.join()
    measured.churn = heard[0]
    ended = time.perf_counter()
    last = _settled_stamp(ours)
    measured.caught_up_seconds = time.perf_counter() - ended
    assert last


def _stamp(ours: Server) -> tuple[int, int]:
    answer = ours.call("inspect_platform", {"kind": "nodes", "name": node_name(STAMPED)})
    return time.monotonic_ns() // 1000, int(answer["structuredContent"]["labels"][STAMP])


def _settled_stamp(ours: Server) -> int:
    """Return the stamp once two looks in a row show the same."""
    before = -1
    while (now := _stamp(ours)[1]) != before:
        before = now
        time.sleep(0.05)
    return now


def _walk(ours: Server, measured: Measured) -> None:
    """Go through all nodes page by page."""
    token, names = "", list[str]()
    while True:
        arguments = {"kind": "nodes", "limit": 200, "verbose": True, "token": token}
        spent, answer = _timed(lambda arguments=arguments: ours.call("inspect_platform", arguments))
        measured.churned.setdefault("nodes, 200 to a page, all pages", []).append(spent)
        data = answer["structuredContent"]
        size = max(tokens(answer["content"][0]["text"]), json_tokens(data))
        label = "nodes, 200 to a page, all pages"
        measured.tokens[label] = max(measured.tokens.get(label, 0), size)
        names += [row[0] for row in data["rows"]]
        measured.pages += 1
        token = data.get("next", "")
        if not token:
            break
    measured.walked, measured.walked_distinct = len(names), len(set(names))


def _burst(ours: Server, cluster: Cluster, measured: Measured) -> None:
    """Time from the first of many changes until the last can be seen."""
    cluster.order("burst", BURST)
    told = cluster.hear()
    while _stamp(ours)[1] < told["stamp"] and time.monotonic() - told["began"] < SYNC_SECONDS:
        time.sleep(0.005)
    measured.burst_seconds = time.monotonic() - told["began"]
    measured.burst_made_seconds = told["seconds"]


async def _listing(kubeconfig: Path, measured: Measured) -> None:
    """Answer the same without a cache: list, make rows, and tell the first page."""
    adapter = kubernetes_adapter([ClusterConfig(ClusterInfo(name=CLUSTER), kubeconfig=kubeconfig)], _Wall())
    try:
        for label, kinds in (("nodes alone", ("Node",)), ("nodes and pods", ("Node", "Pod"))):
            started = time.perf_counter()
            kept = Kept(ClusterInfo(name=CLUSTER))
            for kind in kinds:
                token = ""
                while True:
                    page = await adapter.reader.list(CLUSTER, "v1", kind, limit=500, token=token)
                    for live in page.items:
                        kept.keepers[kind].put(key_of(live), live)
                    if not (token := page.token):
                        break
            now = datetime.now(UTC)
            seen = _inventory(kept, now)
            listing_result(views.nodes([seen], views.Filters(), now), verbose=False, limit=50)
            measured.listed[label] = 1000 * (time.perf_counter() - started)
    finally:
        await adapter.aclose()


def _inventory(kept: Kept, now: datetime) -> Any:
    from ai_platform_mcp.core.rows import Inventory

    return Inventory(
        cluster=CLUSTER, as_of=now, age_seconds=0, stale=False, nodes=kept.nodes.rows(), node_use=kept.pods.by_node()
    )


class _Wall:
    def now(self) -> datetime:
        return datetime.now(UTC)


# --- the section -----------------------------------------------------------------------------------------------------


def _section(measured: Measured, nodes: int, pods: int) -> Section:
    quiet = {label: Times(tuple(values)) for label, values in measured.quiet.items()}
    churned = {label: Times(tuple(values)) for label, values in measured.churned.items()}
    rows = [
        (label, *_shown(quiet.get(label)), *_shown(churned[label]), str(measured.tokens[label])) for label in churned
    ]
    first = quiet["nodes, first page"].p50
    for label, spent in measured.listed.items():
        rows.append((f"nodes, first page, by listing {label}", milliseconds(spent), "", "", "", ""))
    worst = max(max(times.p99 for times in quiet.values()), max(times.p99 for times in churned.values()))
    reads = [*quiet.values(), *churned.values()]
    ping, ages = Times(tuple(measured.pings)), Times(tuple(measured.ages))
    objects = nodes + pods
    per_thousand = (measured.resident_end - measured.before) / objects * 1000 / 2**20
    rate = measured.churn["events"] / measured.churn["seconds"]
    slow = sum(value > TARGET_MS for times in reads for value in times.values)
    lists = {label: size for label, size in measured.tokens.items() if label not in _LARGE}
    return Section(
        title=f"Inventory of {nodes:,} nodes and {pods:,} pods",
        how=f"The sandbox's API server as a process of its own, over TLS; ours over stdio. {ROUNDS} rounds of every read with "
        f"the world at rest, then reads without a pause for {CHURN_SECONDS:g} s of {CHURN[0]} node heartbeats and {CHURN[1]} "
        "pod changes per second, on the same cores. Each time is a whole answer through the server, audit included.",
        columns=("read", "p50", "p99", "p50 under churn", "p99 under churn", "most tokens"),
        rows=tuple(rows),
        targets=(
            Target(f"every read within {TARGET_MS:g} ms p99: worst {milliseconds(worst)}", worst < TARGET_MS),
            Target(f"`ping` within {TARGET_MS:g} ms p99 during the first sync: {milliseconds(ping.p99)}", ping.p99 < TARGET_MS),
            Target(f"lists within {DEFAULT_TOKENS} tokens: {max(lists.values())}", max(lists.values()) <= DEFAULT_TOKENS),
            Target(f"no answer above {MOST_TOKENS} tokens: {max(measured.tokens.values())}",
                   max(measured.tokens.values()) <= MOST_TOKENS),
            Target(f"every node told once over {measured.pages} pages while the world changes: {measured.walked} rows, "
                   f"{measured.walked_distinct} distinct", measured.walked == measured.walked_distinct == nodes),
            Target(f"staleness under churn within {STALE_MS:g} ms p99: {milliseconds(ages.p99)}", ages.p99 < STALE_MS),
        ),
        notes=(
            f"First sync, from the first question until everything is read: {measured.sync_seconds:.1f} s; "
            f"`ping` meanwhile p50 {milliseconds(ping.p50)}, p99 {milliseconds(ping.p99)}, worst {milliseconds(ping.most)} "
            f"of {len(measured.pings)}.",
            f"Resident memory of the server: {_mb(measured.before)} with a cluster of {SMALL[0]} nodes, {_mb(measured.after)} "
            f"after the first sync here, {_mb(measured.resident_end)} at the end: {per_thousand:.2f} MB per 1,000 objects.",
            f"Listing nodes for each answer takes {ratio(measured.listed['nodes alone'] / first)} the time of the cache's "
            f"answer, nodes and pods {ratio(measured.listed['nodes and pods'] / first)}.",
            f"Churn: {rate:.0f} events/s offered for {measured.churn['seconds']:.1f} s; what an answer shows is "
            f"p50 {milliseconds(ages.p50)}, p99 {milliseconds(ages.p99)} old (the world changes every 20 ms); the last change "
            f"was there {1000 * measured.caught_up_seconds:.0f} ms after the churn ended.",
            f"A burst of {BURST:,} pod changes, made in {measured.burst_made_seconds:.1f} s, was there after "
            f"{measured.burst_seconds:.1f} s: {BURST / measured.burst_seconds:.0f} events/s.",
            f"{slow} of {sum(len(times.values) for times in reads)} reads took longer than {TARGET_MS:g} ms.",
        ),
    )  # fmt: skip


def _shown(times: Times | None) -> tuple[str, str]:
    return (milliseconds(times.p50), milliseconds(times.p99)) if times else ("", "")


_LARGE = ("nodes, 200 to a page, all pages", "resource of the cluster")
"""Asked for with the large budget, or a document of all sections."""


def _mb(size: int) -> str:
    return f"{size / 2**20:.0f} MB"
