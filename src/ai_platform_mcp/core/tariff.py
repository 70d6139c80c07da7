"""What the platform file says of serving: what it costs, what is promised, and what one replica or node can hold.

Nothing here is measured. What nobody wrote down is None, and answers say so rather than take a number for it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ai_platform_mcp.core.model import Value

ANY = "*"
"""As a key: everything that has no entry of its own."""
Cents = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Serverless = Literal["knative", "cloud_run", "lambda"]


class PlaceTariff(Value):
    """One model at the edge, or in the cloud."""

    request_cents: Cents | None = None
    prompt_cents_per_1k: Cents | None = None
    output_cents_per_1k: Cents | None = None
    unit_hourly_cents: Cents | None = None
    """One replica or node for an hour, whether or not requests come. Outranks what devices and edge nodes cost."""
    slots: int | None = Field(default=None, ge=1)
    """Requests that one replica or node serves at a time."""
    context_tokens: int | None = Field(default=None, ge=1)

    @property
    def per_request(self) -> bool:
        """Whether requests have a price of their own."""
        return any(row is not None for row in (self.request_cents, self.prompt_cents_per_1k, self.output_cents_per_1k))


class ServerlessTariff(Value):
    """One way to scale to zero. A unit is paid while it is up; with ``idle_free`` only while it serves or starts."""

    unit_hourly_cents: Cents
    request_cents: Cents = 0.0
    cold_start_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    keep_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 90.0
    """How long an idle unit stays. Knative's defaults: a window of 60 s and 30 s of grace."""
    idle_free: bool = False
    """Whether an idle unit costs nothing, as on Cloud Run billed by request and on Lambda."""
    slots: int = Field(default=1, ge=1)


class ModelTariff(Value):
    """What holds for one model."""

    slo_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """From arrival to the last token."""
    regions: tuple[str, ...] = ()
    """Prefixes of the regions where its requests may be processed, beside the registry's; empty is anywhere."""
    edge: PlaceTariff = PlaceTariff()
    cloud: PlaceTariff = PlaceTariff()


class Tariff(Value):
    """All of it. ``basis`` names where the prices come from, and their date."""

    basis: str = "platform file"
    edge_node_hourly_cents: dict[str, Cents] = Field(default_factory=dict)
    """Hardware written off, power, line and care of one edge node for an hour: by site, by accelerator, or ``*``."""
    models: dict[str, ModelTariff] = Field(default_factory=dict)
    """By model; ``*`` is for what a model's own entry leaves out, and for models without one."""
    serverless: dict[Serverless, ServerlessTariff] = Field(default_factory=dict)

    def of(self, model: str) -> ModelTariff:
        """Return what holds for a model: its own entry, filled up from ``*``."""
        rows = [self.models[key].model_dump(exclude_defaults=True) for key in (ANY, model) if key in self.models]
        merged: dict[str, Any] = {}
        for row in rows:
            merged = _filled(merged, row)
        return ModelTariff.model_validate(merged)


def _filled(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {key: _filled(below[key], above[key]) for key in ("edge", "cloud") if key in below and key in above}
    return {**below, **above, **both}
