"""The table of codes in the documentation is the one that the command prints. `UPDATE_GOLDEN=1` writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

from ai_platform_mcp.domain.lint.table import markdown

PAGE = Path(__file__).resolve().parents[2] / "docs/lint.md"
BEGIN, END = "<!-- codes: made by `platform lint --codes` -->", "<!-- end of codes -->"


def test_the_documentation_lists_every_code_as_the_command_does() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    shown, _, after = rest.partition(END)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(f"{before}{BEGIN}\n{markdown()}\n{END}{after}", encoding="utf-8")
    else:
        assert shown.strip() == markdown()
