"""Which target serves one request, why, and where it goes when that fails.

Hard rules first: residency, capability, open circuits. Then what is predicted to keep the promise before what is not: a batch
prefers targets that answer later, everything else the edge; what is not critical prefers spot to on-demand; then the cheaper
one. Where nothing keeps the promise, the one that is least late. Fixed costs play no part: they are paid either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from ai_platform_mcp.core.model import Value
from ai_platform_mcp.domain.routing.facts import IDLE, Load, Request, Slo, Target
from ai_platform_mcp.domain.routing.predict import REFUSALS, completion_seconds, refusal, unavailable
from ai_platform_mcp.domain.routing.status_text import span


class Candidate(Value):
    """A target that can serve the request now, and what is predicted of it."""

    target: Target
    seconds: float
    keeps_slo: bool
    cents: float


class Choice(Value):
    """Where a request goes. ``target`` is empty where nothing may serve it."""

    target: str
    seconds: float | None = None
    keeps_slo: bool = False
    spilled_from: str = ""
    """The edge that was passed over because it would have been late."""
    fallbacks: tuple[str, ...] = ()
    """Where it goes next, in order; none shares a failure domain with the choice or with another fallback."""
    refused: dict[str, str] = Field(default_factory=dict[str, str])
    """Every target that may not serve it, with the code of the reason."""
    reasons: tuple[str, ...] = ()


def decide(request: Request, targets: Sequence[Target], loads: Mapping[str, Load], slo: Slo) -> Choice:
    """Return the choice. A target without a load is taken as idle with a closed circuit."""
    refused: dict[str, str] = {}
    candidates: list[Candidate] = []
    for target in targets:
        load = loads.get(target.name, IDLE)
        code = refusal(target, request) or unavailable(load, request)
        if code:
            refused[target.name] = code
        else:
            candidates.append(_candidate(target, load, request, slo))
    if not candidates:
        return Choice(target="", refused=refused, reasons=("nothing may serve it", *_told(refused)))
    candidates.sort(key=lambda row: _rank(row, request))
    best = candidates[0]
    spilled = _spilled(candidates, request)
    return Choice(
        target=best.target.name,
        seconds=best.seconds,
        keeps_slo=best.keeps_slo,
        spilled_from=spilled.target.name if spilled else "",
        fallbacks=_fallbacks(candidates),
        refused=refused,
        reasons=(*_why(best, spilled, request, slo), *_told(refused)),
    )


def _candidate(target: Target, load: Load, request: Request, slo: Slo) -> Candidate:
    seconds = completion_seconds(target, load, request, cautious=slo.cautious)
    cents = target.marginal_cents(request.prompt_tokens, request.output_tokens)
    # model_construct: every field was validated where it came from, and this runs once per target and request
    return Candidate.model_construct(target=target, seconds=seconds, keeps_slo=seconds <= slo.seconds, cents=cents)


def _rank(row: Candidate, request: Request) -> tuple[bool | float | str, ...]:
    target = row.target
    if not row.keeps_slo:
        return (True, row.seconds, row.cents, target.name)
    preferred = target.asynchronous if request.batch else target.tier == "edge"
    return (False, not preferred, not target.spot, row.cents, target.name)


def _spilled(ordered: Sequence[Candidate], request: Request) -> Candidate | None:
    """Return the edge that would have been taken, were it not late."""
    if request.batch or ordered[0].target.tier == "edge":
        return None
    late = [row for row in ordered if row.target.tier == "edge" and not row.keeps_slo]
    return min(late, key=lambda row: (row.seconds, row.target.name)) if late else None


def _fallbacks(ordered: Sequence[Candidate]) -> tuple[str, ...]:
    domains = {ordered[0].target.failure_domain}
    chosen: list[str] = []
    for row in ordered[1:]:
        if row.target.failure_domain not in domains:
            domains.add(row.target.failure_domain)
            chosen.append(row.target.name)
    return tuple(chosen)


def _why(best: Candidate, spilled: Candidate | None, request: Request, slo: Slo) -> tuple[str, ...]:
    target = best.target
    if not best.keeps_slo:
        first = f"nothing keeps {slo.seconds:g} s; {target.name} is least late ({best.seconds:.3g} s)"
    elif request.batch and target.asynchronous:
        first = f"batch: {target.name} answers later and in time ({best.seconds:.3g} of {slo.seconds:g} s)"
    else:
        first = f"{target.name} is predicted to answer in {span(best.seconds)}, of {span(slo.seconds)} promised"
    told = [first]
    if spilled:
        told.append(f"spilled: {spilled.target.name} would have taken {spilled.seconds:.3g} s")
    if target.spot:
        told.append("not critical: spot before on-demand")
    return tuple(told)


def _told(refused: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name} {REFUSALS[code]}" for name, code in sorted(refused.items()))
