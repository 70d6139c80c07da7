"""``platform lint``: what is outdated, ignored or wrong in manifests, how to write it now, and fixing what is certain."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import anyio.to_thread
import typer
from rich.markup import escape

from ai_platform_mcp.cli import lint_files
from ai_platform_mcp.cli.lint_files import STDIN, Place, Read, Wanted
from ai_platform_mcp.cli.output import FAILED, OK, USAGE, Output
from ai_platform_mcp.cli.session import Session, session_of
from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.lint.model import SEVERITIES, Around

COLOURS = {"error": "red", "warning": "yellow", "info": "dim"}


def lint(
    context: typer.Context,
    files: Annotated[
        list[str] | None, typer.Argument(help="Files or folders of YAML or JSON; - for standard input.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text or json; default as --output says.")] = "",
    cluster: Annotated[str, typer.Option(help="Judge by what this cluster serves.")] = "",
    severity: Annotated[str, typer.Option(help="Tell from here on: error, warning or info.")] = "info",
    ignore: Annotated[list[str] | None, typer.Option(help="A code or a system to leave out; repeatable.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings end with exit code 1 too.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Write what is certain into the files; of - to standard output.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what --fix would change, and change nothing.")] = False,
    codes: Annotated[bool, typer.Option("--codes", help="List every code, and read nothing.")] = False,
) -> None:
    """Say what is outdated, ignored or wrong in manifests, and how to write it now.

    Exit codes: 0 nothing grave, 1 errors (with --strict also warnings), 2 something could not be read.
    """
    session = session_of(context)

    async def work() -> int:
        output = _output(session.output, form)
        if codes:
            return await anyio.to_thread.run_sync(_show_codes, output)
        if not files:
            raise InvalidInput("No file is named.", remedy="platform lint FILE…, a folder, or - for standard input.")
        if severity not in SEVERITIES:
            raise InvalidInput(f"There is no severity {severity!r}.", remedy=f"Use one of {', '.join(SEVERITIES)}.")
        wanted = Wanted(severity, lint_files.ignored_codes(ignore or ()))
        around = await _around(session, cluster) if cluster else Around()
        read = await anyio.to_thread.run_sync(_judged, files, around, wanted, fix or diff)
        if diff:
            _show_differences(read, output)
        elif fix:
            await anyio.to_thread.run_sync(_write, read)
        beside = diff or (fix and any(row.name == STDIN for row in read))
        _show(read, output, to_errors=beside, verb="would fix" if diff else "fixed")
        return _code(read, strict)

    session.run(work)


def _output(chosen: Output, form: str) -> Output:
    if form not in ("", "text", "json"):
        raise InvalidInput(f"There is no format {form!r}.", remedy="Use text or json.")
    return chosen if not form else Output("json" if form == "json" else "table")


def _show_codes(output: Output) -> int:
    from ai_platform_mcp.domain.lint.table import codes, markdown

    output.data({"codes": codes()}, markdown())
    return OK


async def _around(session: Session, cluster: str) -> Around:
    from ai_platform_mcp.tools._review import around_cluster

    async with session.local() as client:
        readers = await client.app.readers()
        known = [info.name for info in await readers.clusters.clusters()]
        if cluster not in known:
            raise InvalidInput(f"There is no cluster {cluster!r}.", remedy=f"Clusters: {', '.join(known) or 'none'}.")
        return await around_cluster(readers, cluster)


def _judged(files: Sequence[str], around: Around, wanted: Wanted, fixing: bool) -> list[Read]:
    read = lint_files.read_all(files)
    if fixing:
        lint_files.fix(read, around, wanted)
    else:
        lint_files.judge(read, around, wanted)
    return read


def _write(read: Sequence[Read]) -> None:
    """Write what changed. Standard input is always answered, changed or not: its text must not be lost on the way."""
    for row in read:
        if row.name == STDIN and row.text is not None:
            sys.stdout.buffer.write(str(row.text).encode("utf-8"))
            sys.stdout.buffer.flush()
        elif lint_files.changed(row):
            lint_files.write(row)


def _code(read: Sequence[Read], strict: bool) -> int:
    if any(row.error for row in read):
        return USAGE
    grave = {"error", "warning"} if strict else {"error"}
    return FAILED if any(place.finding.severity in grave for row in read for place in row.places) else OK


# --- showing ---------------------------------------------------------------------------------------------------------


def _show_differences(read: Sequence[Read], output: Output) -> None:
    if not output.json:
        for row in read:
            sys.stdout.write(lint_files.difference(row))


def _show(read: Sequence[Read], output: Output, *, to_errors: bool, verb: str) -> None:
    if output.json:
        stream = sys.stderr if to_errors and any(row.name == STDIN for row in read) else sys.stdout
        _json(read, Output("json"), stream)
        return
    console = output.err if to_errors else output.out
    for row in read:
        for place in row.fixed:
            console.print(
                f"{_where(row, place)} [green]{verb}[/green] {place.finding.code} {escape(place.finding.remedy)}"
            )
        for place in row.places:
            for line in _lines(row, place):
                console.print(line)
        for line, why in row.skipped:
            console.print(f"[dim]{escape(row.name)}:{line}: skipped: {why}[/dim]")
        if row.error is not None:
            output.error(row.error)
    console.print(_total(read, verb))


def _where(row: Read, place: Place) -> str:
    return f"{escape(row.name)}:{place.line}:"


def _lines(row: Read, place: Place) -> list[str]:
    found = place.finding
    what = escape(f"{found.kind} {found.name}".rstrip())
    colour = COLOURS[found.severity]
    by_hand = (found.code, found.path) in row.unwritten
    how = " (its layout has to be changed by hand)" if by_hand else " (--fix)" if found.fix == "certain" else ""
    lines = [
        f"{_where(row, place)} [{colour}]{found.severity}[/{colour}] {found.code} {what}: {escape(found.message)}",
        f"    [dim]do[/dim] {escape(found.remedy)}{how}",
        f"    [dim]{escape(found.source)}[/dim]",
    ]
    if found.example:
        lines.append("    [dim]today:[/dim]")
        lines += [f"      {escape(line)}" for line in found.example.splitlines()]
    return lines


def _total(read: Sequence[Read], verb: str) -> str:
    counted = _counted(read)
    fixable = f", {counted['fixable']} to be fixed by --fix" if counted["fixable"] else ""
    fixed = f", {verb} {counted['fixed']}" if counted["fixed"] else ""
    words = ", ".join(
        f"{counted[name]} {name}{'s' if name != 'info' and counted[name] != 1 else ''}" for name in SEVERITIES
    )
    return f"{len(read)} file{'s' if len(read) != 1 else ''}: {words}{fixable}{fixed}"


def _counted(read: Sequence[Read]) -> Counter[str]:
    counted: Counter[str] = Counter(place.finding.severity for row in read for place in row.places)
    for row in read:
        certain = [place.finding for place in row.places if place.finding.fix == "certain"]
        counted["fixable"] += sum((found.code, found.path) not in row.unwritten for found in certain)
        counted["fixed"] += len(row.fixed)
    return counted


def _json(read: Sequence[Read], output: Output, stream: Any) -> None:
    import json

    counted = _counted(read)
    data = {
        "files": [_file(row) for row in read],
        "summary": {name: counted[name] for name in (*SEVERITIES, "fixable", "fixed")},
    }
    stream.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")


def _file(row: Read) -> dict[str, Any]:
    return {
        "file": row.name,
        "findings": [{**place.finding.as_dict(), "line": place.line} for place in row.places],
        "fixed": [{"code": place.finding.code, "path": place.finding.path, "line": place.line} for place in row.fixed],
        "skipped": [{"line": line, "why": why} for line, why in row.skipped],
        "error": row.error.as_dict() if row.error else None,
        **({"diff": lint_files.difference(row)} if lint_files.changed(row) else {}),
    }
