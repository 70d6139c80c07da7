"""Write tools/*.json (one contract per MCP tool) and the README's tool table; with --check, only compare.

Run it with ``make contracts`` after changing a tool; CI compares.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ai_platform_mcp.core.contract import contract
from ai_platform_mcp.core.tool import WriteTool
from ai_platform_mcp.tools import CATALOGUE

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- tools: made by `make contracts` -->", "<!-- end of tools -->"


def contracts() -> dict[str, str]:
    """Return the text of every contract file by name."""
    return {f"{tool.name}.json": json.dumps(contract(tool), indent=2, ensure_ascii=False) + "\n" for tool in CATALOGUE}


def table() -> str:
    """Return the README's tool table."""
    rows = ["| tool | changes? | what it does |", "|---|---|---|"]
    for tool in CATALOGUE:
        changes = "plans, then applies" if isinstance(tool, WriteTool) else "reads"
        rows.append(f"| `{tool.name}` | {changes} | {tool.description} |")
    return "\n".join(rows)


def with_table(readme: str) -> str:
    """Return the README with the present table between its markers."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Write, or compare and say what differs."""
    wanted = {ROOT / "tools" / name: text for name, text in contracts().items()}
    readme = ROOT / "README.md"
    wanted[readme] = with_table(readme.read_text(encoding="utf-8"))
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    extra = [path for path in (ROOT / "tools").glob("*.json") if path not in wanted]
    if "--check" in sys.argv[1:]:
        for path in (*stale, *extra):
            sys.stderr.write(f"{path.relative_to(ROOT)} does not say what the code says: run `make contracts`\n")
        return 1 if stale or extra else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    for path in extra:
        path.unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
