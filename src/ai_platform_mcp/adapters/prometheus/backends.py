"""What a signal is made of: exporters, each with its expression and with the labels that it can be asked by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import Literal

from ai_platform_mcp.adapters.prometheus.promql import label_name, quoted
from ai_platform_mcp.core.rows import MetricScope

SERVING: Mapping[str, str] = {"model": "model", "namespace": "namespace", "version": "version", "target": "target"}
"""By what any exporter of serving can be asked: what a scope may name, and the label that carries it."""
EDGE: Mapping[str, str] = {**SERVING, "region": "region", "site": "site", "node": "node"}
"""By what those can be asked that are at the edge too."""
_TEAM = frozenset({"namespace", "team"})


@dataclass(frozen=True)
class Backend:
    """One exporter's way to answer a signal.

    `labels` maps what a scope may name to the label that carries it: a scope that names anything else is not answered
    here. `tenant` are the tenant labels the metric carries; a `shared` family describes the platform and is shown even
    to a tenant whose labels it does not carry.
    """

    name: str
    metric: str
    expression: str
    by: str
    labels: Mapping[str, str] = field(default_factory=lambda: dict(SERVING))
    tenant: frozenset[str] = _TEAM
    shared: bool = False
    note: str = ""

    def selector(self, scope: MetricScope) -> str:
        """The scope as matchers, each followed by a comma."""
        asked = {name: value for name, value in named(scope).items() if name in self.labels}
        return "".join(f"{label_name(self.labels[name])}={quoted(value)}," for name, value in asked.items())

    def promql(self, scope: MetricScope, range_text: str, by: str = "") -> str:
        """The expression for a scope, before the tenant is put in; ``by`` are the labels to split it by, if not the usual."""
        return Template(self.expression).substitute(sel=self.selector(scope), by=by or self.by, range=range_text)

    def labelled(self, expression: str) -> str:
        """PromQL over the metric's series, with the labels that an answer is split by where the series do not carry them."""
        return expression

    def serves(self, scope: MetricScope, by: Sequence[str] = ()) -> bool:
        """Whether everything the scope names can be asked of this exporter, and its answer be split so."""
        return {*named(scope), *by} <= set(self.labels) and (not by or "$by" in self.expression)

    def grouping(self, scope: MetricScope, by: Sequence[str]) -> str:
        """The labels of the rows of a split answer: the target always where the scope leaves it open, for cloud and edge are
        compared and never added up; likewise the model."""
        if not by:
            return self.by
        open_ones = [name for name in ("model", "target") if name in self.labels and not named(scope).get(name)]
        return ", ".join(dict.fromkeys(label_name(self.labels[name]) for name in (*open_ones, *by)))

    def both_targets(self, scope: MetricScope, by: Sequence[str]) -> bool:
        """Whether an answer has rows of the cloud and of the edge, each named by its target."""
        return not scope.target and "target" in self.grouping(scope, by).split(", ") and "$by" in self.expression

    def tenant_matchers(self, tenant: Mapping[str, str]) -> dict[str, str] | None:
        """The tenant's matchers that this metric carries; None when it must not be shown to this tenant."""
        carried = {name: value for name, value in tenant.items() if name in self.tenant}
        return carried if carried or not tenant or self.shared else None


@dataclass(frozen=True)
class Signal:
    """A question with a name: what it means, its unit, and which direction is good."""

    name: str
    meaning: str
    unit: str
    better: Literal["lower", "higher", "neither"]
    backends: tuple[Backend, ...]
    whole_window: bool = False
    """Whether the value counts over the whole window rather than describing now."""

    @property
    def line(self) -> str:
        """One line for a catalogue."""
        direction = "" if self.better == "neither" else f", {self.better} is better"
        return f"{self.meaning} ({self.unit}{direction})"


def named(scope: MetricScope) -> dict[str, str]:
    """What a scope names, by its name."""
    names = ("model", "namespace", "version", "target", "region", "site", "node", "queue")
    return {name: value for name in names if (value := getattr(scope, name))}
