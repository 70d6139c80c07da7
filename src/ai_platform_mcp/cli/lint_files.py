"""Files of manifests: finding them, reading and judging them, and writing certain fixes back."""

from __future__ import annotations

import difflib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ai_platform_mcp.core.errors import InvalidInput, PlatformError
from ai_platform_mcp.domain.lint import texts
from ai_platform_mcp.domain.lint.engine import check, peers_of, subjects
from ai_platform_mcp.domain.lint.model import SEVERITIES, Around, Finding
from ai_platform_mcp.domain.lint.registry import rules
from ai_platform_mcp.domain.lint.rules.yaml_text import duplicate_keys

STDIN = "-"
ENDINGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Wanted:
    """What counts: from which severity on, and which codes (or whole systems) not."""

    severity: str = "info"
    ignored: frozenset[str] = frozenset()

    def counts(self, finding: Finding) -> bool:
        """Tell whether a finding is asked for."""
        if finding.code in self.ignored or finding.code.partition(".")[0] in self.ignored:
            return False
        return SEVERITIES.index(finding.severity) <= SEVERITIES.index(cast(Any, self.severity))


def ignored_codes(written: Sequence[str]) -> frozenset[str]:
    """Return the codes and systems to ignore.

    Raises:
        InvalidInput: one is neither; a misspelt one would otherwise ignore nothing without a word.
    """
    known = {name for row in rules() for name in (row.code, row.system)}
    if unknown := [name for name in written if name not in known]:
        raise InvalidInput(
            f"There is no code or system {unknown[0]!r}.", remedy="`platform lint --codes` lists them all."
        )
    return frozenset(written)


@dataclass
class Place:
    """A finding and the line it stands on."""

    finding: Finding
    line: int


@dataclass
class Read:
    """One file: what was found in it, what was fixed, and what no rule looks at."""

    name: str
    text: texts.Text | None = None
    places: list[Place] = field(default_factory=list[Place])
    fixed: list[Place] = field(default_factory=list[Place])
    unwritten: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    skipped: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    error: PlatformError | None = None
    before: str = ""


def read_all(names: Sequence[str]) -> list[Read]:
    """Read every file, and every manifest in every folder, in order; what cannot be read carries its error."""
    return [_read(name) for given in names for name in _expanded(given)]


def _expanded(given: str) -> Iterator[str]:
    path = Path(given)
    if given == STDIN or not path.is_dir():
        yield given
        return
    for folder, below, files in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (str(Path(folder) / name) for name in sorted(files) if name.lower().endswith(ENDINGS))


def _read(name: str) -> Read:
    row = Read(name)
    try:
        raw = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        row.before = raw.decode("utf-8")
        row.text = texts.read(row.before)
    except OSError as error:
        row.error = InvalidInput(
            f"{name}: {error.strerror or 'cannot be read'}.", remedy="Name a file or folder, or -."
        )
    except UnicodeDecodeError as error:
        row.error = InvalidInput(f"{name}: byte {error.start} is not UTF-8.", remedy="Save it as UTF-8.")
    except PlatformError as error:
        error.message = f"{name}: {error.message}"
        row.error = error
    return row


def judge(files: Sequence[Read], around: Around, wanted: Wanted) -> None:
    """Find what is wrong in every file; each object sees the others of the same input."""
    everything = [document.data for row in files if row.text for document in row.text.documents]
    peers = peers_of(everything)
    for row in files:
        row.places, row.skipped = [], []
        for document in row.text.documents if row.text else ():
            if (why := _why_skipped(document.data)) is not None:
                row.skipped.append((document.line_of(""), why))
            row.places += [
                Place(finding, document.line_of(finding.path)) for finding in _findings(document, around, peers, wanted)
            ]
        row.places.sort(key=lambda place: (SEVERITIES.index(place.finding.severity), place.line))


def _findings(document: texts.Document, around: Around, peers: tuple[Any, ...], wanted: Wanted) -> list[Finding]:
    others = tuple(peer for peer in peers if peer is not document.data)
    found = check(document.data, around.model_copy(update={"peers": others}))
    data = cast("dict[str, Any]", document.data) if isinstance(document.data, dict) else {}
    name = str((data.get("metadata") or {}).get("name", "")) if isinstance(data.get("metadata"), dict) else ""
    found = [*duplicate_keys(document.root, str(data.get("kind", "document")), name), *found]
    return [finding for finding in found if wanted.counts(finding)]


def _why_skipped(data: Any) -> str | None:
    """Say why no rule looks at a document; None where some do, or where it is empty."""
    if data is None or next(subjects(data), None) is not None:
        return None
    if not isinstance(data, dict):
        return "no object"
    return "no Kubernetes object (apiVersion and kind), no LiteLLM configuration and no Prometheus rules"


def fix(files: Sequence[Read], around: Around, wanted: Wanted) -> None:
    """Perform every certain fix in memory, document by document, and judge what is left."""
    for row in files:
        if row.text is None:
            continue
        documents: list[texts.Document] = []
        for document in row.text.documents:
            done = texts.fix(document, _checker(around, wanted))
            documents.append(done.document)
            row.fixed += [Place(finding, document.line_of(finding.path)) for finding in done.done]
            row.unwritten |= {(finding.code, finding.path) for finding in done.unwritten}
        row.text = texts.read(str(replace(row.text, documents=tuple(documents))))
    judge(files, around, wanted)


def _checker(around: Around, wanted: Wanted) -> texts.Check:
    return lambda data: [finding for finding in check(data, around) if wanted.counts(finding)]


def changed(row: Read) -> bool:
    """Tell whether a fix changed the file's text."""
    return row.text is not None and str(row.text) != row.before


def difference(row: Read) -> str:
    """Return the unified diff of what fixing changes."""
    after, name = str(row.text) if row.text else row.before, row.name.lstrip("/")
    lines = difflib.unified_diff(
        row.before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def write(row: Read) -> None:
    """Put the fixed text in the file's place, whole or not at all; its mode stays, and a link stays a link.

    Raises:
        InvalidInput: the file cannot be written.
    """
    path = Path(row.name).resolve()
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(str(row.text).encode("utf-8"))
            shutil.copymode(path, temporary)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidInput(
            f"{row.name} cannot be written: {error.strerror}.", remedy="Use --diff, or - to get the text."
        ) from None
