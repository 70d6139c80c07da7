"""A patch of an InferenceService changes what it says and nothing else: KServe copies annotations to pods."""

from __future__ import annotations

from typing import Any

from ai_platform_mcp.adapters.kubernetes.requests import request_for
from ai_platform_mcp.core.plan import ObjectRef, Patch
from ai_platform_mcp.core.rows import Stamp

STAMP = Stamp(operation_id="op-1", plan_digest="0" * 64, annotations={"aiplatform.dev/team": "vision"})


class _Paths:
    async def path(self, cluster: str, ref: ObjectRef, subresource: str | None = None) -> str:
        return f"/{ref.kind}/{ref.name}"


async def _body(kind: str) -> Any:
    ref = ObjectRef(api_version="serving.kserve.io/v1beta1", kind=kind, name="a", namespace="ns")
    step = Patch(title="promote", cluster="c", ref=ref, patch={"spec": {"predictor": {"canaryTrafficPercent": None}}})
    return (await request_for(step, _Paths(), None, STAMP)).body  # pyright: ignore[reportArgumentType]


async def test_a_promotion_carries_no_stamp_that_would_change_the_pods() -> None:
    assert "metadata" not in await _body("InferenceService")


async def test_a_patch_of_anything_else_carries_the_stamp() -> None:
    body = await _body("TrainJob")
    assert body["metadata"]["annotations"]["aiplatform.dev/operation"] == "op-1"
