"""The tables in the documentation are those that the code judges by. `UPDATE_GOLDEN=1` writes them anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ai_platform_mcp.domain import edge_identity, hardware_table

PAGE = Path(__file__).resolve().parents[2] / "docs/hardware-health.md"


@pytest.mark.parametrize(
    ("name", "markdown"), [("platforms", edge_identity.markdown), ("signs", hardware_table.markdown)]
)
def test_the_documentation_shows_the_table_in_force(name: str, markdown: Callable[[], str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}: made by the tests, UPDATE_GOLDEN=1 -->", f"<!-- end of {name} -->"
    before, _, rest = page.partition(begin)
    shown, _, after = rest.partition(end)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(f"{before}{begin}\n{markdown()}\n{end}{after}", encoding="utf-8")
    else:
        assert shown.strip() == markdown()
