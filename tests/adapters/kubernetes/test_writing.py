"""What the adapter writes: each step once, recognisable, refused when the world moved, and never without a permit."""

from __future__ import annotations

from typing import Any

import pytest

from ai_platform_mcp.core.errors import Conflict, FieldConflict, Forbidden, NotFound, PlanStale, Rejected
from ai_platform_mcp.core.plan import Apply, Delete, ObjectRef, Patch, Precondition, Submit
from ai_platform_mcp.domain.objects import metadata_of, preconditions, step_digest

from .conftest import Cluster, stamp

ISVC = "serving.kserve.io/v1beta1"


def config_map(cluster: Cluster, name: str = "one", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": cluster.namespace},
        "data": data,
    }


def isvc(cluster: Cluster, name: str = "fraud", **predictor: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "onnx"}, "storageUri": "s3://models/fraud"}
    return {
        "apiVersion": ISVC,
        "kind": "InferenceService",
        "metadata": {"name": name, "namespace": cluster.namespace},
        "spec": {"predictor": {"minReplicas": 1, "model": model, **predictor}},
    }


def apply(manifest: dict[str, Any], **options: Any) -> Apply:
    return Apply(id="s1", title="apply", cluster="c1", manifest=manifest, **options)


def ref(cluster: Cluster, name: str = "one", kind: str = "ConfigMap", api_version: str = "v1") -> ObjectRef:
    return ObjectRef(api_version=api_version, kind=kind, name=name, namespace=cluster.namespace)


async def live(cluster: Cluster, of: ObjectRef) -> dict[str, Any]:
    found = await cluster.adapter.reader.live("c1", of)
    assert found is not None
    return found


# --- dry run ---


async def test_a_dry_run_shows_the_servers_diff_and_changes_nothing(cluster: Cluster) -> None:
    step = apply(isvc(cluster))

    answer = await cluster.adapter.reader.dry_run(step)

    assert answer.diff.action == "create"
    assert answer.live is None
    assert "/spec/predictor/model/storageUri" in {change.path for change in answer.diff.changes}
    assert await cluster.adapter.reader.live("c1", ref(cluster, "fraud", "InferenceService", ISVC)) is None


async def test_a_dry_run_of_what_is_applied_already_shows_no_change(cluster: Cluster) -> None:
    step = apply(isvc(cluster))
    await cluster.do(step, "op-1", **{"example.org/ticket": "T-1"})

    answer = await cluster.adapter.reader.dry_run(step)

    assert answer.diff.action == "none", answer.diff
    assert answer.live is not None


async def test_a_dry_run_of_an_update_shows_exactly_the_fields_that_change(cluster: Cluster) -> None:
    await cluster.do(apply(config_map(cluster, a="1", b="2")))

    answer = await cluster.adapter.reader.dry_run(apply(config_map(cluster, a="9")))

    changes = {change.path: (change.before, change.after) for change in answer.diff.changes}
    assert changes == {"/data/a": ("1", "9"), "/data/b": ("2", None)}
    assert answer.diff.action == "update"


async def test_a_dry_run_of_a_deletion_and_of_a_patch_leave_the_object_as_it_is(cluster: Cluster) -> None:
    await cluster.do(apply(config_map(cluster, a="1")))
    before = await live(cluster, ref(cluster))
    uid = str(metadata_of(before)["uid"])

    deletion = await cluster.adapter.reader.dry_run(Delete(title="d", cluster="c1", ref=ref(cluster), uid=uid))
    patch = Patch(title="p", cluster="c1", ref=ref(cluster), patch={"data": {"a": "2"}})
    change = await cluster.adapter.reader.dry_run(patch)

    assert deletion.diff.action == "delete"
    assert [row.path for row in change.diff.changes] == ["/data/a"]
    assert await live(cluster, ref(cluster)) == before


async def test_an_unknown_field_is_rejected_with_its_name_applied_or_created(cluster: Cluster) -> None:
    wrong = isvc(cluster)
    wrong["spec"]["canaryTrafficPercent"] = 10

    for step in (apply(wrong), Submit(title="s", cluster="c1", manifest=wrong)):
        with pytest.raises(Rejected) as caught:
            await cluster.adapter.reader.dry_run(step)
        assert "canaryTrafficPercent" in caught.value.cause


async def test_an_invalid_value_is_rejected_and_a_deprecated_one_warned_of(cluster: Cluster) -> None:
    def service(distribution: str) -> Apply:
        spec = {"ports": [{"port": 80}], "trafficDistribution": distribution}
        meta = {"name": "svc", "namespace": cluster.namespace}
        return apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})

    with pytest.raises(Rejected) as caught:
        await cluster.adapter.reader.dry_run(service("Bogus"))
    assert "trafficDistribution" in caught.value.cause
    warned = await cluster.adapter.reader.dry_run(service("PreferClose"))
    assert any("PreferSameZone" in text for text in warned.warnings)


async def test_another_managers_field_is_a_conflict_that_names_manager_and_field(cluster: Cluster) -> None:
    cluster.server.apply(f"{cluster.base}/configmaps/one", config_map(cluster, a="1"), manager="other-team")
    step = apply(config_map(cluster, a="2"))

    for attempt in (cluster.adapter.reader.dry_run(step), cluster.do(step)):
        with pytest.raises(FieldConflict) as caught:
            await attempt
        (conflict,) = caught.value.details["conflicts"]
        assert (conflict["manager"], conflict["field"]) == ("other-team", ".data.a")
        assert conflict["since"]

    forced = await cluster.do(apply(config_map(cluster, a="2"), force=True))
    assert forced.state == "applied"
    assert (await live(cluster, ref(cluster)))["data"] == {"a": "2"}


# --- apply ---


async def test_an_applied_object_carries_its_stamp_and_our_manager(cluster: Cluster) -> None:
    outcome = await cluster.do(apply(config_map(cluster, a="1")), "op-7", **{"example.org/ticket": "T-1"})

    found = await live(cluster, ref(cluster))
    notes = found["metadata"]["annotations"]
    assert outcome.state == "applied"
    assert outcome.version == found["metadata"]["resourceVersion"]
    assert notes["aiplatform.dev/operation"] == "op-7"
    assert notes["aiplatform.dev/plan-digest"] == "d" * 64
    assert notes["example.org/ticket"] == "T-1"
    assert [row["manager"] for row in found["metadata"]["managedFields"]] == ["ai-platform-mcp"]


async def test_a_step_repeated_by_its_own_operation_is_unchanged_even_though_its_precondition_is_gone(
    cluster: Cluster,
) -> None:
    step = apply(config_map(cluster, a="1"))
    step = step.model_copy(update={"preconditions": preconditions(step, None)})
    first = await cluster.do(step)

    again = await cluster.do(step)

    assert again.state == "unchanged"
    assert again.version == first.version


@pytest.mark.parametrize("kind", ["absent", "uid", "owned", "generation"])
async def test_a_precondition_that_no_longer_holds_makes_the_plan_stale_and_changes_nothing(
    cluster: Cluster, kind: str
) -> None:
    base = isvc(cluster)
    cluster.server.apply(cluster.group(ISVC, "inferenceservices/fraud"), base, manager="ai-platform-mcp")
    where = ref(cluster, "fraud", "InferenceService", ISVC)
    planned = await live(cluster, where)
    step = apply(isvc(cluster, minReplicas=3))
    expected = {
        "absent": "",
        "uid": "00000000-0000-0000-0000-000000000000",
        "owned": step_digest(step, planned),
        "generation": str(planned["metadata"]["generation"]),
    }[kind]
    condition = Precondition(kind=kind, subject=f"{ISVC} {where}", expected=expected)  # type: ignore[arg-type]
    cluster.server.merge(cluster.group(ISVC, "inferenceservices/fraud"), {"spec": {"predictor": {"minReplicas": 2}}})

    with pytest.raises(PlanStale) as caught:
        await cluster.do(step.model_copy(update={"preconditions": (condition,)}))

    assert caught.value.details["precondition"]["kind"] == kind
    assert (await live(cluster, where))["spec"]["predictor"]["minReplicas"] == 2


async def test_status_updates_and_foreign_labels_do_not_make_a_plan_stale(cluster: Cluster) -> None:
    path = cluster.group(ISVC, "inferenceservices/fraud")
    await cluster.do(apply(isvc(cluster)), "op-0")
    where = ref(cluster, "fraud", "InferenceService", ISVC)
    step = apply(isvc(cluster, minReplicas=2))
    step = step.model_copy(update={"preconditions": preconditions(step, await live(cluster, where))})
    cluster.server.merge(path, {"metadata": {"labels": {"someone": "else"}}})
    cluster.server.merge(f"{path}/status", {"status": {"url": "http://fraud.example.org"}})

    outcome = await cluster.do(step)

    assert outcome.state == "applied"
    assert (await live(cluster, where))["metadata"]["labels"] == {"someone": "else"}


# --- patch ---


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("merge", {"data": {"a": "2", "b": None}}),
        ("strategic", {"data": {"a": "2", "b": None}}),
        ("json", [{"op": "replace", "path": "/data/a", "value": "2"}, {"op": "remove", "path": "/data/b"}]),
    ],
)
async def test_a_patch_of_each_kind_changes_its_fields_and_leaves_its_stamp(
    cluster: Cluster, kind: Any, patch: Any
) -> None:
    cluster.server.post(f"{cluster.base}/configmaps", config_map(cluster, a="1", b="1", c="1"))
    step = Patch(id="s1", title="p", cluster="c1", ref=ref(cluster), patch=patch, patch_type=kind)
    step = step.model_copy(update={"preconditions": preconditions(step, await live(cluster, ref(cluster)))})

    assert not await cluster.adapter.writer.read_back(step, stamp())
    outcome = await cluster.do(step)
    again = await cluster.do(step)

    found = await live(cluster, ref(cluster))
    assert (outcome.state, again.state) == ("applied", "unchanged")
    assert found["data"] == {"a": "2", "c": "1"}
    assert found["metadata"]["annotations"]["aiplatform.dev/operation"] == "op-1"
    assert await cluster.adapter.writer.read_back(step, stamp())


async def test_a_strategic_patch_of_a_custom_resource_is_rejected_with_a_reason(cluster: Cluster) -> None:
    await cluster.do(apply(isvc(cluster)))
    where = ref(cluster, "fraud", "InferenceService", ISVC)
    step = Patch(title="p", cluster="c1", ref=where, patch={"spec": {}}, patch_type="strategic")
    with pytest.raises(Rejected) as caught:
        await cluster.adapter.reader.dry_run(step)
    assert caught.value.details["status"] == 415


async def test_scale_and_status_are_patched_through_their_subresources(cluster: Cluster) -> None:
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": cluster.namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "c", "image": "registry.example.org/c:1"}]},
            },
        },
    }
    cluster.server.post(cluster.group("apps/v1", "deployments"), deployment)
    where = ref(cluster, "web", "Deployment", "apps/v1")
    scale = Patch(id="s1", title="p", cluster="c1", ref=where, patch={"spec": {"replicas": 4}}, subresource="scale")
    status = Patch(id="s2", title="p", cluster="c1", ref=where, patch={"status": {"replicas": 4}}, subresource="status")

    seen = [row.path for row in (await cluster.adapter.reader.dry_run(scale)).diff.changes]
    states = [(await cluster.do(step)).state for step in (scale, status, scale, status)]

    assert seen == ["/spec/replicas"]
    assert states == ["applied", "applied", "unchanged", "unchanged"]
    found = await live(cluster, where)
    assert (found["spec"]["replicas"], found["status"]["replicas"]) == (4, 4)


async def test_a_patch_of_what_is_not_there_is_not_found(cluster: Cluster) -> None:
    step = Patch(title="p", cluster="c1", ref=ref(cluster, "absent"), patch={"data": {"a": "1"}})
    with pytest.raises(NotFound):
        await cluster.adapter.reader.dry_run(step)
    with pytest.raises(NotFound):
        await cluster.do(step)


# --- delete ---


async def test_a_deletion_takes_exactly_the_object_of_its_uid(cluster: Cluster) -> None:
    await cluster.do(apply(config_map(cluster, a="1")))
    uid = str(metadata_of(await live(cluster, ref(cluster)))["uid"])
    other = Delete(title="d", cluster="c1", ref=ref(cluster), uid="00000000-0000-0000-0000-000000000000")
    right = Delete(title="d", cluster="c1", ref=ref(cluster), uid=uid)

    assert (await cluster.adapter.reader.dry_run(other)).diff.action == "none"
    assert (await cluster.do(other)).state == "unchanged"
    assert await cluster.adapter.reader.live("c1", ref(cluster)) is not None
    assert not await cluster.adapter.writer.read_back(right, stamp())
    assert (await cluster.do(right)).state == "applied"
    assert (await cluster.do(right)).state == "unchanged"
    assert await cluster.adapter.writer.read_back(right, stamp())


# --- submit ---


async def test_a_submission_creates_one_object_per_operation_and_never_takes_over_another(cluster: Cluster) -> None:
    step = Submit(id="s1", title="s", cluster="c1", manifest=config_map(cluster, "job-1", a="1"))

    assert (await cluster.adapter.reader.dry_run(step)).diff.action == "create"
    assert not await cluster.adapter.writer.read_back(step, stamp())
    first = await cluster.do(step)
    again = await cluster.do(step)
    with pytest.raises(Conflict, match="exists"):
        await cluster.do(step, "op-other")

    assert (first.state, again.state) == ("applied", "unchanged")
    assert first.version == again.version
    assert await cluster.adapter.writer.read_back(step, stamp())
    assert not await cluster.adapter.writer.read_back(step, stamp("op-other"))


# --- the permit ---


async def test_without_a_permit_no_step_is_sent(cluster: Cluster) -> None:
    cluster.server.post(f"{cluster.base}/configmaps", config_map(cluster, a="1"))
    before = await live(cluster, ref(cluster))
    steps = [
        apply(config_map(cluster, a="2"), force=True),
        Patch(title="p", cluster="c1", ref=ref(cluster), patch={"data": {"a": "2"}}),
        Delete(title="d", cluster="c1", ref=ref(cluster), uid=str(metadata_of(before)["uid"])),
        Submit(title="s", cluster="c1", manifest=config_map(cluster, "two")),
    ]
    for step in steps:
        with pytest.raises(Forbidden, match="no plan step is being executed"):
            await cluster.adapter.writer.execute(step, stamp())

    assert await live(cluster, ref(cluster)) == before
    assert await cluster.adapter.reader.live("c1", ref(cluster, "two")) is None


async def test_a_namespace_that_does_not_exist_is_named(cluster: Cluster) -> None:
    manifest = config_map(cluster)
    manifest["metadata"]["namespace"] = "no-such-namespace"
    with pytest.raises(NotFound, match="no-such-namespace"):
        await cluster.adapter.reader.dry_run(apply(manifest))
