"""What is known of a model's targets, where each number was read, and how old it is. What is not known says why.

From here the values that the rules take (:mod:`facts`) are made; nothing is filled in that nobody measured or wrote down.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pydantic import Field

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.routing.facts import Circuit, Load, Request, ServiceTime, Slo, Target, Tier
from ai_platform_mcp.domain.routing.latency import Latency, together


class Source(Value):
    """Where a fact was read, and how old it is in seconds; for one that is not known, why, and how to come by it."""

    where: str = ""
    age_seconds: int | None = None
    why: str = ""


class Observed(Value):
    """One target: a site of the edge, or what serves the model in a namespace of the cloud. Numbers are of the window."""

    name: str
    kind: str
    """What was deployed: EdgeRollout, InferenceService or LLMInferenceService."""
    tier: Tier
    cluster: str
    namespace: str
    region: str
    site: str = ""
    failure_domain: str
    versions: tuple[str, ...] = ()
    units: int
    """Nodes that run the release or replicas that are asked for."""
    ready: int
    """Those that can answer."""
    measured_seconds: int
    """How much of the window it has existed for."""
    base_url: str = ""
    """Where its server answers; of a language model, where it does so as OpenAI does."""
    picker: bool = False
    """Whether an endpoint picker stands before its replicas."""
    spot: bool = False
    context_tokens: int | None = None
    slots_per_unit: int | None = None
    fixed_cents_per_hour: float | None = None
    request_cents: float | None = None
    prompt_cents_per_1k: float | None = None
    output_cents_per_1k: float | None = None
    unit_cents_per_hour: float | None = None
    """What one more replica or node costs for an hour: for right-sizing, also where requests have prices of their own."""
    devices_per_unit: int = 0
    latency: Latency | None = None
    mean_seconds: float | None = None
    failed_share: float | None = None
    running: float | None = None
    running_peak: float | None = None
    waiting: float | None = None
    prompt_tokens: float | None = None
    output_tokens: float | None = None
    cooldowns: float | None = None
    circuits: int | None = None
    circuits_open: int | None = None
    booked_cents: float | None = None
    """What the router booked for its requests over the window."""
    routed: float | None = None
    sources: dict[str, Source] = Field(default_factory=dict[str, Source])
    """By field of this value: for every measured or looked-up one, known or not."""

    def why(self, name: str) -> str:
        """Return why a field is not known."""
        return self.sources.get(name, Source()).why or f"{name} is not known"

    @property
    def requests(self) -> float | None:
        """Requests over the window, None where that is not measured; 0 where the router saw everything fail that it sent there,
        for its count is one of answers."""
        if self.latency is None and self.routed and self.failed_share == 1:
            return 0.0
        return self.latency.count if self.latency else None

    @property
    def per_second(self) -> float | None:
        """Requests per second of the time that it has existed for."""
        return None if self.requests is None else self.requests / max(1, self.measured_seconds)

    @property
    def concurrency(self) -> float | None:
        """Requests being served at once, on average: rate times mean duration (Little's law)."""
        rate = self.per_second
        return None if rate is None or self.mean_seconds is None else rate * self.mean_seconds

    @property
    def slots(self) -> int:
        """Requests that it serves at a time: as said, else what is certain: one per unit, and what was seen at once."""
        if self.slots_per_unit is not None:
            return max(1, self.slots_per_unit * self.units)
        return max(1, self.units, math.ceil(self.running_peak or 0), math.ceil(self.concurrency or 0))

    @property
    def per_request(self) -> bool:
        """Whether its requests have a price that somebody wrote down."""
        return any(row is not None for row in (self.request_cents, self.prompt_cents_per_1k, self.output_cents_per_1k))

    @property
    def marginal_request_cents(self) -> float | None:
        """The part of a request's price that does not depend on its length: as written down, else what the router booked for a
        mean request; that only where no fixed cost is known, which would be the same cost once more."""
        if self.per_request:
            return self.request_cents or 0.0
        if self.fixed_cents_per_hour is not None:
            return 0.0
        return self.booked_cents / self.routed if self.booked_cents is not None and self.routed else None

    @property
    def circuit(self) -> Circuit:
        """Open where the router takes all of its deployments for down."""
        return "open" if self.circuits and self.circuits_open == self.circuits else "closed"

    def target(self) -> Target | None:
        """Return it as the rules take it, None where its service time is not measured."""
        p50 = self.latency.quantile(0.5) if self.latency else None
        p95 = self.latency.quantile(0.95) if self.latency else None
        if p50 is None or p95 is None:
            return None
        return Target(
            name=self.name,
            tier=self.tier,
            region=self.region,
            namespace=self.namespace,
            site=self.site,
            failure_domain=self.failure_domain,
            service=ServiceTime.of_percentiles(p50, p95),
            slots=self.slots,
            context_tokens=self.context_tokens,
            spot=self.spot,
            fixed_cents_per_hour=self.fixed_cents_per_hour or 0.0,
            prompt_cents_per_1k=self.prompt_cents_per_1k or 0.0,
            output_cents_per_1k=self.output_cents_per_1k or 0.0,
            request_cents=self.marginal_request_cents or 0.0,
            base_url=self.base_url,
        )

    def costed(self) -> Target:
        """Return it with its costs and without its speed: for sums of money, also where nothing was served."""
        return self.target() or Target(
            name=self.name,
            tier=self.tier,
            region=self.region,
            failure_domain=self.failure_domain,
            service=ServiceTime(base_seconds=0.0),
            slots=1,
            fixed_cents_per_hour=self.fixed_cents_per_hour or 0.0,
        )

    def load(self) -> Load:
        """Return how busy it is. What runs is as measured, else by Little's law; a queue that nobody measures is empty."""
        running = self.running if self.running is not None else self.concurrency
        return Load(
            running=round(running or 0),
            waiting=round(self.waiting or 0),
            slots=None if self.ready >= self.units else self.slots * self.ready // max(1, self.units),
            circuit=self.circuit,
        )


class RoutingFacts(Value):
    """Everything that routing of one model is judged by."""

    model: str
    window_seconds: int
    observed: tuple[Observed, ...]
    """Edge sites first, then the cloud, each by name."""
    slo: Slo | None = None
    residency: tuple[str, ...] = ()
    """Prefixes of the regions where requests may be processed; empty is anywhere."""
    language: bool = False
    """Whether it is a language model: its servers hold prefixes of conversations."""
    typical: Request = Request()
    """The mean request of the window: its lengths, where they are measured, and where it may go."""
    fallbacks: dict[str, float] | None = None
    """Requests that a fallback answered, by the group that did."""
    failed_fallbacks: float | None = None
    slo_violations: float | None = None
    """As the endpoint picker counts them, of requests that came with an objective."""
    sources: dict[str, Source] = Field(default_factory=dict[str, Source])
    """For ``slo``, ``residency`` and the counts above."""
    basis: str = ""
    """Where prices come from."""
    notes: tuple[str, ...] = ()

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every target whose service time is measured."""
        return tuple(target for row in self.observed if (target := row.target()) is not None)

    @property
    def loads(self) -> dict[str, Load]:
        """How busy each target is."""
        return {row.name: row.load() for row in self.observed}

    def of(self, tier: Tier) -> tuple[Observed, ...]:
        """Return the targets of a tier."""
        return tuple(row for row in self.observed if row.tier == tier)


def latency_of(rows: Iterable[Observed]) -> Latency | None:
    """Return the requests of several targets as one."""
    return together(row.latency for row in rows)


def by_address(facts: RoutingFacts) -> tuple[Target, ...]:
    """Return the targets as gateways reach them: those behind one URL are one, as an edge whose Service answers on its own node.

    The slots and fixed costs of such add up, and their requests are taken together.
    """
    groups: dict[str, list[Observed]] = {}
    for row in facts.observed:
        if row.target() is not None:
            groups.setdefault(row.base_url or f"none:{row.name}", []).append(row)
    return tuple(_one(rows) for rows in groups.values())


def _one(rows: Sequence[Observed]) -> Target:
    first = rows[0].target()
    assert first is not None  # only such are grouped
    if len(rows) == 1:
        return first
    latency = latency_of(rows)
    p50, p95 = (latency.quantile(0.5), latency.quantile(0.95)) if latency else (None, None)
    regions = {row.region for row in rows}
    return first.model_copy(
        update={
            "name": f"{rows[0].tier}-{rows[0].namespace}" if rows[0].namespace else rows[0].tier,
            "region": regions.pop() if len(regions) == 1 else "",
            "site": "",
            "failure_domain": rows[0].tier,
            "service": ServiceTime.of_percentiles(p50 or 0.0, p95 or 0.0),
            "slots": sum(row.slots for row in rows),
            "fixed_cents_per_hour": sum(row.fixed_cents_per_hour or 0.0 for row in rows),
        }
    )
