"""What the tool list costs a model that reads it."""

from __future__ import annotations

import json

from rs_bpe.bpe import openai

from ai_platform_mcp.core.contract import contract
from ai_platform_mcp.tools import CATALOGUE
from benchmarks.report import Section, Target

LIMIT = 3000


def tokens() -> Section:
    """Count o200k tokens of name, description and input schema, as compact JSON."""
    count = openai.o200k_base().count
    rows: list[tuple[str, ...]] = []
    total = 0
    for tool in CATALOGUE:
        told = contract(tool)
        parts = [told["name"], told["description"], _compact(told["inputSchema"])]
        spent = [count(part) for part in parts]
        total += sum(spent)
        rows.append((f"`{tool.name}`", *map(str, spent), str(sum(spent))))
    rows.append(("all", "", "", "", str(total)))
    return Section(
        title="Tokens of the tool list",
        how="o200k tokens, the input schema as compact JSON.",
        columns=("tool", "name", "description", "input schema", "sum"),
        rows=tuple(rows),
        targets=(Target(f"at most {LIMIT}: {total}", total <= LIMIT),),
    )


def _compact(schema: object) -> str:
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
