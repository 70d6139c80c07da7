"""What we changed by a patch and what we changed by an apply are both ours: never a conflict, and nothing outlives its reason."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.adapters.kubernetes import writer
from ai_platform_mcp.core.errors import FieldConflict, Unavailable
from ai_platform_mcp.core.plan import Apply, ObjectRef, Patch
from ai_platform_mcp.domain.objects import preconditions, rows

from .conftest import Cluster

ISVC = "serving.kserve.io/v1beta1"


def isvc(cluster: Cluster, **predictor: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "onnx"}, "storageUri": "s3://models/fraud"}
    return {
        "apiVersion": ISVC,
        "kind": "InferenceService",
        "metadata": {"name": "fraud", "namespace": cluster.namespace},
        "spec": {"predictor": {"minReplicas": 1, "model": model, **predictor}},
    }


def where(cluster: Cluster) -> ObjectRef:
    return ObjectRef(api_version=ISVC, kind="InferenceService", name="fraud", namespace=cluster.namespace)


def path(cluster: Cluster) -> str:
    return cluster.group(ISVC, "inferenceservices/fraud")


async def live(cluster: Cluster) -> dict[str, Any]:
    found = await cluster.adapter.reader.live("c1", where(cluster))
    assert found is not None
    return found


async def managers(cluster: Cluster) -> set[tuple[str, str]]:
    return {(row["manager"], row["operation"]) for row in rows(await live(cluster), "metadata", "managedFields")}


def apply(manifest: dict[str, Any]) -> Apply:
    return Apply(id="s1", title="apply", cluster="c1", manifest=manifest)


def patch(cluster: Cluster, body: Any) -> Patch:
    return Patch(id="s1", title="patch", cluster="c1", ref=where(cluster), patch=body)


async def test_what_we_patched_we_may_apply_again_and_what_we_leave_out_goes(cluster: Cluster) -> None:
    await cluster.do(apply(isvc(cluster, canaryTrafficPercent=10)), "op-1")
    body = {"spec": {"predictor": {"canaryTrafficPercent": 0, "maxReplicas": 7}}}
    await cluster.do(patch(cluster, body), "op-2")
    assert await managers(cluster) == {("ai-platform-mcp", "Apply")}

    step = apply(isvc(cluster, minReplicas=2))
    step = step.model_copy(update={"preconditions": preconditions(step, await live(cluster))})
    told = await cluster.adapter.reader.dry_run(step)
    outcome = await cluster.do(step, "op-3")

    changes = {change.path: (change.before, change.after) for change in told.diff.changes}
    assert changes == {
        "/spec/predictor/minReplicas": (1, 2),
        "/spec/predictor/maxReplicas": (7, None),
        "/spec/predictor/canaryTrafficPercent": (0, None),
    }
    assert outcome.state == "applied"
    predictor = (await live(cluster))["spec"]["predictor"]
    assert predictor["minReplicas"] == 2
    assert not {"maxReplicas", "canaryTrafficPercent"} & set(predictor)


async def test_a_patch_whose_tidying_was_lost_is_no_conflict_and_the_diff_is_exact_all_the_same(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cluster.do(apply(isvc(cluster, canaryTrafficPercent=10)), "op-1")

    async def lost(*_: Any) -> Any:
        raise Unavailable("the connection broke after the patch")

    with monkeypatch.context() as broken:
        broken.setattr(writer.KubernetesWriter, "_gather", lost)
        done = await cluster.do(
            patch(cluster, {"spec": {"predictor": {"canaryTrafficPercent": 0, "maxReplicas": 7}}}), "op-2"
        )
    assert done.state == "applied"
    assert ("ai-platform-mcp", "Update") in await managers(cluster)

    step = apply(isvc(cluster, canaryTrafficPercent=20))
    told = await cluster.adapter.reader.dry_run(step)
    await cluster.do(step, "op-3")

    changes = {change.path: (change.before, change.after) for change in told.diff.changes}
    assert changes == {
        "/spec/predictor/canaryTrafficPercent": (0, 20),
        "/spec/predictor/maxReplicas": (7, None),
    }
    predictor = (await live(cluster))["spec"]["predictor"]
    assert predictor["canaryTrafficPercent"] == 20
    assert "maxReplicas" not in predictor
    assert await managers(cluster) == {("ai-platform-mcp", "Apply")}


async def test_fields_of_others_are_neither_taken_nor_dropped_along_with_ours(cluster: Cluster) -> None:
    await cluster.do(apply(isvc(cluster)), "op-1")
    other = {"apiVersion": ISVC, "kind": "InferenceService", "metadata": {"name": "fraud"}}
    cluster.server.apply(path(cluster), {**other, "spec": {"predictor": {"maxReplicas": 7}}}, manager="autoscaler")
    await cluster.do(patch(cluster, {"spec": {"predictor": {"minReplicas": 3, "maxReplicas": 7}}}), "op-2")

    kept = apply(isvc(cluster, minReplicas=2))
    assert [row.path for row in (await cluster.adapter.reader.dry_run(kept)).diff.changes] == [
        "/spec/predictor/minReplicas"
    ]
    await cluster.do(kept, "op-3")
    assert (await live(cluster))["spec"]["predictor"]["maxReplicas"] == 7

    taken = apply(isvc(cluster, maxReplicas=9))
    for attempt in (cluster.adapter.reader.dry_run(taken), cluster.do(taken, "op-4")):
        with pytest.raises(FieldConflict) as caught:
            await attempt
        (told,) = caught.value.details["conflicts"]
        assert (told["manager"], told["field"]) == ("autoscaler", ".spec.predictor.maxReplicas")
        assert told["since"] in caught.value.message
        assert told["since"].endswith("Z")


async def test_an_object_that_we_created_by_post_can_be_applied(cluster: Cluster) -> None:
    cluster.server.send("POST", path(cluster).rpartition("/")[0], isvc(cluster), fieldManager="ai-platform-mcp")

    step = apply(isvc(cluster, minReplicas=2))
    assert (await cluster.adapter.reader.dry_run(step)).diff.action == "update"
    await cluster.do(step)

    assert (await live(cluster))["spec"]["predictor"]["minReplicas"] == 2
    assert await managers(cluster) == {("ai-platform-mcp", "Apply")}


async def test_a_conflict_with_another_and_with_ourselves_is_told_as_it_is(cluster: Cluster) -> None:
    await cluster.do(apply(isvc(cluster)), "op-1")
    cluster.server.send(
        "PATCH",
        path(cluster),
        {"spec": {"predictor": {"minReplicas": 4}}},
        "application/merge-patch+json",
        fieldManager="ai-platform-mcp",
    )
    other = {"apiVersion": ISVC, "kind": "InferenceService", "metadata": {"name": "fraud"}}
    cluster.server.apply(path(cluster), {**other, "spec": {"predictor": {"maxReplicas": 7}}}, manager="autoscaler")

    with pytest.raises(FieldConflict) as caught:
        await cluster.adapter.reader.dry_run(apply(isvc(cluster, minReplicas=5, maxReplicas=9)))
    assert "autoscaler" in caught.value.details["managers"]


@pytest.mark.parametrize(("said", "left"), [([{}], set()), ([], {("ai-platform-mcp", "Apply")})])
async def test_a_single_empty_entry_resets_ownership_and_an_empty_list_does_not(
    cluster: Cluster, said: Any, left: set[tuple[str, str]]
) -> None:
    await cluster.do(apply(isvc(cluster)), "op-1")
    patch = [{"op": "replace", "path": "/metadata/managedFields", "value": said}]

    cluster.server.send("PATCH", path(cluster), patch, "application/json-patch+json", fieldManager="kubectl")

    assert await managers(cluster) == left
