"""Lists that a plan is made from are read to their end, or the plan says that it cannot be made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import strict_manifests as s
from ai_platform_mcp.core.errors import Rejected
from ai_platform_mcp.core.ports import Readers
from ai_platform_mcp.core.rows import Page
from ai_platform_mcp.tools import _reading
from support.in_memory import readers


class Paged:
    """So many nodes, in pages as large as they are asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked = 0

    async def list(self, *_what: Any, limit: int, token: str, **_more: Any) -> Page:
        self.asked += 1
        start = int(token or 0)
        end = min(start + limit, self.count)
        items = tuple({"metadata": {"name": f"n{number}"}} for number in range(start, end))
        return Page(items=items, token=str(end) if end < self.count else "")


def over(clusters: Paged) -> Readers:
    return replace(readers(s.EVERYTHING), clusters=clusters)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [0, 1, 500, 501, 12_345])
async def test_every_page_is_read(count: int) -> None:
    clusters = Paged(count)
    found = await _reading.list_all(over(clusters), "c1", "v1", "Node")
    assert [row["metadata"]["name"] for row in found] == [f"n{number}" for number in range(count)]
    assert clusters.asked == max(1, -(-count // _reading.PAGE))


async def test_more_than_a_plan_can_hold_is_an_error_and_not_a_shorter_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reading, "MOST_OBJECTS", 1000)
    assert len(await _reading.list_all(over(Paged(1000)), "c1", "v1", "Node")) == 1000
    with pytest.raises(Rejected, match="more than 1,000 objects of kind Node") as caught:
        await _reading.list_all(over(Paged(1001)), "c1", "v1", "Node")
    assert caught.value.remedy
