"""Texts of manifests, YAML or JSON: taking them apart into documents, and writing certain fixes into them.

A fix is used only where the new text, read again, says exactly what the fix means and nothing else; otherwise the text stays.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import yaml

from ai_platform_mcp.core.errors import InvalidInput
from ai_platform_mcp.domain.lint import bounds, edits, surgery, tree
from ai_platform_mcp.domain.lint.model import Finding

LIMIT_CHARACTERS = 5_000_000
"""A text beyond this is refused: the largest object that etcd takes has 1.5 MB."""
ROUNDS = 100
"""How often one document is judged anew: fixes that lie apart take one round, one that opens the way for another two."""


class _Loader(tree.Loader):
    """YAML as Kubernetes reads it: a date is a text, and so is a lone «=»."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if not tag.endswith((":timestamp", ":value"))]
    for first, rows in tree.Loader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Document:
    """One document: its text (with what stands before the next one) and what it says."""

    text: str
    data: Any
    line: int
    """Its first line in the file, from 1."""
    form: Literal["yaml", "json"] = "yaml"
    root: tree.Node | None = None

    def line_of(self, path: str) -> int:
        """Return the line in the file of what a JSON pointer leads to, or of the nearest thing above it."""
        node, line = self.root, self.line + (self.root.line if self.root else 0)
        for part in edits.split(path):
            if node is None:
                break
            place = node.entry(part) if node.kind == "map" else -1
            if place >= 0:
                line = self.line + node.entries[place][0].line
            node = node.child(part)
            if place < 0 and node is not None:
                line = self.line + node.line
        return line


@dataclass(frozen=True)
class Text:
    """A whole file. ``mark`` is a byte order mark, kept apart."""

    documents: tuple[Document, ...]
    head: str = ""
    mark: str = ""

    def __str__(self) -> str:
        """Return the file's text."""
        return self.mark + self.head + "".join(document.text for document in self.documents)


def read(text: str) -> Text:
    """Take a text apart.

    Raises:
        InvalidInput: it is neither YAML nor JSON (with line and column), or too large.
    """
    if len(text) > LIMIT_CHARACTERS:
        raise InvalidInput(
            f"The text has {len(text)} characters; more than {LIMIT_CHARACTERS} are not read.",
            remedy="Split it into files.",
        )
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    body = text[len(mark) :]
    if body.lstrip()[:1] in ("{", "["):
        try:
            data = json.loads(body)
            bounds.hold(data)
        except bounds.Unbounded as error:
            raise _endless(error) from None
        except (ValueError, RecursionError):
            pass  # it may be YAML that starts with a flow collection
        else:
            return Text((Document(body, data, 1, "json", _json_places(body)),), mark=mark)
    try:
        return _yaml(body, mark)
    except yaml.YAMLError as error:
        raise _broken(error) from None
    except bounds.Unbounded as error:
        raise _endless(error) from None
    except RecursionError:
        raise _endless(bounds.Unbounded("the document is nested without end")) from None


def _endless(error: bounds.Unbounded) -> InvalidInput:
    return InvalidInput(
        f"The text cannot be judged: {error}.", remedy="Write it out flat, or split it; a manifest needs neither."
    )


def _json_places(body: str) -> tree.Node | None:
    try:
        return tree.parse(body)[0][1]
    except yaml.YAMLError:  # tabs: JSON may have them, YAML not
        return None


def _yaml(body: str, mark: str) -> Text:
    found = tree.parse(body)
    if not found:  # nothing, or only comments
        return Text((), body, mark)
    starts = [start for start, _ in found]
    ends = [*starts[1:], len(body)]
    documents: list[Document] = []
    for start, end in zip(starts, ends, strict=True):
        documents.append(_document(body[start:end], 1 + body.count("\n", 0, start)))
    return Text(tuple(documents), body[: starts[0]], mark)


def _document(text: str, line: int) -> Document:
    roots = tree.parse(text)
    if not roots:  # only what stands between documents
        return Document(text, None, line)
    data = yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe loader
    bounds.hold(data)
    return Document(text, data, line, "yaml", roots[0][1])


def _broken(error: yaml.YAMLError) -> InvalidInput:
    place = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or str(error)
    where = f"line {place.line + 1}, column {place.column + 1}: " if place is not None else ""
    details = {"line": place.line + 1, "column": place.column + 1} if place is not None else {}
    return InvalidInput(
        f"{where}{said[:200]}",
        cause="The text is not YAML (nor JSON) as it stands.",
        remedy="Repair that place; tabs, stray colons and unbalanced quotes or brackets are the usual causes.",
        details=details,
    )


# --- fixing ----------------------------------------------------------------------------------------------------------

Check = Callable[[Any], list[Finding]]


@dataclass
class Fixed:
    """What became of one document."""

    document: Document
    done: list[Finding] = field(default_factory=list[Finding])
    unwritten: list[Finding] = field(default_factory=list[Finding])
    """Certain fixes that this text's layout does not let be written; its author has to."""


def fix(document: Document, check: Check) -> Fixed:
    """Write every certain fix that ``check`` finds into the document until none is left.

    Fixes that touch nothing in common are written together and verified together; where that fails, one by one.
    """
    result = Fixed(document)
    passed: set[tuple[str, str]] = set()
    for _ in range(ROUNDS):
        left = [
            row for row in check(result.document.data) if row.fix == "certain" and (row.code, row.path) not in passed
        ]
        if not left:
            break
        together = _apart(left)
        changed = _performed(result.document, together) if len(together) > 1 else None
        if changed is not None:
            result.document = changed
            result.done += together
            continue
        for finding in together:
            changed = _performed(result.document, [finding])
            if changed is None:
                passed.add((finding.code, finding.path))
                result.unwritten.append(finding)
            else:
                result.document = changed
                result.done.append(finding)
                break  # what the others found may be shared with this one, and done
    return result


def _apart(findings: list[Finding]) -> list[Finding]:
    """Return findings of which no two touch the same field, or one a field inside of another's; the first always."""
    chosen: list[Finding] = []
    touched: set[str] = set()
    above: set[str] = set()
    for finding in findings:
        places = [place for edit in finding.edits for place in (edit.path, edit.to) if place.startswith("/")]
        parents = {place[:end] for place in places for end, letter in enumerate(place) if letter == "/" and end}
        if not (touched & {*places, *parents} or above & set(places)):
            chosen.append(finding)
            touched |= set(places)
            above |= parents
    return chosen


def _performed(document: Document, findings: list[Finding]) -> Document | None:
    """Return the document with the edits of all findings, None unless its text then says exactly what they mean."""
    wanted = copy.deepcopy(document.data)
    performed = [edit for finding in findings for edit in finding.edits]
    try:
        for edit in performed:
            edits.apply(wanted, edit)
    except edits.NotApplicable:
        return None
    if wanted == document.data and _same(wanted, document.data):
        return None
    if document.form == "json":
        text = _json_text(document.text, wanted)
        return replace(document, text=text, data=wanted, root=_json_places(text))
    text = document.text
    try:
        for edit in performed:
            text = surgery.rewrite(text, edit)
        changed = _document(text, document.line)
    except (surgery.Unwritable, yaml.YAMLError, ValueError):
        return None
    return changed if _same(changed.data, wanted) else None


def _same(one: Any, other: Any) -> bool:
    """Equal in value and in type: ``true`` is not 1, and the order of keys is the author's."""
    return json.dumps(one, default=str, sort_keys=True) == json.dumps(other, default=str, sort_keys=True)


def _json_text(text: str, data: Any) -> str:
    """Return JSON laid out as the text is: its indentation, line ends and what stands after the last brace."""
    found = re.search(r"[{\[]\r?\n([ \t]+)", text)
    indent: Any = found[1] if found else None
    separators = (",", ": ") if indent else ((", ", ": ") if re.search(r'": |, "', text) else (",", ":"))
    body = json.dumps(data, indent=indent, ensure_ascii=False, separators=separators)
    tail = text[len(text.rstrip()) :]
    return (body.replace("\n", "\r\n") if "\r\n" in text else body) + tail
