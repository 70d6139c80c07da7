"""What a cluster would take and then not do is refused before it is sent, with a remedy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strict_manifests as s
from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.domain import objects
from ai_platform_mcp.manifests import common, dra, edge, kserve, kueue, litellm, routing, trainer

MODEL = kserve.ModelSource(format="onnx", storage_uri="s3://m/1", runtime="kserve-tritonserver")


def endpoint(**fields: Any) -> kserve.Endpoint:
    return kserve.Endpoint.model_validate(
        {"name": "m", "namespace": "ai", "mode": "Standard", "model": MODEL, **fields}
    )


@given(st.lists(st.text(max_size=90), min_size=1, max_size=3), st.text(max_size=20), st.integers(16, 63))
def test_names_are_dns_labels_stable_and_short(parts: list[str], seed: str, length: int) -> None:
    if not any(c.isascii() and c.isalnum() for part in parts for c in part.lower()):
        with pytest.raises(InvalidInput):
            common.object_name(*parts, seed=seed, length=length)
        return
    name = common.object_name(*parts, seed=seed, length=length)
    assert name == common.object_name(*parts, seed=seed, length=length)
    assert len(name) <= length
    s.assert_labels_are_valid({name: name})
    assert name[0].isalpha() and name == name.lower() and "." not in name and "_" not in name


@given(st.text(max_size=90), st.text(max_size=90))
def test_different_models_never_share_a_label_value(one: str, other: str) -> None:
    s.assert_labels_are_valid({"a": common.label_value(one), "b": common.label_value(other)})
    assert (common.label_value(one) == common.label_value(other)) == (one == other)


def test_names_of_different_operations_differ_and_plain_names_stay_plain() -> None:
    assert common.object_name("vision-v3") == "vision-v3"
    assert common.object_name("vision-v3", seed="op-1") != common.object_name("vision-v3", seed="op-2")
    assert common.object_name("Vision V3") != common.object_name("vision-v3")
    assert common.object_name("3d-net").startswith("m-3d-net")


def test_labels_and_annotations_are_those_that_preconditions_and_stamps_use() -> None:
    ours = (common.MODEL_LABEL, common.VERSION_LABEL, common.TEAM_LABEL, common.ENVIRONMENT_LABEL)
    theirs = (objects.MODEL_LABEL, objects.VERSION_LABEL, objects.TEAM_LABEL, objects.ENVIRONMENT_LABEL)
    assert ours == theirs
    assert (common.OPERATION_ANNOTATION, common.PLAN_ANNOTATION) == (
        objects.OPERATION_ANNOTATION,
        objects.PLAN_ANNOTATION,
    )


def test_kubernetes_versions_are_read_as_clouds_write_them() -> None:
    assert [common.minor_of(v) for v in ("v1.36.0", "v1.34.2-gke.100", "1.33")] == [36, 34, 33]
    with pytest.raises(InvalidInput):
        common.minor_of("36")


def test_a_canary_in_standard_mode_needs_a_kserve_that_splits_traffic_there() -> None:
    older = s.EVERYTHING.model_copy(update={"standard_canary": False})
    canary = kserve.Canary(percent=10, model=MODEL)
    with pytest.raises(CapabilityMissing, match="Standard mode"):
        kserve.inference_service(endpoint(canary=canary), s.ORIGIN, older)
    made = kserve.inference_service(endpoint(canary=canary, mode="Knative"), s.ORIGIN, older)
    assert made["spec"]["predictor"]["canaryTrafficPercent"] == 10


def test_in_knative_mode_the_canary_is_the_new_revision() -> None:
    new = MODEL.model_copy(update={"storage_uri": "s3://m/2"})
    made = kserve.inference_service(
        endpoint(canary=kserve.Canary(percent=10, model=new), mode="Knative"), s.ORIGIN, s.EVERYTHING
    )
    assert made["spec"]["predictor"]["model"]["storageUri"] == "s3://m/2"
    standard = kserve.inference_service(endpoint(canary=kserve.Canary(percent=10, model=new)), s.ORIGIN, s.EVERYTHING)
    assert standard["spec"]["predictor"]["model"]["storageUri"] == "s3://m/1"
    assert standard["spec"]["canary"][0]["predictor"]["model"]["storageUri"] == "s3://m/2"


def test_another_operation_changes_nothing_that_reaches_a_pod() -> None:
    later = s.ORIGIN.model_copy(update={"operation": "op-02", "plan_digest": "ef" * 32})
    service = edge.SiteService(release=RELEASE.model_copy(update={"image": "r/v@sha256:" + "a" * 64}), namespace="e")
    one, two = (kserve.inference_service(endpoint(), origin, s.EVERYTHING) for origin in (s.ORIGIN, later))
    assert one == two
    one, two = (edge.release_daemon_set(service, origin) for origin in (s.ORIGIN, later))
    assert one["spec"] == two["spec"] and one["metadata"] != two["metadata"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"min_replicas": 0}, "scale to zero"),
        ({"concurrency": 10}, "concurrency"),
        ({"min_replicas": 3, "max_replicas": 2}, "max_replicas"),
        ({"mode": "Knative", "external_scaler": True}, "Knative"),
    ],
)
def test_replicas_that_a_mode_cannot_give_are_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        kserve.inference_service(endpoint(**fields), s.ORIGIN, s.EVERYTHING)
    assert refused.value.remedy


def test_knative_mode_needs_knative() -> None:
    with pytest.raises(CapabilityMissing, match="does not serve Service"):
        kserve.inference_service(endpoint(mode="Knative"), s.ORIGIN, s.without("serving.knative.dev/v1/Service"))


def test_onnx_is_never_sent_to_a_runtime_that_kserve_does_not_ship() -> None:
    assert kserve.choose_runtime("onnx", {"kserve-openvino", "kserve-sklearnserver"}) == "kserve-openvino"
    with pytest.raises(CapabilityMissing) as refused:
        kserve.choose_runtime("onnx", {"kserve-onnxruntime"})
    assert "kserve-tritonserver" in refused.value.cause
    assert "pass runtime" in refused.value.remedy


def test_accelerators_are_asked_for_once() -> None:
    plugin = common.Compute(accelerators=2)
    claim = common.Compute(accelerators=2, claim_template="gpus")
    assert plugin.resources()["limits"]["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in claim.resources()["limits"]
    assert claim.resources()["claims"] == [{"name": common.CLAIM_NAME}]
    assert claim.pod_fields()["resourceClaims"] == [{"name": common.CLAIM_NAME, "resourceClaimTemplateName": "gpus"}]


def test_a_training_job_without_any_operator_says_what_to_do() -> None:
    neither = s.without(f"{trainer.TRAINJOB_API}/TrainJob", f"{trainer.PYTORCHJOB_API}/PyTorchJob")
    with pytest.raises(CapabilityMissing, match="neither TrainJob nor PyTorchJob"):
        trainer.training_engine(neither)


def test_a_train_job_with_a_device_claim_is_refused() -> None:
    training = trainer.Training(
        name="t",
        namespace="a",
        runtime=trainer.RuntimeRef(name="torch"),
        image="i",
        compute=common.Compute(claim_template="gpus"),
        queueing=kueue.Queueing(queue="q"),
    )
    with pytest.raises(CapabilityMissing, match="device claim"):
        trainer.train_job(training, s.ORIGIN)
    s.assert_strictly_valid(trainer.pytorch_job(training, s.ORIGIN))


def test_a_claim_needs_the_stable_api() -> None:
    with pytest.raises(CapabilityMissing):
        dra.claim_template("c", "a", "gpu.nvidia.com", 1, s.ORIGIN, s.without(f"{dra.API}/ResourceClaimTemplate"))
    for count in (0, 33):
        with pytest.raises(InvalidInput, match="1 to 32"):
            dra.claim_template("c", "a", "gpu.nvidia.com", count, s.ORIGIN, s.EVERYTHING)


RELEASE = edge.Release(model="vision", version="3", digest="sha256:" + "a" * 64, storage_uri="s3://m/3")


@pytest.mark.parametrize(
    ("waves", "says"),
    [
        ((edge.Wave(name="a"),), "sites or percent"),
        ((edge.Wave(name="a", sites=("x",), percent=5),), "sites or percent"),
        ((edge.Wave(name="a", percent=5), edge.Wave(name="a", percent=9)), "same name"),
        ((edge.Wave(name="a", percent=50), edge.Wave(name="b", percent=10)), "below"),
    ],
)
def test_waves_that_say_two_things_are_refused(waves: tuple[edge.Wave, ...], says: str) -> None:
    rollout = edge.Rollout(name="r", namespace="edge", release=RELEASE, waves=waves)
    with pytest.raises(InvalidInput, match=says):
        edge.edge_rollout(rollout, s.ORIGIN, s.EVERYTHING)


def test_a_release_runs_only_from_an_image_pinned_by_digest() -> None:
    for image in (None, "registry/vision:3"):
        service = edge.SiteService(release=RELEASE.model_copy(update={"image": image}), namespace="edge")
        with pytest.raises(InvalidInput, match="pinned"):
            edge.release_daemon_set(service, s.ORIGIN)


def test_another_release_has_another_daemon_set_and_the_same_service() -> None:
    def of(digit: str) -> edge.Release:
        image = f"r/v@sha256:{digit * 64}"
        return RELEASE.model_copy(update={"version": digit, "digest": f"sha256:{digit * 64}", "image": image})

    old, new = (edge.release_daemon_set(edge.SiteService(release=of(d), namespace="e"), s.ORIGIN) for d in "ab")
    assert old["metadata"]["name"] != new["metadata"]["name"]
    assert old["spec"]["selector"] != new["spec"]["selector"]
    node = {"edge.aiplatform.dev/release.vision": "a"}
    assert old["spec"]["template"]["spec"]["nodeSelector"] == node
    assert new["spec"]["template"]["spec"]["nodeSelector"] != node


def test_the_release_label_of_any_model_is_a_valid_label() -> None:
    assert edge.release_node_label("llama-3.3-70b") == "edge.aiplatform.dev/release.llama-3.3-70b"
    long, other = (edge.release_node_label("m" * 70 + end).partition("/")[2] for end in "ab")
    assert len(long) == len(other) == 63
    assert long != other


def test_node_labels_of_reserved_domains_and_bad_values_are_refused() -> None:
    assert edge.label_patch({"aiplatform.dev/zone": "a"}, ("pool",)) == {
        "metadata": {"labels": {"aiplatform.dev/zone": "a", "pool": None}}
    }
    for key in ("node-role.kubernetes.io/edge", "kubernetes.io/hostname", "x.k8s.io/y"):
        with pytest.raises(InvalidInput, match="reserved"):
            edge.label_patch({key: "a"})
        with pytest.raises(InvalidInput, match="reserved"):
            edge.label_patch({}, (key,))
    with pytest.raises(InvalidInput, match="no label value"):
        edge.label_patch({"a": "not a value"})
    with pytest.raises(InvalidInput, match="both"):
        edge.label_patch({"a": "b"}, ("a",))
    assert edge.cordon_patch(unschedulable=False) == {"spec": {"unschedulable": None}}


def test_topology_needs_a_level_and_an_unconstrained_one_needs_none() -> None:
    with pytest.raises(InvalidInput, match="level"):
        kueue.topology_annotations(kueue.Placement(strictness="required"))
    loose = kueue.topology_annotations(kueue.Placement(strictness="unconstrained"))
    assert loose == {"kueue.x-k8s.io/podset-unconstrained-topology": "true"}
    assert kueue.workload_selector("u-1") == "kueue.x-k8s.io/job-uid=u-1"


def test_routes_that_answer_nobody_are_refused() -> None:
    with pytest.raises(InvalidInput, match="port"):
        routing.Backend(name="m").manifest()
    with pytest.raises(InvalidInput, match="selector"):
        routing.zonal_service("m", "ai", {}, 80, 8080, s.ORIGIN, s.EVERYTHING)
    with pytest.raises(InvalidInput, match="previous revision"):
        app = routing.KnativeApp(name="m", namespace="ai", image="i", canary_percent=10)
        routing.knative_service(app, s.ORIGIN, s.EVERYTHING)


def server(group: str, tier: str) -> litellm.Deployment:
    return litellm.Deployment.model_validate(
        {"group": group, "model": "openai/m", "api_base": f"http://{group}", "tier": tier, "api_key_env": "KEY"}
    )


def test_the_proxy_asks_edge_first_and_always_breaks_the_circuit() -> None:
    proxy = litellm.Proxy(
        deployments=(server("cloud", "cloud"), server("edge", "edge")),
        fallbacks=(litellm.Fallback(group="edge", to=("cloud",)),),
    )
    made = litellm.proxy_config(proxy)
    assert [entry["model_name"] for entry in made["model_list"]] == ["edge", "cloud"]
    assert made["router_settings"]["fallbacks"] == [{"edge": ["cloud"]}]
    assert made["router_settings"]["allowed_fails"] == 1
    assert made["router_settings"]["cooldown_time"] == 30
    assert made["model_list"][0]["litellm_params"]["api_key"] == "os.environ/KEY"
    assert "optional_pre_call_checks" not in made["router_settings"]  # one server a group: there is nothing to keep


@pytest.mark.parametrize(
    ("deployments", "fallbacks", "says"),
    [
        ((server("edge", "edge"),), (), "no cloud"),
        ((server("edge", "edge"),), (("edge", ("cloud",)),), "no deployment"),
        ((server("cloud", "cloud"),), (("spot", ("cloud",)),), "no deployment"),
        ((server("m", "edge"), server("m", "cloud")), (), "mixes"),
        (
            (server("a", "cloud"), server("b", "cloud")),
            (("a", ("b",)), ("b", ("a",))),
            "itself",
        ),
        ((server("a", "cloud"), server("b", "cloud")), (("a", ("b",)), ("a", ("b",))), "two fallback lists"),
    ],
)
def test_a_proxy_that_would_fail_at_request_time_is_refused(
    deployments: tuple[litellm.Deployment, ...], fallbacks: tuple[tuple[str, tuple[str, ...]], ...], says: str
) -> None:
    chain = tuple(litellm.Fallback(group=group, to=to) for group, to in fallbacks)
    with pytest.raises(InvalidInput, match=says):
        litellm.proxy_config(litellm.Proxy(deployments=deployments, fallbacks=chain))


groups = st.lists(st.sampled_from("abcde"), min_size=1, max_size=5, unique=True)


@given(groups, st.dictionaries(st.sampled_from("abcde"), groups.map(tuple), max_size=4))
def test_whatever_proxy_is_made_every_fallback_exists_and_no_edge_is_alone(
    named: list[str], chain: dict[str, tuple[str, ...]]
) -> None:
    servers = tuple(server(group, "edge" if group in "ab" else "cloud") for group in named)
    fallbacks = tuple(litellm.Fallback(group=group, to=to) for group, to in chain.items())
    try:
        made = litellm.proxy_config(litellm.Proxy(deployments=servers, fallbacks=fallbacks))
    except InvalidInput:
        return
    have = {entry["model_name"] for entry in made["model_list"]}
    settings = made["router_settings"]
    targets = {name for entry in settings["fallbacks"] for names in entry.values() for name in names}
    assert targets <= have
    assert {"a", "b"} & have <= {name for entry in settings["fallbacks"] for name in entry}
