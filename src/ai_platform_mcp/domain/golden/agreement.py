"""When an answer agrees with what is expected of it, and when a round of answers is good enough. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, cast

from ai_platform_mcp.core.model import Value, canonical_json, type_json
from ai_platform_mcp.core.redact import untrusted
from ai_platform_mcp.domain.golden.inputs import Expected, GoldenInput, Number, numbers

DIFFERS, UNUSABLE, SILENT = 3, 4, 5
"""Exit codes of the check: answers differ; the golden inputs themselves cannot be used; no answer in time."""
MESSAGE_BYTES = 4096
"""Longest termination message that a kubelet takes from a container."""
_SHOWN = 20
_WHY = 160

Result = Literal["agree", "differ", "error"]
Judgement = Literal["agrees", "differs", "unclear"]


class Answered(Value):
    """What one input came to. An error is no answer at all, and never the same as another answer."""

    id: str
    result: Result
    why: str = ""


class Round(Value):
    """Every input, asked once."""

    answers: tuple[Answered, ...]

    def count(self, result: Result) -> int:
        """Return the number of answers with a result."""
        return sum(row.result == result for row in self.answers)

    @property
    def percent(self) -> int:
        """Agreement over all inputs, rounded down: 99.9 % are not 100 %."""
        return self.count("agree") * 100 // max(1, len(self.answers))

    def judged(self, least: int) -> Judgement:
        """Return whether ``least`` percent agree: yes, no, or not to be told while some inputs have no answer."""
        total = len(self.answers)
        if total and self.count("agree") * 100 >= least * total:
            return "agrees"
        return "differs" if (total - self.count("differ")) * 100 < least * total else "unclear"


def compare(case: GoldenInput, answer: Any) -> str:
    """Return how an answer differs from what is expected, empty where it agrees."""
    try:
        return _compared(case, answer)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as problem:
        said = str(problem) or type(problem).__name__
        return untrusted(f"it has not the form of a {case.protocol} answer: {said}", _WHY)


def _compared(case: GoldenInput, answer: Any) -> str:
    expect = case.expect
    if case.protocol == "openai":
        return _texts(expect.text or "", [answer["choices"][0]["message"]["content"]])
    data, width = _output(case, answer)
    if expect.values is not None:
        return _close(expect, numbers(expect.values), numbers(data))
    if expect.argmax:
        return _places(expect.argmax, _rows(data, width))
    if expect.labels:
        return _labels(expect.labels, _flat(data))
    return _texts(expect.text or "", _flat(data))


def _output(case: GoldenInput, answer: Any) -> tuple[Any, int]:
    """Return the data of the output in question, and the length of its rows; 0 where only its nesting says it."""
    name = case.expect.output
    if case.protocol == "v1":
        found = cast("list[Any]", answer["predictions"])
        return ([row[name] for row in found] if name else found), 0
    outputs = cast("list[type_json]", answer["outputs"])
    chosen = next((row for row in outputs if not name or row.get("name") == name), None)
    if chosen is None:
        raise ValueError(f"there is no output {name!r}")
    shape = cast("list[Any]", chosen.get("shape") or [])
    return chosen["data"], int(shape[-1]) if shape else 0


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        return [data]
    return [value for row in cast("list[Any]", data) for value in _flat(row)]


def _rows(data: Any, width: int) -> list[list[Number]]:
    """Return the rows of a tensor: by its shape, else by how it is nested."""
    if width > 0:
        flat = numbers(data)
        return [flat[start : start + width] for start in range(0, len(flat), width)]
    if isinstance(data, list) and data and isinstance(data[0], list):
        return [numbers(row) for row in cast("list[Any]", data)]
    return [numbers(data)]


def is_close(found: Number, wanted: Number, absolute: float, relative: float) -> bool:
    """Tell whether a number is within ``absolute + relative * |wanted|`` of the wanted one; NaN and infinities never are."""
    if isinstance(found, float) and not math.isfinite(found):
        return False
    if found == wanted:
        return True
    try:
        return abs(float(found) - float(wanted)) <= absolute + relative * abs(float(wanted))
    except OverflowError:  # a JSON integer may be larger than any float
        return False


def _close(expect: Expected, wanted: list[Number], found: list[Number]) -> str:
    if len(found) != len(wanted):
        return f"{len(found)} numbers instead of {len(wanted)}"
    for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
        if not is_close(one, other, expect.absolute, expect.relative):
            return f"number {place} is {_short(one)} instead of {_short(other)}"
    return ""


def _places(wanted: tuple[int, ...], found: list[list[Number]]) -> str:
    places: list[int] = []
    for row in found:
        if not row or any(math.isnan(value) for value in row):
            return f"row {len(places)} has no greatest number"
        places.append(row.index(max(row)))
    return "" if tuple(places) == wanted else f"argmax {_short(places)} instead of {_short(list(wanted))}"


def _labels(wanted: tuple[str | int, ...], found: list[Any]) -> str:
    same = len(found) == len(wanted) and all(
        one == other and isinstance(one, str) == isinstance(other, str)
        for one, other in zip(found, wanted, strict=True)
    )
    return "" if same else f"label {_short(found)} instead of {_short(list(wanted))}"


def _texts(wanted: str, found: list[Any]) -> str:
    return "" if found == [wanted] else f"text {_short(found[0] if len(found) == 1 else found)} instead of another"


def _short(value: Any) -> str:
    return untrusted(repr(value), 60)


def difference(round_: Round, least: int) -> bytes:
    """Return the termination message of answers that differ: numbers, and as many of the first differing inputs as fit."""
    said: type_json = {
        "reason": "golden_differs",
        "agreement_percent": round_.percent,
        "min_agreement_percent": least,
        "inputs": len(round_.answers),
        "differ": round_.count("differ"),
        "errors": round_.count("error"),
        "first": [],
    }
    text = canonical_json(said)
    for row in [row for row in round_.answers if row.result == "differ"][:_SHOWN]:
        said["first"].append({"id": untrusted(row.id, 100), "why": row.why})
        longer = canonical_json(said)
        if len(longer) > MESSAGE_BYTES:
            break
        text = longer
    return text


def ending(reason: str, problem: str) -> bytes:
    """Return the termination message of a check that ended before it could tell."""
    return canonical_json({"reason": reason, "message": untrusted(problem, 1000)})


def differing(answers: Sequence[Answered]) -> str:
    """Return the first of the inputs without agreement, for people."""
    first = next((row for row in answers if row.result != "agree"), None)
    return "" if first is None else f"input {first.id}: {first.why}"
