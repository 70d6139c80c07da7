"""What goes to an engine and what is believed of its answer, the same for every engine."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from ai_platform_mcp.core.codes import CODES, explain
from ai_platform_mcp.core.decision import ApprovalRequirement, Decision, PolicyInput, Violation, read_decision, refusal
from ai_platform_mcp.core.model import canonical_json
from ai_platform_mcp.core.redact import untrusted

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_ITEMS = 2_000
MAX_INTEGER = 2**53
"""Beyond this, engines that hold numbers as floats disagree with those that do not."""


class EngineFailure(Exception):
    """The engine gave no usable answer. ``code`` is the violation that the refusal carries."""

    def __init__(self, message: str, *, code: str = "policy_error"):
        super().__init__(message)
        self.code = code


def encode(question: PolicyInput) -> bytes:
    """Return the input document as the bytes that every engine gets.

    Raises:
        EngineFailure: it is too large, too deep, or holds a number that engines read differently.
    """
    document = question.model_dump(mode="json", by_alias=True)
    _check(document, 0)
    try:
        payload = canonical_json(document)
    except ValueError as error:
        raise EngineFailure(f"The question has no JSON form: {error}") from error
    if len(payload) > MAX_BYTES:
        raise EngineFailure(f"The question has {len(payload)} bytes; the limit is {MAX_BYTES}.")
    return payload


def _check(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise EngineFailure(f"The question is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, dict | list):
        if len(value) > MAX_ITEMS:
            raise EngineFailure(f"The question holds a collection of {len(value)} items; the limit is {MAX_ITEMS}.")
        items: list[Any] = list(value.values()) if isinstance(value, dict) else list(value)
        for item in items:
            _check(item, depth + 1)
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise EngineFailure("The question holds an integer beyond 2^53.")
    elif isinstance(value, str) and any("\ud800" <= ch <= "\udfff" for ch in value):
        raise EngineFailure("The question holds text that is not Unicode.")


def decode(text: str | bytes) -> object:
    """Return an engine's answer as JSON, duplicates of a key refused (one engine's answer could hide another's).

    Raises:
        EngineFailure: it is no JSON, or says that the entry rule is undefined.
    """
    if len(text) > MAX_BYTES:
        raise EngineFailure("The policy engine's answer is too large.")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise EngineFailure(f"The policy engine's answer is not JSON: {untrusted(str(error), 120)}") from error
    if document == "<undefined>":
        raise EngineFailure("The policy's entry rule is undefined for this question.")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise ValueError("a key occurs twice")
    return built


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def judge(
    answer: object, *, revision: str, expected: str | None = None, engine: str, bundle: str, payload: bytes
) -> Decision:
    """Read an engine's answer (or its failure) into a decision with its sentences and provenance."""
    decision = refuse(answer, revision) if isinstance(answer, EngineFailure) else read_decision(answer)
    if expected is not None and decision.revision != expected and (decision.revision or decision.effect != "deny"):
        decision = refusal(
            "policy_revision_mismatch",
            "",
            revision=revision,
            expected=expected,
            answered=untrusted(decision.revision, 80),
        )
    return decision.model_copy(
        update={
            "violations": tuple(told(item) for item in decision.violations),
            "warnings": tuple(told(item) for item in decision.warnings),
            "approvals": tuple(worded(item) for item in decision.approvals),
            "revision": decision.revision or revision,
            "engine": engine,
            "bundle_sha256": bundle,
            "input_digest": hashlib.sha256(payload).hexdigest(),
        }
    )


def refuse(failure: EngineFailure, revision: str) -> Decision:
    """Return the refusal that stands for an engine's failure, with its cause as data."""
    return refusal(failure.code, "", revision=revision, problem=untrusted(str(failure), 300))


def told(item: Violation) -> Violation:
    """Return the finding with its sentence, built here so that no engine formats text."""
    return item if item.msg else item.model_copy(update={"msg": explain(item.code, item.details)[0]})


def worded(requirement: ApprovalRequirement) -> ApprovalRequirement:
    """Return the requirement with its reason, which the rules give as a code, in words."""
    if requirement.reason not in CODES:
        return requirement
    return requirement.model_copy(update={"reason": explain(requirement.reason, {})[0]})
