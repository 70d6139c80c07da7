"""Serverless targets: which one a cluster offers, what is missing where it cannot be, how it is followed and steered."""

from __future__ import annotations

from typing import Any

import pytest

import strict_manifests as s
from ai_platform_mcp.adapters.kubernetes.mapping import deployment_row
from ai_platform_mcp.core.errors import Conflict, InvalidInput, Misconfigured, PlatformError
from ai_platform_mcp.core.plan import Apply, Delete, Draft, Patch
from ai_platform_mcp.core.rows import ClusterInfo
from ai_platform_mcp.core.serverless import ServerlessAccount
from ai_platform_mcp.domain.objects import ref_of
from ai_platform_mcp.domain.progress import canary_percent, progress_of
from ai_platform_mcp.manifests import serverless
from ai_platform_mcp.manifests.common import Capabilities
from ai_platform_mcp.tools._steered import Moment
from ai_platform_mcp.tools._steering import steer
from ai_platform_mcp.tools.deploy_model import DeployModel, DeployModelParams
from released_crds import verdict
from support.in_memory import context, readers, version_row
from support.plans import SCALING
from support.serverless_crds import CLOUD_RUN, LAMBDA, strictly

PIN = "@sha256:" + "a1" * 32
RUN_IMAGE = f"europe-west4-docker.pkg.dev/vision/models/v{PIN}"
ECR_IMAGE = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/v{PIN}"
ACCOUNT = ServerlessAccount(project="vision-models", location="europe-west4")
ROLE = ServerlessAccount(role_arn="arn:aws:iam::123456789012:role/models")
GCP = ClusterInfo(name="c1", cloud="gcp", region="europe-west4", serverless=ACCOUNT)
AWS = ClusterInfo(name="c1", cloud="aws", region="eu-west-1", serverless=ROLE)
RUN, FUNCTION = f"{serverless.RUN_API}/RunService", f"{serverless.LAMBDA_API}/Function"
KNATIVE = "serving.knative.dev/v1/Service"
Json = dict[str, Any]


def serving(*more: str, without: str = "") -> Capabilities:
    kinds = (s.EVERYTHING.kinds | set(more)) - {without}
    return s.EVERYTHING.model_copy(update={"kinds": kinds})


def image(uri: str, **tags: str) -> dict[str, str]:
    return {"aiplatform.serving_image": uri, **tags}


async def planned(
    cluster: ClusterInfo, *served: str, live: tuple[Json, ...] = (), tags: dict[str, str] | None = None,
    can: Capabilities | None = None, version: str = "1", size_mib: int = 0, **arguments: Any,
) -> Draft:  # fmt: skip
    row = version_row("seen", version, tags=tags or {}, size_mib=size_mib)
    world = readers(can or serving(*served), (row,), objects=live, cluster=cluster, scaling=SCALING)
    params = {"model": f"seen:{version}", "target": "serverless", **arguments}
    return await DeployModel().plan(DeployModelParams.model_validate(params), world, context())


def applied(draft: Draft, kind: str) -> Json:
    [found] = [step.manifest for step in draft.steps if isinstance(step, Apply) and step.manifest["kind"] == kind]
    return found


async def on_cloud_run(**more: Any) -> Draft:
    return await planned(GCP, RUN, FUNCTION, tags=image(RUN_IMAGE), **more)


async def on_lambda(**more: Any) -> Draft:
    return await planned(AWS, RUN, FUNCTION, tags=image(ECR_IMAGE), **more)


# ------------------------------------------------------------------------------------------------------------ choosing


async def test_a_cluster_of_google_cloud_with_config_connector_deploys_to_cloud_run():
    draft = await on_cloud_run(size_mib=3000)
    made = applied(draft, "RunService")
    assert verdict(strictly(CLOUD_RUN), made).accepted
    assert made["spec"]["template"]["containers"][0]["image"] == RUN_IMAGE
    assert made["spec"]["template"]["scaling"] == {"minInstanceCount": 0, "maxInstanceCount": 10}
    assert made["spec"]["template"]["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "6144Mi"}
    [target] = draft.targets
    assert (target.cloud, target.region) == ("gcp", "europe-west4")
    assert draft.summary.startswith("Deploy seen 1 to Cloud Run in vision-dev") and "first release" in draft.summary
    assert any("Cloud Run, since cluster c1 serves RunService" in row for row in draft.reasons)
    assert draft.facts.rollout and draft.facts.rollout.replicas_after == 10
    assert draft.facts.compute and draft.facts.compute.count == 0
    assert [row.ref.kind for row in draft.follow] == ["RunService"]


async def test_a_cluster_of_aws_with_ack_deploys_to_lambda():
    draft = await on_lambda(max_replicas=4)
    made = applied(draft, "Function")
    assert verdict(strictly(LAMBDA), made).accepted
    assert made["spec"]["code"]["imageURI"] == ECR_IMAGE and made["spec"]["role"] == ROLE.role_arn
    assert made["spec"]["reservedConcurrentExecutions"] == 4
    [target] = draft.targets
    assert (target.cloud, target.region) == ("aws", "eu-west-1")
    assert any("invoked by its ARN" in row for row in draft.reasons)


@pytest.mark.parametrize(
    ("cluster", "more", "why"),
    [
        (GCP, {}, "serves neither RunService"),
        (AWS, {"served": RUN}, "is in aws, and RunService is of gcp"),
        (GCP, {"served": RUN, "accelerator": "a100"}, "it takes accelerators"),
        (GCP, {"served": RUN, "runtime": "kserve-tritonserver"}, "a serving runtime is named"),
    ],
)
async def test_else_kserve_scales_it_to_zero_and_says_why(cluster: ClusterInfo, more: Json, why: str):
    served = [more.pop("served")] if "served" in more else []
    draft = await planned(cluster, *served, **more)
    spec = applied(draft, "InferenceService")["spec"]
    assert spec["predictor"]["minReplicas"] == 0
    assert any(row.startswith("By KServe, since") and why in row for row in draft.reasons), draft.reasons


async def test_without_knative_keda_scales_kserve_to_zero():
    draft = await planned(GCP, can=serving(without=KNATIVE))
    assert applied(draft, "ScaledObject")["spec"]["minReplicaCount"] == 0


async def test_a_cluster_whose_cloud_nobody_said_takes_the_only_one_and_asks_about_two():
    silent = ClusterInfo(name="c1", region="europe-west4", serverless=ACCOUNT)
    draft = await planned(silent, RUN, tags=image(RUN_IMAGE))
    assert applied(draft, "RunService")
    with pytest.raises(InvalidInput, match="which one is meant"):
        await planned(silent, RUN, FUNCTION, tags=image(RUN_IMAGE))


# ------------------------------------------------------------------------------------------------------------- missing


@pytest.mark.parametrize(
    ("cluster", "tags", "error", "said", "remedy"),
    [
        (GCP, {}, InvalidInput, "no image of seen 1", "aiplatform.serving_image"),
        (GCP, image("registry/v:latest"), InvalidInput, "no image of seen 1", "@sha256"),
        (ClusterInfo(name="c1", cloud="gcp"), image(RUN_IMAGE), Misconfigured, "location and project not set", "c1"),
        (ClusterInfo(name="c1", cloud="aws", region="eu-west-1"), image(ECR_IMAGE), Misconfigured, "role_arn not set",
         "serverless.role_arn in the platform file"),
        (AWS, image(RUN_IMAGE), InvalidInput, "cannot fetch", "ECR repository in eu-west-1"),
    ],
)  # fmt: skip
async def test_what_is_missing_is_refused_with_what_to_do(
    cluster: ClusterInfo, tags: dict[str, str], error: type[PlatformError], said: str, remedy: str
):
    with pytest.raises(error, match=said) as caught:
        await planned(cluster, RUN, FUNCTION, tags=tags)
    assert remedy in caught.value.remedy


async def test_data_that_must_stay_elsewhere_does_not_go_there():
    with pytest.raises(InvalidInput) as caught:
        await planned(GCP, RUN, tags=image(RUN_IMAGE, **{"aiplatform.residency": "us"}))
    assert "must stay in us" in caught.value.cause and "europe-west4" in caught.value.cause
    with pytest.raises(InvalidInput) as caught:
        await on_cloud_run(regions=["us-east"])
    assert "Cloud Run would be in europe-west4" in caught.value.cause


async def test_what_a_kind_cannot_do_is_refused():
    for more in ({"min_replicas": 1}, {"strategy": "blue_green"}, {"canary_percent": 10}):
        with pytest.raises(InvalidInput):
            await on_lambda(live=(live_function(),), version="2", **more)
    with pytest.raises(InvalidInput, match="blue/green"):
        await on_cloud_run(live=(live_run(),), version="2", strategy="blue_green")
    moved = live_run()
    moved["spec"]["location"] = "us-central1"
    with pytest.raises(Conflict, match="is in us-central1"):
        await on_cloud_run(live=(moved,))


async def test_an_inference_service_that_goes_on_beside_it_is_told():
    plain = {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
        "metadata": {"name": "seen", "namespace": "vision-dev"}, "spec": {"predictor": {"minReplicas": 2}},
    }  # fmt: skip
    draft = await on_cloud_run(live=(plain,))
    assert any("serves the model as well and goes on" in risk.text for risk in draft.risks)


# -------------------------------------------------------------------------------------------------------- the next one


def live_run(**status: Any) -> Json:
    made = serverless.run_service(
        serverless.CloudRun(
            name="seen", namespace="vision-dev", cloud_name="kept-name", location="europe-west4", image=RUN_IMAGE,
            memory_mib=2048, max_instances=6, project="vision-models",
        ),
        s.ORIGIN.model_copy(update={"model": "seen", "version": "1"}),
        serving(RUN),
    )  # fmt: skip
    made["metadata"]["generation"] = 3
    return {**made, "status": {"observedGeneration": 3, **status}}


def live_function(**status: Any) -> Json:
    made = serverless.function(
        serverless.Lambda(
            name="seen", namespace="vision-dev", cloud_name="kept-name", location="eu-west-1", image=ECR_IMAGE,
            memory_mib=2048, max_instances=6, role_arn=ROLE.role_arn,
        ),
        s.ORIGIN.model_copy(update={"model": "seen", "version": "1"}),
        serving(FUNCTION),
    )  # fmt: skip
    return {**made, "status": status}


def conditions(*rows: tuple[str, str, str]) -> list[Json]:
    return [{"type": kind, "status": status, "reason": reason, "message": "said"} for kind, status, reason in rows]


READY = conditions(("Ready", "True", "UpToDate"))


async def test_cloud_run_gives_a_new_version_a_share_and_the_stable_revision_keeps_the_rest():
    stable = live_run()["spec"]["template"]["revision"]
    draft = await on_cloud_run(live=(live_run(),), version="2", canary_percent=10)
    made = applied(draft, "RunService")
    assert [row["percent"] for row in made["spec"]["traffic"]] == [10, 90]
    assert made["spec"]["traffic"][1]["revision"] == stable != made["spec"]["template"]["revision"]
    assert made["spec"]["resourceID"] == "kept-name" and canary_percent(made) == 10
    assert made["spec"]["template"]["scaling"]["maxInstanceCount"] == 6
    facts = draft.facts.rollout
    assert facts and (facts.strategy, facts.first_step_percent, facts.current_version) == ("canary", 10, "1")
    assert facts.by_hand and facts.analysis is None
    assert any("A person moves it on" in row for row in draft.reasons)

    later = await on_cloud_run(live=(made,), version="3", canary_percent=20)
    assert applied(later, "RunService")["spec"]["traffic"][1] == {**made["spec"]["traffic"][1], "percent": 80}
    assert later.facts.rollout and later.facts.rollout.current_version == "1"


async def test_a_service_that_was_there_before_keeps_its_name_and_its_stable_revision():
    found = live_run(latestReadyRevision="projects/p/locations/l/services/seen/revisions/seen-00007")
    del found["spec"]["resourceID"], found["spec"]["template"]["revision"], found["metadata"]["labels"]
    draft = await on_cloud_run(live=(found,), version="2", canary_percent=10)
    made = applied(draft, "RunService")
    assert made["spec"]["resourceID"] == "seen" and made["spec"]["traffic"][1]["revision"] == "seen-00007"
    assert any("RunService seen was not made by this platform" in risk.text for risk in draft.risks)
    nothing_ready = live_run()
    del nothing_ready["spec"]["template"]["revision"]
    with pytest.raises(Conflict, match="none is ready"):
        await on_cloud_run(live=(nothing_ready,), version="2", canary_percent=10)


async def test_lambda_replaces_at_once_and_says_so_to_people_and_to_policy():
    production = {"environment": "production", "namespace": "vision-prod"}
    before = live_function()
    before["metadata"]["namespace"] = "vision-prod"
    draft = await on_lambda(live=(before,), version="2", **production)
    facts = draft.facts.rollout
    assert facts and (facts.strategy, facts.first_step_percent, facts.by_hand) == ("all_at_once", 100, False)
    assert any("at once, with no canary first" in risk.text for risk in draft.risks)
    assert applied(draft, "Function")["spec"]["name"] == "kept-name"


# ------------------------------------------------------------------------------------------------ following, steering


@pytest.mark.parametrize(
    ("live", "state", "word"),
    [
        (live_run(observedGeneration=2, conditions=READY), "queued", "Config Connector"),
        (live_run(conditions=conditions(("Ready", "False", "Updating"))), "running", "Not ready"),
        (live_run(conditions=conditions(("Ready", "False", "UpdateFailed"))), "failed", "refused"),
        (live_run(terminalCondition={"state": "CONDITION_FAILED", "message": "no start"}), "failed", "no start"),
        (live_run(conditions=READY, uri="https://seen.run.app"), "succeeded", "https://seen.run.app"),
        (live_function(), "queued", "ACK"),
        (live_function(conditions=conditions(("ACK.ResourceSynced", "False", "")), state="Pending"), "running", "taking"),
        (live_function(conditions=conditions(("ACK.Terminal", "True", ""))), "failed", "gave up"),
        (live_function(state="Failed", stateReason="no image"), "failed", "no image"),
        (live_function(conditions=conditions(("ACK.ResourceSynced", "True", "")), state="Active",
                       lastUpdateStatus="InProgress"), "running", "taking"),
        (live_function(conditions=conditions(("ACK.ResourceSynced", "True", "")), state="Active",
                       lastUpdateStatus="Successful"), "succeeded", "Active"),
        (live_function(conditions=conditions(("Ready", "True", "")), state="Inactive"), "succeeded", "Active"),
    ],
)  # fmt: skip
def test_progress_is_what_the_object_says(live: Json, state: str, word: str):
    progress = progress_of(live)
    assert progress.state == state and word in progress.text()
    row = deployment_row(GCP, live, {})
    assert row.ready == (state == "succeeded") or state == "queued"
    assert (row.model, row.version, row.target) == ("seen", "1", "cloud")


async def steered(live: Json, action: Any, *, here: bool = False) -> Any:
    return await steer(live, action, Moment("c1", "op-1", created_here=here), readers(serving(RUN, FUNCTION)))


async def canary(**status: Any) -> Json:
    made = applied(await on_cloud_run(live=(live_run(),), version="2", canary_percent=10), "RunService")
    made["metadata"]["generation"] = 4
    return {**made, "status": {"observedGeneration": 4, **status}}


async def test_promoting_moves_traffic_alone_and_rolling_back_names_the_stable_version_again():
    live = await canary(conditions=READY)
    assert progress_of(live).percent == 10
    [up] = (await steered(live, "promote")).steps
    assert isinstance(up, Patch) and up.patch["spec"] == {"traffic": [{"type": serverless.LATEST, "percent": 100}]}
    [down] = (await steered(live, "rollback")).steps
    assert isinstance(down, Patch)
    assert down.patch["spec"]["traffic"] == [{**live["spec"]["traffic"][1], "percent": 100}]
    assert down.patch["metadata"]["labels"] == {"aiplatform.dev/version": "1"}


@pytest.mark.parametrize("status", [{"conditions": conditions(("Ready", "False", "UpdateFailed"))}, {}])
async def test_a_canary_that_is_not_ready_is_not_promoted(status: Json):
    with pytest.raises(Conflict, match="not ready"):
        await steered(await canary(**status), "promote")


@pytest.mark.parametrize("action", ["promote", "rollback", "pause", "resume"])
async def test_what_does_not_move_cannot_be_steered_and_says_why(action: str):
    with pytest.raises(InvalidInput, match="one version"):
        await steered(live_function(), action)
    with pytest.raises((InvalidInput, Conflict), match=r"no canary|does not move"):
        await steered(live_run(conditions=READY), action)


@pytest.mark.parametrize("live", [live_run(), live_function()], ids=lambda live: live["kind"])
async def test_cancelling_takes_away_only_what_the_operation_made_and_what_does_not_serve(live: Json):
    [step] = (await steered(live, "cancel", here=True)).steps
    assert isinstance(step, Delete) and step.ref == ref_of(live)
    with pytest.raises(Conflict, match="before this operation"):
        await steered(live, "cancel")
