from __future__ import annotations

import json

import pytest

from ai_platform_mcp.core.errors import InvalidInput, NotFound
from ai_platform_mcp.sandbox import process
from live_platform import Platform, tag_run

CANDIDATE = {"model": "vision-v3", "thresholds": ["accuracy>=0.9"]}


async def test_the_newest_finished_run_becomes_a_version_with_its_evidence(platform: Platform):
    planned = await platform.call("register_model", **CANDIDATE, format="onnx")
    assert planned.data["status"] == "planned", planned.text
    assert "accuracy 0.942 >= 0.9: pass" in planned.data["reasons"]
    before = await platform.readers.registry.model("vision-v3")
    done = await platform.call(
        "register_model", **CANDIDATE, format="onnx", mode="apply", plan_id=planned.data["plan_id"]
    )
    assert done.data["status"] == "applied", done.text
    model = await platform.readers.registry.model("vision-v3")
    assert model is not None and model.latest != (before.latest if before else "")
    assert model.tags["aiplatform.team"] == "vision"
    version = await platform.readers.registry.version("vision-v3", model.latest)
    assert version is not None
    assert version.tags["aiplatform.digest"].startswith("sha256:")
    assert version.tags["aiplatform.format"] == "onnx"
    run = await platform.readers.registry.run(version.run_id or "")
    gate = json.loads(version.tags["aiplatform.gates"])[0]
    assert (gate["metric"], gate["value_milli"], gate["threshold_milli"], gate["verdict"]) == (
        "accuracy",
        942,
        900,
        "pass",
    )
    assert run is not None and run.ended is not None
    assert gate["evaluated_at"][:16] == run.ended.isoformat()[:16], "a verdict is as old as the measurement"
    assert gate["dataset_digest"] == run.datasets[0].rpartition("@")[2]


async def test_golden_inputs_that_the_run_names_are_carried_over(platform: Platform, sandbox: process.Status):
    (run, *_) = await platform.readers.registry.runs(experiment="vision-v3", limit=1)
    said = {
        "aiplatform.golden_inputs": "oci://r.example/golden:3",
        "aiplatform.golden_inputs_digest": "sha256:" + "9" * 64,
    }
    tag_run(sandbox, run.run_id, said)
    arguments = {**CANDIDATE, "format": "onnx", "description": "with golden inputs"}
    answer = await platform.call("register_model", **arguments, mode="apply")
    assert answer.data["status"] == "applied", answer.text
    model = await platform.readers.registry.model("vision-v3")
    assert model is not None and model.latest is not None
    version = await platform.readers.registry.version("vision-v3", model.latest)
    assert version is not None and said.items() <= version.tags.items()


async def test_the_same_registration_twice_makes_one_version(platform: Platform):
    arguments = {**CANDIDATE, "format": "onnx", "description": "twice", "mode": "apply"}
    first = await platform.call("register_model", **arguments)
    model = await platform.readers.registry.model("vision-v3")
    second = await platform.call("register_model", **arguments)
    again = await platform.readers.registry.model("vision-v3")
    assert second.data["replayed"] and second.data["operation_id"] == first.data["operation_id"]
    assert model is not None and again is not None and model.latest == again.latest


async def test_a_failed_gate_is_stored_as_failed_and_refused_nothing_here(platform: Platform):
    answer = await platform.call("register_model", model="vision-v3", thresholds=["accuracy>=0.99"])
    assert answer.data["status"] == "planned", answer.text
    assert "accuracy 0.942 >= 0.99: fail" in answer.data["reasons"]
    assert "gate_failed" in {row["code"] for row in answer.data["decision"]["warnings"]}


async def test_a_threshold_on_a_metric_that_was_not_logged_names_those_that_were(platform: Platform):
    with pytest.raises(InvalidInput, match="logged no bleu") as caught:
        await platform.call("register_model", model="vision-v3", thresholds=["bleu>=0.3"])
    assert "accuracy" in caught.value.remedy


async def test_a_missing_run_and_a_model_without_runs_are_not_found(platform: Platform):
    with pytest.raises(NotFound):
        await platform.call("register_model", model="vision-v3", run_id="0" * 32)
    with pytest.raises(NotFound, match="no finished run"):
        await platform.call("register_model", model="nothing-trained-yet")


async def test_a_version_cannot_be_born_champion(platform: Platform):
    with pytest.raises(InvalidInput, match="champion"):
        await platform.call("register_model", **CANDIDATE, alias="champion")


async def test_a_source_with_another_digest_than_the_run_recorded_is_a_danger_that_the_plan_names(platform: Platform):
    source = f"oci://registry.sandbox.example/vision/vision-v3@sha256:{'0' * 64}"
    answer = await platform.call("register_model", **CANDIDATE, source=source)
    assert any(risk["severity"] == "danger" for risk in answer.data["risks"])


async def test_another_team_cannot_register_into_a_model_that_is_not_theirs(platform: Platform):
    run = (await platform.readers.registry.runs(experiment="vision-v2", limit=1))[0]
    answer = await platform.call("register_model", team="nlp", model="vision-v2", run_id=run.run_id)
    assert answer.data["status"] == "denied"
    assert "model_of_other_team" in {row["code"] for row in answer.data["decision"]["violations"]}
