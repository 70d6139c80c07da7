"""The PromQL guard: whatever it accepts stays inside the tenant and keeps its meaning; every refusal has its code."""

from __future__ import annotations

from typing import Any

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ai_platform_mcp.adapters.prometheus.guard import GuardRules, allowed_for, guard
from ai_platform_mcp.core.errors import InvalidInput
from prometheus_expressions import EXPRESSIONS

TENANT = {"namespace": "team-a", "team": 'odd"\\\n'}
RULES = GuardRules(TENANT)


def selectors(text: str) -> list[Any]:
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if type(node).__name__ == "VectorSelector":
            found.append(node)
        elif type(node).__name__ == "MatrixSelector":
            found.append(node.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(text), visit)
    return found


def carries_tenant(selector: Any) -> bool:
    pairs = {(m.name, str(m.op), m.value) for m in selector.matchers.matchers}
    wanted = {(name, "MatchOp.Equal", value) for name, value in TENANT.items()}
    return wanted <= pairs and not selector.matchers.or_matchers


def code_of(text: str, rules: GuardRules = RULES, window: int = 3600, step: int | None = None) -> str:
    with pytest.raises(InvalidInput) as refused:
        guard(text, rules, window_seconds=window, step_seconds=step)
    assert refused.value.remedy, "a refusal says what to do instead"
    return refused.value.details["code"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("sum(", "promql_syntax"),
        ("rate(a)", "promql_syntax"),
        ("a + " * 1200 + "a", "promql_too_long"),
        ('a{namespace="x" or namespace="y"}', "or_matchers"),
        ('{__name__=~"a|b"}', "name_regex"),
        ('{__name__!="a",job="x"}', "name_regex"),
        ('{__name__!~"a",job="x"}', "name_regex"),
        ('{job="x"}', "name_missing"),
        ("a @ 1700000000", "at_modifier"),
        ("rate(a[5m] @ end())", "at_modifier"),
        ("max_over_time(a[1h:5m] @ start())", "at_modifier"),
        ("info(a)", "info_function"),
        ('sum(info(a, {data=~".+"}))', "info_function"),
        ("rate(a[8d])", "range_too_long"),
        ("max_over_time(a[8d:1h])", "range_too_long"),
        ("max_over_time(a[7d:1s])", "subquery_cost"),
        ("max_over_time(max_over_time(a[2h:1m])[2h:1m])", "subquery_cost"),
        ("a + fill(0) b", "unsupported"),
        ('sum by ("a) or up{") (a)', "unsupported"),
        ('a{"x=\\"1\\"} or up{y"="2"}', "unsupported"),
        ('a * on ("b) up (") c', "unsupported"),
    ],
)
def test_a_refusal_has_its_code_and_a_remedy(text: str, code: str) -> None:
    assert code_of(text) == code


def test_windows_and_points_are_limited() -> None:
    assert code_of("a", window=8 * 86_400) == "range_too_long"
    assert code_of("a", window=86_400, step=1) == "too_many_points"
    assert code_of("max_over_time(a[1h:1m])", window=86_400, step=60) == "subquery_cost"
    assert code_of("a", window=0) == "range_too_long"
    assert guard("a", RULES, window_seconds=86_400, step_seconds=8).promql


def test_a_metric_off_the_list_is_refused_and_the_list_is_named() -> None:
    rules = GuardRules({}, ("vllm:*", "request_*_seconds_*"))
    assert guard("vllm:x + request_predict_seconds_sum", rules, window_seconds=60, step_seconds=None)
    assert code_of("sum(kube_secret_info)", rules) == "metric_not_allowed"
    assert code_of('{__name__="kube_secret_info"}', rules) == "metric_not_allowed"


def test_roles_add_up_and_an_unknown_role_reads_nothing_more() -> None:
    table = {"developer": ("vllm:*",), "operator": (), "viewer": ("request_*",)}
    assert allowed_for(["developer", "viewer"], table) == ("vllm:*", "request_*")
    assert allowed_for(["developer", "operator"], table) == ()
    assert code_of("vllm:x", GuardRules({}, allowed_for(["devloper"], table))) == "metric_not_allowed"


def test_a_label_value_cannot_break_out_of_its_selector() -> None:
    hostile = 'a{b="\\"} or up{x=\\""}'
    guarded = guard(hostile, RULES, window_seconds=60, step_seconds=None)
    (selector,) = selectors(guarded.promql)
    assert carries_tenant(selector)
    assert [m.value for m in selector.matchers.matchers if m.name == "b"] == ['"} or up{x="']


def test_asking_for_another_tenant_is_answered_with_nothing_and_a_note() -> None:
    guarded = guard('a{namespace="team-b"}', RULES, window_seconds=60, step_seconds=None)
    assert carries_tenant(selectors(guarded.promql)[0])
    assert "another namespace" in guarded.notes[0]


NAMES = st.sampled_from(["a", "up", "vllm:x", "A_b:c"])
VALUES = st.text(max_size=12)
LABELS = st.sampled_from(["job", "namespace", "team", "le", "__name"])


def written(text: str) -> str:
    return '"' + "".join(f"\\{ch}" if ch in '"\\' else "\\n" if ch == "\n" else ch for ch in text) + '"'


@st.composite
def selector_texts(draw: st.DrawFn) -> tuple[str, str]:
    pairs = draw(st.lists(st.tuples(LABELS, st.sampled_from(["=", "!="]), VALUES), max_size=3))
    inner = ",".join(f"{name}{op}{written(value)}" for name, op, value in pairs)
    offset = draw(st.sampled_from(["", " offset 5m", " offset -1h30m", " offset 250ms"]))
    return f"{draw(NAMES)}{{{inner}}}", offset


def expressions() -> st.SearchStrategy[str]:
    vector = selector_texts().map("".join)
    ranged = st.builds(
        lambda f, s, r: f"{f}({s[0]}[{r}]{s[1]})",
        st.sampled_from(["rate", "sum_over_time", "absent_over_time"]),
        selector_texts(),
        st.sampled_from(["30s", "5m", "1h30m", "1d"]),
    )
    leaf = vector | ranged

    def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.builds("sum by (job, le) ({})".format, inner),
            st.builds("topk without (job) (3, {})".format, inner),
            st.builds("-({})".format, inner),
            st.builds("({}) ^ -2".format, inner),
            st.builds("({})[10m:1m] offset 1h".format, inner).map("max_over_time({})".format),
            st.builds('label_replace({}, "x", "$1", "job", "(.*)")'.format, inner),
            st.builds("histogram_quantile(0.9, {})".format, inner),
            st.builds(
                lambda a, op, b: f"({a}) {op} ({b})",
                inner,
                st.sampled_from(
                    [
                        "+",
                        "/ on (job)",
                        "* on (job) group_left (le)",
                        "> bool",
                        "and on ()",
                        "or",
                        "unless ignoring (le)",
                    ]
                ),
                inner,
            ),
        )

    return st.recursive(leaf, deeper, max_leaves=6)


@settings(max_examples=40, deadline=None)
@given(text=expressions())
def test_every_selector_of_an_accepted_expression_carries_the_tenant(text: str) -> None:
    try:
        guarded = guard(text, RULES, window_seconds=3600, step_seconds=None)
    except InvalidInput as refusal:
        # Nested subqueries may cost too much; the parser wants one non-empty matcher or a name, which all have.
        assert refusal.details["code"] == "subquery_cost"
        return
    found = selectors(guarded.promql)
    assert found
    assert len(found) == len(selectors(text))
    assert all(carries_tenant(one) for one in found)


@settings(max_examples=40, deadline=None)
@given(text=st.text(alphabet="ab{}()[]\"\\,=~!|@:5m0 \n'`#-+*/onrby_", max_size=40))
def test_arbitrary_text_is_refused_with_a_code_or_stays_in_the_tenant(text: str) -> None:
    try:
        guarded = guard(text, RULES, window_seconds=3600, step_seconds=None)
    except InvalidInput as refusal:
        assert refusal.details["code"]
        return
    assert all(carries_tenant(one) for one in selectors(guarded.promql))


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_rewriting_without_a_tenant_keeps_the_meaning(text: str) -> None:
    from ai_platform_mcp.sandbox.prometheus.nodes import Negate, Node, Number
    from ai_platform_mcp.sandbox.prometheus.parse import parse as tree

    def folded(node: Node) -> str:
        """`-2` is a literal to one reading and a negation to the other: the same number."""
        text = repr(node)
        return text.replace(repr(Negate(Number(1.0))), repr(Number(-1.0)))

    try:
        guarded = guard(text, GuardRules(), window_seconds=60, step_seconds=None)
    except InvalidInput as refusal:
        assert refusal.details["code"] in ("at_modifier", "name_regex")
        return
    assert folded(tree(guarded.promql)) == folded(tree(text))
