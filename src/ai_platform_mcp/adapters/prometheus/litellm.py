"""How the series of a LiteLLM proxy are read, as release 1.106.2 exports them (measured; names: https://docs.litellm.ai/docs/proxy/prometheus).

They carry no label of ours. Most carry the deployment's ``model_id``, and the configurations that `route_model` writes say there
which model's deployment it is and where (`manifests.litellm_id`). Three traps of that release are stepped around:

- ``requested_model`` and ``model_group`` are those of the group that answered in the end, but in the series of fallbacks.
- A request that the proxy itself turned away (circuit open, rate used up, prompt too long) is counted as a failure of whichever
  deployment answered it then. What a server failed at has the provider before the exception's name: ``Openai.Timeout``.
- The total latency of a request holds what its failed attempts took elsewhere; ``litellm_llm_api_latency_metric`` does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ai_platform_mcp.adapters.prometheus.backends import Backend, named
from ai_platform_mcp.adapters.prometheus.promql import quoted
from ai_platform_mcp.core.rows import MetricScope
from ai_platform_mcp.manifests.litellm_id import BEHIND, PARTS, groups_of, part, pattern

LABELS: Mapping[str, str] = {name: name for name in ("model", "namespace", "target")}
"""What a scope may name of a deployment, and an answer be split by."""
ANSWERED = "litellm_llm_api_latency_metric"
TOTAL = "litellm_request_total_latency_metric"
FIRST_TOKEN = "litellm_llm_api_time_to_first_token_metric"  # noqa: S105
SPENT = "litellm_spend_metric_total"
STATE = "litellm_deployment_state"
SENT = "litellm_deployment_total_requests_total"
"""Every deployment that was asked has it; as a count it is wrong, for it holds what never reached the deployment."""
_GOOD, _BAD = "litellm_deployment_success_responses_total", "litellm_deployment_failure_responses_total"
ON_EDGE, IN_CLOUD = (f'model_id=~"{pattern({"target": tier})}",' for tier in ("edge", "cloud"))
"""Matchers of one tier's deployments, beside those of a scope."""
_BY_A_SERVER = 'exception_class=~"[^.]+[.].+",'


@dataclass(frozen=True)
class Deployments(Backend):
    """Series with a ``model_id``: asked by what it says, and split by it."""

    def selector(self, scope: MetricScope) -> str:
        """The scope as one matcher of the id."""
        found = pattern({name: value for name, value in named(scope).items() if name in self.labels})
        return f"model_id=~{quoted(found)}," if found else ""

    def labelled(self, expression: str) -> str:
        """The series with what their ids say."""
        return of_id(expression)


@dataclass(frozen=True)
class Fallbacks(Backend):
    """Series of fallbacks, which name no deployment: the model is told by the group that was asked first."""

    def selector(self, scope: MetricScope) -> str:
        """The scope as matchers; the namespace is the router's own, which the scrape says."""
        model = f"requested_model=~{quoted(groups_of(scope.model))}," if scope.model else ""
        return model + (f"namespace={quoted(scope.namespace)}," if scope.namespace else "")


def of_id(expression: str) -> str:
    """Return the expression with what ``model_id`` says as labels; a label of that name stays where the id says nothing."""
    for name in PARTS:
        expression = f'label_replace({expression}, "{name}", "$1", "model_id", {quoted(part(name))})'
    return expression


def labelled(inner: str) -> str:
    """Return the same for a backend's expression, where a dollar is written twice; those of ``inner`` are meant."""
    return of_id("\0").replace("$", "$$").replace("\0", inner)


def grown(series: str, more: str = "") -> str:
    """Return how far counters rose within the window.

    The series of LiteLLM begin with their first event, and ``increase`` counts from the first sample on: a circuit that opened
    once would have opened never. So what a series says counts in full where it was not there when the window began.
    """
    chosen = f"{series}{{{more}$sel}}"
    return f"((max_over_time({chosen}[$range]) unless {chosen} offset $range) or increase({chosen}[$range]))"


def fallen(series: str) -> str:
    """Return a backend's expression for requests that fell back, by the group that they ended at.

    LiteLLM counts a request at every group on its way down a chain. Only fallbacks lead to a model's further groups of the cloud,
    so that what went on from one of these did not end there.
    """
    came = f"sum by ($by) ({grown(series)})"
    onward = grown(series, f"requested_model=~{quoted(f'.+{BEHIND}')},")
    went = f'sum by ($by) (label_replace({onward}, "fallback_model", "$$1", "requested_model", "(.*)"))'
    return f"clamp_min({came} - ({went} or 0 * {came}), 0)"


def counted(series: str) -> str:
    """Return a backend's expression for how far a deployment's counters rose within the window."""
    return f"sum by ($by) ({labelled(grown(series))})"


def sent() -> str:
    """Return a backend's expression for requests that deployments were asked, over the window."""
    return f"sum by ($by) ({labelled(f'({grown(_GOOD)} or {grown(_BAD, _BY_A_SERVER)})')})"


def failed_share() -> str:
    """Return a backend's expression for the share of them that failed, over the window."""
    bad = f"sum by ($by) ({labelled(grown(_BAD, _BY_A_SERVER))})"
    return f"({bad} or 0 * {sent()}) / {sent()}"


def sent_rate(only: str = "", by: str = "$by") -> str:
    """Return a backend's expression for the requests per second that deployments are asked now."""
    good, bad = f"rate({_GOOD}{{{only}$sel}}[$range])", f"rate({_BAD}{{{only}{_BY_A_SERVER}$sel}}[$range])"
    return f"sum by ({by}) ({labelled(f'({good} or {bad})')})"


def failed_rate() -> str:
    """Return a backend's expression for the share of requests that fail now."""
    bad = f"sum by ($by) ({labelled(f'rate({_BAD}{{{_BY_A_SERVER}$sel}}[$range])')})"
    return f"({bad} or 0 * {sent_rate()}) / {sent_rate()}"


def spent_rate(only: str = "", by: str = "$by") -> str:
    """Return a backend's expression for the dollars per second that the router books now."""
    return f"sum by ({by}) ({labelled(f'rate({SPENT}{{{only}$sel}}[$range])')})"


def quantile_of(series: str, quantile: str) -> str:
    """Return a backend's expression for a quantile of a deployment's histogram."""
    buckets = labelled(f"rate({series}_bucket{{$sel}}[$range])")
    return f"histogram_quantile({quantile}, sum by ($by, le) ({buckets}))"
