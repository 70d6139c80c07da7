"""Questions to the person at the terminal; without one, the answer is no."""

from __future__ import annotations

import getpass
import sys

import typer

from ai_platform_mcp.core.errors import Forbidden


def interactive() -> bool:
    """Whether a person can answer here."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str) -> bool:
    """Ask yes or no on standard error; no where nobody can answer."""
    return interactive() and typer.confirm(question, default=False, err=True)


def passphrase(prompt: str, *, twice: bool = False) -> str:
    """Read a passphrase from the terminal itself, never from an argument, a file, a pipe or a variable.

    Raises:
        Forbidden: no terminal, or the two entries differ.
    """
    if not interactive():
        raise Forbidden(
            "A passphrase is typed at a terminal and nowhere else.",
            cause="Standard input is not a terminal: a program is asking, not a person.",
            remedy="Run this command yourself in a terminal window.",
        )
    typed = getpass.getpass(f"{prompt}: ")
    if twice and getpass.getpass(f"{prompt} (again): ") != typed:
        raise Forbidden("The two passphrases differ.", remedy="Try again; nothing was changed.")
    return typed
