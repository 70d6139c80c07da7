"""What only the text of a document shows: keys that stand there twice."""

from __future__ import annotations

from collections.abc import Iterable

from ai_platform_mcp.domain.lint.model import Around, Finding, Hit
from ai_platform_mcp.domain.lint.registry import rule
from ai_platform_mcp.domain.lint.subject import Subject
from ai_platform_mcp.domain.lint.tree import Node, duplicates

CODE = "yaml.duplicate-key"
SOURCE = "YAML 1.2: keys are unique; strict decoding of the API server refuses a duplicate field, other readers keep the last"


@rule(CODE, "error", "key that stands twice in one object", source=SOURCE, fix="none", kinds=("yaml/Text",))
def duplicate_key(subject: Subject, around: Around) -> Iterable[Hit]:
    """Find nothing in plain documents, which have lost what came first; ``duplicate_keys`` reads the text."""
    return ()


def duplicate_keys(root: Node | None, kind: str, name: str) -> list[Finding]:
    """Return a finding per repeated key of a document's text."""
    return [
        Finding(
            code=CODE,
            severity="error",
            kind=kind,
            name=name,
            path=f"{path}/{key.replace('~', '~0').replace('/', '~1')}",
            message=f"{key} stands twice in one object (again in line {line + 1} of the document): the former value is lost, and "
            "the API server refuses it.",
            remedy="Keep one of them.",
            source=SOURCE,
            fix="none",
        )
        for path, key, line in duplicates(root)
    ]
