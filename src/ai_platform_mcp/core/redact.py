"""Keep secrets out of results, logs and the audit."""

from __future__ import annotations

import re
from typing import Any

_SECRET_KEY = re.compile(
    r"(?i)(pass(word|wd|phrase)|secret|token$|api[-_]?key|credential|private[-_]?key|authorization|cookie)"
)
_SECRET_VALUE = re.compile(
    r"(eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"  # a JWT
    r"|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@))"  # user:password in a URL
)
REDACTED = "[redacted]"


def redact(value: Any) -> Any:
    """Return ``value`` with the values of secret-looking keys, and secret-looking texts, replaced.

    A deny-list: it catches well-known shapes, and is no licence to pass secrets in.
    """
    if isinstance(value, dict):
        items: dict[str, Any] = value
        return {key: REDACTED if _is_secret(key, item) else redact(item) for key, item in items.items()}
    if isinstance(value, list | tuple):
        rows: list[Any] = [redact(row) for row in value]  # pyright: ignore[reportUnknownVariableType]  # any JSON value
        return tuple(rows) if isinstance(value, tuple) else rows
    return _SECRET_VALUE.sub(REDACTED, value) if isinstance(value, str) else value


def _is_secret(key: str, item: Any) -> bool:
    return isinstance(item, str) and bool(item) and bool(_SECRET_KEY.search(key))


def untrusted(text: str, budget: int = 400) -> str:
    """Return text that came from a backend, cut to ``budget`` characters, redacted, and without control characters."""
    clean = "".join(ch if ch.isprintable() or ch in "\n\t" else "�" for ch in text)
    cut = clean if len(clean) <= budget else f"{clean[:budget]}… [{len(clean) - budget} more characters]"
    return str(redact(cut))
