"""Each rule finds its defect, and leaves the document alone that does not have it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import strict_manifests as s
from ai_platform_mcp.domain.lint.engine import check
from ai_platform_mcp.domain.lint.model import Around, Finding
from ai_platform_mcp.domain.lint.registry import rules
from domain import lint_examples as examples

PLAIN = Around()


def codes(document: Any, around: Around = PLAIN) -> set[str]:
    return {finding.code for finding in check(document, around)}


def found(document: Any, code: str, around: Around = PLAIN) -> Finding:
    return next(finding for finding in check(document, around) if finding.code == code)


@pytest.mark.parametrize("code", examples.WRONG_AND_RIGHT)
def test_a_defect_is_found_and_its_absence_is_not(code: str) -> None:
    wrong, right = examples.WRONG_AND_RIGHT[code]
    before = copy.deepcopy(wrong)
    finding = found(wrong, code)
    assert wrong == before  # rules read only
    assert finding.message.endswith((".", "?", ")")) and finding.remedy
    assert finding.source
    assert code not in codes(right)


@pytest.mark.parametrize("code", examples.BESIDE)
def test_what_surrounds_a_document_decides(code: str) -> None:
    document, wrong, right = examples.BESIDE[code]
    assert code in codes(document, wrong)
    assert code not in codes(document, right)


def test_every_rule_has_an_example() -> None:
    shown = {*examples.WRONG_AND_RIGHT, *examples.BESIDE, "yaml.duplicate-key"}
    assert {row.code for row in rules()} == shown


def test_a_rule_that_promises_a_fix_makes_one() -> None:
    wrong = {code: pair[0] for code, pair in examples.WRONG_AND_RIGHT.items()}
    for row in rules():
        if row.fix == "certain":
            finding = found(wrong[row.code], row.code)
            assert finding.fix == "certain" and finding.edits, row.code


def test_a_path_leads_to_something_in_the_document() -> None:
    from ai_platform_mcp.domain.lint.edits import split

    for code, (wrong, _) in examples.WRONG_AND_RIGHT.items():
        value: Any = wrong
        for part in split(found(wrong, code).path)[:-1]:
            value = value[int(part)] if isinstance(value, list) else value[part]


def test_secrets_are_found_and_never_repeated() -> None:
    key = "sk-" + "a1" * 20
    wrong = examples.pod(container={"env": [{"name": "PLAIN_NAME", "value": key}]})
    assert found(wrong, "pod.secret-in-env")
    told = json.dumps([finding.as_dict() for finding in check(wrong, PLAIN)])
    told += json.dumps([finding.as_dict() for finding in check(examples.proxy(api_key=key), PLAIN)])
    assert key not in told


def test_an_example_names_a_secret_instead_of_repeating_it() -> None:
    document = examples.torch()
    pod = document["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    pod["containers"][0]["env"] = [{"name": "HF_TOKEN", "value": "hush"}, {"name": "EPOCHS", "value": "3"}]
    example = found(document, "trainer.legacy-job").example
    assert "hush" not in example
    s.assert_strictly_valid(yaml.safe_load(example))
    assert yaml.safe_load(example)["spec"]["trainer"]["env"][1] == {"name": "EPOCHS", "value": "3"}


def test_a_config_map_whose_text_has_no_end_is_left_alone() -> None:
    text = "model_list: &a\n- *a\n"
    carried = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"config.yaml": text}}
    assert codes(carried) == set()


def test_the_canary_of_an_unnamed_mode_is_a_warning_and_an_error_where_there_is_no_knative() -> None:
    document = examples.isvc(canaryTrafficPercent=10)
    assert found(document, "kserve.canary-ignored").severity == "warning"
    without = Around(kinds=examples.KINDS)
    assert found(document, "kserve.canary-ignored", without).severity == "error"
    knative = examples.isvc("Knative", canaryTrafficPercent=10)
    assert "kserve.canary-ignored" not in codes(knative)
    assert found(knative, "kserve.canary-ignored", without).severity == "error"


def test_a_pytorch_job_is_shown_as_the_train_job_that_it_becomes() -> None:
    example = yaml.safe_load(found(examples.torch(), "trainer.legacy-job").example)
    s.assert_strictly_valid(example)
    assert example["spec"]["trainer"]["resourcesPerNode"] == {"limits": {"nvidia.com/gpu": 8}}


@pytest.mark.parametrize("key", ["podTemplateOverrides", "podSpecOverrides"])
def test_overrides_of_a_train_job_are_shown_as_patches(key: str) -> None:
    inner: dict[str, Any] = {"nodeSelector": {"a": "b"}}
    override = {"targetJobs": [{"name": "node"}], **(inner if key == "podSpecOverrides" else {"spec": inner})}
    document = examples.trainjob(**{key: [override]})
    example = yaml.safe_load(found(document, "trainer.overrides-renamed").example)
    s.assert_strictly_valid(example)
    [job] = example["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    assert job["template"]["spec"]["template"]["spec"] == inner


def test_items_of_a_list_and_configurations_in_a_config_map_are_read() -> None:
    wrong = examples.service(trafficDistribution="PreferClose")
    listed = {"apiVersion": "v1", "kind": "List", "items": [examples.service(), wrong]}
    assert found(listed, "service.prefer-close").path == "/items/1/spec/trafficDistribution"
    dangling = examples.text(examples.proxy({"fallbacks": [{"edge": ["spot"]}]}))
    carried = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"config.yaml": dangling}}
    finding = found(carried, "litellm.dangling-fallback")
    assert (finding.name, finding.path) == ("ConfigMap c", "/data/config.yaml/router_settings/fallbacks/0")


def test_a_fix_inside_of_a_config_map_is_described_and_not_made() -> None:
    top = examples.text(examples.proxy({"fallbacks": None}, {"fallbacks": [{"edge": ["cloud"]}]}))
    carried = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"config.yaml": top}}
    finding = found(carried, "litellm.fallbacks-place")
    assert (finding.fix, finding.edits) == ("suggested", ())


def test_a_rule_file_without_a_kind_is_read() -> None:
    groups = examples.alerts("rate(DCGM_FI_DEV_XID_ERRORS[5m])")["spec"]
    assert found(groups, "metrics.xid-is-no-counter").path == "/groups/0/rules/0/expr"


def test_a_kind_that_the_input_defines_is_served() -> None:
    crd = examples.thing(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        {"group": "kubeflow.org", "names": {"kind": "PyTorchJob"}},
    )
    assert "cluster.not-served" not in codes(examples.torch(), Around(kinds=examples.KINDS, peers=(crd,)))


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A document with a defect, of which one value somewhere became anything else."""
    document: Any = copy.deepcopy(draw(st.sampled_from([pair[0] for pair in examples.WRONG_AND_RIGHT.values()])))
    holder, key = None, None
    value: Any = document
    for _ in range(draw(st.integers(1, 9))):
        if isinstance(value, dict) and value:
            holder, key = value, draw(st.sampled_from(sorted(value)))
        elif isinstance(value, list) and value:
            holder, key = value, draw(st.integers(0, len(value) - 1))
        else:
            break
        value = holder[key]
    assert holder is not None
    holder[key] = draw(anything)
    return document


@settings(max_examples=40, deadline=None)
@given(damaged())
def test_no_document_makes_a_rule_fail(document: Any) -> None:
    for finding in check(document, PLAIN):
        assert finding.path == "" or finding.path.startswith("/")
