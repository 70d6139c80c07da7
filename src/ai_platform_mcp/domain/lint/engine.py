"""From documents to findings: which objects a document holds, and which rules look at each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import yaml

from ai_platform_mcp.core.model import type_json
from ai_platform_mcp.domain.lint import bounds
from ai_platform_mcp.domain.lint.model import SEVERITIES, Around, Finding
from ai_platform_mcp.domain.lint.registry import Rule, rules
from ai_platform_mcp.domain.lint.subject import LITELLM, RULE_FILE, Subject, pointer
from ai_platform_mcp.domain.objects import rows, section

EMBEDDED_CHARACTERS = 200_000
"""A text inside a ConfigMap beyond this is not read: it is no configuration of what lint knows."""


def subjects(document: Any, prefix: str = "") -> Iterator[Subject]:
    """Yield the objects of a document: itself, the items of a List, and configurations that a ConfigMap carries."""
    if not isinstance(document, dict):
        return
    data = cast(type_json, document)
    if form := _form(data):
        yield Subject(data, prefix, form=form)
    elif data.get("kind") == "List" and data.get("apiVersion") == "v1":
        for place, item in enumerate(rows(data, "items")):
            yield from subjects(item, f"{prefix}/items/{place}")
    elif isinstance(data.get("apiVersion"), str) and isinstance(data.get("kind"), str):
        yield Subject(data, prefix)
        if data["kind"] == "ConfigMap":
            yield from _carried(data, prefix)


def _form(data: type_json) -> str:
    if isinstance(data.get("model_list"), list):
        return LITELLM
    if "apiVersion" not in data and any("rules" in group for group in rows(data, "groups")):
        return RULE_FILE
    return ""


def _carried(data: type_json, prefix: str) -> Iterator[Subject]:
    host = f"ConfigMap {section(data, 'metadata').get('name', '')}"
    for key, text in section(data, "data").items():
        if not isinstance(text, str) or len(text) > EMBEDDED_CHARACTERS or not key.endswith((".yaml", ".yml")):
            continue
        try:
            inner = yaml.safe_load(text)
            bounds.hold(inner)
        except (yaml.YAMLError, ValueError, RecursionError):
            continue  # not ours to judge: what reads the ConfigMap may use another format
        if isinstance(inner, dict) and (form := _form(cast(type_json, inner))):
            yield Subject(cast(type_json, inner), prefix + pointer("data", key), False, form, host)


def check(document: Any, around: Around, only: Sequence[Rule] | None = None) -> list[Finding]:
    """Return the findings of one document, gravest first, then by place."""
    chosen = rules() if only is None else only
    found = [
        finding
        for subject in subjects(document)
        for rule in chosen
        if subject.group_kind in rule.kinds or (not rule.kinds and not subject.form)
        for finding in rule.findings(subject, around)
    ]
    return sorted(found, key=lambda row: (SEVERITIES.index(row.severity), row.path, row.code))


def peers_of(documents: Iterable[Any]) -> tuple[type_json, ...]:
    """Return the Kubernetes objects of several documents: what each rule may look at beside its own object."""
    return tuple(subject.data for document in documents for subject in subjects(document) if not subject.form)
