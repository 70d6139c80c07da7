"""Fixes written into texts: nothing is lost, nothing else changes, and a second run has nothing to do."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import strict_manifests as s
from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.lint import edits, surgery, texts
from ai_platform_mcp.domain.lint.engine import check
from ai_platform_mcp.domain.lint.model import Around, Edit, Finding
from ai_platform_mcp.domain.lint.registry import rules
from ai_platform_mcp.domain.lint.rules.yaml_text import duplicate_keys
from ai_platform_mcp.sandbox.kube.schema import schema_for
from domain import lint_examples as examples

BOMB = "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
"""Each line ten times the one before: a hundred million values in a few hundred characters."""
CERTAIN = sorted(row.code for row in rules() if row.fix == "certain")


def _check(data: object) -> list[Finding]:
    return check(data, Around())


def _fixable(data: object) -> list[str]:
    return [finding.code for finding in _check(data) if finding.fix == "certain"]


def fixed(text: str) -> tuple[str, list[texts.Fixed]]:
    read = texts.read(text)
    done = [texts.fix(document, _check) for document in read.documents]
    return read.mark + read.head + "".join(row.document.text for row in done), done


@pytest.mark.parametrize("code", CERTAIN)
def test_a_fixed_document_is_strictly_valid_where_its_kind_is_known(code: str) -> None:
    text = examples.text(examples.WRONG_AND_RIGHT[code][0])
    after, [row] = fixed(text)
    assert code in {finding.code for finding in row.done} and not row.unwritten
    data = yaml.safe_load(after)
    assert code not in {finding.code for finding in _check(data)}
    if "apiVersion" in data and (schema := schema_for(data["apiVersion"], data["kind"])) is not None:
        assert schema.unknown_fields(data) == []
        if code not in ("kserve.old-group",):
            s.assert_strictly_valid(data)


styles = st.fixed_dictionaries(
    {
        "flow": st.sampled_from([False, None]),
        "indent": st.sampled_from([2, 4]),
        "crlf": st.booleans(),
        "mark": st.booleans(),
        "comments": st.booleans(),
        "end": st.sampled_from(["\n", "", "\n...\n", "\n# ü 🎉\n"]),
        "json": st.booleans(),
    }
)
wrong = st.sampled_from([examples.WRONG_AND_RIGHT[code][0] for code in CERTAIN])


def written(document: Any, style: dict[str, Any]) -> str:
    """The document as somebody may have written it."""
    if style["json"]:
        text = json.dumps(document, indent=style["indent"] if style["flow"] is False else None, ensure_ascii=False)
    else:
        text = yaml.safe_dump(
            document, sort_keys=False, default_flow_style=style["flow"], indent=style["indent"], allow_unicode=True
        ).rstrip("\n")
        if style["comments"]:
            lines = [line if "'" in line or '"' in line else f"{line}  # ü 🎉: {{" for line in text.split("\n")]
            text = "\n".join(["# above", *lines])
    text += "\n" if style["json"] else style["end"]
    text = text.replace("\n", "\r\n") if style["crlf"] else text
    return ("\ufeff" if style["mark"] else "") + text


@settings(max_examples=40, deadline=None)
@given(wrong, styles)
def test_after_a_fix_nothing_certain_is_left_in_any_layout(document: Any, style: dict[str, Any]) -> None:
    text = written(copy.deepcopy(document), style)
    after, [row] = fixed(text)
    assert row.unwritten == []
    assert _fixable(row.document.data) == []
    assert fixed(after)[0] == after  # idempotent
    assert after.startswith("\ufeff") == style["mark"]
    assert after.count("\n") == (after.count("\r\n") if style["crlf"] else after.replace("\r", "").count("\n"))
    if style["comments"] and not style["json"]:
        assert "# above" in after
    assert after.endswith("\n") == text.endswith("\n")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([p for pair in examples.WRONG_AND_RIGHT.values() for p in pair]), st.booleans()),
        max_size=4,
    )
)
def test_no_document_of_a_stream_is_lost_or_moved(rows: list[tuple[dict[str, Any], bool]]) -> None:
    parts = ["# head\n"]
    for document, empty in rows:
        parts += ["---\n# about the next\n" if empty else "", "---\n", examples.text(document)]
    text = "".join(parts)
    assert str(texts.read(text)) == text
    after, done = fixed(text)
    loaded = [data for data in yaml.safe_load_all(after) if data is not None]
    assert [data.get("kind", "other") for data in loaded] == [document.get("kind", "other") for document, _ in rows]
    assert after.startswith("# head\n") and after.count("# about the next") == sum(empty for _, empty in rows)
    assert not [code for row in done for code in _fixable(row.document.data)]


def test_comments_quotes_and_order_stay_where_they_are() -> None:
    text = """\
%YAML 1.1
---
# the pool
apiVersion: "kueue.x-k8s.io/v1beta1"   # old
kind: ClusterQueue
metadata: {name: pool}
spec:
  # who shares
  cohort:   'all'   # everybody

  flavorFungibility: {whenCanBorrow: Borrow, whenCanPreempt: TryNextFlavor}
  namespaceSelector: {}   # all of them
  admissionChecks: [dws]   # wait for capacity
  resourceGroups: []
# the end
"""
    after, _ = fixed(text)
    assert (
        after
        == """\
%YAML 1.1
---
# the pool
apiVersion: kueue.x-k8s.io/v1beta2   # old
kind: ClusterQueue
metadata: {name: pool}
spec:
  # who shares
  cohortName:   'all'   # everybody

  flavorFungibility: {whenCanBorrow: MayStopSearch, whenCanPreempt: TryNextFlavor}
  namespaceSelector: {}   # all of them
  resourceGroups: []
  admissionChecksStrategy:
    admissionChecks:
    - name: dws
# the end
"""
    )


def test_an_anchor_is_kept_and_what_it_shares_is_fixed_once() -> None:
    text = """\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - &main
    name: a
    image: r/a@sha256:0
    env: &env
    - {name: N, value: 1}   # a number
  - name: b
    image: r/b@sha256:0
    env: *env
"""
    after, [row] = fixed(text)
    assert after == text.replace("value: 1}", "value: '1'}")
    assert row.unwritten == []


def test_a_field_that_comes_from_a_merge_key_is_left_to_its_author() -> None:
    text = """\
base: &base {PreferClose: 0, trafficDistribution: PreferClose}
apiVersion: v1
kind: Service
metadata: {name: s}
spec:
  <<: *base
"""
    after, [row] = fixed(text)
    spec = yaml.safe_load(after)["spec"]
    assert spec["trafficDistribution"] in ("PreferClose", "PreferSameZone") and "PreferClose" in spec
    assert (after == text) == bool(row.unwritten)


def test_a_moved_block_keeps_its_comments_and_texts() -> None:
    text = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: v
  labels: {about: x}
spec:
  nodeSelector:   # where
    # near the cameras
    a: |
      two
      lines

    b: "🎉"
  predictor:
    model: {modelFormat: {name: onnx}, storageUri: s3://m/1}
"""
    after, _ = fixed(text)
    assert (
        after
        == """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: v
  labels: {about: x}
spec:
  predictor:
    model: {modelFormat: {name: onnx}, storageUri: s3://m/1}
    nodeSelector:   # where
      # near the cameras
      a: |
        two
        lines

      b: "🎉"
"""
    )


def test_json_stays_json_with_its_indentation() -> None:
    document = examples.service(trafficDistribution="PreferClose")
    for text in (json.dumps(document), json.dumps(document, indent=1) + "\n", json.dumps(document, indent="\t")):
        assert fixed(text)[0] == text.replace("PreferClose", "PreferSameZone")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: b: c\n", "line 1, column 5"),
        ("a: [1\nb: 2\n", "line 2"),
        ("a: *nowhere\n", "line 1"),
        ("a: !!python/object:os.system x\n", "line 1"),
        ("a:\n\t- b\n", "line 2"),
        ("{" * 3000, ""),
        ("[" * 3000 + "]" * 3000, "cannot be judged"),
        ("a: " + "[" * 200 + "]" * 200, "levels deep"),
        ("a: &a\n- *a\n", "contains itself"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n" + BOMB, "more than 1000000 values"),
        ("a: \x00\n", ""),
    ],
)
def test_a_broken_text_says_where(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        texts.read(text)
    assert words in caught.value.message


def test_a_text_that_is_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InvalidInput, match="more than"):
        texts.read("#" * (texts.LIMIT_CHARACTERS + 1))


def test_a_date_is_a_text_as_kubernetes_reads_it() -> None:
    [document] = texts.read("a: 2024-01-01\nb: =\n").documents
    assert document.data == {"a": "2024-01-01", "b": "="}


def test_a_key_that_stands_twice_is_found_in_the_text() -> None:
    [document] = texts.read("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  name: b\n").documents
    [finding] = duplicate_keys(document.root, "Pod", "b")
    assert (finding.code, finding.path) == ("yaml.duplicate-key", "/metadata/name")
    assert "line 5" in finding.message


def test_a_line_is_that_of_the_key() -> None:
    text = "# head\n---\na: 1\n---\nspec:\n  list:\n  - x: 1\n    y: 2\n"
    document = texts.read(text).documents[1]
    assert [document.line_of(path) for path in ("", "/spec/list", "/spec/list/0", "/spec/list/0/y", "/gone")] == [
        5,
        6,
        7,
        8,
        5,
    ]


def test_what_cannot_be_written_safely_is_said_and_left() -> None:
    text = "a: |\n  text\nb: {c: 1}\n"
    with pytest.raises(surgery.Unwritable):
        surgery.rewrite(text, Edit(op="set", path="/a", value="x"))
    with pytest.raises(surgery.Unwritable):
        surgery.rewrite(text, Edit(op="remove", path="/nowhere/x"))
    with pytest.raises(edits.NotApplicable):
        edits.apply({"a": 1, "b": 2}, Edit(op="rename", path="/a", to="b"))
    with pytest.raises(edits.NotApplicable):
        edits.apply({"a": {}}, Edit(op="move", path="/a", to="/a/b"))


trees = st.recursive(
    st.booleans() | st.integers(0, 9) | st.sampled_from(["x", "yes", "a: b", "# no", "", "ü🎉", "two\nlines"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcde"), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcde"), trees, min_size=1, max_size=4),
    st.lists(st.sampled_from("abcde01"), min_size=1, max_size=4),
    st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=4),
    st.sampled_from(["set", "remove", "rename", "move"]),
    st.sampled_from([False, None]),
)
def test_an_edit_of_the_text_says_what_the_edit_of_the_document_says_or_is_refused(
    document: dict[str, Any], path: list[str], to: list[str], op: Any, flow: bool | None
) -> None:
    target = "/" + "/".join(to)
    edit = Edit(op=op, path="/" + "/".join(path), to=to[-1] if op == "rename" else target, value="new")
    text = yaml.safe_dump(document, default_flow_style=flow, allow_unicode=True)
    wanted = copy.deepcopy(document)
    try:
        edits.apply(wanted, edit)
    except edits.NotApplicable:
        return
    finding = Finding(
        code="x.y",
        severity="info",
        kind="",
        name="",
        path="",
        message="",
        remedy="",
        source="",
        fix="certain",
        edits=(edit,),
    )
    [before] = texts.read(text).documents
    row = texts.fix(before, lambda data: [finding] if data == before.data else [])
    if row.done:
        assert row.document.data == wanted
    else:
        assert row.document.text == before.text
