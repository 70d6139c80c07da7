"""What the terminal shows: tables for people, one JSON document for programs, errors with a remedy, exit codes."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ai_platform_mcp.core.errors import PlatformError

Format = Literal["table", "json"]

OK, FAILED, USAGE, DENIED, AWAITING, UNKNOWN = 0, 1, 2, 3, 4, 5
"""Exit codes: done; failed; wrong arguments; policy said no; an approval is pending; the outcome is not known."""

CODES = {"denied": DENIED, "invalid_input": USAGE, "misconfigured": USAGE, "outcome_unknown": UNKNOWN}
STATUS = {
    "denied": DENIED,
    "awaiting_approval": AWAITING,
    "failed": FAILED,
    "unknown": UNKNOWN,
    "interrupted": FAILED,
    "declined": FAILED,
}


class Output:
    """Writes results to standard output and everything else to standard error."""

    def __init__(self, form: Format = "table"):
        self.form: Format = form
        self.out = Console(soft_wrap=True, highlight=False)
        self.err = Console(stderr=True, soft_wrap=True, highlight=False)

    @property
    def json(self) -> bool:
        """Whether a program reads this."""
        return self.form == "json"

    def data(self, data: Any, text: str) -> None:
        """Show a result: the data for programs, the text for people."""
        if self.json:
            sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, default=str) + "\n")
        else:
            self.out.print(escape(text))

    def framed(self, title: str, text: str) -> None:
        """Show lines in a frame, each as long as it is: what does not fit goes on in the next line, further in."""
        width = max(40, self.out.width - 4)
        lines = Text("\n".join(part for line in text.splitlines() for part in _folded(line, width)))
        self.out.print(Panel(lines, title=escape(title), title_align="left", border_style="cyan"), soft_wrap=False)

    def say(self, text: str) -> None:
        """Say something to a person; programs do not hear it."""
        if not self.json:
            self.err.print(text)

    def done(self, text: str) -> None:
        """Say that something is done."""
        if not self.json:
            self.out.print(f"[green]✓[/green] {escape(text)}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Show rows to a person."""
        table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
        self.out.print(table)

    def error(self, error: PlatformError) -> int:
        """Show an error and return the exit code that goes with it."""
        body = error.as_dict()
        if self.json:
            sys.stdout.write(json.dumps({"error": body}, ensure_ascii=False, indent=2, default=str) + "\n")
        else:
            self.err.print(f"[red]✗[/red] {escape(str(body['message']))}")
            if body["cause"]:
                self.err.print(f"  [dim]because[/dim] {escape(str(body['cause']))}")
            if body["remedy"]:
                self.err.print(f"  [dim]do[/dim]      {escape(str(body['remedy']))}")
        return CODES.get(str(body["code"]), FAILED)


def _folded(line: str, width: int) -> list[str]:
    """Return a line as lines of at most ``width`` cells' worth of characters, the later ones further in than the first."""
    further = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, width, subsequent_indent=further, break_on_hyphens=False) or [""]
