from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.rows import ModelRow, VersionRow
from ai_platform_mcp.domain import evidence

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PIN = "sha256:" + "ab" * 32


def gate(**fields: object) -> evidence.Gate:
    base = {
        "metric": "accuracy",
        "value_milli": 942,
        "threshold_milli": 920,
        "verdict": "pass",
        "evaluated_at": NOW - timedelta(hours=2),
        "dataset_digest": "sha256:cd",
    }
    return evidence.Gate.model_validate(base | fields)


def version(source: str = "oci://registry/vision", **tags: str) -> VersionRow:
    named = {f"aiplatform.{name}": value for name, value in tags.items()}
    return VersionRow(model="vision", version="4", created=NOW, source=source, run_id=None, status="READY", tags=named)


def test_full_evidence_becomes_full_facts() -> None:
    row = version(
        digest=PIN,
        signature="sig",
        card="https://cards/vision",
        licence="MIT",
        residency="eu, us",
        gates=evidence.gates_tag([gate()]),
    )
    facts = evidence.model_facts(row, ModelRow(name="vision", tags={evidence.TEAM: "vision"}), NOW)
    assert (facts.digest, facts.signed, facts.card, facts.licence) == (PIN, True, True, "MIT")
    assert (facts.owner_team, facts.residency) == ("vision", ("eu", "us"))
    (verdict,) = facts.gates
    assert (verdict.value_milli, verdict.verdict, verdict.age_seconds) == (942, "pass", 7200)


def test_no_evidence_becomes_no_facts() -> None:
    facts = evidence.model_facts(version(signature=" ", card=""), None, NOW)
    assert (facts.digest, facts.signed, facts.card, facts.licence) == (None, False, False, None)
    assert (facts.owner_team, facts.residency, facts.gates) == ("", (), ())


def test_a_version_cannot_name_its_own_owner() -> None:
    facts = evidence.model_facts(version(team="mine"), ModelRow(name="vision", tags={evidence.TEAM: "vision"}), NOW)
    assert facts.owner_team == "vision"


@pytest.mark.parametrize(
    ("source", "tag", "digest"),
    [
        ("oci://r/m", PIN, PIN),
        (f"oci://r/m@{PIN}", "", PIN),
        (f"oci://r/m@{PIN}", PIN, PIN),
        (f"oci://r/m@{PIN}", "sha256:" + "cd" * 32, None),
        ("oci://r/m:latest", "", None),
        ("oci://r/m", "latest", None),
        (f"oci://r/m@{PIN}", "latest", None),
    ],
)
def test_an_artifact_is_pinned_only_without_contradiction(source: str, tag: str, digest: str | None) -> None:
    assert evidence.digest_of_version(source, {evidence.DIGEST: tag}) == digest


@given(
    st.lists(
        st.builds(
            evidence.Gate,
            metric=st.text(),
            value_milli=st.integers(),
            threshold_milli=st.integers(),
            verdict=st.sampled_from(["pass", "fail"]),
            evaluated_at=st.datetimes(timezones=st.just(UTC)),
            dataset_digest=st.text(),
        )
    )
)
def test_gates_survive_their_tag(gates: list[evidence.Gate]) -> None:
    assert evidence.read_gates({evidence.GATES: evidence.gates_tag(gates)}) == tuple(gates)


@given(st.text())
def test_a_tag_of_nonsense_is_no_evidence(text: str) -> None:
    gates = evidence.read_gates({evidence.GATES: text})
    assert gates == ()


def test_one_unreadable_verdict_takes_the_others_with_it() -> None:
    good = evidence.gates_tag([gate()])
    assert evidence.read_gates({evidence.GATES: good.replace("]", ',{"metric":"latency"}]')}) == ()
    assert evidence.read_gates({evidence.GATES: "[" * 100_000}) == ()


def test_a_verdict_from_the_future_proves_nothing() -> None:
    rows = [gate(evaluated_at=NOW + timedelta(seconds=seconds)) for seconds in (60, 3600)]
    facts = evidence.model_facts(version(gates=evidence.gates_tag(rows)), None, NOW)
    assert [row.age_seconds for row in facts.gates] == [0]
