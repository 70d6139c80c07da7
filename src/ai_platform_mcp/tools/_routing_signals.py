"""What the metrics store says of each place that serves a model. Every question is asked at once, and none is waited for long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import anyio

from ai_platform_mcp.core.errors import PlatformError
from ai_platform_mcp.core.ports import MetricsReader
from ai_platform_mcp.core.rows import MetricAnswer, MetricScope, MetricSeries
from ai_platform_mcp.domain.routing.latency import Latency
from ai_platform_mcp.domain.routing.observed import Observed, Source

MOST_SERIES = 20_000
"""Buckets of a thousand sites: all of them, or sums over them would be wrong without saying so."""
_LE = "le"
FIELDS: Mapping[str, str] = {
    "latency": "latency_buckets",
    "measured_seconds": "at_begin",
    "mean_seconds": "latency_mean",
    "failed_share": "failed_share",
    "running": "running",
    "running_peak": "running_peak",
    "waiting": "waiting",
    "prompt_tokens": "prompt_tokens",
    "output_tokens": "output_tokens",
    "cooldowns": "cooldowns",
    "circuits": "circuits",
    "circuits_open": "circuits_open",
    "booked_cents": "booked",
    "routed": "routed",
}
"""Which signal answers each measured field of a target."""
OF_MODEL = ("fallbacks", "failed_fallbacks", "slo_violations")
"""Signals of the model as a whole: who answered in whose place is not a place's own."""
_COUNTS = frozenset({"circuits", "circuits_open"})


class Question(NamedTuple):
    """A signal, of one tier's requests in one namespace; empty is all of them."""

    signal: str
    tier: Literal["", "edge", "cloud"] = ""
    namespace: str = ""


@dataclass
class Asked:
    """The metrics store with what every question has in common, and what was answered so far.

    ``seconds`` bounds all questions together. After a first failure of the store itself the others' reasons are the same.
    """

    metrics: MetricsReader
    scope: MetricScope
    window: int
    seconds: float
    answers: dict[Question, MetricAnswer | str] = field(default_factory=dict["Question", "MetricAnswer | str"])

    async def all(self, questions: Iterable[Question]) -> None:
        """Ask everything at once."""
        with anyio.move_on_after(self.seconds):
            async with anyio.create_task_group() as group:
                for question in dict.fromkeys(questions):
                    group.start_soon(self._ask, question)

    async def _ask(self, asked: Question) -> None:
        scope = self.scope.model_copy(
            update={"target": asked.tier, "namespace": asked.namespace or self.scope.namespace}
        )
        try:
            self.answers[asked] = await self.metrics.signal(
                asked.signal, scope, window_seconds=self.window, max_series=MOST_SERIES
            )
        except PlatformError as error:
            self.answers[asked] = error.message

    def answer(self, asked: Question) -> tuple[Sequence[MetricSeries], Source]:
        """Return the series of one answer, and where it is from or why there is none."""
        found = self.answers.get(asked, f"the metrics store gave no answer within {self.seconds:g} s")
        if isinstance(found, str):
            return (), Source(why=found)
        if not found.series:
            return (), Source(where="metrics", why=found.absence or "no samples")
        return found.series, Source(where=f"{found.backend} metrics", age_seconds=found.freshness_seconds)


async def measure(asked: Asked, places: Sequence[Observed]) -> list[Observed]:
    """Return the places with everything that is measured of them."""
    each = [Question(signal, place.tier, place.namespace) for place in places for signal in FIELDS.values()]
    await asked.all([*each, *(Question(name) for name in OF_MODEL if places)])
    shared = _sharing(places)
    first: dict[tuple[str, str], str] = {}
    for place in places:
        first.setdefault((place.tier, place.namespace), place.name)
    return [_measured(asked, place, shared.get(place.name, ""), first[place.tier, place.namespace]) for place in places]


def _sharing(places: Sequence[Observed]) -> dict[str, str]:
    """Return, by name, the place that is measured together with one: the labels of metrics do not tell clusters apart."""
    first: dict[tuple[str, str, str], str] = {}
    found: dict[str, str] = {}
    for place in places:
        key = (place.tier, place.namespace, place.site)
        if first.setdefault(key, place.name) != place.name:
            found[place.name] = first[key]
    return found


def _measured(asked: Asked, place: Observed, with_other: str, first: str) -> Observed:
    """Return the place with what is measured of it. ``with_other`` is what it is measured together with, if anything; ``first``
    the first place of its tier and namespace, which is given what is measured of all of them."""
    values: dict[str, Any] = {}
    sources = dict(place.sources)
    for name, signal in FIELDS.items():
        if with_other:
            sources[name] = Source(
                why=f"measured together with {with_other}: metrics of both carry the same namespace and no cluster label"
            )
            continue
        series, source = asked.answer(Question(signal, place.tier, place.namespace))
        together = not any(
            row.labels.get("site") for row in series
        )  # as of a router that calls all of them at one address
        mine = [row for row in series if not place.site or row.labels.get("site") == place.site]
        if series and place.site and together:
            mine = list(series) if place.name == first else []
            why = f"measured together with {first}: the series name no site"
            source = source if mine else Source(where=source.where, why=why)
        elif series and not mine:
            source = Source(where=source.where, why="nothing is measured at this site, and elsewhere it is")
        if mine:
            values[name] = asked.window if name == "measured_seconds" else _value(name, mine)
        sources[name] = source
    if "measured_seconds" not in values:  # nothing was measured when the window began: it counts from its beginning
        sources["measured_seconds"] = place.sources["units"]
    return place.model_copy(update={**values, "sources": sources})


def _value(name: str, series: Sequence[MetricSeries]) -> Any:
    if name == "latency":
        return _latency(series)
    known = [value for row in series if (value := _last(row)) is not None]
    if not known:
        return None
    if name in _COUNTS:
        return round(sum(known))
    if name in ("mean_seconds", "failed_share"):
        return max(known) if len(known) > 1 else known[0]
    return sum(known) * (100 if name == "booked_cents" else 1)


def _latency(series: Sequence[MetricSeries]) -> Latency | None:
    buckets: dict[float, float] = {}
    for row in series:
        bound, value = row.labels.get(_LE, ""), _last(row)
        try:
            at = float(bound)
        except ValueError:
            continue
        if value is not None:
            buckets[at] = buckets.get(at, 0.0) + value
    return Latency.of(buckets)


def _last(row: MetricSeries) -> float | None:
    return row.points[-1].value if row.points else None


def of_model(asked: Asked) -> dict[str, Any]:
    """Return what is measured of the model as a whole: fallbacks and objectives missed, as fields of the facts."""
    fallbacks, fell = asked.answer(Question("fallbacks"))
    failed, failing = asked.answer(Question("failed_fallbacks"))
    missed, missing = asked.answer(Question("slo_violations"))
    counted = {
        row.labels.get("fallback_model", "") or "a fallback": value
        for row in fallbacks
        if (value := _last(row)) is not None
    }
    return {
        "fallbacks": counted if fallbacks else None,
        "failed_fallbacks": _sum(failed),
        "slo_violations": _sum(missed),
        "sources": {"fallbacks": fell, "failed_fallbacks": failing, "slo_violations": missing},
    }


def _sum(series: Sequence[MetricSeries]) -> float | None:
    known = [value for row in series if (value := _last(row)) is not None]
    return sum(known) if known else None
