from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.answer import Cursor, detail_result, listing_result
from ai_platform_mcp.domain.text import Listing, fit, json_tokens, seconds_of, sparkline, table, tokens

cells = st.one_of(st.none(), st.booleans(), st.integers(0, 10**9), st.text(string.ascii_letters + "-/.ü ", max_size=60))


@given(st.lists(st.tuples(cells, cells, cells), max_size=120), st.integers(1, 80))
def test_every_row_is_told_exactly_once_over_the_pages_and_every_page_keeps_its_budget(
    rows: list[tuple[str | int | bool | None, ...]], limit: int
):
    listing = Listing(kind="things", columns=("a", "b", "c"), rows=tuple(rows))
    shown, token = 0, ""
    for _ in range(len(rows) + 1):
        result = listing_result(listing, verbose=False, limit=limit, cursor=Cursor.read(token))
        assert max(tokens(result.text), json_tokens(result.data)) <= 2000
        assert result.data["shown"] == len(result.data["rows"])
        shown += result.data["shown"]
        token = result.data.get("next", "")
        if not token:
            break
    assert shown == len(rows)


@given(st.integers(0, 300), st.integers(1, 2000), st.integers(1, 40))
def test_fit_finds_the_largest_number_of_rows_and_never_less_than_one(count: int, budget: int, each: int):
    found = fit(count, budget, lambda n: n * each)
    assert found == (count if count * each <= budget else max(1, budget // each))


def test_a_backends_token_is_handed_on_and_a_cut_page_is_taken_up_where_it_ended():
    listing = Listing(kind="models", columns=("m",), rows=tuple((f"model-{n}",) for n in range(5)))
    first = listing_result(listing, verbose=False, limit=3, more="opaque:token")
    assert first.data["next"] == "3:" and "total" not in first.data
    rest = listing_result(listing, verbose=False, limit=3, cursor=Cursor.read("3:"), more="opaque:token")
    assert rest.data["rows"] == [["model-3"], ["model-4"]] and rest.data["next"] == "0:opaque:token"
    assert Cursor.read("0:opaque:token").backend == "opaque:token"


def test_columns_without_a_value_and_a_single_cluster_cost_nothing():
    listing = Listing(kind="x", columns=("a", "b", "cluster"), rows=(("1", "", "c1"), ("2", None, "c1")))
    data = listing_result(listing, verbose=False, limit=9).data
    assert data["columns"] == ["a"] and data["cluster"] == "c1"


def test_a_detail_that_is_too_large_names_what_it_left_out():
    body = {"small": 1, "large": [f"line {n}" for n in range(3000)]}
    result = detail_result("node", "n", body, verbose=False)
    assert result.data["left_out"] == ["large"] and result.data["small"] == 1
    assert max(tokens(result.text), json_tokens(result.data)) <= 2000 and "verbose" in result.data["how"]


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), max_size=400))
def test_a_trend_is_short_and_its_lowest_and_highest_marks_are_those_of_the_values(values: list[float | None]):
    marks = sparkline(values)
    assert len(marks) <= 24
    assert bool(marks) == any(value is not None for value in values)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("7d", 604_800)])
def test_spans_of_time_are_read(text: str, seconds: int):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m", "0m", "5 m", "1.5h", "1h!"])
def test_what_is_no_span_of_time_is_refused(text: str):
    with pytest.raises(ValueError, match="span of time"):
        seconds_of(text)


def test_a_table_aligns_and_leaves_out_empty_columns():
    assert table(("a", "gone", "c"), [("x", "", True), ("longer", None, False)]) == "a       c\nx       yes\nlonger  no"


def test_a_foreign_token_is_refused():
    with pytest.raises(InvalidInput):
        Cursor.read("nonsense")
