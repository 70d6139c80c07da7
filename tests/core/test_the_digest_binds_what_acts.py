"""Sealing is deterministic; whatever acts is in the digest, and what only describes is not."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ai_platform_mcp.core.model import digest_of
from ai_platform_mcp.core.plan import (
    Apply,
    Change,
    CreateVersion,
    Delete,
    Diff,
    Draft,
    ObjectRef,
    Patch,
    Plan,
    Precondition,
    Risk,
    SetAlias,
    SetTag,
    Step,
    Submit,
    Target,
    seal,
)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(words, json_values, min_size=1, max_size=4)
preconditions = st.lists(
    st.builds(
        Precondition,
        kind=st.sampled_from(["absent", "owned", "generation", "uid", "alias", "version"]),
        subject=words,
        expected=words,
    ),
    max_size=2,
).map(tuple)
refs = st.builds(ObjectRef, api_version=words, kind=words, name=words, namespace=st.none() | words)
common: dict[str, Any] = {"title": words, "preconditions": preconditions}
steps = st.one_of(
    st.builds(Apply, cluster=words, manifest=documents, force=st.booleans(), **common),
    st.builds(Submit, cluster=words, manifest=documents, **common),
    st.builds(Patch, cluster=words, ref=refs, patch=json_values, **common),
    st.builds(Delete, cluster=words, ref=refs, uid=words, **common),
    st.builds(SetAlias, model=words, alias=words, version=words, expected=st.none() | words, **common),
    st.builds(SetTag, model=words, version=st.none() | words, key=words, value=words, **common),
    st.builds(
        CreateVersion,
        model=words,
        source=words,
        run_id=st.none() | words,
        tags=st.dictionaries(words, words, max_size=2),
        **common,
    ),
)
targets = st.lists(
    st.builds(Target, environment=st.sampled_from(["dev", "staging", "production"]), cluster=words), max_size=2
).map(tuple)
drafts = st.builds(
    Draft, action=words, summary=words, steps=st.lists(steps, min_size=1, max_size=3).map(tuple), targets=targets
)


def sealed(draft: Draft, *, at: datetime = NOW, **changes: Any) -> Plan:
    bound: dict[str, Any] = {"tool": "t", "arguments": {"a": 1}, "operation_id": "op-1"} | changes
    return seal(draft, created_at=at, expires_at=at + timedelta(minutes=15), **bound)


def with_steps(draft: Draft, *changed: Step) -> Draft:
    return draft.model_copy(update={"steps": changed})


@given(drafts)
def test_sealing_the_same_draft_gives_the_same_digest_whenever_it_is_done(draft: Draft):
    again = Draft.model_validate_json(draft.model_dump_json())
    assert sealed(draft).digest == sealed(again, at=NOW + timedelta(days=1)).digest


@given(drafts)
def test_a_plan_read_back_from_its_record_has_its_digest(draft: Draft):
    plan = sealed(draft)
    read = Plan.model_validate_json(plan.model_dump_json())
    assert sealed(read).digest == plan.digest == read.digest


def another(value: Any) -> Any:
    """A value that differs from ``value`` and is of its sort."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, dict):
        return {**value, f"another-{len(value)}": "value"}
    if isinstance(value, ObjectRef):
        return value.model_copy(update={"name": value.name + "x"})
    if isinstance(value, tuple):
        more = Precondition(kind="uid", subject="another", expected="value")
        return (*value, more if not value or isinstance(value[0], Precondition) else "another")
    return f"{value}x"


@settings(max_examples=40)
@given(drafts)
def test_any_change_of_any_field_of_an_effect_changes_the_digest(draft: Draft):
    plan = sealed(draft)
    for place, step in enumerate(draft.steps):
        for name in set(type(step).model_fields) - {"id", "title", "diff", "kind"}:
            if isinstance(step, CreateVersion) and name == "aliases":
                changed = step.model_copy(update={"aliases": (*step.aliases, "champion")})
            else:
                changed = step.model_copy(update={name: another(getattr(step, name))})
            with warnings.catch_warnings():  # a changed choice is none of the choices, and pydantic says so
                warnings.simplefilter("ignore")
                others = with_steps(draft, *draft.steps[:place], changed, *draft.steps[place + 1 :])
                assert sealed(others).digest != plan.digest, name


@given(drafts, preconditions)
def test_any_change_of_a_precondition_changes_the_digest(draft: Draft, others: tuple[Precondition, ...]):
    first = draft.steps[0]
    assume(others != first.preconditions)
    changed = first.model_copy(update={"preconditions": others})
    assert sealed(with_steps(draft, changed, *draft.steps[1:])).digest != sealed(draft).digest


@given(drafts, st.lists(steps, min_size=1, max_size=3).map(tuple))
def test_other_steps_fewer_steps_and_another_order_change_the_digest(draft: Draft, others: tuple[Step, ...]):
    plan = sealed(draft)
    assume([step.effect() for step in others] != [step.effect() for step in draft.steps])
    assert sealed(with_steps(draft, *others)).digest != plan.digest
    assert sealed(with_steps(draft, *draft.steps, others[0])).digest != plan.digest
    turned = draft.steps[::-1]
    if [step.effect() for step in turned] != [step.effect() for step in draft.steps]:
        assert sealed(with_steps(draft, *turned)).digest != plan.digest


@given(drafts, targets)
def test_tool_action_arguments_operation_and_targets_are_bound(draft: Draft, others: tuple[Target, ...]):
    digest = sealed(draft).digest
    assert sealed(draft, tool="other").digest != digest
    assert sealed(draft, arguments={"a": 2}).digest != digest
    assert sealed(draft, operation_id="op-2").digest != digest
    assert sealed(draft.model_copy(update={"action": draft.action + "x"})).digest != digest
    if others != draft.targets:
        assert sealed(draft.model_copy(update={"targets": others})).digest != digest


@given(drafts, words)
def test_titles_diffs_and_risks_describe_and_are_not_bound(draft: Draft, text: str):
    diff = Diff(action="update", changes=(Change(path="/x", before=text, after=None),))
    told = [step.model_copy(update={"title": text, "diff": diff}) for step in draft.steps]
    described = with_steps(draft, *told).model_copy(
        update={"summary": text, "risks": (Risk(severity="info", text=text),), "reasons": (text,)}
    )
    assert sealed(described).digest == sealed(draft).digest


@given(json_values)
def test_the_canonical_form_does_not_depend_on_the_order_of_keys(value: Any):
    def turned(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: turned(part[key]) for key in reversed(list(part))}
        return [turned(row) for row in part] if isinstance(part, list) else part

    assert digest_of(value) == digest_of(turned(value))
