"""The file of golden inputs, and when an answer agrees with it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.golden.agreement import MESSAGE_BYTES, Answered, Round, compare, difference, is_close
from ai_platform_mcp.domain.golden.inputs import MAX_BYTES, GoldenInput, check_digest, numbers, read_golden

V2 = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1.5]}]}
ROW = {"protocol": "v2", "request": V2, "expect": {"values": [[0.1, 0.9]]}}
CHAT = {"protocol": "openai", "request": {"messages": [{"role": "user", "content": "?"}]}, "expect": {"text": "Paris"}}


def case(protocol: str, **expect: Any) -> GoldenInput:
    request = {"v2": V2, "v1": {"instances": [[1]]}, "openai": CHAT["request"]}[protocol]
    return GoldenInput.model_validate({"protocol": protocol, "request": request, "expect": expect})


def v2(data: Any, shape: list[int] | None = None, name: str = "y") -> dict[str, Any]:
    return {"outputs": [{"name": name, "datatype": "FP32", "data": data, **({"shape": shape} if shape else {})}]}


# ------------------------------------------------------------------------------------------------------------ the file


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(json.dumps(row) for row in (ROW, CHAT)) + "\n\n",
        json.dumps([ROW, CHAT]),
        json.dumps({"inputs": [ROW, CHAT]}, indent=2),
    ],
)
def test_a_file_is_json_lines_a_list_or_a_document(text: str):
    found = read_golden(text.encode())
    assert [(row.id, row.protocol) for row in found] == [("1", "v2"), ("2", "openai")]
    assert found[0].address("a/b") == "/v2/models/a%2Fb/infer"
    assert found[1].body("m") == {**CHAT["request"], "model": "m", "temperature": 0, "stream": False}


def test_one_input_alone_is_a_file_too():
    row = {"protocol": "v1", "model": "resnet", "request": {"instances": [[1.0]]}, "expect": {"labels": "cat"}}
    (found,) = read_golden(json.dumps(row).encode())
    assert found.address("m") == "/v1/models/resnet:predict" and found.expect.labels == ("cat",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"expect": {}}, "exactly one of"),
        ({"expect": {"values": [1], "text": "x"}}, "exactly one of"),
        ({"expect": {"values": []}}, "0 numbers"),
        ({"expect": {"values": [1, "x"]}}, "no number"),
        ({"expect": {"values": [1], "relative": 2}}, "relative"),
        ({"expect": {"argmax": [-1]}}, "from 0"),
        ({"request": {}}, "has inputs"),
        ({"protocol": "grpc"}, "protocol"),
        ({"path": "//elsewhere.example/x"}, "path"),
        ({"path": "http://elsewhere.example"}, "path"),
        ({"expected": 1}, "expected"),
        ({"protocol": "openai"}, "messages"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_its_place(change: dict[str, Any], told: str):
    with pytest.raises(InvalidInput) as refused:
        read_golden(json.dumps([ROW, {**ROW, **change}]).encode())
    assert refused.value.cause.startswith("input 2") and told in refused.value.cause


@pytest.mark.parametrize("request_", [{"temperature": 0.7}, {"n": 3}, {"stream": True}])
def test_a_chat_completion_without_one_known_answer_is_refused(request_: dict[str, Any]):
    with pytest.raises(InvalidInput):
        read_golden(json.dumps({**CHAT, "request": {**CHAT["request"], **request_}}).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"{not json",
        b'{"protocol": "v2", "request": {"inputs": [1]}, "expect": {"values": [NaN]}}',
        b'{"protocol": "v2", "request": {"inputs": [1]}, "expect": {"values": [1e999]}}',
        b"[" * 100_000,
        b" " * (MAX_BYTES + 1),
        json.dumps([{**ROW, "id": "a"}] * 2).encode(),
        json.dumps([CHAT] * 1001).encode(),
    ],
    ids=["empty", "none", "not-utf8", "not-json", "nan", "infinite", "too-deep", "too-large", "twice", "too-many"],
)
def test_a_file_that_is_none_is_refused_and_never_half_taken(content: bytes):
    with pytest.raises(InvalidInput):
        read_golden(content)


def test_other_bytes_than_the_digests_are_refused():
    with pytest.raises(InvalidInput, match="not those"):
        check_digest(b"x", f"sha256:{'0' * 64}")


# ---------------------------------------------------------------------------------------------------------- comparing


@pytest.mark.parametrize(
    ("asked", "answer", "agrees"),
    [
        (case("v2", values=[[0.1, 0.9]]), v2([0.1, 0.9], [1, 2]), True),
        (case("v2", values=[0.1, 0.9]), v2([[0.1, 0.9]]), True),
        (case("v2", values=[0.1, 0.9]), v2([0.1, 0.95]), False),
        (case("v2", values=[0.1, 0.9], absolute=0.06), v2([0.1, 0.95]), True),
        (case("v2", values=[0.1, 0.9]), v2([0.1]), False),
        (case("v2", values=[0.1, 0.9]), v2([0.1, math.nan]), False),
        (case("v2", values=[1], output="z"), v2([1]), False),
        (case("v2", argmax=[1, 0]), v2([0.1, 0.9, 0.8, 0.2], [2, 2]), True),
        (case("v2", argmax=[1, 0]), v2([0.1, 0.9, 0.2, 0.8], [2, 2]), False),
        (case("v2", argmax=1), v2([0.1, math.nan]), False),
        (case("v2", argmax=[1]), v2([0.1, 0.9, 0.8, 0.2], [2, 2]), False),
        (case("v2", labels=["cat"]), v2(["cat"]), True),
        (case("v2", labels=["1"]), v2([1]), False),
        (case("v2", text="Paris"), v2(["Paris"]), True),
        (case("v1", values=[[1, 2]]), {"predictions": [[1, 2]]}, True),
        (case("v1", values=[0.5], output="score"), {"predictions": [{"score": 0.5}]}, True),
        (case("v1", labels=["cat", "dog"]), {"predictions": ["cat", "cow"]}, False),
        (case("v1", argmax=[2, 0]), {"predictions": [[0, 1, 2], [5, 1, 2]]}, True),
        (case("openai", text="Paris"), {"choices": [{"message": {"content": "Paris"}}]}, True),
        (case("openai", text="Paris"), {"choices": [{"message": {"content": "Paris."}}]}, False),
        (case("openai", text="Paris"), {"choices": []}, False),
        (case("openai", text=""), {"choices": [{"message": {"content": None}}]}, False),
    ],
)
def test_answers_agree_where_their_protocol_and_tolerance_say_so(asked: GoldenInput, answer: Any, agrees: bool):
    assert (compare(asked, answer) == "") is agrees


SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["outputs", "data", "shape", "predictions", "choices", "message", "x"]), inner
        )
    ),
    max_leaves=12,
)


@given(SHAPES, st.sampled_from([case("v2", values=[1.5]), case("v1", argmax=[1]), case("openai", text="x")]))
def test_no_answer_of_any_form_breaks_the_comparison(answer: Any, asked: GoldenInput):
    assert isinstance(compare(asked, answer), str)


FINITE = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
TOLERANCE = st.floats(min_value=0, max_value=1)


@given(st.lists(FINITE, min_size=1, max_size=20), TOLERANCE, TOLERANCE)
def test_every_answer_agrees_with_itself_at_any_tolerance(values: list[float], absolute: float, relative: float):
    asked = case("v2", values=values, absolute=absolute, relative=relative)
    assert compare(asked, v2(values)) == "" and compare(asked, json.loads(json.dumps(v2(values)))) == ""


@given(st.floats() | st.integers(), FINITE, TOLERANCE, TOLERANCE, TOLERANCE)
def test_a_wider_tolerance_never_takes_agreement_back(
    found: float, wanted: float, absolute: float, relative: float, more: float
):
    if is_close(found, wanted, absolute, relative):
        assert is_close(found, wanted, absolute + more, relative)
        assert is_close(found, wanted, absolute, min(1.0, relative + more))


@given(st.sampled_from([math.nan, math.inf, -math.inf]), FINITE, TOLERANCE)
def test_what_is_no_finite_number_never_agrees(found: float, wanted: float, tolerance: float):
    assert not is_close(found, wanted, tolerance, 1.0)


@given(st.lists(FINITE, min_size=2, max_size=10), st.data())
def test_one_number_outside_of_its_tolerance_is_enough(values: list[float], data: st.DataObject):
    place = data.draw(st.integers(0, len(values) - 1))
    others = [*values]
    others[place] = 1e300 if abs(values[place]) < 1e200 else 0
    asked = case("v2", values=values, absolute=0, relative=0.5)
    assert compare(asked, v2(others)).startswith(f"number {place} ")


@given(st.recursive(FINITE, lambda row: st.lists(row, max_size=4), max_leaves=20))
def test_nesting_does_not_matter_to_numbers(value: Any):
    flat = numbers(value)
    assert numbers(flat) == flat and numbers([[value]]) == flat


# ------------------------------------------------------------------------------------------------------------- judging

ROUNDS = st.lists(st.sampled_from(["agree", "differ", "error"]), min_size=1, max_size=300)


def asked(results: list[Any]) -> Round:
    return Round(answers=tuple(Answered(id=str(place), result=row) for place, row in enumerate(results)))


@given(ROUNDS, st.integers(0, 100))
def test_missing_answers_are_neither_agreement_nor_difference(results: list[str], least: int):
    said = asked(results).judged(least)
    good, bad = (
        asked(["agree" if row == "error" else row for row in results]).judged(least),
        asked(["differ" if row == "error" else row for row in results]).judged(least),
    )
    assert good != "unclear" and bad != "unclear", "whoever has every answer can tell"
    assert said == (good if good == bad else "unclear")


@given(ROUNDS, st.integers(1, 100))
def test_more_agreement_asked_for_never_makes_a_round_better(results: list[str], least: int):
    order = ("differs", "unclear", "agrees")
    assert order.index(asked(results).judged(least)) <= order.index(asked(results).judged(least - 1))


def test_the_percentage_is_rounded_down():
    round_ = asked(["agree"] * 999 + ["differ"])
    assert round_.percent == 99 and round_.judged(100) == "differs" and round_.judged(99) == "agrees"


@given(st.lists(st.text(max_size=100), min_size=1, max_size=200), st.text(max_size=160))
def test_a_termination_message_is_whole_json_that_a_kubelet_takes(names: list[str], why: str):
    rows = tuple(Answered(id=name, result="differ", why=why) for name in names)
    text = difference(Round(answers=rows), 99)
    said = json.loads(text)
    assert len(text) <= MESSAGE_BYTES and said["differ"] == len(names) and said["agreement_percent"] == 0
    assert said["first"] or len(names) == 0


def test_the_example_of_the_documentation_is_a_file_of_golden_inputs():
    page = (Path(__file__).parents[2] / "docs" / "golden-inputs.md").read_text()
    found = read_golden(page.split("```json\n")[1].split("```")[0].encode())
    assert {row.protocol for row in found} == {"v1", "v2", "openai"} and found[0].expect.relative == 0.01
