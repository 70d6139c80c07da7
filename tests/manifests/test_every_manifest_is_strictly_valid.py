"""Whatever the parameters: no unknown field, no error, by our schemas and by the released CRDs."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import strict_manifests as s
from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.analysis.asked import analysis_for
from ai_platform_mcp.manifests import argo, canaries, dra, edge, edge_golden, kserve, kueue, llm, routing, trainer
from ai_platform_mcp.manifests.common import Origin

few = settings(max_examples=25, deadline=None)


@st.composite
def models(draw: st.DrawFn) -> kserve.ModelSource:
    model_format = draw(st.sampled_from(sorted(kserve.RUNTIMES)))
    return kserve.ModelSource(
        format=model_format,
        format_version=draw(st.none() | st.just("1")),
        storage_uri=draw(s.uris),
        runtime=kserve.choose_runtime(model_format, kserve.RUNTIMES[model_format]),
        args=draw(st.lists(s.words, max_size=2).map(tuple)),
        env=draw(s.envs),
    )


@st.composite
def endpoints(draw: st.DrawFn) -> kserve.Endpoint:
    mode = draw(st.sampled_from(["Knative", "Standard"]))
    external = mode == "Standard" and draw(st.booleans())
    return kserve.Endpoint(
        name=draw(s.dns(40)),
        namespace=draw(s.dns(20)),
        mode=mode,
        model=draw(models()),
        compute=draw(s.computes()),
        canary=draw(st.none() | st.builds(kserve.Canary, percent=st.integers(0, 100), model=models(), name=s.dns(20))),
        min_replicas=draw(st.integers(0 if mode == "Knative" or external else 1, 3)),
        max_replicas=draw(st.integers(3, 9)),
        concurrency=draw(st.none() | st.integers(1, 100)) if mode == "Knative" else None,
        external_scaler=external,
        service_account=draw(st.none() | s.dns(20)),
    )


@few
@given(endpoints(), s.origins)
def test_an_inference_service_is_valid_and_uses_only_its_modes_canary_field(e: kserve.Endpoint, origin: Origin) -> None:
    made = kserve.inference_service(e, origin, s.EVERYTHING)
    s.assert_strictly_valid(made)
    predictor = made["spec"]["predictor"]
    assert ("canaryTrafficPercent" in predictor) == (e.mode == "Knative" and e.canary is not None)
    assert ("canary" in made["spec"]) == (e.mode == "Standard" and e.canary is not None)
    assert "nodeSelector" not in predictor["model"]
    for canary in made["spec"].get("canary", []):
        assert canary["predictor"]["minReplicas"] >= 1
        assert not {"maxReplicas", "scaleTarget", "scaleMetric", "autoScaling"} & canary["predictor"].keys()


@few
@given(
    s.dns(40),
    s.computes(),
    st.integers(1, 4),
    st.sampled_from(llm.SCHEMES),
    st.none() | st.integers(0, 100),
    st.booleans(),
    st.booleans(),
    s.origins,
)
def test_a_language_model_is_valid_in_the_version_that_is_served(
    name: str,
    compute: kserve.Compute,
    tensor: int,
    scheme: str,
    weight: int | None,
    old: bool,
    picks: bool,
    origin: Origin,
) -> None:
    assume(compute.claim_template or compute.accelerators >= tensor)
    model = llm.LanguageModel(
        name=name,
        namespace="llm",
        uri=f"{scheme}://org/model",
        served_name="m",
        compute=compute,
        tensor_parallel=tensor,
        group="" if weight is None else "m",
        weight=weight or 0,
    )
    absent = [f"{llm.APIS[0]}/{llm.KIND}"] if old else []
    absent += [] if picks else [f"{routing.POOL_API}/InferencePool"]
    made = llm.llm_inference_service(model, origin, s.without(*absent))
    s.assert_strictly_valid(made)
    assert made["apiVersion"] == llm.APIS[old]
    assert not {"replicas", "scaling"} <= made["spec"].keys()
    assert ("scheduler" in made["spec"]["router"]) == picks
    assert made["spec"]["router"]["route"] == ({} if weight is None else {"group": "m", "weight": weight})


@few
@given(s.dns(52), s.envs, st.integers(1, 9), s.computes(), s.queueings, s.placements, s.origins)
def test_a_gpu_job_is_valid_and_waits_for_its_quota(
    name: str,
    env: tuple[kueue.EnvVar, ...],
    pods: int,
    compute: kueue.Compute,
    queueing: kueue.Queueing,
    placement: kueue.Placement | None,
    origin: Origin,
) -> None:
    job = kueue.GpuJob(
        name=name,
        namespace="team-a",
        image="i",
        env=env,
        pods=pods,
        compute=compute,
        queueing=queueing,
        placement=placement,
        active_deadline_seconds=60,
    )
    made = kueue.gpu_job(job, origin)
    s.assert_strictly_valid(made)
    assert made["spec"]["suspend"] is True
    assert made["metadata"]["labels"][kueue.QUEUE_LABEL] == queueing.queue
    assert kueue.QUEUE_LABEL not in made["spec"]["template"]["metadata"]["labels"]
    s.assert_labels_are_valid(made["spec"]["template"]["metadata"]["labels"])


@few
@given(s.dns(40), s.dns(30), s.origins, st.booleans())
def test_a_local_queue_is_valid_in_the_served_version(name: str, queue: str, origin: Origin, old: bool) -> None:
    capabilities = s.without(f"{kueue.API}/LocalQueue") if old else s.EVERYTHING
    made = kueue.local_queue(name, "team-a", queue, origin, capabilities)
    s.assert_strictly_valid(made)
    assert made["apiVersion"] == (kueue.OLD_API if old else kueue.API)


@few
@given(
    s.dns(40),
    s.envs,
    st.integers(1, 8),
    st.integers(1, 8),
    s.computes(claims=False),
    s.queueings,
    s.placements,
    s.origins,
)
def test_a_training_is_valid_as_either_kind_and_created_suspended(
    name: str,
    env: tuple[trainer.EnvVar, ...],
    nodes: int,
    processes: int,
    compute: trainer.Compute,
    queueing: trainer.Queueing,
    placement: trainer.Placement | None,
    origin: Origin,
) -> None:
    training = trainer.Training(
        name=name,
        namespace="team-a",
        runtime=trainer.RuntimeRef(name="torch-distributed"),
        image="i",
        args=("--epochs=3",),
        env=env,
        nodes=nodes,
        processes_per_node=processes,
        compute=compute,
        queueing=queueing,
        placement=placement,
        active_deadline_seconds=3600,
    )
    new = trainer.training_job(training, origin, s.EVERYTHING)
    old = trainer.training_job(training, origin, s.without(f"{trainer.TRAINJOB_API}/TrainJob"))
    assert (new["kind"], old["kind"]) == ("TrainJob", "PyTorchJob")
    for made in (new, old):
        s.assert_strictly_valid(made)
        assert made["metadata"]["labels"][kueue.QUEUE_LABEL] == queueing.queue
    assert new["spec"]["suspend"] is True
    assert old["spec"]["runPolicy"]["suspend"] is True
    replicas = old["spec"]["pytorchReplicaSpecs"]
    assert sum(replica["replicas"] for replica in replicas.values()) == nodes == new["spec"]["trainer"]["numNodes"]
    assert {replica["template"]["spec"]["containers"][0]["name"] for replica in replicas.values()} == {"pytorch"}


@few
@given(s.dns(40), st.integers(1, 8), s.computes(), s.queueings, s.origins)
def test_a_ray_job_is_valid_and_of_a_size_that_a_queue_can_count(
    name: str, workers: int, compute: trainer.Compute, queueing: trainer.Queueing, origin: Origin
) -> None:
    program = trainer.RayProgram(
        name=name,
        namespace="team-a",
        image="i",
        entrypoint="python t.py",
        ray_version="2.50.0",
        workers=workers,
        compute=compute,
        queueing=queueing,
        active_deadline_seconds=60,
    )
    made = trainer.ray_job(program, origin, s.EVERYTHING)
    s.assert_strictly_valid(made)
    group = made["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]
    assert group["replicas"] == group["minReplicas"] == group["maxReplicas"] == workers
    assert made["spec"]["shutdownAfterJobFinishes"] and "clusterSelector" not in made["spec"]


stages = st.builds(argo.Stage, image=st.just("i"), args=st.just(("a",)), env=s.envs, compute=s.computes())
paths = st.builds(
    argo.GoldenPath,
    train=stages,
    evaluate=stages,
    registration=stages,
    queueing=st.none() | s.queueings,
    service_account=s.dns(20),
)
pods = st.builds(
    argo.PodSettings,
    queueing=st.none() | s.queueings,
    node_selector=st.dictionaries(s.dns(20), s.dns(20), max_size=2),
)
parameters = st.dictionaries(st.from_regex(r"[a-z][a-z-]{0,8}[a-z]", fullmatch=True), s.words, min_size=1, max_size=3)


@few
@given(s.dns(50), paths, parameters, pods, s.origins)
def test_a_golden_path_is_valid_written_out_and_by_reference(
    name: str, path: argo.GoldenPath, given_parameters: dict[str, str], pods: argo.PodSettings, origin: Origin
) -> None:
    run = argo.PipelineRun(
        name=name, namespace="ml", parameters=given_parameters, active_deadline_seconds=60, pods=pods
    )
    inline = argo.workflow(run, origin, s.EVERYTHING, path=path)
    reference = argo.workflow(run, origin, s.EVERYTHING, template="golden")
    template = argo.workflow_template("golden", "ml", path, tuple(sorted(given_parameters)), origin, s.EVERYTHING)
    for made in (inline, reference, template):
        s.assert_strictly_valid(made)
    labels = reference["spec"].get("podMetadata", {}).get("labels", {})
    assert labels.get(kueue.QUEUE_LABEL) == (pods.queueing.queue if pods.queueing else None)
    assert reference["spec"].get("nodeSelector", {}) == pods.node_selector
    assert inline["spec"]["templates"] == template["spec"]["templates"]
    named = {t["name"] for t in inline["spec"]["templates"]}
    tasks = inline["spec"]["templates"][0]["dag"]["tasks"]
    assert {task["template"] for task in tasks} <= named
    assert all(not ({"depends", "dependencies"} <= task.keys()) for task in tasks)


@few
@given(s.dns(40), st.integers(1, dra.MOST_DEVICES), s.origins)
def test_a_claim_template_is_valid(name: str, count: int, origin: Origin) -> None:
    made = dra.claim_template(name, "team-a", "gpu.nvidia.com", count, origin, s.EVERYTHING)
    s.assert_strictly_valid(made)
    [request] = made["spec"]["spec"]["devices"]["requests"]
    assert request["exactly"]["count"] == count


releases = st.builds(
    edge.Release,
    model=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/ -]{0,80}", fullmatch=True),
    version=st.just("3"),
    digest=st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
    image=st.just("registry/m@sha256:" + "1" * 64),
    storage_uri=st.none() | s.uris,
    runtime=st.none() | st.just("onnx"),
)
waves = st.one_of(
    st.lists(st.integers(1, 100), min_size=1, max_size=5).map(
        lambda shares: tuple(edge.Wave(name=f"w{i}", percent=p, canary=i == 0) for i, p in enumerate(sorted(shares)))
    ),
    st.lists(st.lists(s.dns(12), min_size=1, max_size=3, unique=True), min_size=1, max_size=3).map(
        lambda groups: tuple(edge.Wave(name=f"w{i}", sites=tuple(g)) for i, g in enumerate(groups))
    ),
)
rollouts = st.builds(
    edge.Rollout,
    name=s.dns(50),
    namespace=st.just("edge"),
    release=releases,
    waves=waves,
    selector=st.dictionaries(st.just(edge.SITE_LABEL), s.dns(12)),
    sites=st.lists(s.dns(12), max_size=3).map(tuple),
    regions=st.lists(s.dns(12), max_size=3).map(tuple),
    soak_seconds=st.integers(0, 10**6),
    quorum_percent=st.integers(1, 100),
    max_failures=st.integers(0, 50),
    generation=st.none() | st.integers(1, 10**9),
    rollback_to=st.none() | releases,
    golden_inputs=st.none()
    | st.builds(edge.GoldenInputs, uri=s.uris, digest=st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)),
)


digests = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
steps = st.lists(st.integers(1, 100), min_size=1, max_size=5, unique=True).map(
    lambda shares: ("Canary", tuple(canaries.Step(percent=share, hold_seconds=share) for share in sorted(shares)))
)
canary_rollouts = st.builds(
    lambda moved, **rest: canaries.CanaryRollout(strategy=moved[0], steps=moved[1], **rest),
    moved=steps | st.just(("BlueGreen", (canaries.Step(percent=0),))),
    name=s.dns(50),
    namespace=st.just("vision"),
    model=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._/ -]{0,80}", fullmatch=True),
    new=st.builds(canaries.Version, version=st.just("3"), digest=st.none() | digests),
    stable=st.builds(
        canaries.Version,
        version=st.just("2"),
        digest=st.none() | digests,
        predictor=st.just({}) | st.just({"minReplicas": 0, "model": {"args": []}}),
    ),
    inference_service=s.dns(40),
    keep_seconds=st.integers(0, 10**6),
    analysis=st.just({}) | st.just(analysis_for().manifest(edge=False)),
)


@few
@given(canary_rollouts, s.origins)
def test_a_canary_rollout_is_valid_and_keeps_the_stable_predictor_to_the_last_field(
    rollout: canaries.CanaryRollout, origin: Origin
) -> None:
    made = canaries.canary_rollout(rollout, origin, s.EVERYTHING)
    s.assert_strictly_valid(made)
    assert made["spec"]["stable"].get("predictor", {}) == rollout.stable.predictor


@few
@given(rollouts, s.origins)
def test_an_edge_rollout_is_valid_and_leaves_no_default_to_the_crd(rollout: edge.Rollout, origin: Origin) -> None:
    made = edge.edge_rollout(rollout, origin, s.EVERYTHING)
    s.assert_strictly_valid(made)
    schema = s.schema_for(edge.API, "EdgeRollout")
    assert schema is not None and schema.default(made) == made


@few
@given(releases, s.computes(), s.envs, st.integers(1, 65535), st.sampled_from([33, 36]), s.origins)
def test_the_objects_of_a_release_are_valid_and_select_each_other(
    release: edge.Release,
    compute: edge.Compute,
    env: tuple[edge.EnvVar, ...],
    port: int,
    minor: int,
    origin: Origin,
) -> None:
    site = edge.SiteService(
        release=release, namespace="edge", port=port, compute=compute, env=env, priority_class="edge-critical"
    )
    daemon_set = edge.release_daemon_set(site, origin)
    service = edge.site_service(release.model, "edge", port, origin)
    prepull = edge.prepull_daemon_set(release, "edge", "pause@sha256:" + "2" * 64, {"a": "b"}, origin, minor)
    check = edge_golden.GoldenCheck(
        inputs=edge.GoldenInputs(uri="s3://golden/m", digest="sha256:" + "3" * 64),
        image="ai-platform-mcp@sha256:" + "4" * 64,
        storage={"spec": {"container": {"name": "storage-initializer", "image": "kserve/storage-initializer:v0.19.0"}}},
    )
    checked = edge_golden.with_golden(daemon_set, release, check, minor)
    for made in (daemon_set, service, prepull, checked):
        s.assert_strictly_valid(made)
    for made in (daemon_set, prepull, checked):
        pod_labels = made["spec"]["template"]["metadata"]["labels"]
        s.assert_labels_are_valid(pod_labels)
        assert made["spec"]["selector"]["matchLabels"].items() <= pod_labels.items()
        s.assert_labels_are_valid(made["spec"]["template"]["spec"]["nodeSelector"])
    assert service["spec"]["selector"].items() <= daemon_set["spec"]["template"]["metadata"]["labels"].items()
    assert not service["spec"]["selector"].items() <= prepull["spec"]["template"]["metadata"]["labels"].items()
    assert service["spec"]["internalTrafficPolicy"] == "Local"


@few
@given(s.dns(40), st.none() | st.integers(0, 3600))
def test_an_eviction_is_valid_and_names_the_very_pod(pod: str, grace: int | None) -> None:
    made = edge.eviction(pod, "edge", "5e3d", grace)
    s.assert_strictly_valid(made)
    assert made["deleteOptions"]["preconditions"] == {"uid": "5e3d"}


backends = st.one_of(
    st.builds(routing.Backend, name=s.dns(40), port=st.integers(1, 65535), weight=st.integers(0, 100)),
    st.builds(routing.Backend, name=s.dns(40), kind=st.just("InferencePool"), weight=st.integers(0, 100)),
)


@few
@given(s.dns(40), st.lists(backends, min_size=1, max_size=4).map(tuple), st.none() | st.integers(1, 99999), s.origins)
def test_a_route_is_valid_and_never_all_zero(
    name: str, to: tuple[routing.Backend, ...], seconds: int | None, origin: Origin
) -> None:
    route = routing.Route(
        name=name,
        namespace="ai",
        gateway="gw",
        gateway_namespace="infra",
        hostnames=("m.example.com",),
        backends=to,
        timeout_seconds=seconds,
    )
    if any(backend.weight for backend in to):
        s.assert_strictly_valid(routing.http_route(route, origin, s.EVERYTHING))
    else:
        with pytest.raises(InvalidInput, match="weight"):
            routing.http_route(route, origin, s.EVERYTHING)


@few
@given(s.dns(40), st.integers(1, 65535), st.booleans(), st.integers(31, 37), s.origins)
def test_pools_and_zonal_services_are_valid(name: str, port: int, opens: bool, minor: int, origin: Origin) -> None:
    pool = routing.inference_pool(name, "ai", {"app": "m"}, port, "epp", 9002, origin, s.EVERYTHING, fail_open=opens)
    older = s.EVERYTHING.model_copy(update={"kubernetes_minor": minor})
    service = routing.zonal_service(name, "ai", {"app": "m"}, port, "http", origin, older)
    s.assert_strictly_valid(pool)
    s.assert_strictly_valid(service)
    assert service["spec"]["trafficDistribution"] == ("PreferSameZone" if minor >= 34 else "PreferClose")


@few
@given(s.dns(40), s.computes(claims=False), s.envs, st.none() | st.integers(0, 99), s.origins)
def test_a_knative_service_is_valid_and_its_traffic_sums_to_a_hundred(
    name: str, compute: routing.Compute, env: tuple[routing.EnvVar, ...], canary: int | None, origin: Origin
) -> None:
    app = routing.KnativeApp(
        name=name,
        namespace="ai",
        image="i",
        env=env,
        compute=compute,
        concurrency_target=10,
        canary_percent=canary,
        previous_revision=None if canary is None else "m-00001",
    )
    made = routing.knative_service(app, origin, s.EVERYTHING)
    s.assert_strictly_valid(made)
    assert sum(target["percent"] for target in made["spec"]["traffic"]) == 100


@few
@given(s.dns(40), st.integers(0, 3), st.integers(3, 9), s.origins)
def test_a_scaled_object_is_valid(name: str, low: int, high: int, origin: Origin) -> None:
    scaling = routing.Scaling(
        name=name,
        namespace="ai",
        deployment="m-predictor",
        prometheus="http://prometheus:9090",
        query="sum(rate(x[1m]))",
        threshold=5,
        min_replicas=low,
        max_replicas=high,
    )
    s.assert_strictly_valid(routing.scaled_object(scaling, origin, s.EVERYTHING))
