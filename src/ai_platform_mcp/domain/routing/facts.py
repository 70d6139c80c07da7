"""What a routing decision is made from: targets as measured, their load, the request, and what was promised.

Times are seconds, money is cents (fractions occur: a request costs a small part of one), lengths are tokens.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.model import Value

Tier = Literal["edge", "cloud"]
Circuit = Literal["closed", "half_open", "open"]


class ServiceTime(Value):
    """How long serving takes once begun, without waiting: a line fitted to what was measured.

    ``spread`` is the measured 95th percentile over what the line predicts; 1 says that the line is trusted as it is.
    """

    base_seconds: float = Field(ge=0, allow_inf_nan=False)
    prompt_token_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    output_token_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    spread: float = Field(default=1.0, ge=1, allow_inf_nan=False)

    @classmethod
    def of_percentiles(cls, p50: float, p95: float) -> ServiceTime:
        """Return the service time of a model whose requests are alike, from two measured percentiles."""
        return cls(base_seconds=p50, spread=max(1.0, p95 / p50) if p50 > 0 else 1.0)

    def typical(self, prompt_tokens: int, output_tokens: int) -> float:
        """Return the seconds that such a request takes as a rule."""
        return self.base_seconds + self.prompt_token_seconds * prompt_tokens + self.output_token_seconds * output_tokens


class Target(Value):
    """One place that serves the model."""

    name: str = Field(min_length=1)
    tier: Tier
    region: str
    namespace: str = ""
    site: str = ""
    """Where at the edge it is; empty in the cloud, and where several sites answer behind one address."""
    failure_domain: str = Field(min_length=1)
    """What fails together: a site, or a cloud's region. Two targets of one domain do not back each other up."""
    service: ServiceTime
    slots: int = Field(ge=1)
    """Requests that it serves at a time, over all of its nodes or replicas."""
    context_tokens: int | None = Field(default=None, ge=1)
    """Longest prompt and answer together; None where nothing limits it."""
    model_billions: float | None = Field(default=None, gt=0)
    """Largest model that fits its memory, in billions of parameters; None where any does."""
    operations: frozenset[str] = frozenset(("chat",))
    modalities: frozenset[str] = frozenset(("text",))
    spot: bool = False
    asynchronous: bool = False
    """Takes work and answers later: for batch only."""
    fixed_cents_per_hour: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Paid whether or not requests come."""
    prompt_cents_per_1k: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    output_cents_per_1k: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    request_cents: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    base_url: str = ""
    """Where its OpenAI-compatible API answers; a target without one is reached by other means."""

    def marginal_cents(self, prompt_tokens: int, output_tokens: int) -> float:
        """Return what one more request costs here."""
        tokens = self.prompt_cents_per_1k * prompt_tokens + self.output_cents_per_1k * output_tokens
        return self.request_cents + tokens / 1000


class Load(Value):
    """How busy a target is now, and whether its circuit is closed."""

    running: int = Field(default=0, ge=0)
    waiting: int = Field(default=0, ge=0)
    slots: int | None = Field(default=None, ge=0)
    """Slots that answer now, where some are lost; None is all of them."""
    wait_seconds: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """The wait of a new request as the target's own queue tells it; None estimates it from what runs and waits."""
    circuit: Circuit = "closed"


class Request(Value):
    """One request, as far as routing must know it. Output tokens are what is expected or, safer, the limit asked for."""

    prompt_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    batch: bool = False
    critical: bool = False
    operation: str = "chat"
    modalities: frozenset[str] = frozenset(("text",))
    model_billions: float = Field(default=0.0, ge=0)
    regions: frozenset[str] = frozenset()
    """Where its data may be processed; empty is anywhere."""


class Slo(Value):
    """What was promised: the seconds from arrival to the last token."""

    seconds: float = Field(gt=0, allow_inf_nan=False)
    cautious: bool = False
    """Judge by the measured 95th percentile of the service time rather than by the typical one."""


IDLE = Load()
"""What a target without a reading is taken for."""
