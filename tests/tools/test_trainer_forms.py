"""Kubeflow Trainer changed TrainJob's fields inside one API version: the served schema says which are written."""

from __future__ import annotations

from typing import Any

import pytest

import strict_manifests as s
from ai_platform_mcp.core.errors import CapabilityMissing
from ai_platform_mcp.core.plan import Draft, Submit
from ai_platform_mcp.manifests import kueue, trainer
from ai_platform_mcp.manifests.common import Compute
from ai_platform_mcp.tools._reading import OVERRIDES
from support.plans import plan

CALLS: dict[str, dict[str, Any]] = {
    "request_gpu": {"purpose": "train", "accelerator": "a100", "count": 8, "nodes": 2, "hours": 3, "image": "i"},
    "trigger_retraining": {"model": "plain"},
}


def job_of(draft: Draft) -> dict[str, Any]:
    [step] = draft.steps
    assert isinstance(step, Submit) and step.manifest["kind"] == "TrainJob"
    return step.manifest


@pytest.mark.parametrize("tool", CALLS)
@pytest.mark.parametrize("form", OVERRIDES)
async def test_the_job_is_written_in_the_form_that_the_cluster_serves(tool: str, form: Any) -> None:
    can = s.EVERYTHING.model_copy(update={"training_overrides": form})
    spec = job_of(await plan(tool, can, **CALLS[tool]))["spec"]
    assert set(spec) & set(OVERRIDES) == {form}
    assert "NVIDIA-A100" in str(spec[form]), "the pods are pinned to the pool whatever the form"


@pytest.mark.parametrize("tool", CALLS)
async def test_before_2_2_nothing_ends_the_job_and_the_plan_and_policy_are_told(tool: str) -> None:
    older = s.EVERYTHING.model_copy(update={"training_overrides": "podTemplateOverrides"})
    for can, ends in ((s.EVERYTHING, True), (older, False)):
        draft = await plan(tool, can, **CALLS[tool])
        assert ("activeDeadlineSeconds" in job_of(draft)["spec"]) is ends
        assert any("Nothing stops this TrainJob" in risk.text for risk in draft.risks) is not ends
        assert draft.facts.compute is not None
        assert (draft.facts.compute.deadline_seconds is not None) is ends


def unreadable(_clusters: object, _name: str) -> None:
    """What a caller without rights on definitions gets of them."""


async def test_a_definition_that_cannot_be_read_means_the_newest_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.in_memory.Clusters._definition", unreadable)
    older = s.EVERYTHING.model_copy(update={"training_overrides": "podSpecOverrides"})
    assert "runtimePatches" in job_of(await plan("trigger_retraining", older, model="plain"))["spec"]


def test_trainer_2_0_cannot_say_how_close_pods_should_be() -> None:
    training = trainer.Training(
        name="t", namespace="a", runtime=trainer.RuntimeRef(name="torch"), image="i", compute=Compute(),
        queueing=kueue.Queueing(queue="q"), placement=kueue.Placement(level="rack", strictness="required"),
    )  # fmt: skip
    with pytest.raises(CapabilityMissing) as caught:
        trainer.train_job(training, s.ORIGIN, "podSpecOverrides")
    assert "2.2" in caught.value.remedy
