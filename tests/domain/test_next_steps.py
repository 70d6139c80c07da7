"""What an operation offers next is what steering takes: nothing that would be refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ai_platform_mcp.core.followed import Followed
from ai_platform_mcp.core.plan import Follow
from ai_platform_mcp.domain.objects import ref_of
from ai_platform_mcp.domain.progress import progress_of
from ai_platform_mcp.domain.record_views import next_steps

EARLIER = {"version": "1", "digest": "sha256:" + "1" * 64}


def live(kind: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "n"}, "spec": spec, "status": status}


def edge(phase: str, **spec: Any) -> dict[str, Any]:
    return live("EdgeRollout", spec, {"phase": phase, "total": 3, "healthy": 1})


def service(percent: int | None) -> dict[str, Any]:
    predictor = {} if percent is None else {"canaryTrafficPercent": percent}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    return live("InferenceService", {"predictor": predictor}, ready)


@pytest.mark.parametrize(
    ("objects", "offered"),
    [
        ([edge("Running", rollbackTo=EARLIER)], "cancel|pause|promote|rollback"),
        ([edge("Running")], "cancel|pause|promote"),
        ([edge("Succeeded", rollbackTo=EARLIER)], "rollback"),
        ([edge("Succeeded")], ""),
        ([service(10)], "cancel|promote|rollback"),
        ([service(None)], ""),
        ([service(10), live("CanaryRollout", {}, {"phase": "Running"})], "cancel|pause|promote|rollback"),
        ([service(None), live("CanaryRollout", {}, {"phase": "Succeeded"})], ""),
        ([service(None), edge("Succeeded", rollbackTo=EARLIER)], ""),
    ],
)
def test_what_is_offered_is_what_every_object_of_the_operation_takes(
    objects: list[dict[str, Any]], offered: str
) -> None:
    operation: Any = SimpleNamespace(id="op-1", state="applied", live=False, plan=SimpleNamespace(tool="deploy_model"))
    rows = [Followed(follow=Follow(cluster="c", ref=ref_of(row)), live=row) for row in objects]
    told = next_steps(operation, rows, [progress_of(row) for row in objects])
    assert told == (
        f"control_operation operation_id=op-1 action={offered}."
        if offered
        else "It is over; deploy_model serves another version."
    )
