"""The id of a LiteLLM deployment: the one text of ours that LiteLLM puts into its metrics, as their label ``model_id``.

LiteLLM's series say nothing of clusters, and its groups and server names are the proxy's own. So the id says what a question
about routing names, in this order and with slashes between: model, tier, namespace, site, group, target.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

PARTS = ("model", "target", "namespace", "site")
"""What of an id a question can name, in the id's order; group and target's name follow. ``target`` is the tier there."""

BEHIND = "-cloud(-[0-9]+)?"
"""How a routing plan ends the names of the groups that only fallbacks lead to."""
_GROUPS = f"({BEHIND}|-spot|-noncritical|-batch)"
"""How it ends the names of all of a model's further groups."""


def deployment_id(
    model: str, tier: Literal["edge", "cloud"], namespace: str, site: str, group: str, target: str
) -> str:
    """Return the id. Namespace and site are empty where a target has none, or several; a slash in the target's name is no harm,
    for it comes last."""
    return "/".join((model, tier, namespace, site, group, target))


def pattern(named: Mapping[str, str]) -> str:
    """Return the regular expression, as Prometheus anchors it, of ids that carry these parts; empty where none is named."""
    if not any(named.get(part) for part in PARTS):
        return ""
    return "/".join(_escaped(named.get(part, "")) or "[^/]*" for part in PARTS) + "/.*"


def part(name: str) -> str:
    """Return the regular expression whose first group is that part of an id; an id without it does not match."""
    before = "[^/]*/" * PARTS.index(name)
    after = "[^/]*/" * (len(PARTS) - 1 - PARTS.index(name))
    return f"{before}([^/]+)/{after}[^/]+/.+"


def groups_of(model: str) -> str:
    """Return the regular expression of the names that a routing plan gives the groups of a model."""
    return f"{_escaped(model)}{_GROUPS}?"


def _escaped(text: str) -> str:
    return re.sub(r"[^\w/-]", r"\\\g<0>", text, flags=re.ASCII)
