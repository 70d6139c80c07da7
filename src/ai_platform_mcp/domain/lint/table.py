"""The table of codes, as documentation and as data."""

from __future__ import annotations

from ai_platform_mcp.domain.lint.registry import rules

HEAD = ("code", "severity", "what it finds", "fix", "source")


def codes() -> list[dict[str, str]]:
    """Return one row per rule, by code."""
    return [
        {"code": row.code, "severity": row.severity, "title": row.title, "fix": row.fix, "source": row.source}
        for row in rules()
    ]


def markdown() -> str:
    """Return the table that the documentation shows."""
    lines = [f"| {' | '.join(HEAD)} |", "|---|---|---|---|---|"]
    for row in codes():
        cells = (f"`{row['code']}`", row["severity"], row["title"], row["fix"], row["source"])
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)
