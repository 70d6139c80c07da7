"""The base of every value that crosses a room: frozen, closed, and with one canonical JSON form."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

type_json = dict[str, Any]
"""A JSON object as Python holds it. Kubernetes objects and MCP arguments have no narrower static type."""


class Value(BaseModel):
    """A frozen model that refuses unknown fields, so that a misspelt field is an error and never a silent default."""

    # Validators are built on first use: building all of them takes longer than the rest of the server's start.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", defer_build=True)


def canonical_json(value: object) -> bytes:
    """Return the one JSON form of ``value``: sorted keys, no spaces, UTF-8, no NaN.

    Follows the spirit of RFC 8785 for the values we use (strings, integers, booleans, null, lists, objects).

    Raises:
        ValueError: for NaN or infinities, which have no JSON form.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: object) -> str:
    """Return the SHA-256 of the canonical JSON of ``value``, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
