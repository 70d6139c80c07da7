"""Lists of thousands of rows: pages within their budget, each row told once whatever changes between two pages."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from ai_platform_mcp.core.rows import DeploymentRow, Inventory, NodeRow, QueueRow
from ai_platform_mcp.domain import views
from ai_platform_mcp.domain.answer import Cursor, first_rows, listing_result
from ai_platform_mcp.domain.text import json_tokens, tokens
from ai_platform_mcp.domain.views import Filters

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def node(number: int, *, ready: bool = True) -> NodeRow:
    labels = {"pool": f"p{number % 3}"}
    return NodeRow(cluster="c", name=f"n{number:04}", ready=ready, schedulable=True, role="cloud", labels=labels)


def inventory(nodes: dict[int, NodeRow], cluster: str = "c") -> Inventory:
    rows = tuple(nodes[number] for number in sorted(nodes))
    return Inventory(cluster=cluster, as_of=NOW, age_seconds=0, stale=False, nodes=rows)


changes = st.lists(
    st.lists(st.tuples(st.integers(0, 149), st.sampled_from(["breaks", "heals", "leaves", "comes"])), max_size=12),
    max_size=30,
)


@settings(max_examples=40)
@given(changes, st.integers(1, 60))
def test_a_node_that_stays_is_told_once_however_states_change_between_pages(
    between: list[list[tuple[int, str]]], limit: int
) -> None:
    nodes = {number: node(number, ready=number % 7 != 0) for number in range(0, 150, 2)}
    stayed, pages = set(nodes), iter(between)
    told, token = list[str](), ""
    for _ in range(300):
        result = listing_result(
            views.nodes([inventory(nodes)], Filters(), NOW), verbose=False, limit=limit, cursor=Cursor.read(token)
        )
        assert max(tokens(result.text), json_tokens(result.data)) <= 2000
        told += [row[0] for row in result.data["rows"]]
        token = result.data.get("next", "")
        if not token:
            break
        for number, what in next(pages, []):
            if what == "leaves":
                nodes.pop(number, None)
                stayed.discard(number)
            elif what == "comes" or number in nodes:
                nodes[number] = node(number, ready=what != "breaks")
    assert len(told) == len(set(told))
    assert {f"n{number:04}" for number in stayed} <= set(told)


def test_what_fits_one_page_is_told_by_urgency_and_what_does_not_names_its_trouble_first() -> None:
    nodes = {number: node(number, ready=number != 9) for number in range(10)}
    short = listing_result(views.nodes([inventory(nodes)], Filters(), NOW), verbose=False, limit=50)
    assert short.data["rows"][0][0] == "n0009"
    assert "next" not in short.data
    cut = listing_result(views.nodes([inventory(nodes)], Filters(), NOW), verbose=False, limit=4)
    assert [row[0] for row in cut.data["rows"]] == ["n0000", "n0001", "n0002", "n0003"]
    assert "In trouble: n0009." in cut.text
    rest = listing_result(
        views.nodes([inventory(nodes)], Filters(), NOW), verbose=False, limit=50, cursor=Cursor.read(cut.data["next"])
    )
    assert rest.data["rows"][-1][0] == "n0009"
    rows, total = first_rows(views.nodes([inventory(nodes)], Filters(), NOW), 3)
    assert ([row[0] for row in rows], total) == (["n0009", "n0000", "n0001"], 10)


def test_pages_of_queues_and_deployments_of_several_clusters_tile_them() -> None:
    def each(cluster: str) -> Inventory:
        queues = tuple(
            QueueRow(cluster=cluster, namespace=f"ns{n:02}", name="gpu", cluster_queue="q", pending=n % 5, admitted=1)
            for n in range(70)
        )
        served = tuple(
            DeploymentRow(cluster=cluster, namespace=f"ns{n:02}", name="m", kind="InferenceService", model="m",
                          version="1", environment="dev", team="t", ready=bool(n % 3), target="cloud")
            for n in range(70)
        )  # fmt: skip
        return inventory({}, cluster).model_copy(update={"queues": queues, "deployments": served})

    both = [each("west"), each("east")]
    for kind, make in (("queues", lambda: views.queues(both, Filters())),
                       ("deployments", lambda: views.deployments(both, Filters(), NOW))):  # fmt: skip
        told, token = list[tuple[object, ...]](), ""
        while True:
            result = listing_result(make(), verbose=False, limit=33, cursor=Cursor.read(token))
            assert (result.data["kind"], result.data["total"]) == (kind, 140)
            where = result.data.get("cluster") or ""
            columns = result.data["columns"]
            told += [
                (where or row[columns.index("cluster")], row[columns.index("namespace")]) for row in result.data["rows"]
            ]
            token = result.data.get("next", "")
            if not token:
                break
        assert len(told) == len(set(told)) == 140


def test_a_search_finds_labels_and_what_the_row_shows() -> None:
    nodes = {number: node(number, ready=number != 4) for number in range(9)}

    def names(**filters: str) -> list[object]:
        listing = views.nodes([inventory(nodes)], Filters(**filters), NOW)
        return [row[0] for row in listing_result(listing, verbose=False, limit=50).data.get("rows", [])]

    assert names(contains="POOL=p1") == ["n0004", "n0001", "n0007"]
    assert names(contains="n0003") == ["n0003"]
    assert names(contains="pool=p1", state="offline") == ["n0004"]
    assert names(contains="pool=p9") == []
    assert names(name="N0002") == ["n0002"]
