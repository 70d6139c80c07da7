"""The register of rules: one small function each, under its code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ai_platform_mcp.domain.lint.model import Around, Edit, Finding, Fix, Hit, Severity
from ai_platform_mcp.domain.lint.subject import Subject

Check = Callable[[Subject, Around], Iterable[Hit]]


@dataclass(frozen=True)
class Rule:
    """One rule. ``kinds`` are ``group/Kind`` (``/Kind`` for the core group), empty for every Kubernetes object."""

    code: str
    severity: Severity
    title: str
    """What is wrong, in one line of the table of codes."""
    source: str
    fix: Fix
    """The best that can be done: rewritten by ``--fix`` at least in the plain case, described, or told only."""
    kinds: frozenset[str]
    check: Check

    @property
    def system(self) -> str:
        """The system it belongs to: the part of the code before the dot."""
        return self.code.partition(".")[0]

    def findings(self, subject: Subject, around: Around) -> list[Finding]:
        """Return what the rule finds in one object."""
        return [self._finding(subject, hit) for hit in self.check(subject, around)]

    def _finding(self, subject: Subject, hit: Hit) -> Finding:
        certain = hit.certain and bool(hit.edits) and subject.editable
        told: Fix = "certain" if certain else "none" if self.fix == "none" else "suggested"
        return Finding(
            code=self.code,
            severity=hit.severity or self.severity,
            kind=subject.kind,
            name=subject.name,
            path=subject.prefix + hit.path,
            message=hit.message,
            remedy=hit.remedy,
            source=self.source,
            fix=told,
            edits=tuple(_under(subject.prefix, edit) for edit in hit.edits) if certain else (),
            example=hit.example,
        )


def _under(prefix: str, edit: Edit) -> Edit:
    to = prefix + edit.to if edit.op == "move" else edit.to
    return edit.model_copy(update={"path": prefix + edit.path, "to": to})


_RULES: dict[str, Rule] = {}


def rule(
    code: str, severity: Severity, title: str, *, source: str, fix: Fix, kinds: Sequence[str] = ()
) -> Callable[[Check], Check]:
    """Register the function below as a rule.

    Raises:
        ValueError: the code is taken (a bug of ours).
    """

    def register(check: Check) -> Check:
        if code in _RULES:
            raise ValueError(f"two rules are called {code}")
        _RULES[code] = Rule(code, severity, title, source, fix, frozenset(kinds), check)
        return check

    return register


def rules() -> tuple[Rule, ...]:
    """Return every rule, by code."""
    from ai_platform_mcp.domain.lint import rules as package

    package.load()
    return tuple(_RULES[code] for code in sorted(_RULES))
