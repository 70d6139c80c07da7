"""The LiteLLM proxy's configuration, as the object its ``config.yaml`` holds. LiteLLM itself is never imported.

The proxy takes a configuration that cannot work and fails at request time; what is known to do so is refused here.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from pydantic import Field

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.manifests.common import compact
from ai_platform_mcp.manifests.litellm_id import deployment_id

IGNORED_FAILS = 3
"""``litellm.allowed_fails``; a Router whose own setting equals it counts as one without (read in 1.106.2)."""

NO_LIMIT = 2**31 - 1
"""Tokens that no prompt has: how a deployment says that it takes prompts of any length."""


AFFINITY = "session_affinity"
"""The check that keeps a conversation, named by ``x-litellm-session-id``, with one deployment of its group for an hour."""

CALLBACKS, METRICS = "callbacks", "prometheus"
"""What LiteLLM tells of each request, and the one that counts it: without it ``/metrics`` is not served at all, and nobody can
say afterwards where requests went."""

NO_KEY = "not-needed"
"""For a server that asks for none. Without any the OpenAI client refuses each request before it is sent (measured on 1.106.2),
or sends the server the key of OpenAI that it finds in its environment.
"""

ROUTED_FOR = "routed_for"
"""Key in ``model_info``: the model whose routing plan an entry is of. Entries without it are somebody else's."""


class Deployment(Value):
    """One server behind a group. The key is named by its environment variable, never carried."""

    group: str = Field(min_length=1)
    target: str = ""
    """What the routing plan calls the server; where it is named, the deployment has an id by which metrics are read."""
    namespace: str = ""
    site: str = ""
    routed_for: str = ""
    model: str = Field(pattern=r"^[a-z0-9_]+/.+$")
    """Provider and model as LiteLLM writes them, such as ``openai/vision-v3`` for any OpenAI-compatible server."""
    api_base: str = Field(pattern=r"^https?://.+$")
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Z_][A-Z0-9_]*$")
    tier: Literal["edge", "cloud"]
    timeout_seconds: float = Field(default=30, gt=0)
    weight: int | None = Field(default=None, ge=1)
    """Its share of the group's requests; without one all are alike."""
    prompt_limit: int | None = Field(default=None, ge=1)
    """Longest prompt it takes, in tokens; a longer one goes to the next fallback that can, without asking this server."""

    per_minute: int | None = Field(default=None, ge=1)
    """Requests per minute that one proxy process sends it; further ones go to the fallbacks. Counted from the first of them."""

    def manifest(self, *, limited: bool = False) -> type_json:
        """Return the entry of ``model_list``. With ``limited`` a deployment without a limit says so itself: LiteLLM gives it the
        limit of any other deployment with the same model name (measured on 1.106.2).
        """
        key = f"os.environ/{self.api_key_env}" if self.api_key_env else NO_KEY
        params = {
            "model": self.model,
            "api_base": self.api_base,
            "api_key": key,
            "timeout": _number(self.timeout_seconds),
        }
        # not "tier": LiteLLM takes free or paid there, and leaves a deployment with anything else out, with a log line only
        info = {
            "id": self._id() if self.target else None,
            ROUTED_FOR: self.routed_for,
            "placement": self.tier,
            "max_input_tokens": self.prompt_limit or (NO_LIMIT if limited else None),
        }
        return {
            "model_name": self.group,
            "litellm_params": compact({**params, "weight": self.weight, "rpm": self.per_minute}),
            "model_info": compact(info),
        }

    def _id(self) -> str:
        named = self.routed_for or self.group
        return deployment_id(named, self.tier, self.namespace, self.site, self.group, self.target)


class Fallback(Value):
    """Where requests of a group go when it fails, in order."""

    group: str
    to: tuple[str, ...] = Field(min_length=1)


class Proxy(Value):
    """A whole proxy configuration."""

    deployments: tuple[Deployment, ...] = Field(min_length=1)
    fallbacks: tuple[Fallback, ...] = ()
    allowed_fails: int = Field(default=1, ge=0)
    cooldown_seconds: int = Field(default=30, ge=1)
    retries: int = Field(default=0, ge=0, le=5)


def _number(seconds: float) -> float:
    """Return the seconds as people write them: 4 rather than 4.0."""
    return int(seconds) if seconds == int(seconds) else seconds


def proxy_config(proxy: Proxy) -> type_json:
    """Return the configuration.

    Edge first is said by groups and fallbacks: clients call the edge group, and its fallbacks are cloud groups. The strategy
    stays ``simple-shuffle``: ``latency-based-routing`` prefers whoever is faster, which leaves a cheaper, slower edge idle.
    ``allowed_fails`` and ``cooldown_time`` are always set: a group with one deployment has no circuit breaker without them
    (litellm#40405), and a dead edge then costs every request its full time-out.

    Raises:
        InvalidInput: ``allowed_fails`` is LiteLLM's own default, which it takes for unset; a fallback names a group that no
            deployment has (LiteLLM fails on it at request time only); a group falls back to itself or in a circle; an edge
            group has no cloud behind it; or two tiers share a group.
    """
    _check(proxy)
    tiers = {deployment.group: deployment.tier for deployment in proxy.deployments}
    limited = any(deployment.prompt_limit for deployment in proxy.deployments)
    ordered = sorted(proxy.deployments, key=lambda d: tiers[d.group] != "edge")
    return {
        "model_list": [deployment.manifest(limited=limited) for deployment in ordered],
        "router_settings": {
            "routing_strategy": "simple-shuffle",
            "fallbacks": [{fallback.group: list(fallback.to)} for fallback in proxy.fallbacks],
            **_by_limit(proxy),
            **_by_conversation(proxy),
            "allowed_fails": proxy.allowed_fails,
            "cooldown_time": proxy.cooldown_seconds,
            "num_retries": proxy.retries,
        },
        "litellm_settings": {CALLBACKS: [METRICS]},
        "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
    }


def _by_limit(proxy: Proxy) -> type_json:
    """Return the settings that pass on what a group cannot take: prompts that are too long, requests above its rate.

    LiteLLM looks at either only before a call, and only where it is told to; none where every group takes everything.
    """
    limited = {deployment.group for deployment in proxy.deployments if deployment.prompt_limit is not None}
    checked = limited or any(deployment.per_minute for deployment in proxy.deployments)
    listed = [{fallback.group: list(fallback.to)} for fallback in proxy.fallbacks if fallback.group in limited]
    return compact({"context_window_fallbacks": listed, "enable_pre_call_checks": True if checked else None})


def _by_conversation(proxy: Proxy) -> type_json:
    """Return the setting that keeps a conversation with one server; none where no group has two to choose from.

    It is another list than ``enable_pre_call_checks``, which limits need: neither turns the other on.
    """
    sizes = Counter(deployment.group for deployment in proxy.deployments)
    return {"optional_pre_call_checks": [AFFINITY]} if max(sizes.values()) > 1 else {}


def _check(proxy: Proxy) -> None:
    if proxy.allowed_fails == IGNORED_FAILS:
        raise InvalidInput(
            f"allowed_fails {IGNORED_FAILS} is LiteLLM's own default",
            cause="the Router takes it for unset, and a group with one deployment is left without a circuit breaker",
            remedy="use another number, such as 1",
        )
    tiers: dict[str, set[str]] = {}
    for deployment in proxy.deployments:
        tiers.setdefault(deployment.group, set()).add(deployment.tier)
    if mixed := sorted(group for group, found in tiers.items() if len(found) > 1):
        raise InvalidInput(
            f"group {mixed[0]} mixes edge and cloud",
            cause="requests are shuffled over a group's deployments, so edge would not come first",
            remedy="make one group per tier and fall back from edge to cloud",
        )
    chain = {fallback.group: fallback.to for fallback in proxy.fallbacks}
    if twice := [group for group, count in Counter(f.group for f in proxy.fallbacks).items() if count > 1]:
        raise InvalidInput(f"group {twice[0]} has two fallback lists", remedy="join them in order")
    named = {*chain, *(target for targets in chain.values() for target in targets)}
    if missing := sorted(named - set(tiers)):
        raise InvalidInput(
            f"fallback group {missing[0]} has no deployment",
            cause="LiteLLM accepts it and fails when the fallback is needed",
            remedy=f"add a deployment to it, or use one of {', '.join(sorted(tiers))}",
        )
    for group, found in sorted(tiers.items()):
        reached = _reached(group, chain)
        if group in reached:
            raise InvalidInput(f"group {group} falls back to itself", remedy="take the circle out of the fallbacks")
        if "edge" in found and not any("cloud" in tiers[target] for target in reached):
            raise InvalidInput(
                f"edge group {group} has no cloud to fall back to", remedy="add a fallback to a cloud group"
            )


def _reached(group: str, chain: dict[str, tuple[str, ...]]) -> set[str]:
    """Every group that a failing request can be passed on to."""
    reached: set[str] = set()
    waiting = list(chain.get(group, ()))
    while waiting:
        target = waiting.pop()
        if target not in reached:
            reached.add(target)
            waiting.extend(chain.get(target, ()))
    return reached
