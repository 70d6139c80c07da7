"""What a plan applies is read like any other manifest, and what this product emits has nothing to be found."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ai_platform_mcp.core.plan import AnyStep, Apply, Patch, Submit
from ai_platform_mcp.core.plan import ObjectRef as Ref
from ai_platform_mcp.domain.lint.engine import check, subjects
from ai_platform_mcp.domain.lint.model import Around
from ai_platform_mcp.domain.lint.plans import MOST, risks_of
from domain import lint_examples as examples

GOLDEN = Path(__file__).resolve().parents[1] / "manifests/golden"
FOR_OLDER_CLUSTERS = re.compile(r"pytorch-job|before-1-\d+|v1beta1|trainer-2\.[01]")
"""Names of manifests for clusters that serve nothing newer."""
OVERRIDES = {"train-job-trainer-2.0": "podSpecOverrides", "train-job-trainer-2.1": "podTemplateOverrides"}


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("*.yaml")), ids=lambda file: file.stem)
def test_what_we_emit_has_neither_errors_nor_warnings(file: Path) -> None:
    documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    around = Around()
    if FOR_OLDER_CLUSTERS.search(file.name):
        served = frozenset(f"{document['apiVersion']}/{document['kind']}" for document in documents)
        around = Around(
            kinds=served,
            kubernetes_minor=33 if "before-1-34" in file.name else None,
            training_overrides=OVERRIDES.get(file.stem, "runtimePatches"),
        )
    found = [finding for document in documents for finding in check(document, around)]
    assert [finding for finding in found if finding.severity != "info"] == []
    assert all(next(subjects(document), None) for document in documents)


def apply(manifest: dict[str, Any], cluster: str = "c") -> Apply:
    return Apply(title="t", cluster=cluster, manifest=manifest)


def test_errors_and_warnings_become_risks_with_their_code_and_hints_do_not() -> None:
    steps: list[AnyStep] = [
        apply(examples.isvc("Standard", canaryTrafficPercent=10)),
        Submit(title="t", cluster="c", manifest=examples.pod(container={"image": "r/a"})),
        apply(examples.isvc("Serverless")),
        Patch(title="t", cluster="c", ref=Ref(api_version="v1", kind="Pod", name="p"), patch={}),
    ]
    risks = risks_of(steps, {})
    assert [(risk.severity, risk.text.split()[0]) for risk in risks] == [
        ("danger", "[kserve.canary-ignored]"),
        ("warning", "[pod.image-latest]"),
    ]
    assert "spec.canary" in risks[0].text  # the remedy


def test_each_cluster_is_asked_for_what_it_serves() -> None:
    steps = [apply(examples.torch(), "old"), apply(examples.torch(), "new")]
    old = Around(kinds=frozenset({"kubeflow.org/v1/PyTorchJob"}))
    served = Around(kinds=frozenset({"kubeflow.org/v1/PyTorchJob", "trainer.kubeflow.org/v1alpha1/TrainJob"}))
    [risk] = risks_of(steps, {"old": old, "new": served})
    assert risk.text.startswith("[trainer.legacy-job]")


def test_objects_of_one_plan_are_judged_beside_each_other() -> None:
    steps = [apply(examples.isvc()), apply(examples.scaler("v-predictor"))]
    assert [risk.text.split()[0] for risk in risks_of(steps, {})] == ["[kserve.two-autoscalers]"]
    apart = [apply(examples.isvc(), "a"), apply(examples.scaler("v-predictor"), "b")]
    assert risks_of(apart, {}) == ()


def test_one_defect_in_many_places_is_told_once_and_many_are_cut() -> None:
    several = examples.pod(container={"image": "r/a"})
    several["spec"]["containers"] *= 3
    [risk] = risks_of([apply(several)], {})
    assert "and 2 more places" in risk.text
    many = [apply(examples.pod(container={"image": f"r/a{place}"})) for place in range(MOST + 3)]
    risks = risks_of(many, {})
    assert len(risks) == MOST + 1 and risks[-1].text.startswith("3 more findings")
