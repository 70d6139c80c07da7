"""Which fields of an InferenceService each change of a canary is, as one merge patch (RFC 7386) without its guards.

Knative mode says it in ``spec.predictor.canaryTrafficPercent``; the predictor is the new version, and the revision before keeps
the rest. Standard mode says it in ``spec.canary[]`` beside the stable predictor (KServe v0.20), whose entries run as many
replicas as they are given. The version's label lies on the service, for whoever lists it, and on each predictor, for its pods.
"""

from __future__ import annotations

from typing import cast

from pydantic import Field

from ai_platform_mcp.core.model import Value, type_json
from ai_platform_mcp.domain.canary.state import Change
from ai_platform_mcp.domain.objects import VERSION_LABEL, rows, section
from ai_platform_mcp.domain.progress import STABLE_VERSION, knative_mode

_KEPT = (
    "name",
    "minReplicas",
    "maxReplicas",
    "scaleMetric",
    "scaleMetricType",
    "scaleTarget",
    "autoScaling",
    "serviceAccountName",
)
"""Fields that a promoted predictor has from the one before: a canary has a name and replicas of its own and does not scale."""


class Stable(Value):
    """The version to go back to.

    ``version`` is a label value and ``predictor`` what it was made of; each is empty where it is not known.
    """

    version: str
    notes: dict[str, str | None] = Field(default_factory=dict)
    """Annotations of the service that come back with it; None for those that it did not have."""
    predictor: type_json = Field(default_factory=dict)


def canary_replicas(stable_replicas: int, percent: int) -> int:
    """Return the replicas of a canary in Standard mode: as many as its share needs, and one at least.

    KServe's own share of a small number is none to answer with (kserve#5983 reports 503s), and it refuses more than the stable
    predictor has.
    """
    return max(1, -(-max(1, stable_replicas) * percent // 100))


def turning(old: type_json, new: type_json) -> type_json:
    """Return the merge patch (RFC 7386) that turns ``old`` into ``new``: what is gone is named with null."""
    patched: type_json = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            inner = turning(cast("type_json", before), cast("type_json", value))
            if inner:
                patched[key] = inner
        elif before != value:
            patched[key] = value
    return patched


def change_body(live: type_json, change: Change, percent: int, stable: Stable) -> type_json:
    """Return the merge patch of a change; ``percent`` is the share of a ``move``."""
    if change == "move":
        return {"spec": _moved(live, percent)}
    if change == "promote":
        return {"spec": {**_promoted(live), "canary": _shared(live, 100)}}
    if change == "finish":
        return finished(live)
    if change == "restore":
        return _restored(live, stable)
    return withdrawn(live, stable)


def _moved(live: type_json, percent: int) -> type_json:
    if knative_mode(live):
        return {"predictor": {"canaryTrafficPercent": percent}}
    return {"canary": _shared(live, percent)}


def _shared(live: type_json, percent: int) -> list[type_json]:
    """Return ``spec.canary`` with the newest entry at this share. The list is one field: it is written whole."""
    *others, newest = rows(live, "spec", "canary")
    asked = section(live, "spec", "predictor").get("minReplicas")
    replicas = canary_replicas(asked if isinstance(asked, int) else 1, percent)
    predictor = {**section(newest, "predictor"), "minReplicas": replicas}
    return [*others, {**newest, "trafficPercent": percent, "predictor": predictor}]


def _promoted(live: type_json) -> type_json:
    """Return the change of the predictor to what the newest canary runs, with the replicas that the one before had."""
    winner = section(rows(live, "spec", "canary")[-1], "predictor")
    fresh = {key: value for key, value in winner.items() if key not in _KEPT}
    old = section(live, "spec", "predictor")
    kept = {key: old[key] for key in _KEPT if key in old}
    return {"predictor": turning(old, {**fresh, **kept})}


def promoted_at_once(live: type_json) -> type_json:
    """Return the merge patch that gives the canary all traffic in one write: for a canary that nobody moves by steps."""
    if knative_mode(live):
        return finished(live)
    notes = {"metadata": {"annotations": {STABLE_VERSION: None}}}
    return {**notes, "spec": {**_promoted(live), "canary": None}}


def finished(live: type_json) -> type_json:
    """Return the merge patch that takes away what is left of a canary: all traffic goes to the predictor.

    In Knative mode the note of the stable version stays: KServe copies annotations to the pods, so that taking it away would
    start another revision of the same model. It speaks of a canary only, and there is none.
    """
    if knative_mode(live):
        return {"spec": {"predictor": {"canaryTrafficPercent": None}}}
    return {"metadata": {"annotations": {STABLE_VERSION: None}}, "spec": {"canary": None}}


def withdrawn(live: type_json, stable: Stable) -> type_json:
    """Return the merge patch that takes a canary's traffic away.

    In Standard mode the canary goes altogether, and what the service says of it; in Knative mode the predictor stays as it is.
    """
    if knative_mode(live):
        return {"spec": {"predictor": {"canaryTrafficPercent": 0}}}
    return {"metadata": _said(stable, {STABLE_VERSION: None}), "spec": {"canary": None}}


def _restored(live: type_json, stable: Stable) -> type_json:
    """Return the merge patch that asks for the stable predictor again; the traffic stays where it is."""
    old = section(live, "spec", "predictor")
    held = {"canaryTrafficPercent": old["canaryTrafficPercent"]} if "canaryTrafficPercent" in old else {}
    patch = turning(old, {**stable.predictor, **held})
    return {"metadata": _said(stable, {}), "spec": {"predictor": patch}}


def _said(stable: Stable, more: dict[str, None]) -> type_json:
    notes = {**stable.notes, **more}
    marks = {"labels": {VERSION_LABEL: stable.version}} if stable.version else {}
    return {**marks, **({"annotations": notes} if notes else {})}
