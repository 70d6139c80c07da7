"""Right-sizing by what arrived: each way to serve the model is played through with the measured rates, off the event loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from ai_platform_mcp.core.errors import InvalidInput, PlatformError
from ai_platform_mcp.core.ports import MetricsReader, Readers
from ai_platform_mcp.core.rows import MetricScope
from ai_platform_mcp.core.tariff import Serverless, ServerlessTariff, Tariff
from ai_platform_mcp.domain.routing.arriving import Arriving, arriving
from ai_platform_mcp.domain.routing.observed import Observed, RoutingFacts
from ai_platform_mcp.domain.routing.sizing import MOST_UNITS, Option, Sizing, right_size
from ai_platform_mcp.domain.routing.status_text import percent

DAY = 86_400
STEP_SECONDS = 300
"""Rates need a few scrapes: what arrives within five minutes is not told apart."""
MOST_ARRIVALS = 20_000
"""Played through in a second or two; more are cut from the end of each step, which keeps every rate."""
LEAST_STEPS = 3
SETTLE_SECONDS = 30.0
SIZING_SECONDS = 5.0
"""How long an answer waits for the sizing; it goes without it then."""
SERVED_BY: Mapping[Serverless, str] = {
    "knative": "serving.knative.dev/v1/Service",
    "cloud_run": "run.cnrm.cloud.google.com/v1beta1/RunService",
    "lambda": "lambda.services.k8s.aws/v1alpha1/Function",
}
"""By which kind a cluster offers each way to scale to zero: Knative, Config Connector, and ACK's Lambda controller."""


@dataclass
class Rates:
    """Requests per second of the whole model in steps, oldest first, and why they are not known.

    ``absent``: the store answered that it has no such samples.
    """

    values: list[float | None] = field(default_factory=list[float | None])
    why: str = ""
    absent: bool = False


async def read_rates(metrics: MetricsReader, scope: MetricScope, window: int, seconds: float) -> Rates:
    """Return how many requests arrived, edge and cloud together, over at least the last day."""
    points: dict[float, float] = {}
    reasons: list[str] = []
    absent: list[str] = []

    async def ask(tier: Literal["edge", "cloud"]) -> None:
        at = scope.model_copy(update={"target": tier})
        try:
            answer = await metrics.signal("arrivals", at, window_seconds=max(DAY, window), step_seconds=STEP_SECONDS)
        except PlatformError as error:
            reasons.append(error.message)
            return
        for row in answer.series:
            for point in row.points:
                moment = point.time.timestamp()
                points[moment] = points.get(moment, 0.0) + (point.value or 0.0)
        if not answer.series:
            reasons.append(answer.absence or "no samples")
            absent.append(tier)

    with anyio.move_on_after(seconds) as scope_of_all:
        async with anyio.create_task_group() as group:
            group.start_soon(ask, "edge")
            group.start_soon(ask, "cloud")
    if scope_of_all.cancelled_caught:  # half of what arrived would size for half of it
        return Rates(why=f"the metrics store did not answer within {seconds:g} s")
    return Rates(_by_step(points)) if points else Rates(why=reasons[0], absent=len(absent) == len(reasons))


def _by_step(points: Mapping[float, float]) -> list[float | None]:
    first, last = min(points), max(points)
    count = round((last - first) / STEP_SECONDS) + 1
    return [points.get(first + place * STEP_SECONDS) for place in range(count)]


async def size(readers: Readers, facts: RoutingFacts, rates: Rates, seconds: float) -> dict[str, Any]:
    """Return how each way would serve what arrived, for how much, and where another one becomes cheaper."""
    known = [rate for rate in rates.values if rate is not None]
    if rates.why or len(known) < LEAST_STEPS:
        count = "1 step" if len(known) == 1 else f"{len(known)} steps"
        short = f"arrivals are measured over {count} of {STEP_SECONDS} s so far, and it takes {LEAST_STEPS}: ask again later"
        young = rates.absent and any(row.requests for row in facts.observed)  # no step is over yet
        return {"why": f"arrivals are not measured: {rates.why}" if rates.why and not young else short}
    if facts.slo is None:
        return {"why": f"without a promise nothing can be late: {facts.sources['slo'].why}"}
    options, left_out = await _options(readers, facts)
    if not options:
        return {"why": "of no way to serve it are speed and price known", "left_out": left_out}
    slo = facts.slo.seconds

    def play() -> tuple[Arriving, Sizing]:
        made = arriving(rates.values, STEP_SECONDS, MOST_ARRIVALS)
        settle = SETTLE_SECONDS if made.kept_share < 1 else 0.0
        return made, right_size(made.times, made.hours, options, slo, settle_seconds=settle)

    try:
        with anyio.fail_after(seconds):
            made, sized = await anyio.to_thread.run_sync(play, limiter=_limiter(), abandon_on_cancel=True)
    except TimeoutError:
        return {"why": f"it took longer than {seconds:.2g} s: ask again when the server is less busy"}
    except InvalidInput as error:
        return {"why": error.message}
    return {"measured": _measured(made), **_told(sized), "left_out": left_out}


_LIMITER: RunVar[anyio.CapacityLimiter] = RunVar("routing_sizing")


def _limiter() -> anyio.CapacityLimiter:
    """Return this event loop's limiter: one sizing at a time, so that whoever asks for several does not stop the others."""
    try:
        return _LIMITER.get()
    except LookupError:
        made = anyio.CapacityLimiter(1)
        _LIMITER.set(made)
        return made


def _measured(made: Arriving) -> str:
    span = made.steps * made.step_seconds / 3600
    told = f"the arrivals of {span:.3g} h in steps of {made.step_seconds} s (busiest: {made.peak_per_second:.3g} req/s)"
    hidden = "bursts within a step are not measured and taken as chance has them"
    if made.kept_share < 1:
        hidden += (
            f"; only {percent(made.kept_share)} of each step is played, so that loads change more quickly than they did"
        )
    return f"{told}; {hidden}"


def _told(sized: Sizing) -> dict[str, Any]:
    return {
        "choice": sized.choice,
        "rate_per_hour": round(sized.rate_per_hour),
        "options": [
            {
                "option": row.option,
                "units": row.units,
                "cents_per_hour": float(f"{row.cents_per_hour:.4g}"),
                "late_share": float(f"{row.missed_share:.3g}"),
                "keeps_slo": row.keeps_slo,
                **({"cold_starts": row.cold_starts} if row.cold_starts else {}),
                **(
                    {"same_cost_at_per_hour": round(even)}
                    if (even := sized.break_even_per_hour.get(row.option))
                    else {}
                ),
            }
            for row in sized.options
        ],
        "reasons": list(sized.reasons),
    }


# --- the ways to serve it ----------------------------------------------------------------------------------------------


async def _options(readers: Readers, facts: RoutingFacts) -> tuple[list[Option], list[str]]:
    found: list[Option] = []
    left_out: list[str] = []
    if edge := facts.of("edge"):
        _add(found, left_out, "edge", _edge(edge))
    else:
        left_out.append("edge: the model is not served there, so that its speed there is not measured")
    clouds = facts.of("cloud")
    for row in clouds:
        _add(found, left_out, f"always on at {row.name}", _always_on(row))
        if row.per_request and row.mean_seconds:
            found.append(_by_request(row, facts))
    if clouds:
        made, missing = await _serverless(readers, clouds[0])
        found += made
        left_out += missing
    else:
        left_out.append("always on and serverless: no cloud target is there whose speed could be measured")
    return found, left_out


def _add(found: list[Option], left_out: list[str], name: str, made: Option | str) -> None:
    if isinstance(made, str):
        left_out.append(f"{name}: {made}")
    else:
        found.append(made)


def _edge(rows: Sequence[Observed]) -> Option | str:
    """Return the edge as one: as if any node could answer any request."""
    known = [row for row in rows if row.mean_seconds and row.requests and row.unit_cents_per_hour is not None]
    if not known:
        unpaid = rows[0].unit_cents_per_hour is None
        return rows[0].why("fixed_cents_per_hour" if unpaid else "mean_seconds")
    requests = sum(row.requests or 0.0 for row in known)
    units = sum(row.units for row in rows)
    return Option(
        name="edge",
        kind="edge",
        service_seconds=sum((row.mean_seconds or 0.0) * (row.requests or 0.0) for row in known) / requests,
        slots=max(1, sum(row.slots for row in rows) // max(1, units)),
        unit_cents_per_hour=max(row.unit_cents_per_hour or 0.0 for row in known),
        request_cents=known[0].marginal_request_cents or 0.0,
        most_units=min(MOST_UNITS, max(1, units)),
    )


def _always_on(row: Observed) -> Option | str:
    if not row.mean_seconds:
        return row.why("mean_seconds")
    if row.unit_cents_per_hour is None:
        return row.why("unit_cents_per_hour")
    return Option(
        name=f"always on at {row.name}",
        kind="always_on",
        service_seconds=row.mean_seconds,
        slots=_slots(row),
        unit_cents_per_hour=row.unit_cents_per_hour,
    )


def _by_request(row: Observed, facts: RoutingFacts) -> Option:
    """Return the service as it is paid now: by the request, with as many replicas as that takes."""
    target = row.costed()
    return Option(
        name=f"by the request at {row.name}",
        kind="always_on",
        service_seconds=row.mean_seconds or 0.0,
        slots=_slots(row),
        request_cents=target.marginal_cents(facts.typical.prompt_tokens, facts.typical.output_tokens),
    )


def _slots(row: Observed) -> int:
    return max(1, row.slots // max(1, row.units))


async def _serverless(readers: Readers, row: Observed) -> tuple[list[Option], list[str]]:
    tariff: Tariff = readers.platform.tariff
    try:
        kinds = await readers.clusters.kinds(row.cluster)
    except PlatformError as error:
        return [], [f"serverless: {error.message}"]
    found: list[Option] = []
    left_out: list[str] = []
    for name, kind in SERVED_BY.items():
        prices = tariff.serverless.get(name)
        if kind not in kinds:
            left_out.append(
                f"{name}: cluster {row.cluster} does not serve {kind.rpartition('/')[2]} ({kind.rpartition('/')[0]})"
            )
        elif prices is None:
            left_out.append(
                f"{name}: nobody wrote down its prices: set routing.tariff.serverless.{name} in the platform file"
            )
        elif name == "lambda" and row.devices_per_unit:
            left_out.append("lambda: it has no accelerators, and the model's replicas ask for some")
        elif not row.mean_seconds:
            left_out.append(f"{name}: {row.why('mean_seconds')}")
        else:
            found.append(_scaled(name, prices, row))
    return found, left_out


def _scaled(name: Serverless, prices: ServerlessTariff, row: Observed) -> Option:
    service, own = row.mean_seconds or 0.0, name == "knative"
    # the cluster's own replicas cost the same and hold as much, whoever scales them
    unit = row.unit_cents_per_hour if own and row.unit_cents_per_hour is not None else prices.unit_hourly_cents
    busy = unit * service / 3600 if prices.idle_free else 0.0
    return Option(
        name=f"{name.replace('_', ' ')}, scaled to zero",
        kind="serverless",
        service_seconds=service,
        slots=_slots(row) if own else prices.slots,
        unit_cents_per_hour=0.0 if prices.idle_free else unit,
        request_cents=prices.request_cents + busy,
        cold_start_seconds=prices.cold_start_seconds,
        keep_seconds=prices.keep_seconds,
    )
