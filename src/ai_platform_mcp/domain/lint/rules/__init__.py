"""The rules, one file per system. A rule is one small function; each names the source that its claim can be read in.

Belongs here: what a released schema, a changelog, an issue or a measurement says of one field or one combination of fields.
Does not belong here: taste, and what only a running cluster can tell.
How to decide: if no source can be named, it is no rule.
"""

from __future__ import annotations

import importlib

SYSTEMS = (
    "clusters", "core", "dra", "edge", "flux", "gateway", "jobs", "keda", "knative", "kserve", "kserve_scaling", "kueue",
    "kueue_queues", "litellm", "litellm_routes", "metrics", "pods", "ray", "services", "trainer", "yaml_text",
)  # fmt: skip


def load() -> None:
    """Register every rule, once."""
    for name in SYSTEMS:
        importlib.import_module(f"{__name__}.{name}")
