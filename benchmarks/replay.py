"""Routing replayed over a real trace: the arrivals and lengths are measured, service times and prices are assumed and stated."""

from __future__ import annotations

import csv
import heapq
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ai_platform_mcp.domain.routing.decide import decide
from ai_platform_mcp.domain.routing.facts import IDLE, Load, Request, ServiceTime, Slo, Target
from ai_platform_mcp.domain.routing.savings import Served, savings
from benchmarks.report import Section
from benchmarks.report import Target as Goal

TRACE = Path(__file__).parent.parent.parent / "shared" / "data" / "traces" / "azure-llm-conv-2023.csv"
SIZES = (24, 8, 4, 3)
NODE_SLOTS = 8
NODE_CENTS = 17.0
NOISE = 0.25
LOSS = (1200.0, 2400.0)
SAMPLES = 10
WINDOWS = (float("inf"), 900.0, 300.0, 120.0)

CLOUD = Target(
    name="cloud",
    tier="cloud",
    region="cloud",
    failure_domain="cloud",
    service=ServiceTime(base_seconds=0.15, prompt_token_seconds=1 / 5000, output_token_seconds=1 / 60),
    slots=1_000_000,
    prompt_cents_per_1k=0.02,
    output_cents_per_1k=0.08,
)


def edge(nodes: int) -> Target:
    """Return an edge pool of so many nodes."""
    return Target(
        name="edge",
        tier="edge",
        region="edge",
        failure_domain="edge",
        service=ServiceTime(base_seconds=0.1, prompt_token_seconds=1 / 2500, output_token_seconds=1 / 40),
        slots=NODE_SLOTS * nodes,
        context_tokens=2048,
        prompt_cents_per_1k=0.0025,
        output_cents_per_1k=0.01,
        fixed_cents_per_hour=NODE_CENTS * nodes,
    )


@dataclass(frozen=True)
class Arrival:
    """One request of the trace, and what follows from the assumptions alone."""

    at: float
    request: Request
    fits: bool
    on_edge: float
    in_cloud: float
    slo: Slo


def read(path: Path = TRACE) -> list[Arrival]:
    """Read the trace."""
    pool, rows = edge(1), list[Arrival]()
    with path.open(newline="") as file:
        first: datetime | None = None
        for row in csv.DictReader(file):
            moment = datetime.fromisoformat(row["TIMESTAMP"][:26])
            first = first or moment
            prompt, output = int(row["ContextTokens"]), int(row["GeneratedTokens"])
            in_cloud = CLOUD.service.typical(prompt, output)
            rows.append(
                Arrival(
                    at=(moment - first).total_seconds(),
                    request=Request(prompt_tokens=prompt, output_tokens=output),
                    fits=prompt + output <= (pool.context_tokens or 0),
                    on_edge=pool.service.typical(prompt, output),
                    in_cloud=in_cloud,
                    slo=Slo(seconds=2 * in_cloud + 0.25),
                )
            )
    return rows


@dataclass
class Pool:
    """The edge's slots, first come first served. Half of them may be away for a while; the policy sees it only then."""

    slots: int
    loss: tuple[float, float] | None
    kept: list[float] = field(default_factory=list[float])
    risky: list[float] = field(default_factory=list[float])

    def __post_init__(self) -> None:
        """Split the slots into those that stay and those that go away."""
        gone = self.slots // 2 if self.loss else 0
        self.kept, self.risky = [0.0] * (self.slots - gone), [0.0] * gone

    def _heap(self, now: float) -> list[float]:
        away = self.loss is not None and self.loss[0] <= now < self.loss[1]
        return self.risky if self.risky and not away and self.risky[0] < self.kept[0] else self.kept

    def wait(self, now: float) -> float:
        """Return how long a new request waits."""
        return max(0.0, self._heap(now)[0] - now)

    def serve(self, row: Arrival) -> tuple[float, bool]:
        """Serve a request; return its time to completion, and whether its node went away and the cloud served it again."""
        heap = self._heap(row.at)
        done = max(row.at, heap[0]) + row.on_edge
        if heap is self.risky and self.loss and row.at < self.loss[0] < done:
            heapq.heapreplace(heap, self.loss[1])
            return self.loss[0] - row.at + row.in_cloud, True
        heapq.heapreplace(heap, done)
        return done - row.at, False


Policy = Callable[[Arrival, Pool], bool]
"""Whether a request goes to the edge."""


@dataclass
class Outcome:
    """What a policy did."""

    edge_share: float
    misses: float
    marginal: float
    share: float


def ours(pool: Target, noise: float = 0.0) -> Policy:
    """Return the product's rule, :func:`decide`, with its prediction wrong by a factor around 1."""
    chance = random.Random(7)  # repeatable
    targets = (pool, CLOUD)

    def choose(row: Arrival, slots: Pool) -> bool:
        wait = slots.wait(row.at)
        if noise:
            wait = max(0.0, (wait + row.on_edge) * max(0.1, chance.gauss(1.0, noise)) - row.on_edge)
        return decide(row.request, targets, {"edge": Load(wait_seconds=wait), "cloud": IDLE}, row.slo).target == "edge"

    return choose


def always(row: Arrival, slots: Pool) -> bool:
    """Use the edge wherever the request fits."""
    return row.fits


def coin() -> Policy:
    """Return a policy that sends half of what fits."""
    chance = random.Random(11)  # repeatable
    return lambda row, slots: row.fits and chance.random() < 0.5


class Fastest:
    """Shaped like LiteLLM's latency-based-routing: the mean of the last ten completed requests, in seconds per output token."""

    def __init__(self) -> None:
        self._seen = {"edge": deque[float](maxlen=SAMPLES), "cloud": deque[float](maxlen=SAMPLES)}
        self._running: list[tuple[float, str, float]] = []

    def __call__(self, row: Arrival, slots: Pool) -> bool:
        while self._running and self._running[0][0] <= row.at:
            _, where, taken = heapq.heappop(self._running)
            self._seen[where].append(taken)
        edge_first = row.fits and self._mean("edge") <= self._mean("cloud")
        seconds = slots.wait(row.at) + row.on_edge if edge_first else row.in_cloud
        name = "edge" if edge_first else "cloud"
        heapq.heappush(self._running, (row.at + seconds, name, seconds / max(1, row.request.output_tokens)))
        return edge_first

    def _mean(self, where: str) -> float:
        seen = self._seen[where]
        return sum(seen) / len(seen) if seen else 0.0


def run(rows: list[Arrival], nodes: int, policy: Policy, loss: tuple[float, float] | None = None) -> Outcome:
    """Play the trace through a policy."""
    pool = Pool(NODE_SLOTS * nodes, loss)
    used = {"edge": [0, 0, 0], "cloud": [0, 0, 0]}
    late = 0
    for row in rows:
        where, seconds = "cloud", row.in_cloud
        if policy(row, pool):
            seconds, moved = pool.serve(row)
            where = "cloud" if moved else "edge"
        late += seconds > row.slo.seconds
        _count(used[where], row)
    return _outcome(rows, nodes, used, late)


def _count(sums: list[int], row: Arrival) -> None:
    sums[0] += 1
    sums[1] += row.request.prompt_tokens
    sums[2] += row.request.output_tokens


def _outcome(rows: list[Arrival], nodes: int, used: dict[str, list[int]], late: int) -> Outcome:
    served = [Served(target=name, requests=n, prompt_tokens=p, output_tokens=o) for name, (n, p, o) in used.items()]
    saved = savings(served, (edge(nodes), CLOUD), rows[-1].at / 3600, "cloud")
    return Outcome(used["edge"][0] / len(rows), late / len(rows), saved.marginal_share or 0.0, saved.share)


def bound(rows: list[Arrival], nodes: int) -> Outcome:
    """Return what no policy without a miss can exceed, however much of the future it knows.

    A relaxation: requests are divisible and an edge slot may take them in any order. What arrives in a window is served between
    its begin and the latest SLO in it, so the edge does at most that many slot-seconds of it; the requests that save most per
    slot-second fill them. The least of several window lengths counts.
    """
    best: Outcome | None = None
    for length in WINDOWS:
        windows: dict[int, list[Arrival]] = {}
        for row in rows:
            if row.fits and row.on_edge <= row.slo.seconds:
                windows.setdefault(0 if length == float("inf") else int(row.at // length), []).append(row)
        used = {"edge": [0, 0, 0], "cloud": [0, 0, 0]}
        for row in rows:
            _count(used["cloud"], row)
        for inside in windows.values():
            _fill(inside, nodes, used)
        outcome = _outcome(rows, nodes, used, 0)
        best = outcome if best is None or outcome.marginal < best.marginal else best
    assert best is not None
    return best


def _fill(inside: list[Arrival], nodes: int, used: dict[str, list[int]]) -> None:
    begin, end = inside[0].at, max(row.at + row.slo.seconds for row in inside)
    room = NODE_SLOTS * nodes * (end - begin)
    for row in sorted(inside, key=lambda row: _saved(row) / row.on_edge, reverse=True):
        if room <= 0:
            return
        room -= row.on_edge  # the last one counts whole, which only loosens the bound
        for name, sign in (("edge", 1), ("cloud", -1)):
            used[name][0] += sign
            used[name][1] += sign * row.request.prompt_tokens
            used[name][2] += sign * row.request.output_tokens


def _saved(row: Arrival) -> float:
    prompt, output = row.request.prompt_tokens, row.request.output_tokens
    return CLOUD.marginal_cents(prompt, output) - edge(1).marginal_cents(prompt, output)


def replay(trace: Path = TRACE) -> Section:
    """Replay the trace through every policy, for several edge sizes, with noise and with half of the edge lost."""
    title = "Routing, replayed over a real trace"
    columns = ("edge nodes", "policy", "to edge", "SLO missed", "saved, marginal", "saved, fixed edge cost included")
    if not trace.is_file():
        missing = "Not measured: ../shared/data/traces/azure-llm-conv-2023.csv (AzurePublicDataset) is not here."
        return Section(title=title, how="", columns=columns, rows=(), notes=(missing,))
    began = time.perf_counter()
    rows = read(trace)
    named: dict[tuple[str, str], Outcome] = {}
    for nodes in SIZES:
        size = str(nodes)
        named[size, "latency-based, LiteLLM-shaped"] = run(rows, nodes, Fastest())
        named[size, "random, half of what fits"] = run(rows, nodes, coin())
        named[size, "always the edge"] = run(rows, nodes, always)
        named[size, "ours"] = run(rows, nodes, ours(edge(nodes)))
        named[size, "clairvoyant bound"] = bound(rows, nodes)
    named["4", "ours, prediction wrong by 25 %"] = run(rows, 4, ours(edge(4), NOISE))
    named["3", "ours, prediction wrong by 25 %"] = run(rows, 3, ours(edge(3), NOISE))
    lost = "8, half lost for 20 min"
    named[lost, "always the edge"] = run(rows, 8, always, LOSS)
    named[lost, "ours"] = run(rows, 8, ours(edge(8)), LOSS)
    named[lost, "ours, prediction wrong by 25 %"] = run(rows, 8, ours(edge(8), NOISE), LOSS)
    return Section(
        title=title,
        how=_how(rows),
        columns=columns,
        rows=tuple((*name, *_cells(outcome)) for name, outcome in named.items()),
        targets=_goals(named, lost),
        notes=_notes(time.perf_counter() - began),
    )


def _cells(row: Outcome) -> tuple[str, ...]:
    return f"{row.edge_share:.1%}", f"{row.misses:.2%}", f"{row.marginal:.1%}", f"{row.share:.1%}"


def _how(rows: list[Arrival]) -> str:
    fits = sum(row.fits for row in rows) / len(rows)
    return (
        f"Measured: arrivals and lengths of {len(rows)} requests in {rows[-1].at / 60:.0f} min (Azure LLM inference trace "
        f"2023, conversations, CC-BY-4.0); {fits:.1%} fit into the edge's 2,048 tokens of context. Assumed: cloud 0.15 s + "
        f"prompt/5000 + output/60 s, without queues; edge 0.1 s + prompt/2500 + output/40 s, {NODE_SLOTS} requests at a "
        "time per node, first come first served; SLO twice the cloud's time + 0.25 s; cloud 0.02 and 0.08 cents per 1,000 "
        f"prompt and output tokens, edge an eighth of it and {NODE_CENTS:g} cents per node and hour whether used or not. "
        "Savings are against serving all from the cloud. Output lengths are known when routing; rows with wrong "
        "predictions multiply the predicted completion by a normal factor (mean 1, sd 0.25)."
    )


def _goals(named: dict[tuple[str, str], Outcome], lost: str) -> tuple[Goal, ...]:
    sizes = [str(nodes) for nodes in SIZES]
    worst = max(named[size, "ours"].misses for size in sizes)
    noisy, full = (named[size, "ours, prediction wrong by 25 %"].misses for size in ("4", "3"))
    rivals = ("latency-based, LiteLLM-shaped", "random, half of what fits")
    ahead = min(named[size, "ours"].share - max(named[size, rival].share for rival in rivals) for size in sizes)
    short = max(named[size, "clairvoyant bound"].marginal - named[size, "ours"].marginal for size in sizes)
    always_lost, ours_lost = named[lost, "always the edge"].misses, named[lost, "ours"].misses
    return (
        Goal(f"ours misses no SLO while predictions hold: {worst:.2%} at worst", worst == 0),
        Goal(
            f"… and at most 1 % with 4 nodes when they are wrong by 25 %: {noisy:.2%} (3 nodes, too few: {full:.2%})",
            noisy <= 0.01,
        ),
        Goal(
            f"ours saves more than latency-based and random at every size: {100 * ahead:.1f} points at least", ahead > 0
        ),
        Goal(f"… and within 10 points (marginal) of the clairvoyant bound: {100 * short:.1f} at most", short <= 0.1),
        Goal(
            f"half of the edge lost: ours misses {ours_lost:.2%}, always the edge {always_lost:.2%}",
            ours_lost < always_lost,
        ),
    )


def _notes(seconds: float) -> tuple[str, ...]:
    return (
        "The fixed cost of an edge that is too large eats what it saves: the size decides more than the policy.",
        "Requests running on nodes that went away are served again by the cloud, from the moment of the loss.",
        f"Replayed in {seconds:.0f} s.",
    )
