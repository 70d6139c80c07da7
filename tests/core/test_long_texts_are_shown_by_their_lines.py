from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from ai_platform_mcp.core.decision import Decision
from ai_platform_mcp.core.plan import Apply, Change, Diff, Draft, seal
from ai_platform_mcp.core.replies import plan_data
from ai_platform_mcp.core.wording import plan_text

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def shown(before: Any, after: Any) -> tuple[dict[str, Any], str]:
    diff = Diff(action="update", changes=(Change(path="/data/config", before=before, after=after),))
    step = Apply(title="write", cluster="c", manifest={}, diff=diff)
    draft = Draft(action="a", summary="s", steps=(step,), targets=())
    plan = seal(draft, tool="t", arguments={}, operation_id="op-1", created_at=NOW, expires_at=NOW)
    empty: dict[str, Any] = dict.fromkeys(("violations", "warnings", "approvals", "obligations"), ())
    decision = Decision.model_validate({"effect": "allow", "allow": True, "revision": "r", "limits": {}, **empty})
    data: dict[str, Any] = {"status": "planned", **plan_data(plan, decision, cast("Any", None))}
    return data["steps"][0]["changes"][0], plan_text(data)


def test_a_short_text_is_shown_whole() -> None:
    row, text = shown("old", "new")
    assert (row["before"], row["after"]) == ("old", "new")
    assert "/data/config: old → new" in text


def test_of_a_long_text_the_lines_that_differ_are_shown() -> None:
    lines = [f"line {number} of a text that is long" for number in range(100)]
    row, text = shown("\n".join(lines), "\n".join([*lines[:50], "added", *lines[51:]]))
    assert row == {"path": "/data/config", "lines": ["-line 50 of a text that is long", "+added"]}
    assert "        +added\n" in text and "line 49" not in text


@pytest.mark.parametrize(("before", "after"), [(None, "x\n" * 400), ("x\n" * 400, None)])
def test_many_lines_are_counted_rather_than_shown(before: Any, after: Any) -> None:
    row, text = shown(before, after)
    assert (len(row["lines"]), row["omitted_lines"]) == (30, 370)
    assert "… 370 more lines" in text


def test_what_is_too_long_to_compare_says_so() -> None:
    row, _ = shown("x" * 150_000, "y" * 150_000)
    assert row["lines"] == ["(150000 → 150000 characters: too long to compare)"]
