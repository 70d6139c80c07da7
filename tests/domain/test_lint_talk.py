"""The documents of the talk and the article: every place where they are out of date is found, with the way to write it now."""

from __future__ import annotations

import pytest

import strict_manifests as s
from ai_platform_mcp.domain.lint import texts
from ai_platform_mcp.domain.lint.engine import check
from ai_platform_mcp.domain.lint.model import Around, Finding
from domain import talk

# What the reference says of the seeds, row by row: the document, the code, words of the remedy.
ROWS = {
    "ClusterQueue in v1beta1": (talk.CLUSTER_QUEUE, "kueue.old-version", "v1beta2"),
    "PyTorchJob": (talk.PYTORCH_JOB, "trainer.legacy-job", "TrainJob"),
    "DRA before 1.34": (talk.CLAIM_TEMPLATE, "dra.old-version", "resource.k8s.io/v1"),
    "PreferClose": (talk.ZONAL_SERVICE, "service.prefer-close", "PreferSameZone"),
    "canary of an edge service": (talk.INFERENCE_SERVICE, "kserve.canary-ignored", "Knative"),
    "mode names": (
        talk.INFERENCE_SERVICE.replace("  name: vision-v2-edge\n", talk.SERVERLESS),
        "kserve.legacy-mode",
        "Knative",
    ),
    "ONNX runtime": (talk.INFERENCE_SERVICE, "kserve.unknown-runtime", "kserve-openvino"),
    "node role": (talk.INFERENCE_SERVICE, "edge.role-label", "node-role.kubernetes.io/edge"),
    "node selector under the model": (talk.INFERENCE_SERVICE, "kserve.field-level", "spec.predictor.nodeSelector"),
    "fallbacks without a deployment": (talk.LITELLM, "litellm.dangling-fallback", "vision-cloud-spot"),
    "fallbacks nobody reads": (talk.LITELLM, "litellm.fallbacks-place", "router_settings"),
    "no circuit breaker": (talk.LITELLM, "litellm.no-circuit-breaker", "cooldown_time: 30"),
    "latency is not edge first": (talk.LITELLM, "litellm.latency-routing", "simple-shuffle"),
    "NPD and GPUs": (talk.HARDWARE_ALERTS, "metrics.npd-knows-no-gpu", "DCGM"),
    "ECC from DCGM": (talk.HARDWARE_ALERTS, "metrics.ecc-not-exported", "counters file"),
    "XID as a count": (talk.HARDWARE_ALERTS, "metrics.xid-is-no-counter", "DCGM_EXP_XID_ERRORS_COUNT"),
    "Knative latencies": (talk.HARDWARE_ALERTS, "metrics.knative-renamed", "kn_serving_invocation_duration_seconds"),
    "InferenceModel": (talk.INFERENCE_MODEL, "gaie.inference-model", "InferenceObjective"),
}


def _check(data: object) -> list[Finding]:
    return check(data, Around())


@pytest.mark.parametrize("row", ROWS)
def test_what_the_seeds_say_wrongly_is_found_with_the_way_to_write_it_now(row: str) -> None:
    text, code, words = ROWS[row]
    [document] = texts.read(text).documents
    [finding, *_] = [finding for finding in _check(document.data) if finding.code == code]
    assert words in finding.remedy


FIXED = {
    "queue": (talk.CLUSTER_QUEUE, "kueue.x-k8s.io/v1beta1", "kueue.x-k8s.io/v1beta2"),
    "service": (talk.ZONAL_SERVICE, "PreferClose", "PreferSameZone"),
    "inference service": (
        talk.INFERENCE_SERVICE,
        "      nodeSelector:\n        node-role: edge-gpu\n",
        "    nodeSelector:\n      node-role: edge-gpu\n",
    ),
}


@pytest.mark.parametrize("name", FIXED)
def test_a_certain_fix_changes_what_is_wrong_and_no_other_character(name: str) -> None:
    text, before, after = FIXED[name]
    read = texts.read(text)
    [document] = read.documents
    fixed = texts.fix(document, _check)
    assert read.head + fixed.document.text == text.replace(before, after)
    assert not [finding for finding in _check(fixed.document.data) if finding.fix == "certain"]
    s.assert_strictly_valid(fixed.document.data)


def test_a_flat_request_goes_under_exactly_and_keeps_its_comment() -> None:
    [document] = texts.read(talk.CLAIM_TEMPLATE).documents
    fixed = texts.fix(document, _check).document
    assert "apiVersion: resource.k8s.io/v1  # 1.33\n" in fixed.text
    [request] = fixed.data["spec"]["spec"]["devices"]["requests"]
    assert request == {"name": "gpu", "exactly": {"deviceClassName": "gpu-high-performance-training"}}
    s.assert_strictly_valid(fixed.data)


def test_the_fallbacks_move_to_where_they_are_read() -> None:
    [document] = texts.read(talk.LITELLM).documents
    fixed = texts.fix(document, _check).document
    assert "fallbacks" not in fixed.data
    assert fixed.data["router_settings"]["fallbacks"] == document.data["fallbacks"]
    assert '    - {"vision-small": ["vision-cloud-spot"]}\n' in fixed.text
