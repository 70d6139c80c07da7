"""Services on Cloud Run and Lambda: every field is one of the released CRDs', and what the clouds would refuse is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import strict_manifests as s
from ai_platform_mcp.core.errors import CapabilityMissing, InvalidInput
from ai_platform_mcp.manifests import serverless
from ai_platform_mcp.manifests.common import Capabilities
from released_crds import verdict
from support.serverless_crds import CLOUD_RUN, LAMBDA, strictly

GOLDEN = Path(__file__).parent / "golden" / "serverless"
PIN = "@sha256:" + "a1" * 32
ECR = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/vision{PIN}"
NAME = serverless.cloud_name("west", "vision-prod", "vision-v3")
BOTH = Capabilities(
    kinds=frozenset(
        {f"{serverless.RUN_API}/{serverless.RUN_KIND}", f"{serverless.LAMBDA_API}/{serverless.LAMBDA_KIND}"}
    ),
    kubernetes_minor=36,
)
NONE = BOTH.model_copy(update={"kinds": frozenset()})
SHARED: dict[str, Any] = {
    "name": "vision-v3",
    "namespace": "vision-prod",
    "cloud_name": NAME,
    "memory_mib": 5000,
    "max_instances": 10,
}
RUN = serverless.CloudRun(
    **SHARED,
    location="europe-west4",
    image=f"europe-west4-docker.pkg.dev/vision/models/v3{PIN}",
    project="vision-models",
    service_account="models@vision-models.iam.gserviceaccount.com",
)
SHARE = serverless.Share(percent=10, stable=f"{NAME}-v11-0a1b2c3d")
CANARY = RUN.model_copy(update={"share": SHARE})
FUNCTION = serverless.Lambda(
    **SHARED, location="eu-west-1", image=ECR, role_arn="arn:aws:iam::123456789012:role/models"
)


@pytest.mark.parametrize(
    ("name", "made", "schema"),
    [
        ("run-service", serverless.run_service(RUN, s.ORIGIN, BOTH), CLOUD_RUN),
        ("run-service-canary", serverless.run_service(CANARY, s.ORIGIN, BOTH), CLOUD_RUN),
        ("lambda-function", serverless.function(FUNCTION, s.ORIGIN, BOTH), LAMBDA),
    ],
)
def test_each_is_as_in_its_golden_file_and_has_only_fields_that_the_released_kind_has(
    name: str, made: dict[str, Any], schema: dict[str, Any]
):
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(yaml.safe_dump(made, sort_keys=True))
    assert yaml.safe_load(file.read_text()) == made
    said = verdict(strictly(schema), made)
    assert said.accepted, said
    s.assert_labels_are_valid(made["metadata"]["labels"])


def test_a_field_that_the_kind_does_not_have_is_noticed():
    made = serverless.function(FUNCTION, s.ORIGIN, BOTH)
    made["spec"]["imageUri"] = "x"
    assert not verdict(strictly(LAMBDA), made).accepted


@given(st.text(min_size=1, max_size=60, alphabet="abcXYZ019-_. ").filter(lambda t: any(c.isalnum() for c in t)))
@settings(max_examples=40, deadline=None)
def test_a_revision_is_named_after_its_service_and_fits_whatever_the_version_is_called(version: str):
    origin = s.ORIGIN.model_copy(update={"version": version})
    revision = serverless.run_service(RUN, origin, BOTH)["spec"]["template"]["revision"]
    assert revision.startswith(f"{NAME}-") and len(revision) <= 63


def test_a_change_of_traffic_makes_no_new_revision_and_a_change_of_the_container_does():
    def revision(service: serverless.CloudRun) -> str:
        return serverless.run_service(service, s.ORIGIN, BOTH)["spec"]["template"]["revision"]

    assert revision(CANARY) == revision(RUN)
    assert revision(RUN.model_copy(update={"memory_mib": 6000})) != revision(RUN)


def test_clusters_and_namespaces_of_one_account_never_share_a_service():
    names = {serverless.cloud_name(c, n, "v3") for c in ("east", "west") for n in ("vision-dev", "vision-prod")}
    assert len(names) == 4 and all(len(name) <= 49 for name in names)


@pytest.mark.parametrize(("memory", "cpus"), [(2048, "1"), (4096, "1"), (5000, "2"), (32_768, "8")])
def test_cloud_run_gets_as_many_cpus_as_the_memory_asks_for(memory: int, cpus: str):
    made = serverless.run_service(RUN.model_copy(update={"memory_mib": memory}), s.ORIGIN, BOTH)
    assert made["spec"]["template"]["containers"][0]["resources"]["limits"]["cpu"] == cpus


def test_more_memory_than_there_is_and_images_that_lambda_cannot_fetch_are_refused():
    with pytest.raises(InvalidInput, match="at most 32768 MiB"):
        serverless.run_service(RUN.model_copy(update={"memory_mib": 40_000}), s.ORIGIN, BOTH)
    with pytest.raises(InvalidInput, match="at most 10240 MiB"):
        serverless.function(FUNCTION.model_copy(update={"memory_mib": 11_000}), s.ORIGIN, BOTH)
    for other in ({"image": RUN.image}, {"location": "us-east-1"}):
        with pytest.raises(InvalidInput, match="cannot fetch"):
            serverless.function(FUNCTION.model_copy(update=other), s.ORIGIN, BOTH)


def test_a_cluster_that_does_not_serve_the_kind_is_no_place_for_it():
    with pytest.raises(CapabilityMissing, match="RunService"):
        serverless.run_service(RUN, s.ORIGIN, NONE)
    with pytest.raises(CapabilityMissing, match="Function"):
        serverless.function(FUNCTION, s.ORIGIN, NONE)
