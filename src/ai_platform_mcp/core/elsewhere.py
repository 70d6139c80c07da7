"""What a plan says of objects and fields that others hold: GitOps tools that would undo a step, and drift since we applied."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ai_platform_mcp.core.plan import ObjectRef, Risk
from ai_platform_mcp.core.rows import DryRun, GitOpsOwner, HeldField

MOST_NAMED = 3
"""Fields that one sentence names."""
_SCP = re.compile(r"(?:[\w.-]+@)?([\w.-]+):(?!//)(.+)")
_SEVERITY = {"reverted": "danger", "paused": "warning", "kept": "info"}


def gitops_facts(owner: GitOpsOwner | None, *, commits: bool) -> dict[str, Any]:
    """Return the fields of ObjectChange that say who keeps the object; ``commits``: the change goes through Git."""
    if owner is None:
        return {}
    return {
        "gitops": "committed" if commits and owner.state == "reverted" else owner.state,
        "gitops_tool": owner.tool,
        "gitops_owner": owner.owner,
        "gitops_repository": owner.repository,
        "gitops_path": owner.path,
    }


def held_elsewhere(ref: ObjectRef, answer: DryRun, *, commits: bool, forced: bool) -> tuple[Risk, ...]:
    """Return what a person should know of others who hold the object or fields of it."""
    risks: list[Risk] = []
    if answer.gitops is not None:
        risks.append(_kept_by(ref, answer.gitops, commits=commits, forced=forced))
    if answer.taken:
        risks.append(Risk(severity="warning", text=f"{ref}: this takes over {_fields(answer.taken)}."))
    drifted = [row for row in answer.drift if row not in answer.taken]
    if drifted:
        text = f"{ref} has drifted: since our last apply others set {_fields(drifted)}; this plan leaves that as it is."
        risks.append(Risk(severity="warning", text=text))
    return tuple(risks)


def place_of(owner: GitOpsOwner) -> str:
    """Return where the object is declared, in words."""
    parts = (owner.repository, owner.path and f"path {owner.path}", owner.revision and f"revision {owner.revision}")
    known = ", ".join(part for part in parts if part)
    return known or "a source that cannot be read here"


def _kept_by(ref: ObjectRef, owner: GitOpsOwner, *, commits: bool, forced: bool) -> Risk:
    text = f"{ref} is kept by {owner.owner} ({owner.tool}), declared in {place_of(owner)}."
    if owner.fields:
        more = len(owner.fields) - MOST_NAMED
        text += f" It declares {', '.join(owner.fields[:MOST_NAMED])}{f' and {more} more' if more > 0 else ''}."
    if commits and owner.state == "reverted":
        return Risk(severity="info", text=f"{text} This plan changes it through Git.")
    if owner.fields and owner.state == "reverted" and not forced:
        text += " Without force the server refuses to take these fields."
    severity = "warning" if owner.state == "kept" and owner.tool not in ("flux", "argocd") else _SEVERITY[owner.state]
    return Risk.model_validate({"severity": severity, "text": f"{text} {owner.note}".strip()})


def _fields(held: Sequence[HeldField]) -> str:
    told = [f"{row.field} of {row.manager!r}{f' ({row.since})' if row.since else ''}" for row in held[:MOST_NAMED]]
    more = len(held) - MOST_NAMED
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def same_repository(one: str, other: str) -> bool:
    """Tell whether two URLs name one repository, whatever the scheme, login and ending."""
    return _identity(one) == _identity(other)


def _identity(url: str) -> str:
    text = url.strip().rstrip("/").removesuffix(".git")
    if "://" in text:
        text = text.partition("://")[2].rpartition("@")[2] if "@" in text.split("/")[2] else text.partition("://")[2]
        host, _, path = text.partition("/")
        text = f"{host.partition(':')[0]}/{path}"
    elif scp := _SCP.fullmatch(text):
        text = f"{scp.group(1)}/{scp.group(2)}"
    return text.lower()


def holds_file(path: str | None, file: str) -> bool:
    """Tell whether a folder, as a tool names it, holds a file of the same repository; an unknown folder may."""
    if path is None:
        return True
    folder = path.strip().removeprefix(".").strip("/")
    return not folder or file == folder or file.startswith(f"{folder}/")
