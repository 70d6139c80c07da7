"""How a RunService's canary is promoted or rolled back, and what of a Function can be steered: taking it away again."""

from __future__ import annotations

from ai_platform_mcp.core.errors import Conflict, InvalidInput
from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.core.plan import Risk
from ai_platform_mcp.domain.objects import VERSION_LABEL, annotations_of, ref_of, rows, whole
from ai_platform_mcp.domain.progress import STABLE_VERSION, canary_percent, progress_of
from ai_platform_mcp.manifests.common import MODEL_DIGEST_ANNOTATION, label_value
from ai_platform_mcp.manifests.serverless import REVISION, WHOLE, traffic
from ai_platform_mcp.tools._canary_steering import cancel_new, share_under_way
from ai_platform_mcp.tools._steered import Action, Moment, Steered, patch


def run_service(live: type_json, action: Action, moment: Moment) -> Steered:
    """Return the steps for a RunService: only its traffic moves, and the revisions stay as they are.

    Raises:
        Conflict: it has no canary, or the canary is not ready.
        InvalidInput: pause or resume, since it does not move by itself.
    """
    if action == "cancel" and canary_percent(live) is None:
        return cancel_new(live, moment)
    share, ref = share_under_way(live, action), ref_of(live)
    if action == "promote":
        if progress_of(live).state != "running" or progress_of(live).percent is None:
            text = f"The canary of {ref} cannot be promoted: it is not ready."
            raise Conflict(text, remedy="Wait until it is, roll it back, or deploy a version that starts.")
        body: type_json = {"metadata": {"annotations": {STABLE_VERSION: None}}, "spec": {"traffic": traffic(None)}}
        return Steered((patch(live, f"Promote the canary of {ref} from {share} % to all traffic", body, moment),))
    stable = annotations_of(live).get(STABLE_VERSION) or "unknown"
    named = [row for row in rows(live, "spec", "traffic") if row.get("revision")]
    revision = str(max(named, key=lambda row: whole(row.get("percent")))["revision"])
    body = {
        "metadata": {
            "labels": {VERSION_LABEL: label_value(stable)},
            "annotations": {STABLE_VERSION: None, MODEL_DIGEST_ANNOTATION: None},
        },
        "spec": {"traffic": [{"type": REVISION, "revision": revision, "percent": WHOLE}]},
    }
    title = f"Roll back {ref}: all traffic to {stable} (the canary has {share} %)"
    text = "The template stays the canary's, without traffic, until the next deployment."
    return Steered((patch(live, title, body, moment),), (Risk(severity="info", text=text),))


def function(live: type_json, action: Action, moment: Moment) -> Steered:
    """Return the steps for a Function, which has one version here.

    Raises:
        Conflict: it was there before the operation, or it serves.
        InvalidInput: any other action than cancel.
    """
    if action == "cancel":
        return cancel_new(live, moment)
    raise InvalidInput(
        f"{ref_of(live)} has one version, which takes every call: there is nothing to {action}.",
        remedy="Deploy the version you want with deploy_model target=serverless.",
    )
